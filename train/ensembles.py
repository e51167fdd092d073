"""ensemble(runs) -> Ensembled: several runs as one, from their predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.stage.errors import DataError, OutputError, UnknownName
from curate.stage.files import drafting, write_parquet
from curate.stage.manifest import file_digest, outputs_of, versions_in_use, write_manifest
from curate.stage.progress import Reporter, Silent, Stopwatch

from .answers import Answers
from .comparing import alike, names_of, run_answers
from .evaluation import metrics_of, selection_scores
from .measures import class_aucs
from .robustness import benchmark_tracks
from .runs import METRICS, PREDICTIONS, Run, RunManifest, read_run, run_path, write_metrics
from .selecting import score
from .slices import found_by_scan, sliced

HOWS = ("mean", "weighted", "vote", "one-vs-rest")


@dataclass(frozen=True)
class EnsembleConfig:
    """How runs become one. Every option of `train ensemble` is a field of this.

    how        mean      of the probabilities
               weighted  their mean, by how well each run does on the validation part of the benchmark
               vote      the class that most runs say; of equals that with the higher mean probability
               one-vs-rest  of each class the probability by the run that tells it best from the rest on that part
    name       of the new run
    resamples  bootstrap samples of each interval
    """

    how: str = "mean"
    name: str = "ensemble"
    artifacts: str = "artifacts"
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise UnknownName.among("way to join runs", self.how, HOWS)
        if self.resamples < 1:
            raise DataError(f"resamples is {self.resamples}; needed is 1 or more.")


@dataclass(frozen=True, eq=False)
class Ensembled:
    """Several runs as one.

    path     the new run's folder;  metrics  what its metrics.json holds
    weights  one row per member, what each counts: (M,), or of each class (M, K)
    notes    what a person should know
    """

    path: Path
    metrics: dict[str, Any]
    weights: np.ndarray
    notes: tuple[str, ...]


def ensemble(
    runs: Sequence[str | Path], config: EnsembleConfig = EnsembleConfig(), reporter: Reporter = Silent()
) -> Ensembled:
    """Join runs by their saved predictions and write artifacts/runs/<name>/, without a model: metrics.json,
    predictions.parquet and a manifest that names the members.

    What a member counts is found on val and the validation part of the benchmark, never on test. Sets that not all
    members were measured on are left out. Raises DataError where there are fewer than two runs, or they differ in
    classes or images; OutputError where there is another run of that name.
    """
    watch = Stopwatch()
    with watch.stage("reading"):
        members = [read_run(given, config.artifacts) for given in runs]
        names = names_of(members)
        target = _target(members, config)
        classes = _classes(members)
        answers, notes = _common([run_answers(run) for run in members], names)
    reporter.say(f"joining {', '.join(names)} on {len(answers[0]):,} images")
    with watch.stage("measuring"):
        stacked = np.stack([one.probabilities for one in answers])
        weights = _WEIGHTS[config.how](answers)
        joined = replace(answers[0], probabilities=_joined(stacked, weights, config.how))
        metrics = metrics_of(joined, classes, config.resamples, config.seed)
        digest = members[0].manifest.scan_digest
        found, _ = found_by_scan(Path(config.artifacts), digest)
        if "clean" in metrics:
            metrics["slices"] = sliced(joined, found, classes, config.resamples, config.seed)
        metrics["model"] = {
            "how": config.how,
            "members": dict(zip(names, weights.tolist(), strict=True)),
        }
    _write(target, metrics, joined, members, config, watch)
    return Ensembled(target, metrics, weights, notes)


def _target(members: Sequence[Run], config: EnsembleConfig) -> Path:
    """The folder to write. Raises DataError, OutputError."""
    if len(members) < 2:
        raise DataError(f"{len(members)} run is given; an ensemble is of two at least.")
    target = run_path(config.name, config.artifacts)
    if target.exists() and not _is_ensemble(target, config.artifacts):
        raise OutputError(f"{target} is there already, and no ensemble. Give this one another --name.")
    return target


def _is_ensemble(target: Path, artifacts: str) -> bool:
    return (target / METRICS).is_file() and read_run(target, artifacts).manifest.members is not None


def _classes(members: Sequence[Run]) -> tuple[str, ...]:
    first = members[0]
    for run in members[1:]:
        if run.metrics["classes"] != first.metrics["classes"]:
            told = " and ".join(f"{', '.join(one.metrics['classes'])} in {one.name}" for one in (first, run))
            raise DataError(f"the runs tell other classes apart: {told}. Join runs of one set.")
    return tuple(first.metrics["classes"])


def _common(answers: Sequence[Answers], names: Sequence[str]) -> tuple[list[Answers], tuple[str, ...]]:
    """The answers on the sets that all runs have, row by row the same, and a note on those left out."""
    told = [{track.name for track in one.tracks} for one in answers]
    shared, known = set.intersection(*told), set.union(*told)
    if not shared:
        raise DataError(f"{', '.join(names)} were measured on no set in common. Measure them on one build.")
    kept = [one.of([track for track in one.tracks if track.name in shared]) for one in answers]
    left = sorted(known - shared)
    notes = (f"left out, as not all runs were measured on them: {', '.join(left)}",) if left else ()
    return list(alike(dict(zip(map(str, range(len(kept))), kept, strict=True))).values()), notes


def _joined(stacked: np.ndarray, weights: np.ndarray, how: str) -> np.ndarray:
    """float32 (n, K): probabilities of the members (M, n, K) as one, by what each counts: (M,) or (M, K)."""
    mean = np.einsum("mnk,m->nk" if weights.ndim == 1 else "mnk,mk->nk", stacked, weights)
    if how == "vote":
        votes = (stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])).sum(axis=0)
        # A mean probability is below 1, and so decides between equal numbers of votes only.
        mean = votes + mean
    return (mean / mean.sum(axis=1, keepdims=True)).astype(np.float32)


def _alike_weights(answers: Sequence[Answers]) -> np.ndarray:
    return np.full(len(answers), 1 / len(answers))


def by_validation(answers: Sequence[Answers]) -> np.ndarray:
    """float64 (M,), adding up to 1: log(s (K - 1) / (1 - s)) of the selection score s (Zhu et al. 2009): 0 for chance.

    Raises DataError where there is nothing to select by.
    """
    scores = [selection_scores(one) for one in answers]
    if not scores[0]:
        raise DataError("there are no predictions of val to weigh the runs by. Take mean or vote.")
    right = np.clip([score(one, "corruptions") for one in scores], 1e-6, 1 - 1e-6)
    classes = answers[0].probabilities.shape[1]
    raw = np.maximum(np.log(right * (classes - 1) / (1 - right)), 0)
    return raw / raw.sum() if raw.any() else _alike_weights(answers)


def best_of_class(answers: Sequence[Answers]) -> np.ndarray:
    """float64 (M, K) of 0 and 1: which run tells each class best from the rest, by the area under the curve on val and
    the validation part of the benchmark; of equals the first.

    Raises DataError where a class is not there.
    """
    chosen = [one.of([*one.named("val"), *benchmark_tracks(one, "validation")]) for one in answers]
    areas = [class_aucs(one.labels, one.probabilities) if len(one) else None for one in chosen]
    if any(area is None for area in areas):
        raise DataError("there are no predictions of val of every class to choose runs by. Take mean or vote.")
    best = np.argmax(np.array(areas), axis=0)
    return (best == np.arange(len(answers))[:, None]).astype(np.float64)


_WEIGHTS: Mapping[str, Callable[[Sequence[Answers]], np.ndarray]] = {
    "mean": _alike_weights,
    "weighted": by_validation,
    "vote": _alike_weights,
    "one-vs-rest": best_of_class,
}


def _write(
    target: Path, metrics: dict[str, Any], joined: Answers, members: Sequence[Run], config: EnsembleConfig,
    watch: Stopwatch,
) -> None:  # fmt: skip
    digests = {
        name: file_digest(run.path / "manifest.json") for name, run in zip(names_of(members), members, strict=True)
    }
    both = hashlib.blake2b("\n".join(digests.values()).encode(), digest_size=16).hexdigest()
    first = members[0].manifest
    with drafting(target) as folder:
        folder.mkdir()
        outputs = {METRICS: write_metrics(metrics, folder), PREDICTIONS: folder / PREDICTIONS}
        write_parquet(joined.table(), outputs[PREDICTIONS])
        write_manifest(
            RunManifest(
                source=", ".join(str(run.path) for run in members),
                input_digest=both,
                config=asdict(config),
                seed=config.seed,
                outputs=outputs_of(outputs),
                counts={"members": len(members), "images": len(joined)},
                timings=dict(watch.seconds),
                versions=versions_in_use(),
                build_digest=first.build_digest,
                scan_digest=first.scan_digest,
                members=digests,
            ),
            folder,
        )
