"""Whether an augmented image still shows what its label says: a probe on frozen features must know it.

A probe that has seen clean pictures only fails on strong but harmless augmentations, and drawing again until it agrees
would keep the easy images alone. So it learns from clean pictures and from what the policy makes of them, and speaks
against an image only where it is sure of another class, or knows nothing at all, and knew the clean picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.measuring.neighbours import principal_axes
from curate.measuring.probe import discriminant, folds_of, temperature, tempered
from curate.sets.imageset import whole_groups
from curate.stage.engine import chunks, small_algebra, threaded
from curate.stage.files import replacing
from curate.stage.progress import Reporter, Silent
from curate.stage.shortness import short_repr

from .calibration import generator
from .features import Features
from .operations.operation import OPERATIONS, Pixels
from .policies.mixing import KINDS
from .policies.policy import Call, Context, Mix, OneOf, OpenRow, Policy, Record, Step, Use, perform, shares

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 1000
TRIED = 200
_COPIES = 2
# Of a class with fewer pictures nobody can learn what it looks like.
_FEWEST = 10
# As likely as this many times the label, another class has taken its place (as of curate.checks.labels.label_error).
_TIMES = 4.0
# Where no class has more than this many times the odds of chance, nothing is left to be known.
_ODDS = 3.0
# A probe that is right less often on clean pictures is no judge of others.
_RIGHT = 0.7
_AT_ONCE = 32
_UNCHECKED = "the labels of augmented images are not checked"


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """n training pictures (uint8, of one size).

    labels  int64 (n,), -1 none;  groups  int64 (n,): pictures that belong together, -1 none; or None
    rows    int64 (n,): which rows of the set they are; None for 0 to n - 1
    """

    pictures: Sequence[Pixels]
    labels: np.ndarray
    groups: np.ndarray | None = None
    rows: np.ndarray | None = None

    __repr__ = short_repr

    def rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """int64: the rows of the set that some of these pictures are."""
        return numbers if self.rows is None else self.rows[numbers]


@dataclass(frozen=True, eq=False)
class LabelProbe:
    """Whether labels are still to be seen: linear probes, each for the rows whose group it has not seen.

    weights   float32 (F + 1, D, K), bias  float32 (F + 1, K): of the log probabilities of K classes; the last is the
              mean of the others, for rows that no probe has seen
    classes   int64 (K,): labels of the columns
    rows      int64 (M,), ascending: rows of the set that were learnt from;  fold  int64 (M,): the probe that did not
    clean     share of clean pictures whose label is found, each by the probe that has not seen it;  augmented  likewise
    """

    weights: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    rows: np.ndarray
    fold: np.ndarray
    clean: float
    augmented: float

    __repr__ = short_repr

    def probabilities(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float64 (n, K): of images with these features (n, D), made of these rows of the set (n,)."""
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        fold = np.where(self.rows[at] == rows, self.fold[at], -1)
        logs = np.zeros((len(features), len(self.classes)))
        for i in np.unique(fold):
            logs[fold == i] = features[fold == i] @ self.weights[i] + self.bias[i]
        return tempered(logs, 1.0)

    def knows(self, features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """bool (n,): whether the labels of images are still to be seen in them.

        features  float32 (n, D);  rows  int64 (n,): what they are made of
        labels    int64 (n,), or soft (n, classes of the set), of which the shares above 0 are taken together
        True where it cannot be told: a class that was not learnt.
        """
        held = self._held(np.asarray(labels))
        probabilities = self.probabilities(features, rows)
        own = np.where(held, probabilities, 0).sum(axis=1)
        other = np.where(held, 0, probabilities).max(axis=1)
        best = np.maximum(own, other)
        replaced = other > _TIMES * own
        nothing = best * (len(self.classes) - 1) < _ODDS * (1 - best)
        return np.asarray(~(replaced | nothing) | ~self._learnt(np.asarray(labels)))

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        with replacing(path) as file:
            np.savez(file, **vars(self))

    def _held(self, labels: np.ndarray) -> np.ndarray:
        """bool (n, K): the classes that are in each label."""
        if labels.ndim == 1:
            return np.asarray(labels[:, None] == self.classes)
        return np.asarray(labels[:, self.classes] > 0)

    def _learnt(self, labels: np.ndarray) -> np.ndarray:
        """bool (n,): whether all that is in a label are classes that were learnt."""
        if labels.ndim == 1:
            return np.isin(labels, self.classes)
        return np.asarray((labels > 0).sum(axis=1) == self._held(labels).sum(axis=1))


def open_label_probe(path: Path) -> LabelProbe:
    """The label probe that was saved."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in ("weights", "bias", "classes", "rows", "fold")}
        return LabelProbe(**arrays, clean=float(file["clean"]), augmented=float(file["augmented"]))


def fit_label_probe(
    training: LabelledPictures,
    policy: Policy,
    features: Features,
    context: Context,
    *,
    seed: int,
    sample: int = SAMPLE,
    reporter: Reporter = Silent(),
) -> tuple[LabelProbe | None, str]:
    """A label probe for what a policy makes of training pictures, or None and why there is none.

    sample  most pictures that are learnt from
    """
    pictures, labels = training.pictures, training.labels
    fold = folds_of(labels, whole_groups(np.full(len(labels), -1), training.groups), seed)
    chosen = _learnable(labels, fold, sample, seed)
    classes = np.unique(labels[chosen])
    if len(classes) < 2:
        return None, f"{_UNCHECKED}: fewer than two classes have {_FEWEST} pictures to learn from"

    def versions(i: int) -> list[Pixels]:
        """A clean picture and some that the policy makes of it, unmixed."""
        images = [pictures[i]]
        for copy in range(_COPIES):
            # Pipelines take turns over copies and pictures, so that all are seen.
            record = policy.draw(generator(seed, i, f"copy {copy}"), 1 + i * _COPIES + copy, context)
            images.append(
                perform(pictures[i], [drawn for drawn in record if drawn["op"] not in KINDS], _refuse_partner)
            )
        return images

    with reporter.stage("learning labels", len(chosen), "images") as advance:
        vectors = _features_of(features, versions, chosen, advance)
    source, own = (np.repeat(values, 1 + _COPIES) for values in (chosen, np.searchsorted(classes, labels[chosen])))
    with small_algebra(len(vectors)):
        weights, bias = _probes(vectors, own, fold[source])
    probe = LabelProbe(weights, bias, classes, np.arange(len(labels)), fold, 0.0, 0.0)
    probabilities = probe.probabilities(vectors, source)
    right = (probabilities.argmax(axis=1) == own).reshape(-1, 1 + _COPIES)
    clean, augmented = float(right[:, 0].mean()), float(right[:, 1:].mean())
    if clean < max(_RIGHT, (1 + 1 / len(classes)) / 2):
        return None, f"{_UNCHECKED}: the label probe is right on only {clean:.0%} of clean pictures"
    factor = temperature(np.log(np.clip(probabilities, 1e-12, 1)), own)
    rows = training.rows_of(chosen)
    order = np.argsort(rows)
    return replace(
        probe, weights=weights * factor, bias=bias * factor, rows=rows[order], fold=fold[chosen][order],
        clean=clean, augmented=augmented,
    ), ""  # fmt: skip


def shows_label(
    probe: LabelProbe, features: Features, images: np.ndarray, labels: np.ndarray, rows: np.ndarray, open_row: OpenRow
) -> np.ndarray:
    """bool (n,): False where the label of an image is lost, although the clean picture that it is made of shows it.

    images  n pictures;  labels  soft (n, classes of the set);  rows  int64 (n,) of the set;  open_row  gives these
    """
    shown = probe.knows(features(images), labels, rows)
    lost = np.flatnonzero(~shown)
    if len(lost):
        shown[lost] = ~probe.knows(features([open_row(row) for row in rows[lost].tolist()]), labels[lost], rows[lost])
    return shown


def label_losses(
    training: LabelledPictures,
    probe: LabelProbe,
    policy: Policy,
    features: Features,
    units: Mapping[str, float],
    *,
    seed: int,
    sample: int = TRIED,
    reporter: Reporter = Silent(),
) -> pd.DataFrame:
    """What each operation of a policy does to labels when it is used alone and within its spans, the worst first.

    Columns: operation; tried, the images; augmented, the share of them whose label is no longer known; clean, that
    share of the same pictures before; lost, the difference, which the operation is to blame for.

    training  what the probe was fitted to;  sample  most pictures that are tried
    """
    import pandas as pd

    pictures, labels = training.pictures, training.labels
    among = Context(units, np.flatnonzero(np.isin(labels, probe.classes)))
    chosen = np.sort(np.random.default_rng([seed, len(labels)]).permutation(among.partners)[:sample])
    rows = training.rows_of(chosen)

    def unknown(step: Step | None, name: str = "") -> float:
        """The share whose label is not known after a step."""
        records: dict[int, Record] = {
            i: step.draw(generator(seed, i, name), among, ()) if step is not None else [] for i in chosen.tolist()
        }
        vectors = _features_of(features, lambda i: [perform(pictures[i], records[i], pictures.__getitem__)], chosen)
        soft = np.stack([_soft_label(i, record, labels) for i, record in records.items()])
        return 1 - float(probe.knows(vectors, soft, rows).mean())

    alone, rates = _alone(policy), []
    with reporter.stage("trying each operation", len(alone), "operations") as advance:
        clean = unknown(None)
        for name, step in alone.items():
            rates.append((name, len(chosen), unknown(step, name), clean))
            advance(len(rates))
    table = pd.DataFrame(rates, columns=["operation", "tried", "augmented", "clean"])
    table["lost"] = table["augmented"] - table["clean"]
    return table.sort_values("augmented", ascending=False, kind="stable", ignore_index=True)


def _soft_label(row: int, record: Record, labels: np.ndarray) -> np.ndarray:
    """float32 (classes,): how much of each class is in what a record makes of a row."""
    soft = np.zeros(int(labels.max()) + 1, np.float32)
    for source, share in shares(row, record).items():
        soft[labels[source]] += share
    return soft


def _alone(policy: Policy) -> dict[str, Step]:
    """Each operation of a policy, mixing and a person's functions among them, always and by itself."""
    steps: dict[str, Step] = {name: Use(OPERATIONS[name], spans) for name, spans in policy.operations().items()}
    for step in _flat(policy.steps()):
        if isinstance(step, Mix):
            steps[step.kind] = Mix(step.kind, step.alpha)
        elif isinstance(step, Call):
            steps[step.target] = Call(step.target, step.digest)
    return steps


def _flat(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, OneOf):
            yield from _flat(step.steps)
        else:
            yield step


def _learnable(labels: np.ndarray, fold: np.ndarray, sample: int, seed: int) -> np.ndarray:
    """int64, ascending: some `sample` pictures, as many of each class, of classes that every fold can be told of."""
    shuffled = np.random.default_rng([seed, len(labels)]).permutation(len(labels))
    classes = np.unique(labels[labels >= 0])
    quota = max(_FEWEST, sample // max(1, len(classes)))
    chosen = [shuffled[labels[shuffled] == label][:quota] for label in classes]
    enough = [rows for rows in chosen if len(rows) >= _FEWEST and len(np.unique(fold[rows])) > 1]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *enough]))


def _features_of(
    features: Features,
    make: Callable[[int], list[Pixels]],
    rows: np.ndarray,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """float32 (n * m, D): of the m pictures that are made for each of n rows."""

    def look(numbers: range) -> np.ndarray:
        return features([picture for i in numbers for picture in make(int(rows[i]))])

    pieces = list(chunks(len(rows), _AT_ONCE))  # walked by the threads and by who waits for them
    vectors = []
    for piece, looked in zip(pieces, threaded(look, pieces, features.workers), strict=True):
        vectors.append(looked)
        progress(piece.stop)
    return np.concatenate(vectors) if vectors else np.zeros((0, features.dimensions), np.float32)


def _probes(vectors: np.ndarray, own: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weights (F + 1, D, K), bias (F + 1, K)): a probe for each fold, learnt from the others, and their mean.

    vectors  float32 (n, D);  own  int64 (n,): columns from 0 to K - 1
    """
    centre, axes = principal_axes(vectors)
    columns = (vectors - centre) @ axes
    probes = []
    for i in range(int(fold.max()) + 1):
        model = discriminant(columns[fold != i], own[fold != i])
        weights, bias = model.coef_, model.intercept_
        if len(bias) == 1:  # of two classes scikit-learn tells the second from the first
            weights, bias = np.concatenate([0 * weights, weights]), np.array([0.0, bias[0]])
        weights = axes[:, : weights.shape[1]] @ weights.T
        probes.append((weights, bias - centre @ weights))
    probes.append(tuple(np.mean(values, axis=0) for values in zip(*probes, strict=True)))
    return tuple(np.array(values, np.float32) for values in zip(*probes, strict=True))  # type: ignore[return-value]  # of two


def _refuse_partner(row: int) -> Pixels:
    raise AssertionError(f"row {row} is mixed into nothing")
