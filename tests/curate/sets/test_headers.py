from __future__ import annotations

import numpy as np
from PIL import Image

from curate.sets.decoding import FilePictures
from curate.sets.headers import survey


def test_headers_tell_of_modes_turned_pictures_and_further_frames(tmp_path):
    grey = Image.new("L", (6, 5), 90)
    grey.save(tmp_path / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 5)).save(tmp_path / "turned.jpg", exif=exif)
    frames = [Image.new("L", (6, 5), 40 * i) for i in range(4)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((5, 6), 4000, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    names = sorted(path.name for path in tmp_path.iterdir())
    found = survey(FilePictures(tmp_path, names))
    assert (found.files, found.total, found.turned, found.stacks, found.frames) == (4, 5, 1, 1, 3)
    texts = {topic.name: topic.text for topic in found.topics()}
    assert texts["orientation"] == "1 of 4 files looked at is turned as its EXIF data says"
    assert texts["frames"] == "3 further in 1 of 4 files looked at; the first of each file is read"
    assert "16 bit or more 1" in texts["channels"]


def test_a_set_of_one_kind_needs_no_word(tmp_path, files):
    files(tmp_path, "1.png", "2.png")
    topics = survey(FilePictures(tmp_path, ["1.png", "2.png"])).topics()
    assert [topic.text for topic in topics] == ["RGB", "as stored", "one of each file"]
    assert all(topic.plain for topic in topics)
