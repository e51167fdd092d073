"""How each built-in policy stands to each track of the benchmark: the tables of docs/benchmark.md.

    python benchmarks/overlap.py data.npz               of pictures of one size
    python benchmarks/overlap.py data.npz --transfer

First how many test corruptions each policy is disjoint from, near and identical to; then the verdicts of all. A cell
holds the verdict, where it is not "disjoint", and the ratio: how far the nearest draw of the policy is from the
corruption, 1 being as far as the clean pictures. With --transfer the ratio is held against what it should foretell: a
linear probe learns from clean pictures and from pictures after one corruption (or a policy), and is tried on another
corruption. What it gains there, as a share of what it gains by learning from that very corruption, is the transfer.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

import curate
from augment.calibration import Calibrated, calibrate
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.features import Features, input_size, load_features
from augment.operations.operation import OPERATIONS
from augment.overlap import DISJOINT, IDENTICAL, NEAR, Landmarks, Verdict, compared, landmarks, worst
from augment.policies import library
from augment.policies.mixing import KINDS
from augment.policies.policy import Context, Policy, Record, Use, perform
from augment.statistics import lab_spread
from curate.measuring.neighbours import principal_axes
from curate.measuring.probe import discriminant
from curate.sets.imageset import ImageSet, evenly
from curate.stage.engine import chunks, cores, threaded

PICTURES = 1200
# Of these, the ones that the probe of --transfer is tried on.
TRIED = 400
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, np.inf)
# A corruption that costs the probe less has nothing to gain.
LEAST = 0.08


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--transfer"]
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    images = curate.read(arguments[0])
    rows = evenly(len(images), PICTURES)
    pictures = [images.images[row].pixels for row in rows.tolist()]
    side = min(pictures[0].shape[:2])
    features, note = load_features("auto", None, input_size(side), cores())
    if note:
        print(note, file=sys.stderr)
    units = {**lab_spread(pictures), "side": float(side)}
    calibrated = calibrate(pictures, features, seed=0, units=units)
    marks = landmarks(pictures, features, {n: CORRUPTIONS[n] for n in calibrated}, calibrated, seed=0, units=units)
    print(f"{images.source.path.name}, {side} px, {features.describe}")
    verdicts = {name: compared(library.policy(name), marks, seed=0) for name in library.names()}
    summary(verdicts)
    report(verdicts)
    if "--transfer" in sys.argv:
        report_transfer(images, rows, pictures, calibrated, marks, verdicts)


def summary(verdicts: Mapping[str, Mapping[str, Verdict]]) -> None:
    """Print how each policy stands to the test corruptions as a whole, and to the composed tracks."""
    print("\n| policy | disjoint | near | identical | the identical ones | composed, test | composed, validation |")
    print("|---|---:|---:|---:|---|---|---|")
    for policy, tracks in verdicts.items():
        by_role = {role: [tracks[n] for n in tracks if CORRUPTIONS[n].role == role] for role in (TEST, VALIDATION)}
        counts = [sum(v.verdict == verdict for v in by_role[TEST]) for verdict in (DISJOINT, NEAR, IDENTICAL)]
        same = [v.corruption for v in by_role[TEST] if v.verdict == IDENTICAL]
        names = ", ".join(f"`{name}`" for name in same) if len(same) <= 3 else f"{len(same)} of {len(by_role[TEST])}"
        composed = [worst(by_role[role], "composed").verdict for role in (TEST, VALIDATION)]
        print(f"| {policy} | {' | '.join(map(str, counts))} | {names} | {' | '.join(composed)} |")


def report(verdicts: Mapping[str, Mapping[str, Verdict]]) -> None:
    """Print the table, a line for each track."""
    print(f"\n| track | {' | '.join(verdicts)} |\n|---|{'---|' * len(verdicts)}")
    first = next(iter(verdicts.values()))
    for name in first:
        print(f"| {name} | {' | '.join(_verdict_cell(tracks[name]) for tracks in verdicts.values())} |")
    for role in (TEST, VALIDATION):
        members = [name for name in first if CORRUPTIONS[name].role == role]
        worsts = [worst([tracks[name] for name in members], "composed") for tracks in verdicts.values()]
        print(f"| composed ({role}) | {' | '.join(_verdict_cell(verdict) for verdict in worsts)} |")


def report_transfer(
    images: ImageSet,
    rows: np.ndarray,
    pictures: Sequence[np.ndarray],
    calibrated: Mapping[str, Calibrated],
    marks: Landmarks,
    verdicts: Mapping[str, Mapping[str, Verdict]],
) -> None:
    """Print the transfer to each corruption by the ratio, of single corruptions and of the built-in policies."""
    features, names = marks.features, list(calibrated)
    order = np.random.default_rng(0).permutation(len(rows))
    tried, learnt = order[:TRIED], order[TRIED:]
    labels = images.labels[rows]
    see = partial(_features_after, features, pictures)

    def after(name: str, severities: Sequence[int]) -> Callable[[int], Record]:
        def draw(i: int) -> Record:
            rng = np.random.default_rng([i, zlib.crc32(name.encode())])
            settings = calibrated[name].settings[severities[int(rng.integers(len(severities)))] - 1]
            return [CORRUPTIONS[name].draw(settings, rng, marks.units)]

        return draw

    clean = see(learnt, lambda i: [])
    test = {name: see(tried, after(name, (3, 4, 5))) for name in names}

    def right(extra: Sequence[np.ndarray]) -> np.ndarray:
        """The share of right answers on each corruption of a probe that learns from clean and from more pictures."""
        centre, axes = principal_axes(np.concatenate([clean, *extra]))
        model = discriminant((np.concatenate([clean, *extra]) - centre) @ axes, np.tile(labels[learnt], 1 + len(extra)))
        subspace = axes[:, : model.n_features_in_]
        return np.array([(model.predict((test[name] - centre) @ subspace) == labels[tried]).mean() for name in names])

    base = right([])
    accuracies = np.array([right([see(learnt, after(name, (2, 3, 4, 5)))]) for name in names])
    gain = accuracies.diagonal() - base
    ratios = np.array([_ratios(_single_corruption_policy(calibrated[name], marks), marks, names) for name in names])
    single = (accuracies - base) / np.where(gain >= LEAST, gain, np.nan)
    np.fill_diagonal(single, np.nan)
    family = np.array([CORRUPTIONS[name].family for name in names])
    _print_bins("one corruption to another", ratios, single, family[:, None] == family)

    of_policies, family_masks = [], []
    for name in verdicts:
        policy, context = library.policy(name), Context(marks.units, np.arange(len(pictures)))
        copies = [see(learnt, partial(_unmixed, policy, context, copy)) for copy in (1, 2)]
        of_policies.append((right(copies) - base) / np.where(gain >= LEAST, gain, np.nan))
        family_masks.append(np.isin(family, [OPERATIONS[operation].family for operation in policy.operations()]))
    foreign = [[np.nan if tracks[n].operation else tracks[n].ratio for n in names] for tracks in verdicts.values()]
    title = "a policy to a corruption whose operation it has not"
    _print_bins(title, np.array(foreign), np.array(of_policies), np.array(family_masks))


def _single_corruption_policy(calibrated: Calibrated, marks: Landmarks) -> Policy:
    """A policy of one corruption's operation, drawn from its severities 2 to 5."""
    corruption, spans = CORRUPTIONS[calibrated.name], {}
    for key, parameter in corruption.operation.parameters.items():
        scale = marks.units.get(parameter.unit, 1.0) if parameter.unit else 1.0
        values = [settings[key] / scale for settings in calibrated.settings[1:] if key in settings]
        spans[key] = (min(values), max(values)) if values else corruption.free[key]
    return Policy(calibrated.name, ((Use(corruption.operation, spans),),))


def _ratios(policy: Policy, marks: Landmarks, names: Sequence[str]) -> list[float]:
    tracks = compared(policy, marks, seed=0, draws=8)
    return [tracks[name].ratio for name in names]


def _unmixed(policy: Policy, context: Context, copy: int, i: int) -> Record:
    record = policy.draw(np.random.default_rng([i, copy]), copy, context)
    return [entry for entry in record if entry["op"] not in KINDS]


def _features_after(
    features: Features, pictures: Sequence[np.ndarray], rows: np.ndarray, draw: Callable[[int], Record]
) -> np.ndarray:
    def look(piece: range) -> np.ndarray:
        return features(
            [perform(pictures[i], draw(i), pictures.__getitem__) for i in rows[piece.start : piece.stop].tolist()]
        )

    return np.concatenate(list(threaded(look, chunks(len(rows), 64), features.workers)))


def _print_bins(title: str, ratios: np.ndarray, transfer: np.ndarray, family: np.ndarray) -> None:
    """Print the quartiles of the transfer by bins of the ratio, within a family and between families."""
    print(
        f"\n## transfer from {title}\n\n| ratio | same family | pairs | 25 % | 50 % | 75 % |\n|---|---|---|---|---|---|"
    )
    for low, high in pairwise(BINS):
        for same in (False, True):
            cell = transfer[(ratios >= low) & (ratios < high) & (family == same) & ~np.isnan(transfer)]
            if len(cell):
                quartiles = " | ".join(f"{value:.2f}" for value in np.quantile(cell, (0.25, 0.5, 0.75)))
                print(f"| {low:.1f} .. {high:.1f} | {'yes' if same else 'no'} | {len(cell)} | {quartiles} |")


def _verdict_cell(verdict: Verdict) -> str:
    return f"{'' if verdict.verdict == DISJOINT else verdict.verdict} {verdict.ratio:.2f}".strip()


if __name__ == "__main__":
    main()
