"""Contact sheets: what a policy or a corruption makes of some pictures, to be looked at before anything is built."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from curate.sets.imageset import UNLABELLED, ImageSet, Unreadable
from curate.sets.outputs import is_signed, sign_png
from curate.stage.engine import cores
from curate.stage.errors import DataError, OutputError
from curate.stage.files import replacing
from curate.stage.shortness import short_repr

from .benchmark import chosen_corruptions, severities_of
from .calibration import Specimens
from .configs import BuildConfig, PreviewConfig
from .corruptions.corruption import Corruption
from .features import input_size, load_features
from .policies import library
from .policies.policy import Context, Policy, perform
from .trial import Trial, trial

POLICY, POLICIES, CORRUPTIONS = "policy", "policies", "corruptions"
_GAP, _HEAD, _SIDE = 6, 26, 190
_INK, _PAPER = (40, 40, 40), 255
# Smaller pictures are enlarged to this many pixels a side, larger ones made smaller.
_CELL = 112


@dataclass(frozen=True, eq=False)
class Sheet:
    """Pictures in rows and columns, each row and column with a title."""

    rows: Sequence[str]
    columns: Sequence[str]
    pictures: Sequence[Sequence[np.ndarray]]

    __repr__ = short_repr

    def drawn(self) -> np.ndarray:
        """uint8 (H, W, 3): the sheet, black on white."""
        height, width = self.pictures[0][0].shape[:2]
        scale = _CELL / max(height, width)
        cell = (max(1, round(width * scale)), max(1, round(height * scale)))
        side = _SIDE if any(self.rows) else _GAP
        sheet = np.full(
            (
                _HEAD + len(self.rows) * (cell[1] + _GAP) + _GAP,
                side + len(self.columns) * (cell[0] + _GAP) + _GAP,
                3,
            ),
            _PAPER,
            np.uint8,
        )
        for c, title in enumerate(self.columns):
            _write(sheet, title, side + c * (cell[0] + _GAP), _HEAD - 9)
        for r, title in enumerate(self.rows):
            top = _HEAD + r * (cell[1] + _GAP)
            _write(sheet, title, _GAP, top + cell[1] // 2 + 4)
            for c, picture in enumerate(self.pictures[r]):
                left = side + c * (cell[0] + _GAP)
                how = cv2.INTER_NEAREST if scale >= 2 else cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
                sheet[top : top + cell[1], left : left + cell[0]] = cv2.resize(picture, cell, interpolation=how)
        return sheet

    def write(self, path: Path) -> None:
        """Write the sheet as PNG. Raises OutputError, also where a file lies there that is no sheet."""
        if path.is_file() and not is_signed(os.fspath(path)):
            raise OutputError(f"{path} is there and is no contact sheet. Give --out another name, or remove that file.")
        encoded, data = cv2.imencode(".png", cv2.cvtColor(self.drawn(), cv2.COLOR_RGB2BGR))
        if not encoded:
            raise RuntimeError("OpenCV could not encode a PNG")
        with replacing(path) as file:
            file.write(sign_png(data.tobytes()))


def preview(
    source: str | Path | None,
    config: BuildConfig,
    path: str | Path,
    *,
    show: str = POLICY,
    copies: int = PreviewConfig.copies,
    images: int = PreviewConfig.images,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a contact sheet as PNG.

    show    "policy": its copies of some pictures;  "policies": those of every policy, of one picture
            "corruptions": every corruption of one picture, at its five severities
    source  any set; None takes the clean set, and where there is none cells that are drawn
    """
    for name, value in (("copies", copies), ("images", images)):
        if value < 1:
            raise DataError(f"{name} is {value}; needed is a whole number from 1.")
    policy = library.policy(config.policy, config.functions)
    sample = trial(source, config)
    if sample.drawn:
        say("no set is given and none was scanned here: shown on synthetic cells")
    rows = chosen_rows(sample.images, images)
    if not rows:
        raise DataError(f"{sample.images.source.path} holds no picture that can be shown.")
    if show == CORRUPTIONS:
        chosen = chosen_corruptions(config)
        size = config.input_size or input_size(min(sample.pictures.size))
        features, note = load_features(config.backbone, config.weights, size, config.workers or cores(), say)
        if note:
            say(note)
        specimens = Specimens(sample.seen(), features, sample.units, config.seed)
        severities = severities_of(chosen, specimens, config.severities, say)
        settings = {name: calibrated.settings for name, calibrated in severities.items()}
        sheet = corruption_sheet(
            sample.pictures[rows[0]], chosen, settings, sample.units, row=rows[0], seed=config.seed
        )
    elif show == POLICIES:
        sheet = policies_sheet(sample, rows[0], copies=copies, seed=config.seed)
    else:
        sheet = policy_sheet(sample, rows, policy, copies=copies, seed=config.seed)
    sheet.write(Path(path))
    return Path(path)


def policy_sheet(sample: Trial, rows: Sequence[int], policy: Policy, *, copies: int = 7, seed: int = 0) -> Sheet:
    """Some pictures, each with its first copies, as a build of the same seed would draw them."""
    context = Context(sample.units, np.asarray(rows, np.int64))

    def copy_of(row: int, copy: int) -> np.ndarray:
        record = policy.draw(np.random.default_rng([seed, row, copy]), copy, context)
        return perform(sample.pictures[row], record, sample.pictures.__getitem__)

    pictures = [[sample.pictures[row], *(copy_of(row, copy) for copy in range(1, copies + 1))] for row in rows]
    return Sheet([sample.images.label_name(row) for row in rows], ["source", *map(str, range(1, copies + 1))], pictures)


def policies_sheet(sample: Trial, row: int, *, copies: int = 7, seed: int = 0) -> Sheet:
    """One picture, and its first copies by every built-in policy; others of the set are mixed in where it says so."""
    context = Context(sample.units, sample.rows)

    def copy_of(policy: Policy, copy: int) -> np.ndarray:
        record = policy.draw(np.random.default_rng([seed, row, copy]), copy, context)
        return perform(sample.pictures[row], record, sample.pictures.__getitem__)

    pictures = []
    for name in library.names():
        policy = library.policy(name)
        pictures.append([sample.pictures[row], *(copy_of(policy, copy) for copy in range(1, copies + 1))])
    return Sheet(library.names(), ["source", *map(str, range(1, copies + 1))], pictures)


def corruption_sheet(
    picture: np.ndarray,
    corruptions: Mapping[str, Corruption],
    severities: Mapping[str, Sequence[Mapping[str, float]]],
    units: Mapping[str, float],
    *,
    row: int = 0,
    seed: int = 0,
) -> Sheet:
    """One picture (uint8 (H, W, 3)) under every corruption at its five severities."""
    pictures = []
    for name in severities:
        images = [picture]
        for settings in severities[name]:
            rng = np.random.default_rng([seed, row, 0, zlib.crc32(name.encode())])
            images.append(perform(picture, [corruptions[name].draw(settings, rng, units)], lambda row: picture))
        pictures.append(images)
    return Sheet(list(severities), ["clean", *(f"severity {s}" for s in range(1, 6))], pictures)


def chosen_rows(images: ImageSet, most: int = 8) -> list[int]:
    """Rows to show: of each class in turn the one in its middle, then those before; what cannot be decoded is not."""
    by_class = [np.flatnonzero(images.labels == code) for code in range(len(images.classes))] or []
    if not images.labelled:
        by_class = [np.flatnonzero(images.labels == UNLABELLED)]
    rows: list[int] = []
    for turn in range(1, 1 + most):
        for members in by_class:
            if len(members) and len(rows) < most:
                row = int(members[len(members) * turn // (most + 1)])
                if row not in rows and _decodes(images, row):
                    rows.append(row)
    return sorted(rows, key=lambda row: (images.labels[row], row))


def _decodes(images: ImageSet, row: int) -> bool:
    try:
        images.images[row]
    except Unreadable:  # the scan tells of it
        return False
    return True


def _write(sheet: np.ndarray, text: str, left: int, base: int) -> None:
    shown = text if len(text) <= 25 else text[:24] + "."
    plain = shown.encode("ascii", "replace").decode()  # OpenCV's letters are ASCII
    cv2.putText(sheet, plain, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
