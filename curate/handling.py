"""A scan at hand in Python: it shows itself in a notebook, is decided on, and is applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from . import scans
from .cleaning import Applied, apply
from .configs import ApplyConfig
from .deciding import Decisions, record
from .decisions import NOT_COPIES, RELABEL, Proposal
from .findings import CATALOGUE, DROP, KEEP
from .notebooks.fragments import View
from .scans import Scanned, content_digest, following, open_scan
from .stage.errors import DataError, UnknownName

if TYPE_CHECKING:
    from .reporting.notebooks import Gallery

_MOST = 12  # findings of a view


class Scan(scans.Scan):
    """What a scan found, at hand.

    In a notebook it shows itself. `show` and `finding` show more of it; `decide` writes down what a person says of its
    images, and `apply` writes the clean set by that, where the scan was written.
    """

    @cached_property
    def _gallery(self) -> Gallery:
        from .reporting.notebooks import Gallery

        return Gallery(self)

    def _repr_html_(self) -> str:
        return self.show().html

    def show(self, check: str | None = None, *, rows: Iterable[int] | None = None, most: int = _MOST) -> View:
        """Something to look at, which a notebook shows: the whole scan, findings of a check, or images by their rows.

        check  a name such as "label_error": the likeliest and gravest first;  rows  of the set, from 0
        most   findings that are shown; a view has no more than a cell can hold

        Raises UnknownName for another check, DataError where a row is not in the set.
        """
        from .reporting.notebooks import findings_view, rows_view, scan_view

        if rows is not None:
            return rows_view(self._gallery, self._checked_rows(rows), most)
        if check is None:
            command = "" if self.folder is None else following(self, self.folder.parent)
            return scan_view(self._gallery, command or "")
        if check not in CATALOGUE:
            raise UnknownName.among("check", check, CATALOGUE)
        return findings_view(self._gallery, check, most)

    def finding(self, number: int) -> View:
        """A finding by its place in `findings`, from 0, with its picture and those that it is to be compared with.

        Raises DataError where there is none.
        """
        from .reporting.notebooks import finding_view

        if not 0 <= number < len(self.findings):
            raise DataError(f"there is no finding {number}: `findings` has {len(self.findings):,}, counted from 0.")
        return finding_view(self._gallery, number)

    def _checked_rows(self, rows: Iterable[int]) -> list[int]:
        checked = [int(row) for row in rows]
        strange = [row for row in checked if not 0 <= row < len(self.table)]
        if strange:
            raise DataError(f"there is no row {strange[0]}: the set has {len(self.table):,}, counted from 0.")
        return checked

    def decide(
        self,
        decisions: Mapping[str, str] | None = None,
        *,
        keep: Iterable[str] = (),
        drop: Iterable[str] = (),
        relabel: Mapping[str, str] | None = None,
        not_copies: Iterable[Iterable[str]] = (),
        why: str = "",
    ) -> Decisions:
        """Write down what a person says of images, for `apply` and every later scan to follow.

        decisions   id -> "keep", "drop" or "review"
        keep, drop  ids;  relabel  id -> class;  not_copies  groups of ids that are no copies of each other
        why         in the person's words

        All of it is written or nothing is. Raises DataError where the scan was not written, where another one took its
        place, or an id is not in it; UnknownName for another action or class.
        """
        proposals = [Proposal(action, name) for name, action in (decisions or {}).items()]
        proposals += [Proposal(KEEP, name) for name in _ids(keep)]
        proposals += [Proposal(DROP, name) for name in _ids(drop)]
        proposals += [Proposal(RELABEL, str(name), label=str(label)) for name, label in (relabel or {}).items()]
        proposals += [Proposal(NOT_COPIES, ids=tuple(_ids(group))) for group in not_copies]
        scan = self._on_disk()
        if not proposals:
            raise DataError("nothing was decided: give ids, such as decide(drop=[...]).")
        return record(scan, [replace(proposal, why=why) for proposal in proposals])

    def apply(self, config: ApplyConfig = ApplyConfig()) -> Applied:
        """Write the clean set anew, the decisions over the verdicts (see curate.apply).

        Raises DataError where the scan was not written, or another one took its place.
        """
        return apply(self._on_disk().folder.parent, config)

    def _on_disk(self) -> Scanned:
        """What was written of it. Raises DataError where nothing was, or where another scan lies there by now."""
        if self.folder is None:
            raise DataError(
                "this scan was not written, so that nothing can be decided on it: scan with a folder for its files, "
                'such as ScanConfig(artifacts="artifacts").'
            )
        written = open_scan(self.folder)
        if written.manifest.input_digest != content_digest(self.table):
            raise DataError(
                f"{self.folder} holds a scan of another set by now. Scan again, and decide on what that finds."
            )
        return written


def _ids(names: Iterable[str]) -> list[str]:
    """Ids, of which a single one may be given as it is."""
    return [names] if isinstance(names, str) else [str(name) for name in names]
