"""The formats that a set is exported in, and how an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..stage.options import (
    Option,
    artifacts_option,
    check,
    check_range,
    classes_from_option,
    groups_from_option,
    labels_option,
    max_pixels_option,
    metadata,
    option,
    splits_from_option,
    value_range_option,
)
from .asking import AskedReading

FORMATS = ("folder", "webdataset", "tfrecord", "parquet", "huggingface", "npz")


@dataclass(frozen=True)
class ExportConfig(AskedReading):
    """How to export: the options of `curate export`.

    Without `out` it goes to export/<name of the set>-<to> in the artifacts, or export/<name of the set>.npz.
    """

    to: str = field(
        metadata=metadata(Option(f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.", among=FORMATS, noun="export format"))
    )
    out: str | None = option(
        None, "Folder to write, file of an npz; by default in export/ in the artifacts.", path=True
    )
    labels: str | None = labels_option()
    classes_from: str | None = classes_from_option()
    splits_from: str | None = splits_from_option()
    groups_from: str | None = groups_from_option()
    value_range: tuple[float, ...] | None = value_range_option()
    max_pixels: int | None = max_pixels_option()
    force: bool = option(False, "Replace what an earlier export wrote there.", switch=True)
    artifacts: str = artifacts_option()

    def __post_init__(self) -> None:
        check(self)
        check_range(self.value_range)
