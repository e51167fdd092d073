"""The formats that a set, or what a scan found in it, is exported in; and how an export is asked for."""

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

# Of sets, and of what a scan found in one.
FORMATS = ("folder", "webdataset", "tfrecord", "parquet", "huggingface", "npz")
TOOLS = ("fiftyone", "label-studio", "cvat", "embedding-atlas", "csv")


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True)
class ExportConfig(AskedReading):
    """How to export: the options of `curate export`.

    Without `out` it goes to export/<name of the set>-<to> in the artifacts, or export/<name of the set>.npz; what a
    scan found goes to export/findings-<to> beside it, or export/findings.csv.
    """

    to: str = field(
        metadata=metadata(
            Option(
                f"{_listed(FORMATS)} of a set; {_listed(TOOLS)} of a scan.",
                among=(*FORMATS, *TOOLS),
                noun="export format",
            )
        )
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
    all_images: bool = option(
        False,
        "Of a scan, images without a finding too; fiftyone and embedding-atlas get them in any case.",
        switch=True,
    )
    force: bool = option(False, "Replace what an earlier export wrote there.", switch=True)
    artifacts: str = artifacts_option()

    def __post_init__(self) -> None:
        check(self)
        check_range(self.value_range)
