"""page(scan) -> str: what a scan found, as one HTML page that opens offline.

Pictures, script and style are all inside; the page makes no request. The same scan gives the same bytes.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from ..findings import CATALOGUE, DROP, KEEP, REVIEW, SEVERITY, Outcome, Story, found_by_check
from ..reviews import likely_right
from ..stage.lines import printable
from .base import Report, asset, render, settings_of
from .galleries import Gallery, evenly, first_of_each, gallery, review_list, strip
from .thumbnails import UNREADABLE, Thumbnails, thumbnails

if TYPE_CHECKING:
    from ..scans import CleaningEffect, Scan

PACKAGE = "curate.reporting"  # where the template, the style and the script of this page are
COLOURS_HERE = "/* the colours of the checks */"  # in the style, where those of the catalogue are put
TOLD = 6  # stories told at once; as many again as MORE_TOLD are folded away
MORE_TOLD = 24
CLASSES_AT_ONCE = 30
WITH_PICTURES = 4_000  # rows that get a thumbnail
PER_CHECK = 200  # findings shown per check, in a set larger than that
MAP_POINTS = 30_000
FLAGGED_SIDE, OTHER_SIDE = 96, 64  # pixels; what is judged by eye deserves the larger one
PICTURE_BYTES = 10_000_000
VERDICTS = (KEEP, REVIEW, DROP)
PACKAGES = (
    "trustset",
    "numpy",
    "scikit-learn",
    "opencv-python-headless",
    "umap-learn",
    "keras",
    "openvino",
)


def page(scan: Scan) -> str:
    """The whole page of a scan: HTML with everything inlined, to be written as UTF-8."""
    findings = scan.findings.reset_index(drop=True)
    checks = _checks_found(findings)
    limit = PER_CHECK if len(scan.table) > WITH_PICTURES else len(findings)
    outcomes = found_by_check(findings, scan.table)
    right = likely_right(findings)
    galleries = [gallery(check, findings, scan.table, limit) for check in checks]
    reviews = review_list(findings, limit)
    stories = scan.stories[: TOLD + MORE_TOLD]

    mapped = _mapped_rows(scan)
    strips = [strip(story, scan.table) for story in stories]
    told_rows = (row for together in chain.from_iterable(strips) for row in together)
    flagged = list(dict.fromkeys(chain(told_rows, first_of_each([reviews, *galleries], findings))))
    rows = np.union1d(np.array(flagged, np.int64), mapped)
    pictures = _pictures(scan, flagged, mapped)

    content = {
        "script": Markup(asset(PACKAGE, "report.js")),
        "plotly": Markup(_plotly()) if len(mapped) else None,
        "data": _json(_data(scan, findings, [*galleries, reviews], rows, pictures, strips)),
        "pictures": _json(_picture_data(pictures)),
        "scan": scan,
        "verdict": _verdict_sentence(scan),
        "counts": _verdict_counts(scan.table["verdict"]),
        "effect": _effect(scan.effect) if scan.effect else None,
        "checks": [_check_summary(entry, outcomes[entry.check], right.get(entry.check)) for entry in galleries],
        "reviews": reviews,
        "silent": [_check_in_words(name)[0] for name in SEVERITY if name not in {*checks, *scan.not_checked}],
        "not_checked": _not_checked(scan.not_checked),
        "stories": [_story_data(i, s, galleries) for i, s in enumerate(stories)],
        "told_at_once": TOLD,
        "untold": len(scan.stories) - len(stories),
        "classes": _classes(scan.balance),
        "classes_at_once": CLASSES_AT_ONCE,
        "mapped": len(mapped),
        "drawn": _drawn(scan.table, mapped),
        "decided": len(scan.decided),
    }
    style = asset(PACKAGE, "report.css").replace(COLOURS_HERE, _check_colours())
    return render(_report(scan), PACKAGE, style, content)


def _report(scan: Scan) -> Report:
    """What stands around the page's own sections."""
    source = scan.images.source.path
    used = [("source", str(source)), ("embedder", scan.embedder or "none")]
    return Report(
        kind="scan",
        name=scan.images.source.name,
        notes=scan.notes,
        files=_files_written(scan),
        settings=[
            ("Reading", [(topic.name, topic.text) for topic in scan.images.source.topics]),
            ("Settings", [*used, *settings_of(scan.config)]),
        ],
        packages=PACKAGES,
        timings=[(name, f"{seconds:.2f} s") for name, seconds in scan.timings.items()],
    )


def _checks_found(findings: pd.DataFrame) -> list[str]:
    """The checks that found something, the most serious first: it gives a row its colour on the map."""
    order = {name: i for i, name in enumerate(SEVERITY)}
    return sorted(findings["check"].unique(), key=lambda name: (order.get(name, len(order)), name))


def _check_colours() -> str:
    """The rules of style that give each check its colour."""
    return "\n".join(f'[data-check="{name}"] {{ --check: {check.colour}; }}' for name, check in CATALOGUE.items())


def _check_in_words(check: str) -> tuple[str, str]:
    """The title of a check's findings, and what it looks for; of one that is not in the catalogue its name."""
    entry = CATALOGUE.get(check)
    return (entry.title, entry.looks_for) if entry else (check.replace("_", " ").capitalize(), "")


# What the page says


def _verdict_sentence(scan: Scan) -> str:
    """What cleaning would do, in one sentence."""
    n, counts = len(scan.table), _verdict_counts(scan.table["verdict"])
    drop, review = counts[DROP], counts[REVIEW]
    if not drop and not review:
        return "Nothing to drop and nothing to review."
    share = f"{_rows(drop)} ({100 * drop / n:.1f}\N{NO-BREAK SPACE}%)"
    if not review:
        return f"Would drop {share}; nothing is left for you to review."
    if scan.config.strict:
        return f"Would drop {share} and leave out {review:,} more that await your review."
    if not drop:
        return f"Nothing to drop for certain; {_rows(review)} kept for your review."
    return f"Would drop {share}, keep {review:,} for your review."


def _rows(n: int) -> str:
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _verdict_counts(verdicts: pd.Series[str]) -> dict[str, int]:
    counts = verdicts.value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def _effect(effect: CleaningEffect) -> dict[str, object]:
    """The numbers of the effect, what they mean, and where they lie on a scale of 0 to 100."""
    if effect.before < effect.low:
        meaning = "Cleaning helps."
    elif effect.before > effect.high:
        meaning = "Cleaning does not help here: look at what is dropped."
    else:
        meaning = "No clear change."
    numbers = {"before": effect.before, "after": effect.after, "low": effect.low, "high": effect.high}
    left = max(0.0, math.floor(20 * min(numbers.values()) - 0.2) / 20)
    right = min(1.0, math.ceil(20 * max(numbers.values()) + 0.2) / 20)
    at = {name: round(100 * (value - left) / (right - left), 2) for name, value in numbers.items()}
    return {**numbers, "rows": effect.rows, "meaning": meaning, "left": left, "right": right, "at": at}


def _check_summary(gallery: Gallery, outcome: Outcome, right: float | None) -> dict[str, object]:
    """One line of the summary table; right: how many of its findings are likely right, None where nothing says it."""
    title, looks_for = _check_in_words(gallery.check)
    return {
        "name": gallery.check,
        "title": title,
        "what": looks_for,
        "rows": outcome.rows,
        "right": None if right is None else round(right),
        "groups": outcome.groups,
        "drop": outcome.verdicts.get(DROP, 0),
        "review": outcome.verdicts.get(REVIEW, 0),
        "total": gallery.total,
        "shown": gallery.shown,
    }


def _not_checked(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """(titles of checks that could not say anything, why), a pair for each reason."""
    titles: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        titles.setdefault(reason, []).append(_check_in_words(name)[0].lower())
    return [(", ".join(names), reason) for reason, names in titles.items()]


def _story_data(i: int, story: Story, galleries: list[Gallery]) -> dict[str, object]:
    return {
        "number": i,
        "check": story.check,
        "group": story.group,
        "title": _check_in_words(story.check)[0],
        "sentence": printable(story.sentence),
        "rows": len(story.rows),
        "has_gallery": any(gallery.check == story.check for gallery in galleries),
    }


def _classes(balance: pd.DataFrame) -> list[dict[str, object]]:
    """Per class its counts, and how long each piece of its bar is in percent of the largest class."""
    largest = max(1, int(balance["images"].max())) if len(balance) else 1
    classes = []
    for of_class in balance.to_dict("records"):
        counts = {
            KEEP: int(of_class["kept"]),
            REVIEW: int(of_class["review"]),
            DROP: int(of_class["dropped"]),
        }
        bar = {verdict: round(100 * count / largest, 2) for verdict, count in counts.items()}
        name, images = str(of_class["name"]), int(of_class["images"])
        classes.append({"name": name, "images": images, "counts": counts, "bar": bar})
    return classes


def _files_written(scan: Scan) -> list[tuple[str, str]]:
    """The files that lie beside this page, and what each holds."""
    if scan.config.artifacts is None:
        return []
    clean = "../clean.csv" if scan.images.source.kind == "files" else "../clean.npz"
    kept = "the rows that are kept" + ("" if scan.config.strict else ", and those that await review")
    return [
        (clean, kept),
        ("images.parquet", "one row per image: verdict, group, place on the map, the score of every check"),
        ("findings.parquet", "one row per suspicion, with its reason"),
        ("pairs.parquet", "pairs of duplicates that stood verification"),
        ("embeddings.npy", "the vectors that images were compared by"),
        ("manifest.json", "configuration, digests and versions, to repeat this scan"),
    ]


# What the script draws


def _placed(table: pd.DataFrame) -> np.ndarray:
    """Which rows have a place on the map."""
    placed: np.ndarray = np.isfinite(table[["x", "y"]].to_numpy(np.float64)).all(axis=1)
    return placed


def _mapped_rows(scan: Scan) -> np.ndarray:
    """The rows drawn on the map: all of them, or of a large set an even sample that prefers flagged rows."""
    table = scan.table
    placed, fine = _placed(table), (table["verdict"] == KEEP).to_numpy()
    flagged_rows, fine_rows = np.flatnonzero(placed & ~fine), np.flatnonzero(placed & fine)
    if len(flagged_rows) + len(fine_rows) > MAP_POINTS:
        flagged_rows = evenly(flagged_rows, max(MAP_POINTS // 2, MAP_POINTS - len(fine_rows)))
        fine_rows = evenly(fine_rows, MAP_POINTS - len(flagged_rows))
    return np.union1d(flagged_rows, fine_rows)


def _drawn(table: pd.DataFrame, mapped: np.ndarray) -> str:
    """Which rows the map leaves out, in a sentence; "" where it has all."""
    placed, fine = _placed(table), (table["verdict"] == KEEP).to_numpy()
    if len(mapped) == placed.sum():
        return ""
    flagged, unflagged = ((int(chosen[mapped].sum()), int((placed & chosen).sum())) for chosen in (~fine, fine))
    first = (
        f"all {flagged[1]:,} that are dropped or await review"
        if flagged[0] == flagged[1]
        else f"{flagged[0]:,} of the {flagged[1]:,} that are dropped or await review"
    )
    return (
        f"Drawn are {len(mapped):,} of {int(placed.sum()):,} images: {first}, and {unflagged[0]:,} of the "
        f"{unflagged[1]:,} others, in even steps through the set."
    )


def _pictures(scan: Scan, flagged: list[int], mapped: np.ndarray) -> Thumbnails:
    """Thumbnails of what the galleries show, then of as many points of the map as may have one."""
    sides = dict.fromkeys(flagged, FLAGGED_SIDE)
    unflagged = evenly(np.setdiff1d(mapped, flagged), max(0, WITH_PICTURES - len(sides)))
    # Shuffled, so that where room runs out the pictures that are left still come from everywhere.
    sides.update(dict.fromkeys(np.random.default_rng(0).permutation(unflagged).tolist(), OTHER_SIDE))
    digest = scan.table["digest"].fillna("").to_numpy()
    return thumbnails(scan.images.images, sides, {row: digest[row] for row in sides}, PICTURE_BYTES)


def _picture_data(pictures: Thumbnails) -> dict[str, object]:
    return {
        "beginnings": [[beginning.width, beginning.height, beginning.text] for beginning in pictures.beginnings],
        "kind": pictures.kind,
        "rests": pictures.rests,
    }


def _data(
    scan: Scan,
    findings: pd.DataFrame,
    galleries: list[Gallery],
    rows: np.ndarray,
    pictures: Thumbnails,
    strips: list[list[list[int]]],
) -> dict[str, object]:
    """Everything that the script shows; a row is given by its place among `rows`."""
    table = scan.table.iloc[rows]
    place = {int(row): i for i, row in enumerate(rows)}
    about = findings[findings["row"].isin(place) | (findings["row"] < 0)]
    found_at = {int(position): i for i, position in enumerate(about.index)}
    checks = [gallery.check for gallery in galleries if gallery.check]
    sentences: dict[str, int] = {}
    sentence_numbers = [sentences.setdefault(printable(text), len(sentences)) for text in about["because"]]
    x, y = _coordinates(table)
    without = -1
    return {
        "classes": list(scan.images.classes),
        "checks": [[name, _check_in_words(name)[0]] for name in checks],
        "verdicts": VERDICTS,
        "unreadable": UNREADABLE,
        "rows": {
            "id": table["id"].tolist(),
            "label": table["label"].tolist(),
            "split": table["split"].fillna("").tolist() if "split" in table else [""] * len(table),
            "verdict": [VERDICTS.index(verdict) for verdict in table["verdict"]],
            "decided": [place[row] for row in scan.decided if row in place],
            "decision": [VERDICTS.index(verdict) for row, verdict in scan.decided.items() if row in place],
            "x": x,
            "y": y,
            "picture": [pictures.of.get(int(row), without) for row in rows],
        },
        "findings": {
            "row": [place.get(int(row), without) for row in about["row"]],
            "check": [checks.index(name) for name in about["check"]],
            "score": [round(float(score), 3) for score in about["score"]],
            "chance": [None if chance != chance else math.floor(100 * chance) / 100 for chance in about["chance"]],
            "because": sentence_numbers,
        },
        "sentences": list(sentences),
        "galleries": [
            [
                {
                    "group": unit.group,
                    "total": unit.total,
                    "found": [found_at[i] for i in unit.found],
                    "mates": [place[row] for row in unit.mates],
                }
                for unit in gallery.units
            ]
            for gallery in galleries
        ],
        "stories": [[[place[row] for row in together] for together in strip] for strip in strips],
    }


def _coordinates(table: pd.DataFrame) -> tuple[list[int | None], list[int | None]]:
    """The map's coordinates, None where a row has no place; in whole numbers, as they have no unit anyway."""
    xy = table[["x", "y"]].to_numpy(np.float64)
    placed = np.isfinite(xy).all(axis=1)
    if not placed.any():
        return [None] * len(table), [None] * len(table)
    low = xy[placed].min(axis=0)
    span = float((xy[placed].max(axis=0) - low).max()) or 1.0
    whole = np.where(placed[:, None], (xy - low) / span * 10_000, 0).round().astype(int)
    x, y = ([int(v) if ok else None for v, ok in zip(column, placed, strict=True)] for column in whole.T)
    return x, y


# How it is put together


def _json(value: object) -> Markup:
    """JSON that may stand inside a <script>: nothing in it can end the element or begin a comment.

    >>> print(_json("</script>"))
    "\\u003c/script\\u003e"
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@functools.cache
def _plotly() -> str:
    """Plotly's own script. The package is only located: importing it costs time that a page does not need."""
    spec = importlib.util.find_spec("plotly")
    if spec is None:
        return ""
    script = files(importlib.util.module_from_spec(spec)).joinpath("package_data", "plotly.min.js")
    return script.read_text(encoding="utf-8").replace("</script", "<\\/script")
