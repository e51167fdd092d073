"""Classes and splits as people write them, turned into indices: strings, integers, one-hot rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .imageset import UNLABELLED
from .spellings import MISSING, trimmed

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# Keys of an archive whose array holds the names of the classes.
CLASS_KEYS = ("class_names", "classes", "label_names", "names")
_SPLITS = {alias: split for split, aliases in SPLIT_NAMES.items() for alias in aliases}
_MOST_TEXTS = 20_000_000
_WHOLE = re.compile(r"[+-]?\d{1,1000}")  # Python makes no number of 5,000 digits


@dataclass(frozen=True, eq=False)
class Labels:
    """N labels as indices.

    codes    int64 (N,), an index into `classes`; -1 where there is no label
    classes  names of the classes
    notes    sentences on how they were written
    """

    codes: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


def split_name(text: str) -> str:
    """ "train", "val" or "test" for any of their spellings; other names as they are."""
    return _SPLITS.get(text.strip().lower(), text.strip())


def unnamed_splits(splits: Sequence[str]) -> list[str]:
    """A sentence where splits are mere numbers, of which none says what it is for.

    >>> unnamed_splits(["0", "1"])[0]
    'the splits are called 0, 1, and nothing says which is for training: name them train, val and test'
    """
    names = natural(name for name in splits if name)
    if not names or not all(map(_WHOLE.fullmatch, names)):
        return []
    shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
    return [f"the splits are called {shown}, and nothing says which is for training: name them train, val and test"]


def alias_of(text: str) -> str:
    """ "train", "val" or "test" where `text` is one of their spellings, else ""."""
    return _SPLITS.get(text.lower(), "")


def split_of_key(key: str) -> str:
    """The split that a key such as "train_images" or "x_test" belongs to, "" for none."""
    first, *rest = key.lower().split("_")
    return _SPLITS.get(first, _SPLITS.get(rest[-1], "")) if rest else ""


def natural(names: Iterable[str]) -> tuple[str, ...]:
    """The distinct names in order: by value where all are whole numbers, else alphabetically.

    >>> natural(["10", "9", "9"]), natural(["b", "10", "a"])
    (('9', '10'), ('10', 'a', 'b'))
    """
    distinct = set(names)
    if all(_WHOLE.fullmatch(name) for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def encode_names(names: Sequence[str], classes: Sequence[str] | None = None) -> Labels:
    """Labels written as names. "" is no label, nor is "-1" among whole numbers.

    `classes` gives the order of the classes and must hold every name; without it they are sorted.

    >>> encode_names(["cat", "", "ant"]).codes.tolist()
    [1, -1, 0]
    """
    if classes is None:
        distinct = natural(name for name in set(names) if name)
        classes = distinct[1:] if distinct[:1] == ("-1",) and all(map(_WHOLE.fullmatch, distinct)) else distinct
    index = {name: code for code, name in reversed(list(enumerate(classes)))}
    codes = np.fromiter((index.get(name, UNLABELLED) for name in names), np.int64, len(names))
    return Labels(codes, tuple(classes))


def joined_names(names: Sequence[str], at_most: int = 5) -> str:
    """ "a, b and c", of many the first.

    >>> joined_names(["a", "b", "c"]), joined_names(["a", "b", "c"], 1)
    ('a, b and c', 'a and 2 more')
    """
    if len(names) > at_most:
        return f"{', '.join(names[:at_most])} and {len(names) - at_most} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def as_strings(values: np.ndarray) -> list[str]:
    """The values of a (N,) array as text; whole floats without a point, "" for NaN.

    What UTF-8 cannot hold, halves of characters, becomes "\\ud800" and the like. Raises DataError of too many.
    """
    if values.size > _MOST_TEXTS:
        raise DataError(f"{values.size:,} texts are more than are read: {_MOST_TEXTS:,}. Leave that array out.")
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "backslashreplace") for value in values.tolist()]
    if values.dtype.kind == "f":
        return ["" if np.isnan(v) else str(int(v)) if v.is_integer() else str(v) for v in values.astype(float).tolist()]
    texts = [str(value) for value in values.tolist()]
    if values.dtype.kind != "U" or all(map(str.isascii, texts)):
        return texts
    return [text.encode("utf-8", "backslashreplace").decode() for text in texts]


def as_column(values: np.ndarray) -> np.ndarray:
    """(N, 1) and (N, 1, 1) as (N,); anything else as it is."""
    return values.reshape(len(values)) if values.ndim > 1 and values.shape[1:].count(1) == values.ndim - 1 else values


def encode_array(values: np.ndarray, names: np.ndarray | None, subject: str) -> Labels:
    """Labels kept in an array: (N,) or (N, 1) integers, strings, booleans or whole floats, or (N, K) one-hot.

    names    names of the classes, which integers index; without them the classes are the sorted values
    subject  "d.npz: labels", to begin an error with
    -1, NaN and "" are no label. Raises DataError.
    """
    values = as_column(values)
    class_names = as_strings(names.reshape(-1)) if names is not None else None
    if values.ndim == 2 and values.dtype.kind in "buif":
        return _encode_rows(values, class_names, subject)
    if values.ndim != 1:
        raise DataError(
            f"{subject} of shape {values.shape} are not understood. Give one label per image, or one-hot rows."
        )
    nan = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        values = _whole_numbers(values, subject)
    if values.dtype.kind in "US":
        return _encode_strings(as_strings(values), class_names, subject)
    if values.dtype.kind == "b":
        return _encode_integers(values.astype(np.int64), class_names or ["False", "True"], subject, nan)
    if values.dtype.kind not in "iu":
        raise DataError(
            f"{subject} of type {values.dtype} are not understood. Give integers or strings, one per image."
        )
    if class_names is not None and names is not None and names.dtype.kind in "iu":  # class values rather than names
        return _encode_strings(as_strings(values), class_names, subject)
    return _encode_integers(values, class_names, subject, nan)


def _whole_numbers(values: np.ndarray, subject: str) -> np.ndarray:
    """Whole floats as int64, NaN as -1."""
    missing = np.isnan(values)
    filled = np.where(missing, UNLABELLED, values)
    if not (np.isfinite(filled).all() and (filled == np.rint(filled)).all() and (np.abs(filled) < 2**53).all()):
        fractions = values[~missing & (values != np.rint(values))]
        example = f"such as {fractions[0]:g} " if len(fractions) else ""
        raise DataError(
            f"{subject} hold values {example}that are no whole numbers. Classes are needed, not measurements."
        )
    return filled.astype(np.int64)


def _encode_integers(values: np.ndarray, class_names: list[str] | None, subject: str, nan: np.ndarray) -> Labels:
    """Whole numbers, -1 where a label is missing;  nan  bool (N,), where it was written NaN."""
    missing = values == UNLABELLED
    counts = {"NaN": int(nan.sum()), "-1": int((missing & ~nan).sum())}
    if class_names is None and set(np.unique(values[~nan]).tolist()) == {-1, 1}:  # two classes, as for an SVM
        counts["-1"] = 0
        svm = np.where(nan, UNLABELLED, values > 0).astype(np.int64)
        return Labels(
            svm, ("-1", "1"), ("labels of -1 and 1 are read as two classes", *_missing_notes(counts, len(values)))
        )
    notes = _missing_notes(counts, len(values))
    present = np.unique(values[~missing])
    if class_names is None:
        codes = np.where(missing, UNLABELLED, np.searchsorted(present, values))
        return Labels(codes.astype(np.int64), tuple(map(str, present.tolist())), notes)
    if len(present) and (present[0] < 0 or present[-1] >= len(class_names)):
        raise DataError(
            f"{subject} run from {present[0]} to {present[-1]}, but {len(class_names)} class names are given, "
            f"for 0 to {len(class_names) - 1}. Count labels from 0, or name every class."
        )
    return Labels(values.astype(np.int64), tuple(class_names), notes)


def _missing_notes(counts: Mapping[str, int], total: int) -> tuple[str, ...]:
    """A sentence on each way in which labels are missing."""
    return tuple(f"labels of {word} are read as no label: {n:,} of {total:,}" for word, n in counts.items() if n)


def _encode_strings(values: list[str], class_names: list[str] | None, subject: str) -> Labels:
    named_so = set(class_names or ())
    words = Counter(value for value in values if trimmed(value) in MISSING and value not in named_so)
    values = ["" if value in words else value for value in values]
    encoded = encode_names(values)
    empty = int((encoded.codes < 0).sum()) - words.total()
    notes = _missing_notes(words, len(values))
    if empty:
        notes = (f"empty labels are read as no label: {empty:,} of {len(values):,}", *notes)
    if class_names is None:
        return Labels(encoded.codes, encoded.classes, notes)
    if set(encoded.classes) <= set(class_names):
        named = encode_names(values, class_names)
        return Labels(named.codes, named.classes, notes)
    if all(map(_WHOLE.fullmatch, encoded.classes)):
        indices = np.array([int(value) if value else UNLABELLED for value in values], dtype=np.int64)
        return _encode_integers(indices, class_names, subject, np.zeros(len(indices), bool))
    stranger = next(name for name in encoded.classes if name not in set(class_names))
    raise DataError(f"{subject} name {stranger!r}, which is none of the class names: {', '.join(class_names)}.")


def _encode_rows(values: np.ndarray, class_names: list[str] | None, subject: str) -> Labels:
    """(N, K) one-hot rows, or probabilities; a row of zeros or NaN is no label."""
    rows = np.nan_to_num(values.astype(np.float32))
    classes = tuple(class_names) if class_names is not None else tuple(map(str, range(rows.shape[1])))
    if len(classes) != rows.shape[1]:
        raise DataError(f"{subject} have {rows.shape[1]} columns, but {len(classes)} class names are given.")
    total = rows.sum(axis=1)
    if (rows < 0).any() or not (np.isclose(total, 1, atol=1e-2) | (total == 0)).all():
        raise DataError(
            f"{subject} of shape {values.shape} are neither one-hot nor probabilities that add up to 1. "
            "Give one class per image: Trustset does not read several labels of one image."
        )
    codes = np.where(total == 0, UNLABELLED, rows.argmax(axis=1)).astype(np.int64)
    hard = bool(((rows == 0) | (rows == 1)).all())
    notes = ["labels are one-hot" if hard else "labels are probabilities: the likeliest class is taken"]
    if missing := int((codes < 0).sum()):
        notes.append(f"rows of labels that are 0 throughout are read as no label: {missing:,} of {len(codes):,}")
    return Labels(codes, classes, tuple(notes))
