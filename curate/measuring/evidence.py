"""What a set's pictures show once measured: the facts that every check judges by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..sets.imageset import ImageSet, Picture, Unreadable
from ..stage.engine import chunks, in_turn, threaded
from ..stage.shortness import short_repr
from .aligning import Fingerprints
from .belonging import Belonging
from .embedding import Embedder, normalised
from .grouping import Copies
from .hashing import canonical_digest, digest, turnless
from .neighbours import Neighbours
from .probe import Probe
from .properties import PROPERTIES, properties, square

CHUNK = 64  # rows that one thread takes at a time
HELD = 64 << 20  # bytes of pictures that one thread holds before it measures them


@dataclass(frozen=True, eq=False)
class Measured:
    """N rows as the one pass over the pictures leaves them.

    properties   name -> float32 (N,), NaN where unreadable
    digests      str (N,), "" where unreadable
    canonical    str (N,): digests that are the same for a picture in all its eight orientations
    unreadable   row -> reason
    frames       row -> pictures in its file, where that is more than the first, which is read
    embeddings   float16 (N, D), L2-normalised, zero where unreadable
    """

    properties: dict[str, np.ndarray]
    digests: np.ndarray
    canonical: np.ndarray
    prints: Fingerprints
    embeddings: np.ndarray
    unreadable: dict[int, str]
    file_types: np.ndarray
    frames: Mapping[int, int] = field(default_factory=dict)

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of a set of N rows before anything is judged. It is made whole (see curate.gathering).

    features    float32 (N, d), principal axes of the embedding
    neighbours  among the representatives: readable rows, of copies the best one
    position    int64 (N,): where each row, or the one that stands for it, is among these; -1 unreadable
    variants    copies whose pixels are not those of the representative of their picture, of equal ones the first;
                their neighbours are representatives, that of their own picture left out
    shown       int64 (N,): where each row's own pixels are among the representatives and, after these, the variants;
                -1 unreadable
    fold        int64 (N,): held-out folds that keep copies and given groups whole; -1 unlabelled
    foreign     bool (N,): rows of outlier groups so certain that nothing else is asked of them
    probe       what labels the embedding speaks for; None where there is nothing to learn from
    belonging   how the rows fit their classes; None where there are no two to tell by
    thresholds  check -> score from which it speaks, for every check
    """

    images: ImageSet
    measured: Measured
    copies: Copies
    features: np.ndarray
    neighbours: Neighbours
    position: np.ndarray
    variants: Neighbours
    shown: np.ndarray
    fold: np.ndarray
    foreign: np.ndarray
    probe: Probe | None
    belonging: Belonging | None
    seed: int
    thresholds: Mapping[str, float]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.images)

    @property
    def representatives(self) -> np.ndarray:
        return self.neighbours.rows

    @property
    def native(self) -> np.ndarray:
        """bool (M,): representatives that are not foreign: those that say what is usual here."""
        return np.asarray(~self.foreign[self.representatives])

    def nearest(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(positions among the representatives, distances), (M + V, k): the nearest others of each picture as it is
        shown, by the representatives and by the variants."""
        tables = self.neighbours, self.variants
        indices, distances = [t.indices[:, :k] for t in tables], [t.distances[:, :k] for t in tables]
        return np.concatenate(indices), np.concatenate(distances)

    def spread(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """Values of representatives and variants (M + V,), given to every row of the same pixels; `fill` where
        unreadable."""
        out = np.append(values, np.asarray(fill, values.dtype))
        return np.asarray(out[self.shown])  # -1 takes the last, which is the fill


@dataclass(frozen=True, eq=False)
class _Pass:
    """The one pass over the pictures: what it fills in, row by row; each thread writes rows of its own.

    values       float32 (N, P): the properties
    turnless     uint64 (N,): equal for all orientations of a picture, and for few others; 0 but of rows that are new
    measured_as  digest -> the row whose pixels were measured. Equal pixels are measured once; whichever thread comes
                 first, the result is the same to the bit
    """

    images: ImageSet
    embedder: Embedder
    values: np.ndarray
    digests: np.ndarray
    turnless: np.ndarray
    file_types: np.ndarray
    prints: Fingerprints
    embeddings: np.ndarray
    measured_as: dict[str, int]
    frames: dict[int, int]

    __repr__ = short_repr

    @classmethod
    def over(cls, images: ImageSet, embedder: Embedder) -> _Pass:
        """A pass that has not begun."""
        n = len(images)
        return cls(
            images,
            embedder,
            values=np.full((n, len(PROPERTIES)), np.nan, np.float32),
            digests=np.full(n, "", dtype="<U32"),
            turnless=np.zeros(n, np.uint64),
            file_types=np.full(n, "", dtype="<U8"),
            prints=Fingerprints.empty(n),
            embeddings=np.zeros((n, embedder.dimensions), np.float16),
            measured_as={},
            frames={},
        )

    def look(self, rows: range) -> tuple[list[int], list[np.ndarray], dict[int, str]]:
        """Measure some rows: (rows of new pixels, their views for the embedder, unreadable row -> reason)."""
        new: list[int] = []
        views: list[np.ndarray] = []
        held: list[np.ndarray] = []
        failed: dict[int, str] = {}
        for row in rows:
            with in_turn():
                try:
                    picture = self.images.images[row]
                except Unreadable as error:
                    failed[row] = str(error)
                    continue
                self.digests[row] = name = digest(picture.raw)
                self.file_types[row] = picture.file_type
                if picture.frames > 1:
                    self.frames[row] = picture.frames
                if self.measured_as.setdefault(name, row) == row:
                    new.append(row)
                    held.append(picture.pixels)
                    self.turnless[row] = turnless(_rows_first(picture))
                del picture
                if sum(pixels.nbytes for pixels in held) > HELD:
                    views += self._measured(new[len(views) :], held)
                    held = []
        return new, views + self._measured(new[len(views) :], held), failed

    def _measured(self, rows: list[int], pictures: list[np.ndarray]) -> list[np.ndarray]:
        """The views for the embedder of some pictures, whose measures are taken down."""
        self.values[rows] = properties(pictures)
        self.prints.take(rows, pictures)
        return [] if self.embedder.vectors is not None else [square(x, self.embedder.size) for x in pictures]

    def embed(self, batch: tuple[list[int], list[np.ndarray]]) -> None:
        """Embed some rows by their views."""
        rows, views = batch
        if not rows:
            return
        own = self.embedder.vectors
        vectors = self.embedder.embed(np.stack(views)) if own is None else np.asarray(own[rows], np.float64)
        self.embeddings[rows] = normalised(vectors)

    def canonical(self, workers: int) -> np.ndarray:
        """str (N,): the digests, of pictures that may be others turned the least in any orientation.

        Eight digests of a picture take as long as all else that is measured of it, so that only those are read again
        that share what no turn changes.
        """
        new = np.array(sorted(self.measured_as.values()), np.int64)
        _, kind, count = np.unique(self.turnless[new], return_inverse=True, return_counts=True)
        rows = new[count[kind] > 1].tolist()
        if not rows:
            return self.digests
        turned = dict(zip(self.digests[rows].tolist(), threaded(self._in_any_orientation, rows, workers), strict=True))
        return np.array([turned.get(name, name) for name in self.digests.tolist()], dtype="<U32")

    def _in_any_orientation(self, row: int) -> str:
        with in_turn():
            try:
                return canonical_digest(_rows_first(self.images.images[row]))
            except Unreadable:  # it was readable a moment ago
                return str(self.digests[row])

    def fill_copies(self) -> None:
        """Give rows of equal pixels what was measured of the first."""
        first = [(row, self.measured_as[name]) for row, name in enumerate(self.digests.tolist()) if name]
        copies = [(row, original) for row, original in first if row != original]
        prints = self.prints
        for table in (self.values, self.embeddings, prints.thumbnails, prints.spectra, prints.hashes):
            for row, original in copies:
                table[row] = table[original]


def measure(
    images: ImageSet, embedder: Embedder, workers: int, progress: Callable[[int], None] = lambda rows: None
) -> Measured:
    """Read every picture once: digest, fingerprint, properties and embedding. Unreadable ones are noted, not raised."""
    draft = _Pass.over(images, embedder)
    # Decoding files gains from threads; measuring arrays loses by them, for its many small steps hold the
    # interpreter's lock, which embedding beside it hardly does. At most twice as many pieces as workers wait to be
    # embedded, which bounds the memory of their views.
    lookers = workers if images.source.kind == "files" else 1
    unreadable: dict[int, str] = {}

    def looked() -> Iterator[tuple[list[int], list[np.ndarray]]]:
        for rows, views, failed in threaded(draft.look, chunks(len(images), CHUNK), lookers):
            unreadable.update(failed)
            yield rows, views

    for number, _ in enumerate(threaded(draft.embed, looked(), workers), 1):
        progress(min(number * CHUNK, len(images)))
    draft.fill_copies()
    canonical = draft.canonical(lookers)
    columns = {name: draft.values[:, i] for i, name in enumerate(PROPERTIES)}
    return Measured(
        columns, draft.digests, canonical, draft.prints, draft.embeddings, unreadable, draft.file_types, draft.frames
    )


def _rows_first(picture: Picture) -> np.ndarray:
    """The raw array of a picture as (H, W) or (H, W, C), wherever its channels are."""
    return picture.raw if picture.raw.shape[:2] == picture.pixels.shape[:2] else np.moveaxis(picture.raw, 0, -1)
