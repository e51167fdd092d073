from __future__ import annotations

import cv2
import numpy as np

from curate.sets.carrying import Names, copy_of, distinct_names, encoded, safe_name, with_progress
from curate.sets.reading import read


def pictures(path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    (path / "cat").mkdir()
    cv2.imwrite(str(path / "cat" / "a.png"), pixels)
    cv2.imwrite(str(path / "cat" / "b.bmp"), pixels)
    return read(path)


def test_a_plain_file_is_carried_as_it_is_and_another_as_png(tmp_path):
    images = pictures(tmp_path)
    plain, odd = copy_of(images, 0), copy_of(images, 1)
    assert plain.path == str(tmp_path / "cat" / "a.png")
    assert plain.data == (tmp_path / "cat" / "a.png").read_bytes()
    assert (odd.path, odd.suffix, odd.hurdle, odd.size) == ("", ".png", "BMP", (8, 6))
    shown = cv2.imdecode(np.frombuffer(odd.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(shown, images.images[1].pixels)


def test_a_picture_of_an_array_is_carried_as_png(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.full((2, 4, 5, 3), 7, np.uint8))
    images = read(tmp_path / "d.npz")
    assert copy_of(images, 1).data == encoded(images, 1).png
    assert (encoded(images, 1).key, copy_of(images, 1).path) == ("00000001", "")


def test_names_differ_in_more_than_case():
    names = Names(["A"])
    assert names.take("", ["a", "b"]) == "b"
    assert distinct_names(["x", "X", "x"]) == ["x", "X_2", "x_3"]
    assert safe_name("../a:b") == "_a_b"
    assert safe_name("con.png") == "con.png_"
    assert len(safe_name("ü" * 300).encode()) <= 200


def test_progress_is_told_once_an_item_has_been_dealt_with():
    log: list[object] = []
    for item in with_progress("ab", log.append):
        log.append(item)
    assert log == ["a", 1, "b", 2]
