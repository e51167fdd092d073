"""Batches for Keras' fit: each image at each epoch anew flipped, batches mixed, and an image beside its copies.

Imports keras, so import it inside the functions that use it.
"""

from __future__ import annotations

import cv2
import keras
import numpy as np

from curate.sets.imageset import UNLABELLED
from curate.stage.errors import DataError

from .configs import FitConfig
from .sets import LabelledSet

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]

# What is drawn, so that equal seeds do not give equal draws: the order of an epoch, the images of a step.
_ORDER, _STEP = 1, 2
# What cv2.flip calls flipping the rows (bit 1), the columns (bit 0) or both.
_FLIPS = {1: 1, 2: 0, 3: -1}


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """The batches of one epoch: (images uint8 (n, H, W, 3), targets float32 (n, K), weights float32 (n,)).

    train    what is fitted on;  rows  those of it that are, all for None
    weights  float (K,): what an image of each class counts; see `class_weights`

    A batch depends on the seed, the epoch (see `begin`) and its number, and on nothing else. An epoch has each row
    once, in an order of its own; the last batch is filled up from its beginning, so that all are of one size and
    nothing is compiled twice. With `jsd` an epoch has each source once, and a batch stacks n/3 sources, a copy of each,
    and another copy of each, all three turned alike.

    Call fit with shuffle=False, which otherwise shuffles the batches by Python's own generator. One thread makes them,
    far faster than they are used: more workers, and Keras brings them in another order on JAX and PyTorch.
    Raises DataError where nothing is left to fit on, or `jsd` finds no two copies of an image.
    """

    def __init__(
        self,
        train: LabelledSet,
        config: FitConfig,
        weights: np.ndarray,
        seed: int,
        rows: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.train, self.config, self.weights, self.seed = train, config, weights, seed
        self._rows = np.arange(len(train)) if rows is None else np.asarray(rows, np.int64)
        if not len(self._rows):
            raise DataError(f"no image of {train.name} is left to fit on.")
        self._copies = _Copies(train, self._rows) if config.jsd else None
        if self._copies is not None:
            self._rows = self._copies.sources
        self._per_step = min(max(1, config.batch // 3) if config.jsd else config.batch, len(self._rows))
        self.begin(0, 0)

    def __len__(self) -> int:
        return -(-len(self._rows) // self._per_step)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, _STEP, self.stage, self.epoch, step])
        rows = self._order[step]
        elements = self._elements(len(rows), rng)
        if self._copies is not None:
            rows, elements = self._copies.beside(rows, rng), np.tile(elements, 3)
        targets = self.train.targets(rows)
        weights = (targets @ self.weights).astype(np.float32)
        return self._mixed((turned(self.train.batch(rows), elements), targets, weights), rng)

    def begin(self, stage: int, epoch: int) -> None:
        """Go to an epoch; the batches of every other are different."""
        self.stage, self.epoch = stage, epoch
        order = np.random.default_rng([self.seed, _ORDER, stage, epoch]).permutation(self._rows)
        # Whole steps: the last one is filled up from the beginning.
        self._order = np.resize(order, (len(self), self._per_step))

    def _elements(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """int64 (n,): in which of eight orientations each image is shown; see `turned`."""
        height, width = self.train.size
        orientations = {"none": 1, "flip": 2, "dihedral": 8 if height == width else 4}[self.config.flips]
        return rng.integers(orientations, size=n)

    def _mixed(self, batch: Batch, rng: np.random.Generator) -> Batch:
        config = self.config
        mixers = [(way, alpha) for way, alpha in ((mix_up, config.mixup), (cut_mix, config.cutmix)) if alpha]
        if not mixers or rng.random() >= config.mix:
            return batch
        mixer, alpha = mixers[rng.integers(len(mixers))]
        return mixer(batch, alpha, rng)


class _Copies:
    """Which rows are copies of which source, for AugMix' consistency loss.

    sources  int64: rows of the sources, ascending
    """

    def __init__(self, train: LabelledSet, rows: np.ndarray) -> None:
        if train.soft is not None:
            raise DataError(
                "jsd compares an image with its copies, and those of this build were mixed with other images. Build "
                "with a policy without mixup and cutmix, or leave out --jsd."
            )
        _, number = np.unique(train.sources[rows], return_inverse=True)
        copied = train.copies[rows] > 0
        counts = np.bincount(number[copied], minlength=number.max(initial=-1) + 1)
        self.sources, numbers = rows[~copied], number[~copied]
        incomplete = self.sources[counts[numbers] < 2]
        if len(incomplete) or not len(numbers):
            example = f", such as {train.sources[incomplete[0]]}" if len(incomplete) else ""
            raise DataError(
                f"jsd needs two copies of each image; {len(incomplete):,} of {len(numbers):,} have fewer{example}. "
                "Build with more (`augment build --copies 2 --balance none`), or leave out --jsd."
            )
        # Rows of the copies, those of one source side by side; and by row of a source, where they begin and how many.
        self._rows = rows[copied][np.argsort(number[copied], kind="stable")]
        self._starts, self._counts = np.zeros((2, len(train)), np.int64)
        self._starts[self.sources], self._counts[self.sources] = (np.cumsum(counts) - counts)[numbers], counts[numbers]

    def beside(self, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int64 (3n,): n rows of sources, a copy of each, and another copy of each."""
        starts, counts = self._starts[sources], self._counts[sources]
        first = rng.integers(counts)
        second = (first + rng.integers(1, counts)) % counts
        return np.concatenate([sources, self._rows[starts + first], self._rows[starts + second]])


def folds(train: LabelledSet, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit on, rows to measure on) of each of `count` folds, int64, ascending.

    Groups stay whole, with all copies of their images, and classes are spread evenly. What is measured on are sources
    only: each is in just one fold. Raises DataError where a class has fewer groups than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    sources = np.flatnonzero((train.copies == 0) & (train.labels != UNLABELLED))
    labels, groups = train.labels[sources], train.groups[sources]
    for code, name in enumerate(train.classes):
        size = len(np.unique(groups[labels == code]))
        if size < count:
            raise DataError(
                f"class {name} has {size} groups of images in {train.name}; {count} folds need {count} of each class. "
                "Ask for fewer --folds."
            )
    splits = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(sources, labels, groups)
    parts = [sources[index] for _, index in splits]
    return [(np.flatnonzero(~np.isin(train.groups, train.groups[rows])), rows) for rows in parts]


def class_weights(name: str, train: LabelledSet, plan: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """float64 (K,): what an image of each class counts, for one of CLASS_WEIGHTS.

    none is 1; balanced N/(K C_j), which is 1 on average; counts N/C_j; plan as given. N images are fitted on (those of
    `rows`, all for None), C_j of them of class j, soft labels by their shares. A class without any counts 0.
    """
    if name == "none":
        return np.ones(len(train.classes))
    if name == "plan":
        return np.asarray(plan, np.float64)
    counts = train.targets(np.arange(len(train)) if rows is None else rows).sum(axis=0, dtype=np.float64)
    of_all = np.divide(counts.sum(), counts, out=np.zeros(len(counts)), where=counts > 0)
    return np.asarray(of_all / len(counts) if name == "balanced" else of_all)


def turned(images: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """uint8 (n, H, W, 3): each image in one of eight orientations; a copy.

    Bit 2 of an element transposes, then bit 1 flips the rows and bit 0 the columns, as in `hashing.turned`.
    OpenCV turns ten times as many images a second as numpy copies transposed views.
    """
    out = np.empty_like(images)
    for image, element, to in zip(images, elements.tolist(), out, strict=True):
        upright = cv2.transpose(image) if element & 4 else image
        if element & 3:
            cv2.flip(upright, _FLIPS[element & 3], dst=to)
        else:
            to[:] = upright
    return out


def mix_up(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """The batch with another image of it laid over each: share, label and weight by one draw of Beta(alpha, alpha).

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018. Rounded to whole grey levels.
    """
    images, targets, weights = batch
    kept, partner = rng.beta(alpha, alpha), rng.permutation(len(images))
    mixed = np.empty_like(images)
    for image, source, to in zip(images, partner.tolist(), mixed, strict=True):
        cv2.addWeighted(image, kept, images[source], 1 - kept, 0, dst=to)
    return mixed, _mixed_pair(targets, partner, kept), _mixed_pair(weights, partner, kept)


def cut_mix(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """The batch with a window of another image of it in each: one window, of a share drawn from Beta(alpha, alpha).

    Labels and weights follow the area that is left of the image. Source: Yun et al., CutMix, 2019.
    """
    images, targets, weights = batch
    _, height, width, _ = images.shape
    side, partner = np.sqrt(1 - rng.beta(alpha, alpha)), rng.permutation(len(images))
    (top, bottom), (left, right) = (_window(length, side, rng) for length in (height, width))
    mixed = images.copy()
    for source, to in zip(partner.tolist(), mixed, strict=True):
        to[top:bottom, left:right] = images[source, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, _mixed_pair(targets, partner, kept), _mixed_pair(weights, partner, kept)


def _window(length: int, side: float, rng: np.random.Generator) -> tuple[int, int]:
    """(start, end) of a window of that share of a length, about a place drawn from all of it; what is inside of it."""
    half, centre = int(length * side) // 2, int(rng.integers(length))
    return max(0, centre - half), min(length, centre + half)


def _mixed_pair(values: np.ndarray, partner: np.ndarray, kept: float) -> np.ndarray:
    return np.asarray((kept * values + (1 - kept) * values[partner]).astype(np.float32))
