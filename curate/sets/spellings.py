"""Labels as people type them and programs write them: spaces, capitals, "nan", 1.0 for 1; mended, and told."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..stage.errors import DataError

# What is missing, as pandas, R, SQL, JSON and Excel write it. "none" and "na" in small letters are words of people.
MISSING = {"NaN", "nan", "NAN", "-nan", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "NULL", "Null", "null", "NaT"}
_WORDS = ("none", "na", "nan")
_INVISIBLE = "\ufeff\u200b\u2060"
_WHOLE = re.compile(r"([+-]?\d+)(?:[.,]0*)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},000")  # 1,000 is a thousand to most, and never merged with 1
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SEVERAL = re.compile(r"[^|;]+([|;][^|;]+)+|\[.*,.*\]|\d+(\s+\d+)+")
# Shorter names that differ in capitals alone may be two: the letters a and A, the genotypes Bb and BB.
_LETTERS = 3
_MEASURED = 20  # different fractions from which labels are measurements


def trimmed(text: str) -> str:
    """Without spaces around, seen or unseen."""
    return text.strip().strip(_INVISIBLE).strip()


def without_missing(cells: Iterable[str]) -> list[str]:
    """The cells, "" for each that says that something is missing."""
    return ["" if trimmed(cell) in MISSING else cell for cell in cells]


def mended_labels(cells: Sequence[str], table: str) -> tuple[list[str], list[str]]:
    """(labels of a column, "" for none; sentences on what was mended and what was not). Raises DataError.

    >>> mended_labels(["cat", "Cat ", "NA", "dog"], "t.csv")[0]
    ['cat', 'cat', '', 'dog']
    >>> mended_labels(["0.0", "1.0", "0"], "t.csv")[0]
    ['0', '1', '0']
    """
    notes: list[str] = []
    labels = [trimmed(cell) for cell in cells]
    spaced = sum(a != b for a, b in zip(cells, labels, strict=True) if b)
    if spaced:
        notes.append(f"spaces around labels of {table} were taken off: {spaced:,}")
    missing = Counter(label for label in labels if label in MISSING)
    if missing:
        notes.append(
            f"labels of {table} written {_counted(missing)} are read as no label: "
            "write a class that is really called so in another way"
        )
        labels = without_missing(labels)
    words = Counter(label for label in labels if label.lower() in _WORDS)  # those that are no label are "" by now
    if words:
        notes.append(f"{_counted(words)} of {table} is read as a class: leave a cell empty where there is no label")
    names = {label for label in labels if label}
    if names and all(map(_NUMBER.fullmatch, names)):
        return _numbers(labels, table, notes), notes
    several = next((label for label in sorted(names) if _SEVERAL.fullmatch(label)), None)
    if several is not None:
        notes.append(f"labels of {table} such as {several} seem to name several classes: each combination is one")
    return _one_spelling(labels, table, notes), notes


def _numbers(labels: list[str], table: str, notes: list[str]) -> list[str]:
    """Whole numbers without a point; "01" stays as it is, for it may be a name."""
    counts = Counter(label for label in labels if label)
    thousands = [label for label in counts if _THOUSANDS.fullmatch(label)]
    whole = {label: match[1] for label in counts if (match := _WHOLE.fullmatch(label))}
    whole |= {label: label for label in thousands}
    if thousands:
        notes.append(f"labels of {table} such as {thousands[0]} are kept as they are written: write 1000 or 1 instead")
    pointed = Counter({label: count for label, count in counts.items() if whole.get(label, label) != label})
    fractions = [label for label in counts if label not in whole]
    if fractions:
        if len(fractions) > max(_MEASURED, len(labels) // 2):
            raise DataError(
                f"the labels of {table} are numbers such as {fractions[0]}, {len(counts):,} different ones. "
                "Classes are needed, not measurements: name another column with --classes-from COLUMN."
            )
        notes.append(f"labels of {table} are numbers such as {fractions[0]}: each number is a class")
        return labels
    if pointed:
        several = pointed.total() > 1
        subject = f"{pointed.total():,} labels of {table} such as" if several else f"1 label of {table},"
        verb = "are read as whole numbers" if several else "is read as a whole number"
        notes.append(f"{subject} {next(iter(pointed))}{'' if several else ','} {verb}")
        labels = [whole.get(label, "") for label in labels]
    spellings = defaultdict(set)
    for label in whole.values():
        spellings[re.sub(r"^\+|(?<!\d)0+(?=\d)", "", label)].add(label)
    double = next((sorted(names) for names in spellings.values() if len(names) > 1), None)
    if double:
        notes.append(f"labels {' and '.join(double)} of {table} are kept as different classes: write them alike if not")
    unknown = labels.count("-1")
    if unknown:
        notes.append(f"labels of -1 in {table} are read as no label: {unknown:,}")
    return labels


def _one_spelling(labels: list[str], table: str, notes: list[str]) -> list[str]:
    """Names that differ in capitals, spaces or the encoding of accents alone, as the most frequent of them."""
    counts = Counter(label for label in labels if label)
    variants = defaultdict(list)
    for label in counts:
        variants[" ".join(unicodedata.normalize("NFC", label).casefold().split())].append(label)
    several = {key: names for key, names in variants.items() if len(names) > 1}
    merged = {key: names for key, names in several.items() if len(key) >= _LETTERS}
    spelling = {}
    sentences = []
    for names in merged.values():
        first = max(names, key=lambda name: counts[name])
        spelling.update(dict.fromkeys(names, first))
        sentences.append(f"{first} (with {_counted(Counter({name: counts[name] for name in names if name != first}))})")
    if sentences:
        notes.append(f"labels of {table} that differ in capitals or spaces alone are one class: {_some(sentences)}")
    apart = [" and ".join(names) for key, names in several.items() if key not in merged]
    if apart:
        notes.append(f"labels {_some(apart)} of {table} are kept as different classes: write them alike if not")
    return [spelling.get(label, label) for label in labels] if spelling else labels


def _counted(counts: Counter[str]) -> str:
    return _some([f"{name} {count:,} {'time' if count == 1 else 'times'}" for name, count in counts.most_common()])


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (" ..." if len(words) > 3 else "")
