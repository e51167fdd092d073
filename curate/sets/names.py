"""What names of folders look like: splits, ids of patients, parts of an archive, or words that may be classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from enum import StrEnum
from itertools import pairwise

from .classes import alias_of

# A folder so called holds images of all classes rather than those of one.
_PLAIN = frozenset(
    (
        "images", "image", "imgs", "img", "jpegimages", "jpeg", "jpegs", "jpg", "png", "pictures", "pics",
        "photos", "data", "files", "frames", "input", "inputs",
    )
)  # fmt: skip
# A folder so called beside one of those holds what was drawn onto the images.
_ANNOTATIONS = frozenset(
    (
        "annotations", "annotation", "annots", "masks", "mask", "labels", "label", "gt", "groundtruth", "ground_truth",
        "segmentation", "segmentations", "segmentationclass", "segmentationobject", "trimaps", "targets", "target",
    )
)  # fmt: skip
# Beside the name of a split they change nothing: train_images, training_set, val2017.
_NEUTRAL = _PLAIN | frozenset(
    (
        "set", "sets", "dataset", "split", "folder", "dir", "full", "all", "crops", "resized", "cls",
        "classification",
    )
)  # fmt: skip
_OTHER_SPLITS = frozenset(
    (
        "seen", "unseen", "holdout", "heldout", "eval", "evaluation", "public", "private", "gallery", "query", "probe",
        "support", "trainval", "labeled", "labelled", "unlabeled", "unlabelled", "ood", "indomain", "outofdomain",
        "minival", "extra", "pred", "predict", "prediction",
    )
)  # fmt: skip
_PEOPLE = frozenset(
    (
        "patient", "patients", "pat", "subject", "subj", "donor", "participant", "volunteer", "case", "slide", "wsi",
        "specimen", "individual", "person",
    )
)  # fmt: skip
_PARTS = frozenset(
    (
        "part", "parts", "batch", "chunk", "shard", "volume", "vol", "disc", "zip", "tar", "archive",
        "bucket", "dir", "folder",
    )
)  # fmt: skip
# Other makes of the same pictures.
_MAKES = frozenset(
    (
        "original", "originals", "resized", "augmented", "raw", "processed", "preprocessed", "cropped", "enhanced",
        "normalized", "color", "colour", "grayscale", "gray", "grey", "segmented", "rgb",
    )
)  # fmt: skip
_CLASSES = frozenset(
    (
        "class", "cls", "label", "category", "type", "grade", "stage", "level", "score", "degree", "kl",
        "birads",
    )
)  # fmt: skip
_OPPOSITES = frozenset(
    (
        "positive", "negative", "pos", "neg", "normal", "abnormal", "benign", "malignant", "healthy", "diseased",
        "yes", "no", "good", "bad", "true", "false", "real", "fake", "cancer", "tumor", "tumour",
    )
)  # fmt: skip
# Ways of looking at one thing, and places where it is: within classes, and no classes themselves.
_VIEWS = frozenset(
    (
        "left", "right", "front", "back", "rear", "side", "top", "bottom", "upper", "lower", "inside", "outside",
        "indoor", "indoors", "outdoor", "outdoors", "day", "night", "before", "after", "near", "far", "close",
        "closeup", "high", "low", "hr", "lr", "full", "part", "clean", "noisy", "edited", "frontal", "lateral",
        "profile", "ap", "pa", "cc", "mlo", "axial", "coronal", "sagittal", "flash",
    )
)  # fmt: skip
_FOLD = re.compile(r"(fold|cv|split|subset|partition)[ _-]*\d+", re.I)
_DATE = re.compile(r"\d{4}[-_.]?\d{2}([-_.]?\d{2})?")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_MOST = 0.8  # of the names of a level, lest a stray folder changes what it is


class Kind(StrEnum):
    """What the names of one level of folders look like."""

    PEOPLE = "people"
    PARTS = "parts"
    CLASSES = "classes"
    IDS = "ids"
    WORDS = "words"


def words_of(name: str) -> list[str]:
    """The words and numbers of a name, in small letters.

    >>> words_of("HAM_images_part-1"), words_of("trainImages2017")
    (['ham', 'images', 'part', '1'], ['train', 'images', '2017'])
    """
    return _WORDS.findall(re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", "_", name).lower())


def splits_of(names: Collection[str]) -> dict[str, str]:
    """name -> the split that it is surely of, else "", of the folders of one level; what all share says nothing.

    >>> splits_of(["seg_train", "seg_test"]), splits_of(["val2017", "train_station"])
    ({'seg_train': 'train', 'seg_test': 'test'}, {'val2017': 'val', 'train_station': ''})
    """
    shared = _shared_words(names)
    splits_by_name = {}
    for name in names:
        words = [word for word in words_of(name) if word not in shared]
        splits = {alias_of(word) for word in words} - {""}
        rest = [word for word in words if not alias_of(word) and word not in _NEUTRAL and not word.isdecimal()]
        splits_by_name[name] = splits.pop() if len(splits) == 1 and not rest else ""
    return splits_by_name


def named_splits(names: Collection[str]) -> dict[str, str]:
    """name -> the split that it is of, else "", of the folders of a level that are splits.

    One that has the word of a split in its name is that split, where no other is and another split is there, too.

    >>> named_splits(["TRAIN_A", "site_b", "TEST_SIMPLE"]), named_splits(["train_station", "bus_stop"])
    ({'TRAIN_A': 'train', 'site_b': '', 'TEST_SIMPLE': 'test'}, {'train_station': '', 'bus_stop': ''})
    """
    sure = splits_of(names)
    words = {name: {alias_of(word) for word in words_of(name)} - {""} for name in names}
    likely = {name: split or (next(iter(words[name])) if len(words[name]) == 1 else "") for name, split in sure.items()}
    count = Counter(likely.values())
    if len(count.keys() - {""}) < 2:
        return sure
    return {name: split if sure[name] or count[split] == 1 else "" for name, split in likely.items()}


def may_be_splits(names: Collection[str]) -> bool:
    """Whether all of these may be splits where one of them is: "TEST_SIMPLE", "unseen", "fold3"."""
    shared = _shared_words(names)

    def may_be(name: str) -> bool:
        words = [word for word in words_of(name) if word not in shared]
        return "".join(words) in _OTHER_SPLITS or any(map(alias_of, words)) or is_fold(name)

    return all(map(may_be, names))


def _shared_words(names: Collection[str]) -> set[str]:
    """Words that all of several names have, but for those of splits."""
    words = [set(words_of(name)) for name in names]
    return {word for word in set.intersection(*words) if not alias_of(word)} if len(words) > 1 else set()


def is_fold(name: str) -> bool:
    """Whether a folder is a numbered part of a cross-validation."""
    return bool(_FOLD.fullmatch(name))


def is_plain(name: str) -> bool:
    """Whether a folder so called says nothing of the images in it."""
    return name.lower() in _PLAIN


def are_views(names: Collection[str]) -> bool:
    """Whether folders so called hold views or makes of what their folder is of: left and right, raw and edited."""
    return all(words_of(name) and set(words_of(name)) <= _VIEWS | _MAKES for name in names)


def holds_annotations(name: str) -> bool:
    """Whether a folder so called, beside one of images, holds masks and the like."""
    return name.lower() in _ANNOTATIONS


def kind_of(names: Collection[str]) -> Kind:
    """What the names of one level of folders look like.

    >>> [kind_of(names).value for names in (["p1", "p22"], ["patient_1"], ["part_1", "part_2"], ["cat", "dog"])]
    ['ids', 'people', 'parts', 'words']
    """
    bare = {name: [word for word in words_of(name) if not word.isdecimal()] for name in names}
    numbered = [name for name in names if any(word.isdecimal() for word in words_of(name))]
    alike = len({tuple(bare[name]) for name in numbered}) == 1 and _mostly(len(numbered), names)
    stem = set(bare[numbered[0]]) if alike else set()
    if _mostly(sum(map(_is_person, names)), names):
        return Kind.PEOPLE
    makes = len(names) > 1 and all(set(words) <= _MAKES for words in bare.values() if words) and any(bare.values())
    if stem & _PARTS or makes:
        return Kind.PARTS
    if stem & _CLASSES or all(len(words) == 1 and words[0] in _OPPOSITES for words in bare.values()):
        return Kind.CLASSES
    if alike or _mostly(sum(map(_is_id, names)), names):
        return Kind.IDS
    return Kind.WORDS


def are_counted(names: Collection[str]) -> bool:
    """Whether names are the whole numbers from 0 or 1, as classes are numbered."""
    numbers = sorted(int(name) for name in names) if all(name.isdecimal() for name in names) else []
    return len(numbers) > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1


def _mostly(count: int, names: Collection[str]) -> bool:
    return count >= _MOST * len(names) and count > 0


def _is_person(name: str) -> bool:
    """One of several people or their like, by number or letter: patient_1_left, "Case B", but not person_walking."""
    words = words_of(name)
    if any(word in _PEOPLE and after.isdecimal() for word, after in pairwise(words)):
        return True
    rest = [word for word in words if word not in _PEOPLE]
    return 0 < len(rest) < len(words) and all(word.isdecimal() or len(word) == 1 for word in rest)


def _is_id(name: str) -> bool:
    """A number, a date, a hexadecimal digest, or a name with three digits or more."""
    digits = sum(character.isdecimal() for character in name)
    return bool(
        name.isdecimal()
        or _DATE.fullmatch(name)
        or (digits and len(name) >= 6 and re.fullmatch(r"[0-9a-fA-F-]+", name))
        or digits >= 3
    )
