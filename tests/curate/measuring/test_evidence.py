from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.measuring import evidence
from curate.measuring.embedding import builtin
from curate.measuring.evidence import CHUNK, measure
from curate.measuring.hashing import digest, perceptual_hash
from curate.measuring.neighbours import nearest
from curate.measuring.properties import PROPERTIES, properties
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable
from curate.sets.reading import read


class Album:
    """Pictures held in a list, and how often each was asked for; a text is the reason why one cannot be read."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.asked = [0] * len(pictures)

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        self.asked[row] += 1
        if isinstance(self.pictures[row], str):
            raise Unreadable(self.pictures[row])
        return Picture(self.pictures[row], self.pictures[row], "PNG")


def album(pictures, kind="files") -> ImageSet:
    n = len(pictures)
    return ImageSet(Album(pictures), np.full(n, -1), tuple(map(str, range(n))), (), Source(kind, Path("album")))


def same(a, b) -> None:
    for name in PROPERTIES:
        np.testing.assert_array_equal(a.properties[name], b.properties[name])
    for name in ("digests", "embeddings", "file_types"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("thumbnails", "spectra", "hashes"):
        np.testing.assert_array_equal(getattr(a.prints, name), getattr(b.prints, name))
    assert a.unreadable == b.unreadable


def test_every_picture_is_read_once_and_measured_in_its_own_row(cells):
    images = album(list(cells[0][:10]))
    found = measure(images, builtin(), 1)
    assert images.images.asked == [1] * 10
    for row in (0, 9):
        values = dict(zip(PROPERTIES, properties([cells[0][row]])[0].tolist(), strict=True))
        assert {name: found.properties[name][row] for name in PROPERTIES} == values
        assert found.digests[row] == digest(cells[0][row])
        assert found.prints.hashes[row] == perceptual_hash(found.prints.thumbnails[row])
    assert found.file_types.tolist() == ["PNG"] * 10
    assert found.unreadable == {}


def test_embeddings_are_half_floats_of_length_one(cells):
    found = measure(album(list(cells[0][:10])), builtin(), 1).embeddings
    assert found.dtype == np.float16
    assert found.shape == (10, builtin().dimensions)
    np.testing.assert_allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=1e-3)


def test_what_cannot_be_read_is_noted_with_its_reason_and_the_rest_goes_on(cells):
    pictures = [*cells[0][:3], "is empty (0 bytes)", cells[0][3], "is no image but text"]
    found = measure(album(pictures), builtin(), 1)
    assert found.unreadable == {3: "is empty (0 bytes)", 5: "is no image but text"}
    assert [name != "" for name in found.digests] == [True, True, True, False, True, False]
    assert not found.embeddings[[3, 5]].any()
    assert found.embeddings[[0, 1, 2, 4]].any(axis=1).all()
    assert all(np.isnan(column[[3, 5]]).all() for column in found.properties.values())
    assert np.isfinite(found.properties["brightness"][[0, 1, 2, 4]]).all()


def test_a_set_of_which_nothing_can_be_read_is_measured_too():
    found = measure(album(["gone"] * 5), builtin(), 2)
    assert found.unreadable == dict.fromkeys(range(5), "gone")
    assert not found.embeddings.any()


def test_equal_pictures_are_measured_once_and_have_the_same_of_everything(cells):
    counted = []

    def embed(batch):
        counted.append(len(batch))
        return builtin().embed(batch)

    pictures = [cells[0][row] for row in (0, 1, 0, 2, 1, 0)]
    found = measure(album(pictures), replace(builtin(), embed=embed), 1)
    assert sum(counted) == 3
    alone = measure(album([cells[0][0]]), builtin(), 1)
    for row in (0, 2, 5):
        np.testing.assert_array_equal(found.embeddings[row], alone.embeddings[0])
        np.testing.assert_array_equal(found.prints.spectra[row], alone.prints.spectra[0])
        assert found.properties["detail"][row] == alone.properties["detail"][0]


@pytest.mark.parametrize("kind", ["npz", "files"])
def test_the_number_of_workers_changes_nothing(cells, kind):
    pictures = [*cells[0][:70], "gone", *cells[0][:5], *cells[0][70:80]]
    one = measure(album(pictures, kind), builtin(), 1)
    for workers in (2, 4):
        same(one, measure(album(pictures, kind), builtin(), workers))


def test_the_embedder_is_given_squares_of_its_size_a_bounded_number_at_a_time(cells):
    given = []

    def embed(batch):
        given.append(batch.shape)
        return np.ones((len(batch), 3), np.float32)

    tall = np.zeros((200, 50, 3), np.uint8)
    measure(album([*cells[0][:150], tall]), replace(builtin(), size=48, dimensions=3, embed=embed), 1)
    assert {shape[1:] for shape in given} == {(48, 48, 3)}
    assert max(shape[0] for shape in given) <= CHUNK
    assert sum(shape[0] for shape in given) == 151


def test_an_error_that_is_no_unreadable_picture_is_not_hidden():
    class Broken(Album):
        def __getitem__(self, row):
            raise RuntimeError("a bug")

    images = replace(album([]), images=Broken([None] * 3), labels=np.full(3, -1), ids=("a", "b", "c"))
    with pytest.raises(RuntimeError, match="a bug"):
        measure(images, builtin(), 2)


def test_progress_never_goes_back_and_ends_at_the_number_of_pictures(cells):
    # More than a block, most of them copies: of the second block none is new.
    pictures = [*cells[0][:5], *[cells[0][0]] * (20 * CHUNK), "gone", *cells[0][:80]]
    told = []
    measure(album(pictures), builtin(), 2, told.append)
    assert told == sorted(told)
    assert told[-1] == len(pictures)


def test_pictures_of_one_set_may_have_any_size_and_format(tmp_path, rng):
    shapes = {"a.png": (10, 20), "b.jpg": (300, 40), "c.bmp": (1, 1), "d.tiff": (33, 64)}
    for name, (height, width) in shapes.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(tmp_path / name)
    found = measure(read(tmp_path), builtin(), 2)
    assert found.properties["height"].tolist() == [height for height, _ in shapes.values()]
    assert found.properties["width"].tolist() == [width for _, width in shapes.values()]
    assert found.file_types.tolist() == ["PNG", "JPEG", "BMP", "TIFF"]


def test_values_of_representatives_are_spread_to_all_that_they_stand_for(cells, set_of, evidence_of):
    floats = cells[0][[0, 1, 0, 2, 1]] / 255
    floats[3] = np.nan
    evidence = evidence_of(set_of(floats))
    assert evidence.representatives.tolist() == [0, 1]
    assert evidence.position.tolist() == [0, 1, 0, -1, 1]
    assert evidence.spread(np.array([0.25, 0.75])).tolist() == [0.25, 0.75, 0.25, 0, 0.75]
    assert evidence.spread(np.array([3, 4]), fill=-1).tolist() == [3, 4, 3, -1, 4]
    assert len(evidence) == 5


def test_representatives_are_neighbours_of_each_other_and_of_nobody_else(cells, evidence_of):
    # Near and exact copies fall away, and with them places in the tables of their neighbours.
    images = np.concatenate([cells[0][:80], cells[0][:30, :, ::-1], cells[0][:5]])
    evidence = evidence_of(images)
    stand = np.flatnonzero((evidence.copies.kept == np.arange(len(images))) & (evidence.measured.digests != ""))
    assert evidence.representatives.tolist() == stand.tolist() == list(range(80))
    exact = nearest(evidence.features, stand)
    assert evidence.neighbours.indices.shape[0] == 80
    k = min(20, evidence.neighbours.indices.shape[1])
    assert k == 20
    np.testing.assert_allclose(evidence.neighbours.distances[:, :k], exact.distances[:, :k], rtol=1e-3, atol=1e-4)
    assert (evidence.neighbours.indices[:, :k] == exact.indices[:, :k]).mean() > 0.99
    np.testing.assert_array_equal(evidence.neighbours.features, evidence.features[stand])


def test_few_pictures_are_held_at_once_and_nothing_else_changes(cells, monkeypatch):
    pictures = [*cells[0][:20], "is damaged", cells[0][0]]
    whole = measure(album(pictures), builtin(), 1)
    monkeypatch.setattr(evidence, "HELD", 3 * cells[0][0].nbytes)
    most = []
    monkeypatch.setattr(evidence, "properties", lambda few: most.append(len(few)) or properties(few))
    same(measure(album(pictures), builtin(), 1), whole)
    assert max(most) == 4


def test_copies_that_differ_from_the_one_kept_are_shown_by_themselves(cells, evidence_of):
    # 60 is 0 mirrored, 61 the same again; 62 is 1 to the pixel.
    evidence = evidence_of(np.concatenate([cells[0][:60], cells[0][[0, 0], :, ::-1], cells[0][1:2]]))
    assert evidence.representatives.tolist() == list(range(60))
    assert evidence.variants.rows.tolist() == [60]
    assert evidence.shown[[0, 1, 60, 61, 62]].tolist() == [0, 1, 60, 60, 1]
    assert evidence.spread(np.arange(61.0))[[0, 60, 61, 62]].tolist() == [0, 60, 60, 1]
    near, gaps = evidence.nearest(5)
    assert near.shape == gaps.shape == (61, 5)
    assert 0 not in near[60]  # its own picture is no neighbour of it
    assert (near[:60] == evidence.neighbours.indices[:, :5]).all()


def test_a_picture_has_one_canonical_digest_however_it_is_turned(cells, set_of, rng):
    grey = rng.integers(0, 4000, (3, 9, 14)).astype(np.uint16)
    turned = [grey[0], grey[1], grey[0][::-1], np.rot90(grey[0]), grey[2]]
    measured = measure(set_of([picture[None] for picture in turned]), builtin(), 1)
    assert len(set(measured.digests.tolist())) == 5
    assert len({measured.canonical[row] for row in (0, 2, 3)}) == 1
    assert measured.canonical[[1, 4]].tolist() == measured.digests[[1, 4]].tolist()
    channels_first = np.moveaxis(np.stack([cells[0][0], cells[0][1], np.rot90(cells[0][0])]), -1, 1)
    measured = measure(set_of(channels_first), builtin(), 1)
    assert measured.canonical[0] == measured.canonical[2] != measured.canonical[1]
