"""curate's commands: each reads its options, calls the function of the same name, and prints what came of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .commandline import Takes, application, command
from .configs import (
    ApplyConfig,
    DecideConfig,
    DrawConfig,
    GateConfig,
    RehearsalConfig,
    ReviewConfig,
    ReviewedConfig,
    ScanConfig,
    SelftestConfig,
    SplitConfig,
    UndoConfig,
)
from .findings import CATALOGUE, DROP, KEEP, REVIEW, SEVERITY, Story, found_by_check
from .sets.formats import ExportConfig
from .stage.errors import DataError, UnknownName
from .stage.lines import counted
from .stage.options import ARTIFACTS
from .terminal import Output, elsewhere, err, out, print_json, print_json_text, print_table, records

if TYPE_CHECKING:
    import pandas as pd

    from .cleaning import Applied
    from .scans import Scan
    from .sets.imageset import ImageSet

# What scans, splits and exports is imported where it is called: it loads numpy and pandas.

_SHOWN = 5  # rows that a rehearsal shows
_LINES = 20  # decisions that are told one by one

app = application(
    "curate", "Find what is wrong with a set of labelled images, show it, and leave a clean set beside it."
)
Source = Annotated[Path, typer.Argument(help="An .npz of images and labels, a folder of images, or a list of files.")]


@command(app)
def scan(source: Source, config: ScanConfig, rehearsal: RehearsalConfig, gate: GateConfig, output: Output) -> None:
    """Find what is wrong with a set of images; leave a report and a clean set, and the input as it is."""
    conditions = _conditions(gate.fail_on)
    if rehearsal.dry_run:
        _rehearse(source, config, output)
        return
    with output.reporter.stage("starting", None, ""):
        from .scanning import scan as run

    result = run(source, config, output.reporter)
    artifacts = Path(config.artifacts or ARTIFACTS)
    if output.as_json:
        print_json(_scan_json(result, artifacts))
    else:
        _print_scan(result, artifacts, output)
    _fail_on(conditions, result)


def _rehearse(source: Path, config: ScanConfig, output: Output) -> None:
    """Print how a set is read, and some of its rows."""
    import pandas as pd

    from .scanning import own_files, set_of
    from .sets.imageset import described, evenly

    images = set_of(source, config)
    fitting = own_files(images, config)
    shown = evenly(len(images), _SHOWN).tolist()
    rows = pd.DataFrame(
        {
            "id": [images.ids[row] for row in shown],
            "class": [images.label_name(row) for row in shown],
            "split": ["" if images.splits is None else images.splits[row] for row in shown],
            "group": [
                "" if images.groups is None or images.groups[row] < 0 else str(images.groups[row]) for row in shown
            ],
        }
    )
    if output.as_json:
        print_json({**_source_json(images), "notes": [*images.source.notes, *fitting], "rows": records(rows)})
        return
    out.print(described(images))
    for line in images.source.lines(everything=True):
        out.print(line)
    for line in fitting:
        out.print(f"  own model    {line}")
    out.print()
    print_table(rows)
    out.print()
    out.print("nothing was written; leave out --dry-run to scan the set")


def _source_json(images: ImageSet) -> dict[str, object]:
    return {
        "source": str(images.source.path),
        "images": len(images),
        "classes": list(images.classes),
        "reading": {topic.name: topic.text for topic in images.source.topics},
    }


def _print_scan(result: Scan, artifacts: Path, output: Output) -> None:
    from .scans import following, in_clean_set

    if result.alarm:
        out.print()
        out.print(f"first of all: {result.alarm}")
    out.print()
    if len(result.findings):
        print_table(_check_table(result), whole=("check", "verdict"))
    else:
        out.print("  no check found anything")
    for i, sentence in enumerate(_telling(result), 1):
        if i == 1:
            out.print()
        out.print(f"{i}. {sentence}")
    counts = result.table["verdict"].value_counts()
    dropped, awaiting = int(counts.get(DROP, 0)), int(counts.get(REVIEW, 0))
    line = (
        f"would drop {counted(dropped, 'row')} ({dropped / len(result.table):.1%}), keep {awaiting:,} for your review"
    )
    if result.effect:
        e = result.effect
        line += (
            f"; probe accuracy {e.before:.3f} -> {e.after:.3f} ({e.low:.3f} .. {e.high:.3f}) on the same held-out rows"
        )
    out.print()
    out.print(line)
    if result.decisions:
        verdict = result.table["verdict"] if result.outcome is None else result.outcome
        dropped, awaiting = (int((verdict == name).sum()) for name in (DROP, REVIEW))
        out.print(
            f"your {counted(sum(result.decisions.values()), 'decision')} included ({_kinds(result.decisions)}): "
            f"{counted(dropped, 'row')} dropped, {awaiting:,} awaiting review"
        )
    # Those on how it was read stand above already.
    above = {result.alarm, *result.images.source.notes}
    output.print_notes(note for note in result.notes if note not in above)
    output.print_seconds(result.timings)
    kept = len(in_clean_set(result))
    if not kept:
        out.print("nothing is left: the clean set holds no image. Open the report, and keep what is good: --keep-id ID")
    clean = artifacts / ("clean.csv" if result.images.source.kind == "files" else "clean.npz")
    out.print(
        f"report  {artifacts / 'scan' / 'report.html'}      clean set  {clean} ({counted(kept, 'row')})", whole=True
    )
    next_command = following(result, artifacts)
    look = f"curate review{elsewhere(artifacts)}" if awaiting else "open the report"
    out.print(f"next    {next_command}    or look first: {look}" if next_command else f"next    {look}", whole=True)


def _kinds(decisions: Mapping[str, int]) -> str:
    """ "9 drop, 2 relabel, 1 not copies": kinds of decisions and how many."""
    return ", ".join(f"{count:,} {action.replace('_', ' ')}" for action, count in decisions.items())


_FOR_GISTS = 64  # cells of a screen from which on the table has room for words


def _check_table(result: Scan) -> pd.DataFrame:
    """What each check found, and what becomes of those rows."""
    import pandas as pd

    from .reviews import likely_right

    right = likely_right(result.findings)
    rows = [
        (
            *(name, outcome.rows, round(right[name]) if name in right else None, outcome.groups or None),
            *(_in_words(outcome.verdicts), _gist(result, name)),
        )
        for name, outcome in found_by_check(result.findings, result.table).items()
    ]
    table = pd.DataFrame(rows, columns=["check", "rows", "likely right", "groups", "verdict", ""], dtype=object)
    return table if table[""].any() and (out.room is None or out.room >= _FOR_GISTS) else table.drop(columns="")


def _in_words(verdicts: Mapping[str, int]) -> str:
    """ "drop", "review", or how many of each."""
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items())


def _gist(result: Scan, check: str) -> str:
    """The weightiest story of a check, short enough for a table."""
    stories = [s for s in result.stories if s.check == check]
    if not stories or not CATALOGUE[check].gist:
        return ""
    words = re.split(r"[:;,(]", stories[0].sentence)[0].strip()
    more = f" (+{len(stories) - 1} more)" if len(stories) > 1 else ""
    return words + more


def _telling(result: Scan, at_most: int = 3) -> list[str]:
    """The most telling findings in words, of as many kinds as there are, and what becomes of them."""
    first: list[Story] = []
    for story in result.stories:
        if sum(s.check == story.check for s in first) < 2:
            first.append(story)
    lines = []
    for story in first[:at_most]:
        group = f" (group {story.group})" if story.group >= 0 and story.rows else ""
        findings = result.findings[(result.findings["check"] == story.check) & result.findings["row"].isin(story.rows)]
        dropped = len(findings) and (findings["action"] == DROP).all()
        lines.append(f"{story.sentence}{group}.{' All dropped.' if dropped else ''}")
    return lines


def _scan_json(result: Scan, artifacts: Path) -> dict[str, object]:
    from .reviews import likely_right
    from .scans import following

    counts = result.table["verdict"].value_counts()
    effect = result.effect
    right = likely_right(result.findings)
    return {
        **_source_json(result.images),
        "embedder": result.embedder,
        "verdicts": {v: int(counts.get(v, 0)) for v in (KEEP, DROP, REVIEW)},
        "checks": {
            name: {
                "rows": outcome.rows,
                "likely_right": right.get(name),
                "groups": outcome.groups,
                "drop": outcome.verdicts.get(DROP, 0),
                "review": outcome.verdicts.get(REVIEW, 0),
            }
            for name, outcome in found_by_check(result.findings, result.table).items()
        },
        "not_checked": dict(result.not_checked),
        "decided": len(result.decided),
        "decisions": dict(result.decisions),
        "stories": [
            {"check": s.check, "group": s.group, "rows": len(s.rows), "sentence": s.sentence} for s in result.stories
        ],
        "effect": vars(effect) if effect else None,
        "notes": list(result.notes),
        "timings": dict(result.timings),
        "artifacts": str(artifacts),
        "next": following(result, artifacts),
    }


@command(app)
def apply(decisions: DecideConfig, config: ApplyConfig, output: Output) -> None:
    """Rebuild the clean set from the findings and your decisions, which are recorded and can be undone."""
    with output.reporter.stage("starting", None, ""):
        from .cleaning import apply as run

    artifacts = Path(decisions.artifacts)
    lines, count, notes = _recorded(decisions, artifacts)
    with output.reporter.stage("applying", None, ""):
        applied = run(artifacts, config, output.reporter)
    applied = replace(applied, notes=(*notes, *applied.notes))
    if output.as_json:
        print_json({"recorded": count, **_applied_json(applied)})
        return
    for line in lines:
        out.print(line)
    _print_applied(applied, output)


def _recorded(decisions: DecideConfig, artifacts: Path) -> tuple[list[str], int, tuple[str, ...]]:
    """Record what is decided: (lines on the decisions, how many they are, notes)."""
    if replace(decisions, why="", decision="", artifacts=ARTIFACTS) == DecideConfig():
        return [], 0, ()
    from .deciding import in_words, record
    from .receiving import proposed
    from .scans import open_scan

    scan = open_scan(artifacts / "scan")
    received = proposed(decisions, scan)
    recorded = record(scan, received.proposals)
    again = len(received.proposals) - len(recorded.made)
    notes = (*received.notes, *recorded.notes)
    if again > 0:
        verb = "decision holds" if again == 1 else "decisions hold"
        notes = (*notes, f"{again:,} {verb} already, and {'is' if again == 1 else 'are'} not recorded again")
    lines = [f"decided: {in_words(decision)}" for decision in recorded.made]
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [f"decided: {len(lines) - _LINES + 1:,} more"]
    return lines, len(recorded.made), notes


@command(app)
def undo(
    config: UndoConfig,
    output: Output,
    count: Annotated[int, typer.Argument(help="How many decisions to take back, the latest first.")] = 1,
) -> None:
    """Take back your last decisions, and rebuild the clean set without them."""
    with output.reporter.stage("starting", None, ""):
        from .cleaning import undo as run

    with output.reporter.stage("applying", None, ""):
        undone = run(Path(config.artifacts), count, reporter=output.reporter)
    if output.as_json:
        decisions = [
            {
                **({"ids": list(decision.ids)} if decision.ids else {"id": decision.id}),
                "action": decision.action,
                **({"label": decision.label} if decision.label else {}),
                "why": decision.why,
            }
            for decision in undone.taken_back
        ]
        print_json({"taken_back": decisions, **_applied_json(undone.applied)})
        return
    from .deciding import in_words

    for decision in undone.taken_back:
        out.print(f"taken back: {in_words(decision)}{f' ({decision.why})' if decision.why else ''}")
    _print_applied(undone.applied, output)


def _print_applied(applied: Applied, output: Output) -> None:
    out.print(
        f"kept {applied.kept:,}, dropped {applied.dropped:,}, awaiting review {applied.review:,}; "
        f"{applied.decided:,} by your decision{f', {applied.relabelled:,} relabelled' if applied.relabelled else ''}"
    )
    output.print_notes(applied.notes)
    out.print(f"clean set  {applied.path} ({counted(applied.rows, 'row')})", whole=True)


def _applied_json(applied: Applied) -> dict[str, object]:
    return {**vars(applied), "path": str(applied.path)}


@command(app)
def review(reviewed: ReviewedConfig, config: ReviewConfig, output: Output) -> None:
    """Look at all that a scan found and decide on it, in your browser; nothing leaves this machine."""
    with output.reporter.stage("starting", None, ""):
        from .reviewing.opening import review as run

    artifacts = Path(reviewed.artifacts)
    with run(artifacts, config, output.reporter) as opened:
        if output.as_json:
            print_json({"address": opened.address})
            sys.stdout.flush()  # whoever reads it does not wait for the end
        else:
            out.print(opened.address, whole=True)
            output.print_notes(opened.notes)
            if not output.quiet:
                out.print("open it in a browser on this machine; Ctrl-C ends the review, decisions are kept at once")
        with suppress(KeyboardInterrupt):  # by which a review ends
            opened.wait()
    if output.as_json:
        return
    decided = [f"{count:,} {action.replace('_', ' ')}" for action, count in opened.decided.items()]
    if opened.taken_back:
        decided.append(f"{opened.taken_back:,} earlier taken back")
    out.print()
    out.print(f"decided in this review: {', '.join(decided)}" if decided else "nothing was decided in this review")
    if decided:
        out.print(f"next    curate apply{elsewhere(artifacts)}    the clean set then follows", whole=True)


@command(app)
def diff(
    scan_a: Annotated[Path, typer.Argument(help="Folder of a scan, or the artifacts that hold it.")],
    scan_b: Annotated[Path, typer.Argument(help="Folder of a later scan.")],
    output: Output,
) -> None:
    """What changed from one scan to another: images, findings, verdicts, settings."""
    with output.reporter.stage("starting", None, ""):
        from .comparing import diff as run

    with output.reporter.stage("comparing", None, ""):
        result = run(scan_a, scan_b)
    counts = {
        "matched": result.matched,
        "only in the first": len(result.only_a),
        "only in the second": len(result.only_b),
        "other pixels": len(result.pixels),
        "other label": len(result.labels),
        "other verdict": len(result.verdicts),
    }
    if output.as_json:
        tables = {name: records(getattr(result, name)) for name in _DIFF_TABLES}
        print_json({"counts": counts, **tables, "notes": list(result.notes)})
        return
    out.print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    for title, table in (("findings", result.summary), ("verdicts", result.moves), ("settings", result.settings)):
        if len(table):
            out.print()
            print_table(table, title)
    output.print_notes(result.notes)


_DIFF_TABLES = (
    "summary",
    "moves",
    "settings",
    "only_a",
    "only_b",
    "pixels",
    "labels",
    "verdicts",
    "gone",
    "new",
    "effect",
)


@command(app)
def split(
    config: SplitConfig,
    output: Output,
    source: Annotated[Path | None, typer.Argument(help="The scanned set; by default its clean set.")] = None,
) -> None:
    """Train, val and test by groups of copies, stratified; proves that no group crosses."""
    with output.reporter.stage("starting", None, ""):
        from .splitting import split as run

    with output.reporter.stage("splitting", None, ""):
        result = run(source, config, output.reporter)
    proof = result.proof
    if output.as_json:
        print_json(
            {
                "path": str(result.path),
                "counts": records(result.counts),
                "per_class": result.per_class,
                "proof": vars(proof),
                "notes": list(result.notes),
            }
        )
        return
    print_table(result.counts)
    out.print()
    out.print(f"proof   {proof.crossings} of {proof.groups:,} groups cross ({proof.several:,} of more than one image)")
    if proof.repeated:
        times = "picture that occurs" if proof.repeated == 1 else "pictures that occur"
        out.print(
            f"        {proof.torn} of {proof.repeated:,} {times} more than once, turned or mirrored or not, cross"
        )
    output.print_notes(result.notes)
    out.print(f"splits  {result.path}", whole=True)


@command(app)
def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="A set of any stage: an .npz, a folder of images, a list of files, a built set; or the artifacts of a "
            "scan, for what it found."
        ),
    ],
    config: ExportConfig,
    output: Output,
) -> None:
    """Write a set, or what a scan found in it, in the form that another tool reads; the set itself stays as it is."""
    with output.reporter.stage("starting", None, ""):
        from .handing.delivering import export as run

    with output.reporter.stage("reading", None, ""):
        result = run(source, config, output.reporter)
    if output.as_json:
        print_json({**vars(result), "path": str(result.path)})
        return
    images, files = (
        f"{count:,} {noun}{'s' if count > 1 else ''}"
        for count, noun in ((result.images, "image"), (result.files, "file"))
    )
    out.print(f"{images} as {result.to}: {files}, {result.bytes / 1e6:,.1f} MB")
    output.print_notes(result.notes)
    out.print(f"written  {result.path}", whole=True)
    # They run as they are printed, names between colons too.
    steps = {**({"import": result.imports, "load": result.load} if result.imports else {}), **result.steps}
    for word, step in steps.items():
        out.print(f"{word:<8} {step}", whole=True)


@command(app, takes={"config": Takes(SelftestConfig, defaults={"artifacts": ARTIFACTS})})
def selftest(source: Source, config: SelftestConfig, output: Output) -> None:
    """Plant known faults in a copy of your own images, and tell how many a scan finds."""
    with output.reporter.stage("starting", None, ""):
        from .selftesting import selftest as run

    result = run(source, config, output.reporter)
    report = Path(config.artifacts or ARTIFACTS, "selftest.json")
    if output.as_json:
        print_json_text(report.read_text(encoding="utf-8"))
        return
    shown = result.table[
        ["check", "planted", "found", "recall", "false_alarms", "precision", "expected", "ap", "threshold", "proposed"]
    ]
    out.print()
    print_table(shown)
    kinds = result.ways.groupby("kind", sort=False)[["planted", "found"]].sum().reset_index()
    out.print()
    print_table(kinds.assign(recall=kinds["found"] / kinds["planted"]), "by kind")
    missed = result.ways[(result.ways["found"] < result.ways["planted"]) & (result.ways["how"] != "")]
    if len(missed):
        out.print()
        print_table(missed, "missed, by way")
    output.print_notes(result.notes)
    thresholds = config.scan.thresholds
    changed = {name: value for name, value in result.thresholds.items() if value != thresholds.get(name, 0.5)}
    out.print(f"full table  {report}", whole=True)
    if changed:
        options = " ".join(f"--threshold {name}={value:g}" for name, value in changed.items())
        out.print(f"for a precision of {config.precision:g}    curate scan {source} {options}", whole=True)


@command(app, takes={"scanning": Takes(ScanConfig, only=("map", "seed"))})
def demo(
    drawing: DrawConfig,
    scanning: ScanConfig,
    output: Output,
    folder: Annotated[Path, typer.Argument(help="Where the set and the artifacts of its scan go.")] = Path("demo"),
) -> None:
    """Draw a synthetic set of cells with known faults, scan it, and tell what was found of them."""
    from .demo import DemoConfig
    from .demo import demo as run

    artifacts = folder / "artifacts"
    output.reporter.say("drawing cells: a synthetic set, generated here, with faults planted in it")
    config = DemoConfig(images=drawing.images, seed=drawing.seed)
    result = run(folder, config, replace(scanning, artifacts=str(artifacts)), output.reporter)
    if output.as_json:
        print_json(
            {"path": str(result.path), "found": records(result.found), "scan": _scan_json(result.scan, artifacts)}
        )
        return
    _print_scan(result.scan, artifacts, output)
    out.print()
    print_table(result.found, f"planted and found, with {result.scan.embedder}")
    out.print(f"the set  {result.path}, its truth  {result.path.with_name('truth.json')}", whole=True)


Condition = tuple[str, str, float]
_OPERATORS = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
}


def _conditions(text: str) -> list[Condition]:
    """The conditions of --fail-on: a check or a verdict, a comparison, a number."""
    names = (*SEVERITY, KEEP, DROP, REVIEW)
    conditions = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(\w+)\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d*)?)", part)
        if not match:
            raise DataError(f'--fail-on {part!r} is not a condition; needed is one such as "leak>0" or "drop>=100".')
        if match[1] not in names:
            raise UnknownName.among("check or verdict", match[1], names)
        conditions.append((match[1], match[2], float(match[3])))
    return conditions


def _fail_on(conditions: list[Condition], result: Scan) -> None:
    counts = result.findings["check"].value_counts().to_dict() | result.table["verdict"].value_counts().to_dict()
    broken = [
        f"{name} is {counts.get(name, 0)} ({op}{bound:g})"
        for name, op, bound in conditions
        if _OPERATORS[op](counts.get(name, 0), bound)
    ]
    if broken:
        err.print(f"failed on: {'; '.join(broken)}")
        raise typer.Exit(1)
