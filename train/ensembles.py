"""ensemble(runs) -> Ensembled: several runs as one, from their predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from curate.notebooks.progress import onlooker
from curate.stage.errors import DataError, OutputError
from curate.stage.files import drafting, write_parquet
from curate.stage.manifest import file_digest, outputs_of, versions_in_use, write_manifest
from curate.stage.progress import Reporter, Stopwatch
from curate.stage.shortness import short_repr

from .comparing import alike, names_of, run_predictions
from .configs import EnsembleConfig
from .evaluation import metrics_of, selection_scores
from .measures import class_aucs
from .metrics import METRICS, EnsembleFacts, EnsembleMetrics, Metrics, write_metrics
from .predictions import Predictions
from .robustness import benchmark_tracks
from .runs import PREDICTIONS, EnsembleManifest, Run, read_run, run_path
from .selecting import score
from .slices import found_by_scan, sliced


@dataclass(frozen=True, eq=False)
class Ensembled:
    """Several runs as one.

    path     the new run's folder
    weights  one row per member, what each counts: (M,), or of each class (M, K)
    notes    what a person should know
    """

    path: Path
    metrics: EnsembleMetrics
    weights: np.ndarray
    notes: tuple[str, ...]

    __repr__ = short_repr


def ensemble(
    runs: Sequence[str | Path], config: EnsembleConfig = EnsembleConfig(), reporter: Reporter | None = None
) -> Ensembled:
    """Join runs by their saved predictions and write artifacts/runs/<name>/, without a model: metrics.json,
    predictions.parquet and a manifest that names the members.

    What a member counts is found on val and the validation part of the benchmark, never on test. Sets that not all
    members were measured on are left out. Raises DataError where there are fewer than two runs, or they differ in
    classes or images; OutputError where there is another run of that name.
    """
    reporter = reporter or onlooker()
    watch = Stopwatch()
    with watch.stage("reading"):
        members = [read_run(run, config.artifacts) for run in runs]
        names = names_of(members)
        target = _target(members, config)
        classes = _classes(members)
        predictions, notes = _common([run_predictions(run) for run in members], names)
    reporter.say(f"joining {', '.join(names)} on {len(predictions[0]):,} images")
    with watch.stage("measuring"), reporter.stage("measuring", None, ""):
        stacked = np.stack([member.probabilities for member in predictions])
        weights = _WEIGHTS[config.how](predictions)
        joined = replace(predictions[0], probabilities=_joined(stacked, weights, config.how))
        measures = metrics_of(joined, classes, config.resamples, config.seed)
        flagged, _ = found_by_scan(Path(config.artifacts), members[0].manifest.scan_digest)
        if measures.clean:
            slices = sliced(joined, flagged, classes, config.resamples, config.seed)
            measures = replace(measures, slices=slices)
        measures = replace(measures, scale=members[0].metrics.scale)
        metrics = _with_members(measures, config.how, names, weights)
    ensembled = Ensembled(target, metrics, weights, notes)
    _write_ensemble(ensembled, joined, members, config, watch)
    return ensembled


def _with_members(metrics: Metrics, how: str, names: Sequence[str], weights: np.ndarray) -> EnsembleMetrics:
    shares = [tuple(row) if isinstance(row, list) else row for row in weights.tolist()]
    measures = {field.name: getattr(metrics, field.name) for field in fields(Metrics)}
    return EnsembleMetrics(model=EnsembleFacts(how, dict(zip(names, shares, strict=True))), **measures)


def _target(members: Sequence[Run], config: EnsembleConfig) -> Path:
    """The folder to write. Raises DataError, OutputError."""
    if len(members) < 2:
        raise DataError(f"{len(members)} run is given; an ensemble is of two at least.")
    target = run_path(config.name, config.artifacts)
    if target.exists() and not _holds_ensemble(target, config.artifacts):
        raise OutputError(f"{target} is there already, and no ensemble. Give this one another --name.")
    return target


def _holds_ensemble(target: Path, artifacts: str) -> bool:
    return (target / METRICS).is_file() and isinstance(read_run(target, artifacts).manifest, EnsembleManifest)


def _classes(members: Sequence[Run]) -> tuple[str, ...]:
    first = members[0]
    for member in members[1:]:
        if member.metrics.classes != first.metrics.classes:
            classes = " and ".join(f"{', '.join(run.metrics.classes)} in {run.name}" for run in (first, member))
            raise DataError(f"the runs have different classes: {classes}. Join runs of one set.")
    return first.metrics.classes


def _common(predictions: Sequence[Predictions], names: Sequence[str]) -> tuple[list[Predictions], tuple[str, ...]]:
    """The predictions on the sets that all runs have, row by row the same, and a note on those left out."""
    sets = [{track.name for track in member.tracks} for member in predictions]
    shared, every = set.intersection(*sets), set.union(*sets)
    if not shared:
        raise DataError(f"{', '.join(names)} were measured on no set in common. Measure them on one build.")
    kept = [member.on([track for track in member.tracks if track.name in shared]) for member in predictions]
    left = sorted(every - shared)
    notes = (f"left out, as not all runs were measured on them: {', '.join(left)}",) if left else ()
    return list(alike(dict(zip(map(str, range(len(kept))), kept, strict=True))).values()), notes


def _joined(stacked: np.ndarray, weights: np.ndarray, how: str) -> np.ndarray:
    """float32 (n, K): probabilities of the members (M, n, K) as one, by what each counts: (M,) or (M, K)."""
    mean = np.einsum("mnk,m->nk" if weights.ndim == 1 else "mnk,mk->nk", stacked, weights)
    if how == "vote":
        votes = (stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])).sum(axis=0)
        # A mean probability is below 1, and so decides between equal numbers of votes only.
        mean = votes + mean
    return np.asarray((mean / mean.sum(axis=1, keepdims=True)).astype(np.float32))


def _alike_weights(predictions: Sequence[Predictions]) -> np.ndarray:
    return np.full(len(predictions), 1 / len(predictions))


def by_validation(predictions: Sequence[Predictions]) -> np.ndarray:
    """float64 (M,), adding up to 1: log(s (K - 1) / (1 - s)) of the selection score s (Zhu et al. 2009): 0 for chance.

    Raises DataError where there is nothing to select by.
    """
    scores = list(map(selection_scores, predictions))
    if not scores[0]:
        raise DataError("there are no predictions of val to weigh the runs by. Take mean or vote.")
    right = np.clip([score(parts, "corruptions") for parts in scores], 1e-6, 1 - 1e-6)
    classes = predictions[0].probabilities.shape[1]
    raw = np.maximum(np.log(right * (classes - 1) / (1 - right)), 0)
    return raw / raw.sum() if raw.any() else _alike_weights(predictions)


def best_of_class(predictions: Sequence[Predictions]) -> np.ndarray:
    """float64 (M, K) of 0 and 1: which run tells each class best from the rest, by the area under the curve on val and
    the validation part of the benchmark; of equals the first.

    Raises DataError where a class is not there.
    """
    parts = [
        member.on([*member.clean_tracks("val"), *benchmark_tracks(member, "validation")]) for member in predictions
    ]
    areas = [class_aucs(part.labels, part.probabilities) if len(part) else None for part in parts]
    if any(area is None for area in areas):
        raise DataError("there are no predictions of val of every class to choose runs by. Take mean or vote.")
    best = np.argmax(np.array(areas), axis=0)
    return np.asarray((best == np.arange(len(predictions))[:, None]).astype(np.float64))


_WEIGHTS: Mapping[str, Callable[[Sequence[Predictions]], np.ndarray]] = {
    "mean": _alike_weights,
    "weighted": by_validation,
    "vote": _alike_weights,
    "one-vs-rest": best_of_class,
}


def _write_ensemble(
    ensembled: Ensembled, joined: Predictions, members: Sequence[Run], config: EnsembleConfig, watch: Stopwatch
) -> None:
    digests = {
        name: file_digest(run.path / "manifest.json") for name, run in zip(names_of(members), members, strict=True)
    }
    input_digest = hashlib.blake2b("\n".join(digests.values()).encode(), digest_size=16).hexdigest()
    first = members[0].manifest
    with drafting(ensembled.path) as folder:
        folder.mkdir()
        outputs = {METRICS: write_metrics(ensembled.metrics, folder), PREDICTIONS: folder / PREDICTIONS}
        write_parquet(joined.table(), outputs[PREDICTIONS])
        write_manifest(
            EnsembleManifest(
                source=", ".join(str(run.path) for run in members),
                input_digest=input_digest,
                config=config,
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
