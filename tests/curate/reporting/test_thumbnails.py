import base64
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from curate.reporting import thumbnails as module
from curate.reporting.thumbnails import UNREADABLE, Thumbnails, thumbnails
from curate.sets.imageset import Picture, Unreadable
from curate.stage.miniatures import TINY


class Album:
    """Pictures held in a list; None cannot be read."""

    def __init__(self, pictures: Sequence[np.ndarray | None]) -> None:
        self.pictures = pictures
        self.opened: list[int] = []

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> Picture:
        self.opened.append(row)
        pixels = self.pictures[row]
        if pixels is None:
            raise Unreadable(f"row {row} is no picture.")
        return Picture(pixels, pixels)


def random_pictures(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)
    return [cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC) for picture in coarse]


def thumbnail_of(result: Thumbnails, row: int) -> np.ndarray:
    """The thumbnail of a row, RGB."""
    number = result.of[row]
    text = result.beginnings[result.kind[number]].text + result.rests[number]
    coded = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


def test_each_picture_comes_back_no_larger_than_asked_for():
    pictures = [*random_pictures(3), *random_pictures(2, 200, 100), *random_pictures(1, 20, 30)]
    result = thumbnails(Album(pictures), dict.fromkeys(range(6), 50), {}, 10**9)
    for row, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        scale = min(1, 50 / max(height, width))
        size = round(width * scale), round(height * scale)
        pixels = thumbnail_of(result, row)
        beginning = result.beginnings[result.kind[result.of[row]]]
        assert pixels.shape[1::-1] == size == (beginning.width, beginning.height)
        expected = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        assert np.abs(pixels.astype(int) - expected).mean() < 8


def test_what_is_tiny_is_kept_crisp():
    checks = np.zeros((TINY, TINY, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = (255, 0, 0)
    result = thumbnails(Album([checks]), {0: TINY}, {}, 10**9)
    assert np.abs(thumbnail_of(result, 0).astype(int) - checks).mean() < 12


def test_grey_pictures_are_stored_as_such():
    grey = random_pictures(1)[0][..., :1].repeat(3, axis=2)
    colours = random_pictures(1)[0]
    result = thumbnails(Album([grey, colours]), {0: 60, 1: 60}, {}, 10**9)
    assert len(result.beginnings) == 2
    pixels = thumbnail_of(result, 0)
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels.astype(int) - grey).mean() < 8


def test_the_beginning_that_pictures_of_one_size_share_is_stored_once():
    pictures = random_pictures(8)
    result = thumbnails(Album(pictures), dict.fromkeys(range(8), 60), {}, 10**9)
    (beginning,) = result.beginnings
    assert len(beginning.text) > 100
    assert len({rest[0] for rest in result.rests}) > 1
    single = thumbnails(Album(pictures[:1]), {0: 60}, {}, 10**9)
    assert np.array_equal(thumbnail_of(single, 0), thumbnail_of(result, 0))


def test_rows_of_one_digest_share_the_thumbnail_of_the_first_and_only_that_is_opened():
    album = Album(random_pictures(4))
    same = {0: "a", 1: "b", 2: "a", 3: ""}
    result = thumbnails(album, dict.fromkeys([2, 0, 1, 3], 60), same, 10**9)
    assert result.of[0] == result.of[2]
    assert len(result.rests) == 3
    assert sorted(album.opened) == [1, 2, 3]


def test_what_cannot_be_read_is_marked_and_the_others_are_there():
    album = Album([random_pictures(1)[0], None, random_pictures(2)[1]])
    result = thumbnails(album, dict.fromkeys(range(3), 60), {}, 10**9)
    assert result.of == {0: 0, 1: UNREADABLE, 2: 1}


def test_what_comes_after_the_budget_gets_none(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    album = Album(random_pictures(10))
    result = thumbnails(album, dict.fromkeys([9, 8, 7, 6, 5, 4], 60), {}, 1)
    assert set(result.of) == {9, 8}


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_change_nothing(monkeypatch, batch):
    album = Album(random_pictures(7))
    expected = thumbnails(album, dict.fromkeys(range(7), 30), {}, 10**9)
    monkeypatch.setattr(module, "BATCH", batch)
    assert thumbnails(album, dict.fromkeys(range(7), 30), {}, 10**9) == expected


def test_of_no_rows_there_are_none():
    result = thumbnails(Album([]), {}, {}, 10**9)
    assert (result.beginnings, result.rests, result.of) == ((), (), {})
