"""export(source, config) -> Exported: a set, or what a scan found in one, in the form that another tool reads."""

from __future__ import annotations

import json
from pathlib import Path

from ..cleaning import read_again
from ..configs import ApplyConfig
from ..reviews import likeliest_first
from ..scans import Scanned, open_scan
from ..sets import exporting
from ..sets.changes import check_unchanged
from ..sets.exporting import Exported, check_output_path, exported
from ..sets.formats import FORMATS, ExportConfig
from ..sets.imageset import ImageSet
from ..sets.outputs import EXPORT as MARK
from ..stage.errors import DataError
from ..stage.files import drafting, write_text
from ..stage.lines import counted, json_text
from ..stage.manifest import FILE
from ..stage.progress import Reporter, Silent
from . import atlas, cvat, fiftyone, labelstudio, spreadsheet  # noqa: F401  # each adds its tool
from .cases import Case, Handover, cases_of
from .tools import TOOLS, Tool


def export(source: str | Path | ImageSet, config: ExportConfig, reporter: Reporter = Silent()) -> Exported:
    """Write a set of any stage, or what a scan found, in the form that another tool reads.

    source  of a set: an .npz, a folder, a list of files or a built set, or a set that is read already; of what was
            found: the artifacts of a scan, or its folder in them

    Raises DataError where the source is not of the kind that the format is for, or has changed since it was scanned;
    OutputError where the output is there already or cannot be written.
    """
    folder = None if isinstance(source, ImageSet) else scan_folder(Path(source))
    if config.to in FORMATS:
        if folder is not None and not isinstance(source, ImageSet):
            clean = next((path for path in folder.parent.glob("clean.*") if path.suffix in (".npz", ".csv")), None)
            raise DataError(
                f"{source} holds a scan, and --to {config.to} takes a set. "
                + (f"Give its clean set, {clean}." if clean else "Give the set that was scanned.")
            )
        return exporting.export(source, config, reporter)
    if folder is None:
        at = source.source.path if isinstance(source, ImageSet) else source
        raise DataError(
            f"{at} holds no scan, and --to {config.to} hands on what one found. Scan it (`curate scan {at}`), and give "
            f"the artifacts: `curate export artifacts --to {config.to}`."
        )
    return hand_over(folder, config, reporter)


def scan_folder(source: Path) -> Path | None:
    """The folder of the scan that artifacts hold, or that a path is; None where it is neither."""
    if (source / "scan" / FILE).is_file():
        return source / "scan"
    try:
        document = json.loads((source / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return source if isinstance(document, dict) and document.get("stage") == "scan" else None


def hand_over(folder: Path, config: ExportConfig, reporter: Reporter = Silent()) -> Exported:
    """Write what the scan in a folder found for one of TOOLS, whole or not at all; the set and the scan stay.

    Raises DataError, OutputError.
    """
    tool = TOOLS[config.to]
    scan = open_scan(folder)
    images, notes = read_again(scan, ApplyConfig(labels=config.labels))
    every = cases_of(scan)
    cases, remarks = _chosen(every, scan, tool, config)
    path = _place(folder.parent, tool, config)
    check_output_path(path, images, config, is_file=bool(tool.suffix))
    handover = Handover(folder.parent, scan, images, tuple(cases))
    with reporter.stage("handing on", len(cases), "images") as advance, drafting(path) as draft:
        loading = tool.write(handover, draft, advance)
        check_unchanged(images)
        if draft.is_dir():
            record = {"format": 1, "to": config.to, "scan": str(folder), "images": len(cases)}
            write_text(json_text(record) + "\n", draft / MARK)
    return exported(path, config.to, len(cases), loading, (*notes, *remarks))


def _place(artifacts: Path, tool: Tool, config: ExportConfig) -> Path:
    """Where it goes."""
    if config.out is not None:
        path = Path(config.out)
        lacking = tool.suffix and path.suffix.lower() != tool.suffix
        return path.with_name(f"{path.name}{tool.suffix}") if lacking else path
    name = "findings" if config.to == "csv" else f"findings-{config.to}"
    return artifacts / "export" / f"{name}{tool.suffix}"


def _chosen(every: list[Case], scan: Scanned, tool: Tool, config: ExportConfig) -> tuple[list[Case], list[str]]:
    """The images that a tool gets, and notes on those that it does not; a person's work begins with the likeliest.

    Raises DataError where there are none.
    """
    digests = scan.table["digest"].tolist()
    shown = [case for case in every if digests[case.row] or not tool.pictures]
    cases = shown if tool.whole or config.all_images else [case for case in shown if case.findings]
    if not tool.whole:
        place = {row: number for number, row in enumerate(likeliest_first(scan.findings)["row"].tolist())}
        cases.sort(key=lambda case: (place.get(case.row, len(place)), case.row))
    if not cases:
        raise DataError(
            f"nothing was found in any image of {scan.manifest.source}, so that there is nothing to hand on. "
            "--all-images hands on all of them."
        )
    notes = []
    if len(shown) < len(every):
        notes.append(f"left out, as they cannot be decoded: {counted(len(every) - len(shown), 'image')}")
    if len(cases) < len(shown):
        notes.append(f"{counted(len(shown) - len(cases), 'image')} without a finding are not in it (--all-images)")
    whole = int((scan.findings["row"] < 0).sum())
    if whole:
        notes.append(
            f"{counted(whole, 'finding')} on the set as a whole {'is' if whole == 1 else 'are'} in the report alone"
        )
    return cases, notes
