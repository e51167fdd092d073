"""review(artifacts) -> Review: the page of a scan, served on this machine and opened in its browser, to decide in."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

from ..configs import ReviewConfig
from ..likeness import Likeness
from ..scans import open_scan, read_embeddings
from ..stage.options import ARTIFACTS
from ..stage.progress import Reporter, Silent
from .answers import Answers, scan_state
from .claims import Claim
from .contents import contents_of, looks_of_scan
from .leftovers import Leftovers
from .packs import Packs
from .pictures import Later, pictures_of
from .serving import Server

_AT_REST = 2.0  # seconds after which a page has been drawn, and all pictures are compared


class Review:
    """A review that is under way, until it is closed; as a context it is closed at the end.

    address  of the page, with a token in it: whoever has it, on this machine, can decide
    notes    which earlier decisions were carried over, and which do not hold
    """

    def __init__(self, address: str, notes: tuple[str, ...], answers: Answers, closing: ExitStack) -> None:
        self.address, self.notes = address, notes
        self._answers, self._closing = answers, closing
        self._closed = Event()

    def __repr__(self) -> str:
        return f"<review at {self.address}>"

    def __enter__(self) -> Review:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def decided(self) -> Mapping[str, int]:
        """action -> how many decisions stand that were taken in this review."""
        return dict(self._answers.journal.session.counts())

    @property
    def taken_back(self) -> int:
        """How many earlier decisions were taken back in this review."""
        return self._answers.journal.session.taken_back

    def wait(self) -> None:
        """Come back when it is closed, or with KeyboardInterrupt."""
        while not self._closed.wait(1):  # without end, Windows would not hear Ctrl-C
            pass

    def close(self) -> None:
        """Answer no more. What was decided is written already."""
        self._closing.close()
        self._closed.set()


def review(
    artifacts: str | Path = ARTIFACTS, config: ReviewConfig = ReviewConfig(), reporter: Reporter = Silent()
) -> Review:
    """Serve the page of the scan in artifacts/scan to this machine's own browser, with all findings and originals.

    Decisions that are taken in it go to artifacts/decisions.jsonl at once; the clean set follows with `apply`. It is
    served from threads of this process, until the review is closed. Raises DataError where there is no finished scan,
    it is being reviewed already or decisions.jsonl is damaged, OutputError where the port is taken or nothing can be
    written.
    """
    folder = Path(artifacts) / "scan"
    state = scan_state(folder)
    with reporter.stage("opening", None, ""), ExitStack() as opened:
        scan = open_scan(folder)
        claim = Claim(Path(artifacts))
        opened.callback(claim.release)
        embeddings, looks = read_embeddings(scan), looks_of_scan(scan)
        contents = contents_of(scan, embeddings, looks)
        pictures, leftovers = pictures_of(scan), Leftovers(folder / "report.html")
        packs = Packs(pictures, scan.roster.digests, lambda row: leftovers.get(scan.roster.ids[row]))
        opened.callback(packs.close)
        likeness = Later(lambda: Likeness(embeddings, looks), "comparing all pictures", after=_AT_REST)
        answers = Answers(scan, contents, pictures, packs, likeness, state)
        notes = answers.journal.notes()
        server = Server(answers, config.port)
        opened.callback(server.close)
        claim.tell(server.address)
        if config.browser:
            open_browser(server.address)
        return Review(server.address, notes, answers, opened.pop_all())


def open_browser(address: str) -> None:
    """Show the page, where there is a browser that has a window of its own; in the background, as some take long."""
    if _has_windows():
        Thread(target=_open, args=(address,), daemon=True).start()


def _open(address: str) -> None:
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    chosen = bool(os.environ.get("BROWSER"))
    in_terminal = isinstance(browser, webbrowser.GenericBrowser) and not isinstance(
        browser, webbrowser.BackgroundBrowser
    )
    if chosen or not in_terminal:
        browser.open(address)


def _has_windows() -> bool:
    """Whether a window can be opened here: over a plain SSH connection, or in a container, it cannot."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
