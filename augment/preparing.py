"""What is measured and decided before the first image is made, and kept on disk for workers and for `--resume`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.builds import BENCHMARK_FILE, PLAN_FILE, SPLITS, ClassCounts, LabelLoss, PlanRecord, PolicySummary
from curate.sets.imageset import evenly
from curate.sets.scaling import Scale
from curate.stage.engine import cores
from curate.stage.files import write_npy
from curate.stage.progress import Reporter, Stopwatch
from curate.stage.records import record_text, write_record

from .benchmark import Benchmark, benchmark_of
from .calibration import Specimens
from .configs import CALIBRATED, BuildConfig
from .features import Features, input_size, load_features
from .listings import list_images
from .making import GIVEN_LABELS, PROBE, Entry, Job, content_digest, write_job
from .operations.operation import OPERATIONS
from .planning import BuildPlan
from .policies import library
from .policies.policy import Context, Policy
from .preservation import SAMPLE, TRIED, LabelledPictures, LabelProbe, fit_label_probe, label_losses
from .sizing import FittedPictures
from .statistics import lab_spread, object_size, size_tells_classes

if TYPE_CHECKING:
    import pandas as pd

# Pictures that statistics and distances are measured on: fewer where they are large, for they are all in memory.
_SAMPLE, _FEWEST = 512, 64
_SAMPLE_BYTES = 256 << 20
# From this share of the variation of sizes on, they tell the classes apart: a large effect (Cohen, 1988).
_TELLING = 0.14


def identity(plan: BuildPlan, config: BuildConfig) -> str:
    """A digest of all that decides what is built: an interrupted build goes on only where it is the same."""
    images = plan.set
    options = dataclasses.asdict(config) | {"resume": None, "workers": None, "artifacts": None, "functions": None}
    h = hashlib.blake2b(digest_size=16)
    for part in (options, images.ids, plan.divided.digests, images.splits, images.classes, library.digest(plan.policy)):
        h.update(json.dumps(part, sort_keys=True).encode())
    h.update(plan.source_digest.encode())
    if any(scale != Scale() for scale in images.source.decoding.scale.values()):
        h.update(record_text(images.source.decoding.scale).encode())
    h.update(np.ascontiguousarray(images.labels).data)
    return h.hexdigest()


def prepare(plan: BuildPlan, config: BuildConfig, draft: Path, watch: Stopwatch, reporter: Reporter) -> None:
    """Measure what drawing needs to know, judge the policy, and put the job into draft/work.

    Beside it: plan.json and benchmark.json, which become part of what is built. Raises DataError where the policy
    contains what the benchmark tests.
    """
    images, policy, work = plan.set, plan.policy, draft / "work"
    rows = _sample_rows(plan)
    copies = bool(plan.copy_plan.copies.any())
    with reporter.stage("looking at the pictures", None, ""):
        sample = list(FittedPictures(images, plan.size, config.fit, rows))
        units = {**lab_spread(sample), "side": float(min(plan.size))}
        notes = _size_warnings(policy, sample, images.labels[rows]) if copies else []
    features = _features(config, plan, reporter, notes)
    benchmark: Benchmark | None = None
    if features is not None and config.benchmark:
        present = {name: bool(len(plan.rows[name])) for name in SPLITS}
        judged = policy if copies else dataclasses.replace(policy, pipelines=((),))  # of which training sees nothing
        specimens = Specimens(sample, features, units, config.seed)
        with watch.stage("calibrating"):
            benchmark = benchmark_of(judged, specimens, present, config, reporter)
        notes += benchmark.notes
    lost = None
    if features is not None and config.check and copies:
        with watch.stage("learning labels"):
            probe, lost, note = _label_probe(plan, config, features, units, reporter)
        notes += [note] if note else []
        if probe is not None:
            probe.save(work / PROBE)
    lists = list_images(plan.rows, images.labels, plan.copy_plan, config.benchmark_images, config.seed)
    entries = [Entry(name, name) for name in SPLITS if len(lists[name])]
    entries += benchmark.entries if benchmark is not None else ()
    job = _job(plan, config, features, units, benchmark, entries, check=lost is not None)
    write_job(job, lists, work)
    write_npy(images.groups if images.groups is not None else np.full(len(images), -1), work / "groups.npy")
    write_npy(np.array(plan.divided.digests, dtype=np.str_), work / "digests.npy")
    if plan.divided.given_labels is not None:
        write_npy(np.array(plan.divided.given_labels, dtype=np.str_), work / GIVEN_LABELS)
    if benchmark is not None:
        counts = {entry.name: len(lists[entry.listing]) for entry in entries}
        write_record(benchmark.record(counts), draft / BENCHMARK_FILE)
    write_record(_plan_record(plan, config, units, lost, notes), draft / PLAN_FILE)


def _job(
    plan: BuildPlan,
    config: BuildConfig,
    features: Features | None,
    units: Mapping[str, float],
    benchmark: Benchmark | None,
    entries: Sequence[Entry],
    *,
    check: bool,
) -> Job:
    """What each worker of the build needs to know, and nothing that it could not read from a file."""
    images, policy = plan.set, plan.policy
    return Job(
        source=str(images.source.path.resolve()),
        **vars(plan.directions),
        content=content_digest(images),
        classes=images.classes,
        size=plan.size,
        fit=config.fit,
        policy=policy_place(policy, config.policy),
        soft=policy.mixes,
        units=units,
        preset="" if config.severities == CALIBRATED else config.severities,
        severities={n: c.settings for n, c in benchmark.calibrated.items()} if benchmark is not None else {},
        decoding=images.source.decoding,
        entries=tuple(entries),
        check=check,
        backbone=features.name if features is not None else "",
        weights=config.weights,
        input_size=features.size if features is not None else 0,
        seed=config.seed,
    )


def _sample_rows(plan: BuildPlan) -> np.ndarray:
    """int64: rows of the training set that statistics and distances are measured on, spread evenly."""
    rows = plan.copy_plan.rows
    image_bytes = plan.size[0] * plan.size[1] * 3
    return np.asarray(rows[evenly(len(rows), max(_FEWEST, min(_SAMPLE, _SAMPLE_BYTES // image_bytes)))])


def _label_probe(
    plan: BuildPlan, config: BuildConfig, features: Features, units: Mapping[str, float], reporter: Reporter
) -> tuple[LabelProbe | None, pd.DataFrame | None, str]:
    """(who judges whether labels are still seen, what each operation does to labels alone, why there is none)."""
    reporter.say("fitting the label probe, which checks that augmented images keep their labels")
    images, rows = plan.set, plan.copy_plan.rows
    training = LabelledPictures(
        FittedPictures(images, plan.size, config.fit, rows),
        images.labels[rows],
        images.groups[rows] if images.groups is not None else None,
        rows,
    )
    probe, note = fit_label_probe(
        training, plan.policy, features, Context(units, rows), seed=config.seed, sample=features.some(SAMPLE),
        reporter=reporter,
    )  # fmt: skip
    if probe is None:
        return None, None, note
    lost = label_losses(
        training, probe, plan.policy, features, units, seed=config.seed, sample=features.some(TRIED), reporter=reporter
    )
    return probe, lost, note


def _plan_record(
    plan: BuildPlan,
    config: BuildConfig,
    units: Mapping[str, float],
    lost: pd.DataFrame | None,
    notes: Sequence[str],
) -> PlanRecord:
    """plan.json of a build."""
    policy = plan.policy
    return PlanRecord(
        policy=PolicySummary(policy.name, policy.about, library.digest(policy), policy.operations()),
        balance=config.balance,
        source=str(plan.set.source.path.resolve()),
        source_digest=plan.source_digest,
        **vars(plan.directions),
        scale=plan.set.source.decoding.scale,
        max_pixels=plan.set.source.decoding.max_pixels,
        size=plan.size,
        fit=config.fit,
        classes=_class_counts(plan.copy_plan.table),
        class_weights=dict(zip(plan.set.classes, plan.copy_plan.weights.tolist(), strict=True)),
        units=units,
        left_out=plan.divided.left_out or None,
        labels_lost=None if lost is None else _label_losses(lost),
        # How the splits came about is another matter: the next build finds them made.
        notes=(*(note for note in plan.notes if note not in plan.divided.notes), *notes),
    )


def _class_counts(table: pd.DataFrame) -> tuple[ClassCounts, ...]:
    counts = (ClassCounts(*row) for row in table.itertuples(index=False))
    return tuple(dataclasses.replace(row, weight=_rounded(row.weight)) for row in counts)


def _label_losses(table: pd.DataFrame) -> tuple[LabelLoss, ...]:
    return tuple(
        LabelLoss(operation, tried, *map(_rounded, shares))
        for operation, tried, *shares in table.itertuples(index=False)
    )


def _rounded(value: float) -> float:
    """A number of a table as it is written: shorter, and exact enough to read."""
    return round(value, 10)


def _features(config: BuildConfig, plan: BuildPlan, reporter: Reporter, notes: list[str]) -> Features | None:
    """What looks at the pictures, where anything is to be looked at."""
    if not config.benchmark and not config.check:
        return None
    size = config.input_size or input_size(min(plan.size))
    with reporter.stage("loading the model", None, ""):
        features, note = load_features(config.backbone, config.weights, size, config.workers or cores(), reporter.say)
    notes += [note] if note else []
    return features


def _size_warnings(policy: Policy, pictures: Sequence[np.ndarray], labels: np.ndarray) -> list[str]:
    """A warning where the policy changes the size of things and the size of things tells the classes apart."""
    resizing = [name for name in policy.operations() if OPERATIONS[name].resizes]
    if not resizing:
        return []
    share = size_tells_classes(np.array([object_size(picture) for picture in pictures]), labels)
    if share < _TELLING:
        return []
    return [
        f"object size tells the classes apart ({share:.0%} of its variance lies between them), and {policy.name} "
        f"changes it by {', '.join(resizing)}: keep their spans small, or leave them out"
    ]


def policy_place(policy: Policy, name_or_path: str) -> str:
    """How workers find the policy, wherever they run."""
    if policy.path is None:
        return name_or_path
    _, colon, name = name_or_path.partition(".py:")
    return f"{policy.path.resolve()}{':' + name if colon else ''}"
