"""build(source, config) -> Built: splits, a balanced training set, and a benchmark of shifted domains."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.builds import (
    BENCHMARK_FILE,
    BUILT,
    PLAN_FILE,
    SPLITS,
    BenchmarkRecord,
    BuildManifest,
    PlanRecord,
    read_benchmark,
    read_plan,
)
from curate.notebooks.progress import onlooker
from curate.sets.provenance import ROWS, Provenance, merge_provenance
from curate.splitting import write_splits
from curate.stage.drafts import draft_of, empty
from curate.stage.engine import cores, in_processes
from curate.stage.errors import DataError, OutputError, WorkerLost
from curate.stage.files import write_text
from curate.stage.manifest import Output, file_digest, outputs_of, versions_in_use, write_manifest
from curate.stage.progress import Reporter, Stopwatch
from curate.stage.shortness import short_repr

from .configs import BuildConfig
from .making import IDENTITY, Job, Shard, Task, make, read_job, tasks
from .planning import BuildPlan, plan
from .preparing import identity, policy_place, prepare

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Built:
    """What a build has made.

    path       artifacts/built
    decisions  what was decided before
    counts     as written and read back, one row per class: class, train, of which copies, val, test
    images     set -> how many images
    benchmark  benchmark.json, None without one;  plan  plan.json
    redrawn    images that were drawn again because their label was lost;  doubted  those where that did not help
    resumed    shards that an interrupted build had made
    seconds    of each stage
    """

    path: Path
    decisions: BuildPlan
    counts: pd.DataFrame
    images: Mapping[str, int]
    benchmark: BenchmarkRecord | None
    plan: PlanRecord
    redrawn: int
    doubted: int
    resumed: int
    seconds: Mapping[str, float]

    __repr__ = short_repr

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        return (*self.decisions.divided.notes, *self.plan.notes)


def build(
    source: str | Path | None = None,
    config: BuildConfig = BuildConfig(),
    reporter: Reporter | None = None,
) -> Built:
    """Build artifacts/built: train, val, test and the benchmark, each as shards with their provenance.

    source  the set that was scanned, or its clean set; None takes artifacts/clean.npz or clean.csv

    The sets take the place of an earlier build in one step, when all is done. The same input, configuration and seed
    give the same bytes, on any number of workers and after any number of interruptions. Raises DataError where the
    input will not do, OutputError where the disk will not, WorkerLost where a worker process was killed; what was
    finished is kept for `resume`.
    """
    if reporter is None:
        reporter = onlooker()
        built = _build(source, config, reporter)
        reporter.say(f"built  {built.path}")
        return built
    return _build(source, config, reporter)


def _build(source: str | Path | None, config: BuildConfig, reporter: Reporter) -> Built:
    watch = Stopwatch()
    with watch.stage("planning"), reporter.stage("planning", None, ""):
        decisions = plan(source, config, reporter)
        digest = identity(decisions, config)
    with draft_of(Path(config.artifacts, BUILT), config.resume) as draft:
        work = draft / "work"
        if not (config.resume and _can_resume(work, digest, reporter)):
            empty(draft)  # what has no identity may be of another job
            _check_room(decisions.bytes, config.artifacts)  # before anything is measured; the benchmark comes on top
            prepare(decisions, config, draft, watch, reporter)
            write_text(digest, work / IDENTITY)
        job, lists = read_job(work)
        if job.policy != policy_place(decisions.policy, config.policy):  # which may be a file of code
            raise DataError(f"{work} is of the policy {job.policy}. Leave out --resume to start over.")
        functions = tuple(str(Path(file).resolve()) for file in config.functions)
        todo = tasks(job, lists, work, draft, functions)
        resumed = sum(task.exists for task in todo)
        left = sum(task.images for task in todo if not task.exists)
        _check_room(left * job.size[0] * job.size[1] * 3, config.artifacts)
        shards = _make_all(todo, config.workers or cores(), watch, reporter)
        with watch.stage("checking"), reporter.stage("checking what was made", None, ""):
            counts = _join(todo, job, draft)
            documents = read_benchmark(draft), read_plan(draft)
            _check_counts(counts, decisions, draft)
            write_splits(decisions.divided, config.split)
            _write_manifest(draft, decisions, config, digest, shards, watch)
            shutil.rmtree(work)
    images = {entry.name: len(lists[entry.listing]) for entry in job.entries}
    redrawn, doubted = (sum(getattr(shard, name) for shard in shards) for name in ("redrawn", "doubted"))
    path = Path(config.artifacts, BUILT)
    return Built(path, decisions, counts, images, *documents, redrawn, doubted, resumed, dict(watch.seconds))


def _can_resume(work: Path, digest: str, reporter: Reporter) -> bool:
    """Whether the folder holds an interrupted build of the same. Raises DataError where it is of another."""
    stamp = work / IDENTITY
    if not stamp.is_file():
        reporter.say("nothing to resume: building from the start")
        return False
    if stamp.read_text(encoding="utf-8") != digest:
        raise DataError(
            f"the interrupted build in {work.parent} is of another input or of other options. Give the options that it "
            "was begun with, or leave out --resume to start over."
        )
    return True


def _check_room(needed: int, artifacts: str) -> None:
    """Raise OutputError where the disk has no room for so many bytes."""
    free = shutil.disk_usage(artifacts).free
    if needed > free:
        raise OutputError(
            f"{needed / 1e9:.1f} GB are needed in {artifacts} and {free / 1e9:.1f} GB are free. Free some "
            "space, write elsewhere (--artifacts DIR), or ask for less (--copies, --size, --benchmark-images)."
        )


def _make_all(todo: Sequence[Task], workers: int, watch: Stopwatch, reporter: Reporter) -> list[Shard]:
    """Make every shard that is not there yet, one stage of progress for each kind of set."""
    shards = []
    for title, tasks_of_kind in _kinds(todo).items():
        left = [task for task in tasks_of_kind if not task.exists]
        finished = [task.shard() for task in tasks_of_kind if task.exists]
        total = sum(task.images for task in tasks_of_kind)
        with watch.stage(title), reporter.stage(title, total, "images") as advance:
            images = sum(shard.task.images for shard in finished)
            advance(images)
            shards += finished
            try:
                for shard in in_processes(make, left, min(workers, len(left))):
                    shards.append(shard)
                    images += shard.task.images
                    advance(images)
            except WorkerLost as error:
                raise WorkerLost(
                    f"{error} What was finished is kept: go on with --resume, or with fewer --workers."
                ) from error
            except KeyboardInterrupt:
                reporter.say("interrupted; what was finished is kept: go on with --resume")
                raise
    return shards


def _kinds(todo: Sequence[Task]) -> dict[str, list[Task]]:
    kinds: dict[str, list[Task]] = {}
    for task in todo:
        title = {"train": "training images", "benchmark": "benchmark"}.get(task.entry.partition("/")[0], "val and test")
        kinds.setdefault(title, []).append(task)
    return kinds


def _join(todo: Sequence[Task], job: Job, draft: Path) -> pd.DataFrame:
    """Write each set's rows.parquet, and count what it says. Raises OutputError where a group is in two splits."""
    import pandas as pd

    by_entry: dict[str, list[Task]] = {}
    for task in todo:
        by_entry.setdefault(task.entry, []).append(task)
    for name, entry_tasks in by_entry.items():
        merge_provenance([task.provenance for task in entry_tasks], draft / name / ROWS)
    columns: dict[str, list[str] | list[int]] = {"class": list(job.classes)}
    side_of: dict[str | int, str] = {}
    for split in SPLITS:
        path = draft / split / ROWS
        labels, copies = np.zeros(0, np.int64), np.zeros(0, np.int64)
        if path.is_file():
            rows = Provenance(path)
            labels, copies = rows.labels, rows.copies
            units = dict.fromkeys([*rows.source_ids, *rows.groups[rows.groups >= 0].tolist()])
            crossing = [unit for unit in units if side_of.setdefault(unit, split) != split]
            if crossing:
                raise OutputError(f"{crossing[0]} came out in {side_of[crossing[0]]} and in {split}; build again.")
        columns[split] = np.bincount(labels, minlength=len(job.classes)).tolist()
        if split == "train":
            columns["copies"] = np.bincount(labels[copies > 0], minlength=len(job.classes)).tolist()
    return pd.DataFrame(columns)


def _check_counts(counts: pd.DataFrame, decisions: BuildPlan, draft: Path) -> None:
    """Raise OutputError where the classes did not come out as planned."""
    table = decisions.copy_plan.table
    if counts["train"].tolist() != table["images"].tolist() or counts["copies"].tolist() != table["copies"].tolist():
        raise OutputError(f"the training set in {draft} did not come out as planned. Build again without --resume.")


def _write_manifest(
    draft: Path, decisions: BuildPlan, config: BuildConfig, digest: str, shards: Sequence[Shard], watch: Stopwatch
) -> None:
    images = decisions.set
    digests: dict[str, dict[str, str]] = {}
    for shard in sorted(shards, key=lambda shard: (shard.task.entry, shard.task.part)):
        digests.setdefault(shard.task.entry, {})[shard.task.path.name] = shard.digest
    outputs = {name: draft / name for name in (PLAN_FILE, BENCHMARK_FILE) if (draft / name).is_file()}
    paths = [f"{name}/{ROWS}" for name in digests]
    origins = {path: Output(path, file_digest(draft / path)) for path in paths}
    write_manifest(
        BuildManifest(
            source=str(images.source.path.resolve()),
            input_digest=digest,
            config=asdict(config),
            seed=config.seed,
            outputs=outputs_of(outputs) | origins,
            counts={**decisions.images, "redrawn": sum(shard.redrawn for shard in shards)},
            timings=dict(watch.seconds),
            versions=versions_in_use(),
            scan_digest=decisions.divided.scan_digest,
            sets=digests,
            scale=images.source.decoding.scale,
            max_pixels=images.source.decoding.max_pixels,
        ),
        draft,
    )
