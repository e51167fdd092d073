import numpy as np
import pytest
from PIL import Image

from curate.sets.changes import check_unchanged
from curate.sets.reading import read
from curate.sets.shards import write_shard
from curate.stage.errors import DataError


@pytest.fixture
def folder(tmp_path, rng_pictures):
    for number, pixels in enumerate(rng_pictures):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def rng_pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)


def seen(images):
    """The set, after each picture was looked at."""
    for row in range(len(images)):
        images.images[row]
    return images


def test_a_set_that_stays_as_it_was_is_unchanged(folder, tmp_path, rng_pictures):
    np.savez(tmp_path / "d.npz", images=rng_pictures)
    write_shard(tmp_path / "built", 0, rng_pictures, np.zeros(4, int), list("abcd"), ["a"])
    for place in (folder, tmp_path / "d.npz", tmp_path / "built"):
        check_unchanged(seen(read(place)))


def test_an_archive_that_was_saved_anew_or_has_gone_is_told(tmp_path, rng_pictures):
    path = tmp_path / "d.npz"
    np.savez(path, images=rng_pictures)
    images = read(path)
    np.savez(path, images=rng_pictures)
    with pytest.raises(DataError, match=r"d\.npz has changed since it was read\. Begin again"):
        check_unchanged(images)
    path.unlink()
    with pytest.raises(DataError, match=r"d\.npz has changed since it was read"):
        check_unchanged(images)


def test_files_that_were_saved_anew_or_have_gone_are_told(folder, rng_pictures):
    images = seen(read(folder))
    Image.fromarray(rng_pictures[0][:4]).save(folder / "2.png")
    with pytest.raises(DataError, match=r"1 file has changed in .* since they were read, such as 2\.png\. Begin again"):
        check_unchanged(images)
    (folder / "3.png").unlink()
    with pytest.raises(DataError, match=r"2 files have changed"):
        check_unchanged(images)


def test_files_that_were_not_read_may_change(folder):
    images = read(folder)
    images.images[0]
    (folder / "2.png").unlink()
    check_unchanged(images)


def test_a_file_that_was_missing_all_the_time_is_unchanged(folder):
    images = read(folder)
    (folder / "2.png").unlink()
    for row in (0, 1, 3):
        images.images[row]
    with pytest.raises(DataError, match="does not exist"):
        images.images[2]
    check_unchanged(images)


def test_shards_that_were_built_anew_are_told(tmp_path, rng_pictures):
    write_shard(tmp_path / "built", 0, rng_pictures, np.zeros(4, int), list("abcd"), ["a"])
    images = read(tmp_path / "built")
    write_shard(tmp_path / "built", 0, rng_pictures[::-1], np.zeros(4, int), list("abcd"), ["a"])
    with pytest.raises(DataError, match=r"1 file has changed in .*built .* such as part-00000\.npz"):
        check_unchanged(images)
