from __future__ import annotations

import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from reviewed import draw, scanned

from curate.reviewing.pictures import Later, Missing, Unready, pictures_of
from curate.scans import open_scan
from curate.sets.imageset import Unreadable
from curate.sets.reading import read
from curate.stage.errors import DataError


def pictures(artifacts):
    return pictures_of(open_scan(artifacts / "scan"))


def matches(source, found):
    """Whether each row is what a reader of the whole set sees."""
    images = read(source)
    return all((found.pixels(row) == images.images[row].pixels).all() for row in range(len(images)))


def test_files_of_a_folder_are_found_by_their_ids(tmp_path, artifacts):
    found = pictures(artifacts)
    assert matches(tmp_path / "set", found)
    assert found.file(0) == str(tmp_path / "set/ant/0.jpg")


def test_no_folder_is_listed_and_nothing_decoded_before_it_is_asked_for(tmp_path, artifacts, monkeypatch):
    scan = open_scan(artifacts / "scan")
    monkeypatch.setattr("curate.reviewing.pictures.find_files", None)
    monkeypatch.setattr("curate.reviewing.pictures.read_as", None)
    assert pictures_of(scan).pixels(3).shape == (30, 40, 3)


@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_files_of_a_list_are_found_by_its_lines(tmp_path, suffix):
    draw(tmp_path / "set")
    names = ["set/bee/3.jpg", "set/ant/0.jpg", "set/bee/1.jpg"]
    lines = [f"{name},{name[4:7]},number {row}" for row, name in enumerate(names)]
    text = "\n".join(names if suffix == "txt" else ["file,label,id", *lines])
    (tmp_path / f"list.{suffix}").write_text(text)
    source = tmp_path / f"list.{suffix}"
    artifacts = scanned(source, tmp_path / "artifacts")
    found = pictures(artifacts)
    assert matches(source, found)
    assert found.file(1) == str(tmp_path / "set/ant/0.jpg")
    source.write_text("\n".join(names[1:] if suffix == "txt" else ["file,label,id", *lines[1:]]))
    with pytest.raises(Missing, match=r"names .* no longer"):
        pictures(artifacts).file(0)
    source.unlink()
    with pytest.raises(Missing, match=r"list.* is not where it was scanned"):
        pictures(artifacts).file(0)


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
def test_rows_of_an_archive_are_those_that_were_scanned(tmp_path, pack):
    pixels = np.random.default_rng(0).integers(0, 4096, (5, 8, 9), dtype=np.uint16)
    pack(tmp_path / "d.npz", images=pixels, labels=[0, 1, 0, 1, 0])
    artifacts = scanned(tmp_path / "d.npz", tmp_path / "artifacts")
    found = pictures(artifacts)
    assert matches(tmp_path / "d.npz", found)
    assert found.file(0) is None
    np.savez(tmp_path / "d.npz", images=pixels[:3], labels=[0, 1, 0])
    with pytest.raises(Missing, match="holds other images than when it was scanned"):
        pictures(artifacts).pixels(0)
    (tmp_path / "d.npz").write_bytes(b"")
    with pytest.raises(Missing, match="is empty"):
        pictures(artifacts).pixels(0)
    (tmp_path / "d.npz").unlink()
    with pytest.raises(Missing, match="is not where it was scanned"):
        pictures(artifacts).pixels(0)


def test_what_is_gone_is_told_in_a_sentence(tmp_path, artifacts):
    found = pictures(artifacts)
    (tmp_path / "set/ant/0.jpg").unlink()
    with pytest.raises(Missing, match=r"ant/0\.jpg is not where it was scanned. Put it back"):
        found.pixels(0)
    assert found.pixels(1).shape == (30, 40, 3)
    shutil.move(tmp_path / "set", tmp_path / "moved")
    with pytest.raises(Missing, match=r"set is not where it was scanned. Put it back, or scan it where it is now"):
        found.file(1)
    shutil.move(tmp_path / "moved", tmp_path / "set")
    assert found.pixels(1).shape == (30, 40, 3)


def test_an_id_that_leads_out_of_the_folder_leads_nowhere(tmp_path):
    draw(tmp_path / "set")
    (tmp_path / "secret.jpg").write_bytes((tmp_path / "set/ant/0.jpg").read_bytes())
    artifacts = scanned(tmp_path / "set", tmp_path / "artifacts")
    scan = open_scan(artifacts / "scan")
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "ant/../../secret.jpg", "a\0b"):
        scan.table.loc[0, "id"] = name
        with pytest.raises(Missing, match="is no path below"):
            pictures_of(scan).file(0)


def test_a_file_whose_name_is_no_text_is_found(tmp_path):
    draw(tmp_path / "set")
    (tmp_path / "set/ant/0.jpg").rename(os.fsdecode(bytes(tmp_path / "set/ant") + b"/\xff.jpg"))
    artifacts = scanned(tmp_path / "set", tmp_path / "artifacts")
    found = pictures(artifacts)
    assert "ant/\\xff.jpg" in open_scan(artifacts / "scan").table["id"].tolist()
    assert matches(tmp_path / "set", found)


def test_large_files_may_be_decoded_smaller(tmp_path):
    Image.new("RGB", (800, 600), "red").save(tmp_path / "set.jpg")
    (tmp_path / "set").mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(tmp_path / "set.jpg", tmp_path / "set" / name)
    found = pictures(scanned(tmp_path / "set", tmp_path / "artifacts"))
    assert found.pixels(0).shape == (600, 800, 3)
    assert found.pixels(0, 96).shape == (150, 200, 3)


def test_what_cannot_be_decoded_says_why(tmp_path):
    draw(tmp_path / "set")
    (tmp_path / "set/ant/0.jpg").write_bytes(b"GIF8 not")
    with pytest.raises(Unreadable, match=r"damaged|no image"):
        pictures(scanned(tmp_path / "set", tmp_path / "artifacts")).pixels(0)


def test_what_is_made_in_the_background_is_waited_for_but_not_for_ever():
    ready = threading.Event()
    later = Later(lambda: ready.wait(20) and "made", "making it")
    with pytest.raises(Unready, match="making it is still under way"):
        later.take(0.01)
    ready.set()
    assert later.take() == later.take(0) == "made"


def test_what_could_not_be_made_is_told_each_time():
    def fail():
        raise DataError("no.")

    later = Later(fail, "making it")
    for _ in range(2):
        with pytest.raises(DataError, match=r"^no\.$"):
            later.take()


def test_what_can_wait_is_begun_when_it_is_asked_for():
    began = threading.Event()
    later = Later(began.set, "making it", after=60)
    assert not began.wait(0.05)
    assert later.take() is None
    assert began.is_set()
