"""scan(source, config) -> Scan: read, measure, gather, judge, write."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread

import numpy as np

from .checks import CHECKS
from .configs import ApplyConfig, ScanConfig
from .deciding import Holding, holding_of
from .decisions import NOTHING, decisions_path, read_history
from .effect import cleaning_effect, unexplained_labels
from .findings import CATALOGUE, Judgement
from .gathering import STEPS, gather
from .handling import Scan
from .measuring import neighbours
from .measuring.choosing import on_gpu, second
from .measuring.embedding import AUTO, Embedder, beside, load_embedder
from .measuring.evidence import Evidence, Measured, measure
from .measuring.levels import frames_note, implausible_range, unreadable_note
from .measuring.mapping import compiled, lay_out
from .measuring.ownmodels import Opinion, check_order, own_embedder, own_opinion
from .measuring.probe import FEWEST
from .measuring.seconding import TOO_MANY, labels_missed, seen_again
from .notebooks.progress import onlooker
from .outcomes import Outcome, Tables, outcome_of
from .scans import CleaningEffect, Roster, following, scan_draft, with_relabelled, write_scan
from .sets.classes import joined_names
from .sets.imageset import ImageSet, Source, described
from .sets.reading import read_as
from .sets.writing import clean_notes, clean_path
from .stage.engine import cores, one_thread, small_algebra
from .stage.progress import Advance, Reporter, Stopwatch
from .stage.records import record_text
from .verdicts import (
    Verdicts,
    balance_table,
    beyond_budget,
    images_table,
    left_out,
    not_checked,
    pairs_table,
    remarks_on,
    thinned,
    torn_note,
    weigh,
)


def scan(source: str | Path | ImageSet, config: ScanConfig = ScanConfig(), reporter: Reporter | None = None) -> Scan:
    """Find what is wrong with a set of images, and, unless `config.artifacts` is None, write it all down.

    source    an .npz, a folder of images or a list of files (see curate.read), or a set that is read already
    reporter  is told how far it has come; by default a notebook's cell or a terminal, where there is one

    Raises DataError where the source is no set of images, UnknownName where the configuration names what is not
    known, OutputError where the artifacts cannot be written. The source is never changed.
    """
    if reporter is None:
        reporter = onlooker()
        result = _scan(source, config, reporter)
        if config.artifacts is not None:
            clean = clean_path(result.images, Path(config.artifacts))
            reporter.say(f"report  {Path(config.artifacts, 'scan', 'report.html')}    clean set  {clean}")
        return result
    return _scan(source, config, reporter)


def _scan(source: str | Path | ImageSet, config: ScanConfig, reporter: Reporter) -> Scan:
    # As the manifest must name them, wherever it is read from.
    config = replace(
        config,
        labels=_resolved(config.labels),
        embeddings=_resolved(config.embeddings),
        probabilities=_resolved(config.probabilities),
    )
    watch = Stopwatch()
    Thread(target=_preload, daemon=True).start()
    with watch.stage("reading"), reporter.stage(f"reading {_name(source)}", None, ""):
        images = set_of(source, config)
    if config.artifacts is None:
        return _scanned(images, config, watch, reporter)
    artifacts = Path(config.artifacts)
    with scan_draft(images, artifacts, reporter) as draft:
        result = _scanned(images, config, watch, reporter)
        # They need pandas, which is loaded aside while the set is read.
        from .reporting import page
        from .reporting.overviews import overview_of

        with watch.stage("writing"), reporter.stage("drawing the report", None, ""):
            overview = overview_of(result, following(result, artifacts) or "")
            documents = {"overview": record_text(overview), "report": page(result, overview)}
        write_scan(result, documents, artifacts, draft, watch, reporter)
    return result


def _scanned(images: ImageSet, config: ScanConfig, watch: Stopwatch, reporter: Reporter) -> Scan:
    """What is found in a set; nothing is written."""
    workers = config.workers or cores()
    with watch.stage("loading the model"), reporter.stage("loading the model", None, ""):
        embedder, note = _embedder(images, config, workers, reporter)
        opinion = own_opinion(Path(config.probabilities), images) if config.probabilities is not None else None
    for line in (f"{described(images)}; {_seen_with(embedder, opinion)}", *images.source.lines()):
        reporter.say(line)
    with (
        watch.stage("measuring and embedding"),
        reporter.stage("measuring and embedding", len(images), "images") as advance,
    ):
        measured = measure(images, embedder, workers, advance)
        check_order(embedder, measured.digests)
    if config.backbone == AUTO and config.embeddings is None:
        embedder, measured = _seconded(images, measured, embedder, config, watch, reporter)
    with watch.stage("comparing"), reporter.stage("comparing", STEPS, "steps") as advance, small_algebra(len(images)):
        apart = _held(images, measured, config)[0].apart
        evidence = gather(images, measured, config, workers, advance, opinion, apart)
    with watch.stage("judging"), small_algebra(len(images)):
        verdicts, effect = _judged(evidence, config, reporter)
    unchecked = not_checked(verdicts.judgements)
    places = _laid_out(evidence, config, watch, reporter)
    alarm = implausible_range(measured, images.source.decoding.scale)
    table, pairs = images_table(evidence, verdicts, places), pairs_table(evidence)
    held, damage = _held(images, measured, config)  # what was decided meanwhile included
    outcome = _outcome(Tables(table, verdicts.findings, pairs, config.review), held, config)
    return Scan(
        images=images,
        config=config,
        table=table if outcome is None else with_relabelled(table, outcome.relabelled),
        findings=verdicts.findings,
        pairs=pairs,
        embeddings=measured.embeddings,
        stories=verdicts.stories,
        balance=balance_table(images, verdicts.verdict),
        effect=effect,
        notes=(
            *_scan_notes(evidence, alarm, note, config),
            *(damage + held.notes + (() if outcome is None else outcome.notes)),
            *_opinion_notes(opinion),
            *torn_note(images),
            *beyond_budget(verdicts.unreviewed, config),
            *remarks_on(verdicts.judgements),
            *thinned(images, verdicts.findings, verdicts.verdict),
            *left_out(unchecked),
        ),
        embedder=embedder.words,
        embedder_digest=embedder.digest,
        probabilities_digest=None if opinion is None else opinion.digest,
        timings=watch.seconds,
        alarm=alarm,
        not_checked=unchecked,
        decided=held.actions,
        outcome=None if outcome is None else outcome.verdict,
        told_apart=len(held.apart),
    )


def _seconded(
    images: ImageSet, measured: Measured, embedder: Embedder, config: ScanConfig, watch: Stopwatch, reporter: Reporter
) -> tuple[Embedder, Measured]:
    """A second network beside the one that "auto" took, where that finds too few of the labels; else what there is."""
    name = second(embedder.name, config.weights)
    if not name or on_gpu():
        return embedder, measured
    share = labels_missed(measured.embeddings, images.labels, measured.digests)
    if share <= TOO_MANY:
        return embedder, measured
    workers = config.workers or cores()
    reporter.say(f"{embedder.name} misses {share:.0%} of the labels, so {name} looks at the images as well")
    with watch.stage("loading the model"), reporter.stage("loading the model", None, ""):
        other, _ = load_embedder(name, None, config.input_size, workers, reporter.say)
    with watch.stage("embedding again"), reporter.stage("embedding again", len(images), "images") as advance:
        vectors = seen_again(images, measured.embeddings, measured.digests, other, workers, advance)
    return beside([embedder, other]), replace(measured, embeddings=vectors)


def _resolved(path: str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _embedder(images: ImageSet, config: ScanConfig, workers: int, reporter: Reporter) -> tuple[Embedder, str]:
    """(what gives the pictures their vectors: a person's own, or a backbone; a note, "" for none)."""
    if config.embeddings is not None:
        return own_embedder(Path(config.embeddings), images)
    return load_embedder(config.backbone, config.weights, config.input_size, workers, reporter.say)


def own_files(images: ImageSet, config: ScanConfig) -> list[str]:
    """A line for each file of a person's own model, once it was found to fit. Raises DataError where it does not."""
    lines = []
    if config.embeddings is not None:
        embedder, note = own_embedder(Path(config.embeddings), images)
        lines += [embedder.describe, *filter(None, [note])]
    if config.probabilities is not None:
        opinion = own_opinion(Path(config.probabilities), images)
        lines += [f"probabilities from {opinion.name}", *opinion.notes]
    return lines


def _seen_with(embedder: Embedder, opinion: Opinion | None) -> str:
    """ "embedding with MobileNetV2-0.35", "embeddings from mine.npy; probabilities from p.csv"."""
    embedding = embedder.describe if embedder.vectors is not None else f"embedding with {embedder.describe}"
    return embedding if opinion is None else f"{embedding}; probabilities from {opinion.name}"


def _opinion_notes(opinion: Opinion | None) -> list[str]:
    """What the person should know of the probabilities of their own model."""
    if opinion is None:
        return []
    use = (
        f"labels are judged by the probabilities of {opinion.name}, which replace those of the label probe: out of "
        "fold, they are of a model that knows the set better than a linear one"
    )
    return [use, *opinion.notes]


def _name(source: str | Path | ImageSet) -> str:
    """ "data.npz": what a set is called while nothing else is known of it."""
    return source.source.name if isinstance(source, ImageSet) else Source("files", Path(source)).name


def _held(images: ImageSet, measured: Measured, config: ScanConfig) -> tuple[Holding, tuple[str, ...]]:
    """(which of a person's decisions hold for the set; notes on their file)."""
    names = [images.label_name(row) for row in range(len(images))]
    roster = Roster(images.ids, measured.digests.tolist(), names, images.classes)
    if config.artifacts is None:
        return holding_of(roster, NOTHING), ()
    history = read_history(decisions_path(Path(config.artifacts)))
    return holding_of(roster, history), history.notes


def _outcome(tables: Tables, held: Holding, config: ScanConfig) -> Outcome | None:
    """What becomes of the rows once decisions count, None where there are none."""
    return outcome_of(tables, held, ApplyConfig(strict=config.strict)) if held.rows else None


def _judged(evidence: Evidence, config: ScanConfig, reporter: Reporter) -> tuple[Verdicts, CleaningEffect | None]:
    """What all checks together say, and what cleaning by that does."""
    with reporter.stage("judging", len(CATALOGUE), "checks") as advance:
        verdicts = weigh(evidence, _judgements(evidence, advance), config)
    with reporter.stage("trying the clean set", None, ""):
        return verdicts, cleaning_effect(evidence, verdicts.verdict)


def set_of(source: str | Path | ImageSet, config: ScanConfig) -> ImageSet:
    """The set that a source is, or holds, read as the configuration says. Raises DataError."""
    if isinstance(source, ImageSet):
        return source
    return read_as(source, config)


def _judgements(evidence: Evidence, advance: Advance) -> dict[str, Judgement]:
    """What each check says, by name, the gravest first."""
    judgements: dict[str, Judgement] = {}
    for name in CATALOGUE:
        judgements[name] = CHECKS[name](evidence)
        advance(len(judgements))
    return judgements


def _laid_out(evidence: Evidence, config: ScanConfig, watch: Stopwatch, reporter: Reporter) -> np.ndarray:
    """float (M, 2): where the map has each of the representatives."""
    if config.map == "umap" and not compiled():
        reporter.say("compiling the map: half a minute, once on this machine")
    with watch.stage("mapping"), reporter.stage("mapping", None, ""), one_thread():
        return lay_out(evidence.neighbours, config.map, config.seed)


def _preload() -> None:
    """Load what judging needs while the set is being read: a second of work that needs no input."""
    for name in (
        "pandas",
        "scipy.sparse.csgraph",
        "scipy.linalg",
        "scipy.ndimage",
        "sklearn.neighbors",
        "sklearn.discriminant_analysis",
        "scipy.optimize",
        "scipy.special",
    ):
        import_module(name)


def _scan_notes(evidence: Evidence, alarm: str, embedder: str, config: ScanConfig) -> list[str]:
    """What the person should know of how the set was read and embedded, and what still has to be done.

    alarm, embedder  notes on what is implausible and on the embedder, "" where there is nothing to say
    """
    measured, ids = evidence.measured, evidence.images.ids
    remarks = [alarm, *evidence.images.source.notes, unreadable_note(measured, ids), frames_note(measured, ids)]
    remarks += [unexplained_labels(evidence), embedder, *_unprobed_notes(evidence)]
    remarks = [remark for remark in remarks if remark]
    if len(evidence) > neighbours.EXACT_LIMIT and not neighbours.index_available():
        remarks.append("neighbours are searched exactly, which takes minutes; pip install 'trustset[ann]' for seconds")
    if config.artifacts is not None:
        remarks += clean_notes(evidence.images)
    return remarks


def _unprobed_notes(evidence: Evidence) -> list[str]:
    """A note on the classes whose labels nobody can judge, where those of others are judged."""
    images, probe = evidence.images, evidence.probe
    if probe is None:
        return []
    counts = np.bincount(images.labels[images.labels >= 0], minlength=len(images.classes))
    codes = np.setdiff1d(np.flatnonzero(counts), probe.classes).tolist()
    if not codes:
        return []
    named = joined_names([f"{images.classes[code]} ({counts[code]:,})" for code in codes])
    return [
        f"labels of {named} are not checked: a class takes part from {FEWEST} different images on; --min-class of "
        "split and build leaves small ones out"
    ]
