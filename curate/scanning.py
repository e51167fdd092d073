"""scan(source, config) -> Scan: read, measure, judge, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from .checks import CHECKS
from .checks.outliers import foreign_copies
from .checks.redundancy import settled
from .checks.scores import THRESHOLD
from .configs import ScanConfig
from .findings import DROP, KEEP, REVIEW, SEVERITY, Finding, Judgement, Story, findings_table
from .measuring import duplicates, neighbours
from .measuring.embedding import load_embedder
from .measuring.evidence import Evidence, Measured, measure
from .measuring.mapping import compiled, lay_out
from .measuring.probe import fit_probe, folds_of, probe_labels, recognised
from .scans import CleaningEffect, Scan, check_writable, write_scan
from .sets.imageset import NO_GROUP, UNLABELLED, ImageSet, whole_groups
from .sets.reading import read
from .stage.engine import cores, small_algebra
from .stage.progress import Reporter, Silent, Stopwatch

if TYPE_CHECKING:
    import pandas as pd


def scan(source: str | Path | ImageSet, config: ScanConfig = ScanConfig(), reporter: Reporter = Silent()) -> Scan:
    """Find what is wrong with a set of images, and, unless `config.artifacts` is None, write it all down.

    source  an .npz, a folder of images or a list of files (see curate.read), or a set that is read already

    Raises DataError where the source is no set of images, UnknownName where the configuration names what is not
    known, OutputError where the artifacts cannot be written. The source is never changed.
    """
    if config.labels is not None:  # as the manifest must name it, wherever it is read from
        config = replace(config, labels=str(Path(config.labels).resolve()))
    watch = Stopwatch()
    Thread(target=_preload, daemon=True).start()
    workers = config.workers or cores()
    with watch.stage("reading"):
        images = source if isinstance(source, ImageSet) else read(source, labels=config.labels)
        if config.artifacts is not None:
            check_writable(images, Path(config.artifacts))  # now, and not after minutes of work
    with watch.stage("loading the model"):
        embedder, note = load_embedder(config.backbone, config.weights, config.input_size, workers, reporter.say)
    reporter.say(f"{_named(images)}; embedding with {embedder.describe}")
    with (
        watch.stage("measuring and embedding"),
        reporter.stage("measuring and embedding", len(images), "images") as advance,
    ):
        measured = measure(images, embedder, workers, advance)
    with watch.stage("comparing"), reporter.stage("comparing", 3, "steps") as advance, small_algebra(len(images)):
        evidence = gather(images, measured, config, workers)
        advance(3)
    with (
        watch.stage("judging"),
        reporter.stage("judging", len(CHECKS), "checks") as advance,
        small_algebra(len(images)),
    ):
        judgements: dict[str, Judgement] = {}
        for name, check in CHECKS.items():
            judgements[name] = check(evidence)
            advance(len(judgements))
        judgements["outlier_group"] = _unexplained(evidence, judgements, config)
        judgements["colour_cast"] = _numbered_on(judgements)
        findings = _findings(evidence, judgements, config)
        verdict = _verdict(len(images), findings)
        effect = _effect(evidence, verdict)
    if config.map == "umap" and not compiled():
        reporter.say("compiling the map: half a minute, once on this machine")
    with watch.stage("mapping"), reporter.stage("mapping", 1, "steps") as advance:
        places = lay_out(evidence.neighbours, config.map, config.seed)
        advance(1)
    import pandas as pd

    result = Scan(
        images,
        config,
        _table(evidence, judgements, verdict, places),
        findings,
        pd.DataFrame(evidence.copies.pairs, columns=["row_a", "row_b", "kind", "distance"]).astype(_PAIR_TYPES),
        measured.embeddings,
        _stories(judgements, findings),
        _balance(images, verdict),
        effect,
        _notes(images, note, judgements, config),
        f"{embedder.describe}, {embedder.size} px",
        embedder.digest,
        watch.seconds,
    )
    if config.artifacts is not None:
        from .reporting import page

        write_scan(result, page(result), Path(config.artifacts), watch, reporter)
    return result


def _preload() -> None:
    """Load what judging needs while the set is being read: a second of work that needs no input."""
    for name in (
        "pandas",
        "scipy.sparse.csgraph",
        "scipy.linalg",
        "scipy.ndimage",
        "sklearn.neighbors",
        "sklearn.discriminant_analysis",
        "cleanlab.filter",
    ):
        import_module(name)


_PAIR_TYPES = {"row_a": "int64", "row_b": "int64", "kind": "str", "distance": "float32"}
_SPLIT_RANK = {"test": 2, "val": 1}


def gather(images: ImageSet, measured: Measured, config: ScanConfig, workers: int) -> Evidence:
    """What the measured set shows as a whole: its copies, its neighbours, and what its labels are worth."""
    n = len(images)
    first = duplicates.first_of_each(measured.digests)
    distinct = np.flatnonzero(first == np.arange(n))
    features = neighbours.principal_features(measured.embeddings, fit_on=distinct)
    among_distinct = neighbours.nearest(features, distinct)
    of = measured.properties
    # Of copies in several splits the held-out one is kept; of those in one split the larger, then the sharper,
    # unless it has more detail than three in four of the set: that may be noise. Less than a quarter octave is nothing.
    rank = np.array([_SPLIT_RANK.get(s, 0) for s in images.splits or [""] * n], float)
    detail = of["detail"]
    most = np.nanquantile(detail, 0.75) if len(distinct) else 0.0
    sharpness = np.round(4 * np.where(detail > most, 2 * most - detail, detail))
    quality = np.nan_to_num(np.stack([rank, of["width"] * of["height"], sharpness], axis=1), nan=-1e9)
    copies = duplicates.find_copies(first, measured.prints, among_distinct, quality, workers)
    stand = np.flatnonzero((first != -1) & (copies.kept == np.arange(n)))
    among_kept = neighbours.among(among_distinct, stand, features)
    where = np.full(n, -1)
    where[stand] = np.arange(len(stand))
    fold = folds_of(images.labels, whole_groups(copies.group, images.groups), config.seed)
    nobody = np.zeros(n, bool)
    evidence = Evidence(
        images,
        measured,
        copies,
        features,
        among_kept,
        where[copies.kept],
        fold,
        nobody,
        seed=config.seed,
        thresholds=config.thresholds,
    )
    # What belongs to no class must teach neither the probe what the classes are nor the other checks what is usual.
    evidence = replace(evidence, foreign=foreign_copies(evidence))
    evidence = replace(evidence, probe=probe_labels(evidence))
    return replace(evidence, copies=settled(evidence))


def _numbered_on(judgements: Mapping[str, Judgement]) -> Judgement:
    """The colour casts with groups of their own numbers: they are no groups of copies."""
    casts = judgements["colour_cast"]
    if casts.group is None:
        return casts
    others = [j.group.max(initial=NO_GROUP) for name, j in judgements.items() if j.group is not None and j is not casts]
    first = 1 + int(max(others, default=NO_GROUP))
    group = np.where(casts.group == NO_GROUP, NO_GROUP, casts.group + first)
    return replace(casts, group=group, stories=tuple(replace(s, group=s.group + first) for s in casts.stories))


def _speaks(judgements: Mapping[str, Judgement], name: str, config: ScanConfig) -> np.ndarray:
    """bool (N,): rows of which a check's score reaches the threshold in use."""
    return judgements[name].score >= config.thresholds.get(name, THRESHOLD)


# What spoils a picture explains why it lies far out; another look does so only where the subject is known still.
_SPOILS = ("blurred", "dark")
_CHANGES = ("colour_cast", "grayscale", "light", "low_information")


def _unexplained(evidence: Evidence, judgements: Mapping[str, Judgement], config: ScanConfig) -> Judgement:
    """The outlier groups but for those that another check explains: ten blurred cells are no strangers."""
    strangers = judgements["outlier_group"]
    if strangers.group is None or strangers.certain is None:
        return strangers
    spoilt, changed = (
        np.any([_speaks(judgements, name, config) for name in names], axis=0) for names in (_SPOILS, _CHANGES)
    )
    score, stories = strangers.score.copy(), []
    for story in strangers.stories:
        rows = np.array(story.rows)
        looks_other = changed[rows].mean() >= 0.7
        explained = recognised(evidence, rows) if looks_other else spoilt[rows].mean() >= 0.7
        if explained and not strangers.certain[rows].any():
            score[rows] = np.minimum(score[rows], 0.98 * config.thresholds.get("outlier_group", THRESHOLD))
        else:
            stories.append(story)
    return replace(strangers, score=score, stories=tuple(stories))


def _findings(evidence: Evidence, judgements: Mapping[str, Judgement], config: ScanConfig) -> pd.DataFrame:
    """One row per suspicion, in order of severity, then of score."""
    images = evidence.images
    found: list[Finding] = []
    strangers = _speaks(judgements, "outlier_group", config)
    for name in SEVERITY:
        judgement = judgements[name]
        flagged = _speaks(judgements, name, config)
        if name not in ("outlier_group", "unreadable"):
            flagged &= ~(evidence.foreign & strangers)  # a picture that does not belong is told once
        group = judgement.group if judgement.group is not None else np.full(len(images), NO_GROUP)
        scores = np.round(judgement.score.astype(np.float64), 4)
        for row in sorted(np.flatnonzero(flagged).tolist(), key=lambda r: (-scores[r], r)):
            certain = judgement.certain is not None and bool(judgement.certain[row])
            action = DROP if name in config.drop or (certain and name not in config.review) else REVIEW
            because = judgement.because(row)
            found.append(Finding(row, images.ids[row], name, float(scores[row]), int(group[row]), action, because))
        if name == "shortcut":
            found += [
                Finding(-1, "", name, round(min(1.0, 4 * s.weight), 4), NO_GROUP, REVIEW, s.sentence)
                for s in judgement.stories
            ]
    return findings_table(found)


def _verdict(n: int, findings: pd.DataFrame) -> np.ndarray:
    """(N,) of keep, drop or review: the gravest action on each row."""
    verdict = np.full(n, KEEP, dtype="<U6")
    for action in (REVIEW, DROP):
        rows = findings.loc[findings["action"] == action, "row"].to_numpy()
        verdict[rows[rows >= 0]] = action
    return verdict


def _table(
    evidence: Evidence, judgements: Mapping[str, Judgement], verdict: np.ndarray, places: np.ndarray
) -> pd.DataFrame:
    """images.parquet."""
    import pandas as pd

    images = evidence.images
    n = len(images)
    xy = np.append(places, [[np.nan, np.nan]], axis=0)[evidence.position]
    columns: dict[str, object] = {
        "row": np.arange(n),
        "id": pd.Series(images.ids, dtype="str"),
        "label": images.labels,
        "label_name": pd.Series([images.label_name(r) for r in range(n)], dtype="str"),
        "split": pd.Series(images.splits or [""] * n, dtype="str"),
        "digest": pd.Series(evidence.measured.digests, dtype="str"),
        "group": evidence.copies.group,
        "verdict": pd.Series(verdict, dtype="str"),
        "x": xy[:, 0].astype(np.float32),
        "y": xy[:, 1].astype(np.float32),
    }
    columns |= {f"{name}_score": np.round(judgements[name].score.astype(np.float32), 4) + 0 for name in SEVERITY}
    return pd.DataFrame(columns)


def _stories(judgements: Mapping[str, Judgement], findings: pd.DataFrame) -> tuple[Story, ...]:
    """Groups in words, the weightiest first; those of which nothing is told left out."""
    told = set(zip(findings["check"], findings["row"], strict=True))
    stories = [
        story
        for name in SEVERITY
        for story in judgements[name].stories
        if not story.rows or any((name, row) in told for row in story.rows)
    ]
    return tuple(sorted(stories, key=lambda s: (-round(s.weight, 3), SEVERITY.index(s.check), s.group)))


def _balance(images: ImageSet, verdict: np.ndarray) -> pd.DataFrame:
    """Per class: name, images, kept, dropped, review; a last row for what has no label."""
    import pandas as pd

    parts = [(name, images.labels == c) for c, name in enumerate(images.classes)]
    if (images.labels == UNLABELLED).any():
        parts.append(("(no label)", images.labels == UNLABELLED))
    rows = [(name, int(of.sum()), *(int((verdict[of] == v).sum()) for v in (KEEP, DROP, REVIEW))) for name, of in parts]
    return pd.DataFrame(rows, columns=["name", "images", "kept", "dropped", "review"])


def _effect(evidence: Evidence, verdict: np.ndarray) -> CleaningEffect | None:
    """Did cleaning help? The probe fitted on all rows and on the clean set, tried on the same rows of the clean set."""
    labels = evidence.images.labels
    rows = np.flatnonzero((labels != UNLABELLED) & (evidence.position >= 0))
    clean = verdict[rows] != DROP
    if evidence.probe is None or clean.sum() < 20:
        return None
    hits = []
    for train in (np.ones(len(rows), bool), clean):
        probe = fit_probe(evidence.features, labels, rows, evidence.fold[rows], train)
        hits.append((probe.classes[probe.probabilities.argmax(axis=1)] == labels[rows])[clean])
    before, after = (float(h.mean()) for h in hits)
    groups = whole_groups(evidence.copies.group, evidence.images.groups)[rows][clean]
    low, high = _interval(hits[1], groups, evidence.seed)
    return CleaningEffect(before, after, low, high, int(clean.sum()))


def _interval(hits: np.ndarray, groups: np.ndarray, seed: int, draws: int = 400) -> tuple[float, float]:
    """95 % interval of a mean, by bootstrap over groups."""
    _, of = np.unique(groups, return_inverse=True)
    right, size = np.bincount(of, hits), np.bincount(of)
    rng = np.random.default_rng([seed, len(hits)])
    means = []
    for _ in range(draws):
        drawn = rng.integers(0, len(size), len(size))
        means.append(right[drawn].sum() / size[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _notes(images: ImageSet, note: str, judgements: Mapping[str, Judgement], config: ScanConfig) -> tuple[str, ...]:
    """How the input was read, which checks were left out and why, and what still has to be done."""
    silent: dict[str, list[str]] = {}
    for name in SEVERITY:
        if judgements[name].note:
            silent.setdefault(judgements[name].note, []).append(name)
    left_out = [f"left out: {', '.join(names)} ({reason})" for reason, names in silent.items()]
    slow = len(images) > neighbours.EXACT_LIMIT and not neighbours.index_available()
    faster = (
        "neighbours are searched exactly, which takes minutes; pip install 'trustset[ann]' for seconds" if slow else ""
    )
    return (*images.source.notes, *filter(None, [note, faster, _decided(config)]), *left_out)


def _decided(config: ScanConfig) -> str:
    """That a person's decisions on an earlier scan are not in the new clean set yet; "" where there are none."""
    from .cleaning import standing

    if config.artifacts is None or not standing(Path(config.artifacts)):
        return ""
    return "the clean set is this scan's alone; type `curate apply` to bring your decisions into it"


def _named(images: ImageSet) -> str:
    """ "data.npz: 13,759 images, 96x96 RGB, 8 classes"."""
    k = len(images.classes)
    classes = f", {k} class{'es' if k > 1 else ''}" if k else ", no labels"
    described = f", {images.describe}" if images.describe else ""
    plural = "image" if len(images) == 1 else "images"
    return f"{images.source.path.name}: {len(images):,} {plural}{described}{classes}"
