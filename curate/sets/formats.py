"""The formats that a set is exported in, and how an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..stage.options import Option, artifacts_option, check, labels_option, metadata, option

FORMATS = ("folder", "webdataset", "tfrecord", "parquet", "huggingface", "npz")


@dataclass(frozen=True)
class ExportConfig:
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
    force: bool = option(False, "Replace what an earlier export wrote there.", switch=True)
    artifacts: str = artifacts_option()

    def __post_init__(self) -> None:
        check(self)
