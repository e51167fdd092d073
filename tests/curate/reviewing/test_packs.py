from __future__ import annotations

import json
import struct
import threading

import cv2
import numpy as np
import pytest

from curate.reviewing.packs import Packs
from curate.reviewing.pictures import Missing, Unready
from curate.sets.imageset import Unreadable
from curate.stage.miniatures import small_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), dtype=np.uint8)


class Pile:
    """Six pictures, of which some may be gone, and which of them were asked for."""

    def __init__(self, fault=None):
        self.fault, self.asked = fault, []

    def file(self, row):
        return None

    def pixels(self, row, side=None):
        self.asked.append((row, side))
        if self.fault:
            raise self.fault
        return PIXELS[row]


def parts(data: bytes) -> dict[int, tuple[int, int, bytes]]:
    """row -> (width, height, JPEG) of a pack."""
    (length,) = struct.unpack_from("<I", data)
    at, found = 4 + length, {}
    for row, width, height, size in json.loads(data[4:at]):
        found[row] = (width, height, data[at : at + size])
        at += size
    assert at == len(data)
    return found


@pytest.fixture
def packs():
    made = []

    def make(pile, digests="abcdef", spare=None, **options):
        made.append(Packs(pile, list(digests), (spare or {}).get, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_pack_holds_the_rows_in_the_order_that_they_were_asked_for(packs):
    found = parts(packs(Pile()).pack([4, 0, 2], 30))
    assert list(found) == [4, 0, 2]
    for row, (width, height, data) in found.items():
        assert (width, height) == (30, 20)
        assert data == small_picture(PIXELS[row], 30).jpeg
        assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape == (20, 30, 3)


def test_no_rows_are_an_empty_pack(packs):
    assert packs(Pile()).pack([], 30) == b"\2\0\0\0[]"


def test_what_was_made_is_kept_and_shared_by_copies(packs):
    pile = Pile()
    found = packs(pile, "aabcde")
    found.pack([0], 30)
    assert parts(found.pack([1, 0], 30))[1] == parts(found.pack([0], 30))[0]
    assert pile.asked == [(0, 30)]
    found.pack([0], 31)
    assert pile.asked == [(0, 30), (0, 31)]


def test_memory_has_a_bound_and_what_was_not_looked_at_longest_goes_first(packs):
    pile = Pile()
    size = max(len(small_picture(pixels, 30).jpeg) for pixels in PIXELS)
    found = packs(pile, held=2 * size)
    for row in (0, 1, 0, 2, 0, 1):
        found.pack([row], 30)
    assert [row for row, _ in pile.asked] == [0, 1, 2, 1]


def test_what_the_scan_could_not_read_is_empty(packs):
    pile = Pile()
    assert parts(packs(pile, ["", *"bcdef"]).pack([0], 30)) == {0: (0, 0, b"")}
    assert pile.asked == []


@pytest.mark.parametrize("fault", [Missing("gone"), Unready("not yet"), Unreadable("damaged")])
def test_where_a_picture_is_gone_the_one_of_the_page_stands_for_it(packs, fault):
    spare = {1: small_picture(PIXELS[1], 12)}
    found = parts(packs(Pile(fault), spare=spare).pack([0, 1], 30))
    assert found == {0: (0, 0, b""), 1: (12, 8, spare[1].jpeg)}


def test_many_may_ask_at_once(packs):
    found, results = packs(Pile(), held=3_000), []
    threads = [threading.Thread(target=lambda: results.append(found.pack(range(6), 30))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
