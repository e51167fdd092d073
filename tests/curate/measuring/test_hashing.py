import math

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from curate.measuring.hashing import (
    DIHEDRAL,
    arrangement,
    canonical_digest,
    close_hashes,
    digest,
    dihedral_hashes,
    hash_radius,
    perceptual_hash,
    turned,
    turnless,
)

ENOUGH = 10**9


def bits(values) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(values, np.uint64).view(np.uint8)).reshape(-1, 64)


def apart(a, b) -> int:
    return int(np.bitwise_count(np.uint64(a) ^ np.uint64(b)))


@pytest.fixture(scope="module")
def thumbnails(cells):
    """uint8 (40, 32, 32), grey: of the size at which hashes are taken, so that nothing is resized on the way."""
    return np.stack([np.asarray(Image.fromarray(cell).convert("L").resize((32, 32))) for cell in cells[0][:40]])


# Digests


def test_equal_pixels_have_equal_digests_wherever_they_lie_in_memory(cells):
    cell = cells[0][0]
    assert digest(cell) == digest(cell.copy()) == digest(np.asfortranarray(cell))
    assert digest(cells[0][::2][1]) == digest(cells[0][2])
    assert len(digest(cell)) == 32
    assert int(digest(cell), 16)


def test_two_black_images_of_the_same_bytes_but_another_shape_differ():
    assert digest(np.zeros((10, 20), np.uint8)) != digest(np.zeros((20, 10), np.uint8))
    assert digest(np.zeros((10, 20, 3), np.uint8)) != digest(np.zeros((20, 10, 3), np.uint8))
    assert digest(np.zeros((4, 4), np.uint8)) != digest(np.zeros((4, 4, 1), np.uint8))


def test_the_same_bytes_of_another_type_differ():
    assert digest(np.zeros((4, 8), np.uint8)) != digest(np.zeros((4, 4), np.uint16))
    assert digest(np.zeros((4, 4), np.uint8)) != digest(np.zeros((4, 4), np.int8))


@given(
    image=hnp.arrays(np.uint8, (3, 4, 3)),
    place=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)),
    by=st.integers(1, 255),
)
def test_one_other_value_is_another_digest(image, place, by):
    other = image.copy()
    other[place] ^= by
    assert digest(image) != digest(other)


# Perceptual hashes


def test_the_perceptual_hash_is_that_of_imagehash(cells, rng):
    pictures = [*cells[0][:8], *rng.integers(0, 256, (4, 40, 30, 3), np.uint8), rng.integers(0, 256, (9, 70), np.uint8)]
    for picture in pictures:
        expected = imagehash.phash(Image.fromarray(picture)).hash.ravel()
        assert (bits(perceptual_hash(picture))[0] == expected).all()


def test_a_picture_hashes_close_to_its_jpeg_and_far_from_another(cells):
    hashes = [perceptual_hash(cell) for cell in cells[0][:12]]
    soft = [perceptual_hash(np.clip(cell.astype(int) + 6, 0, 255).astype(np.uint8)) for cell in cells[0][:12]]
    assert max(apart(a, b) for a, b in zip(hashes, soft, strict=True)) <= hash_radius(100)
    assert min(apart(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 0


def test_larger_sets_are_searched_within_fewer_bits():
    radii = [hash_radius(n) for n in (10, 10_000, 50_000, 1_000_000)]
    assert radii == sorted(radii, reverse=True)
    assert radii[0] > radii[-1] > 0


@pytest.mark.parametrize("variant", range(DIHEDRAL))
def test_a_picture_is_turned_as_numpy_turns_it(variant):
    picture = np.arange(12).reshape(3, 4)
    expected = picture.T if variant & 4 else picture
    expected = np.flip(expected, [axis for axis, bit in ((0, 2), (1, 1)) if variant & bit])
    assert (turned(picture, variant) == expected).all()
    assert (turned(np.stack([picture, picture + 50]), variant)[1] == expected + 50).all()


def test_the_eight_orientations_are_eight_different_ones():
    picture = np.arange(9).reshape(3, 3)
    assert len({turned(picture, variant).tobytes() for variant in range(DIHEDRAL)}) == DIHEDRAL


@pytest.mark.parametrize("variant", range(DIHEDRAL))
def test_the_hash_of_a_turned_picture_follows_from_that_of_the_picture(thumbnails, variant):
    hashes = np.array([perceptual_hash(picture) for picture in thumbnails])
    foretold = dihedral_hashes(hashes)[:, variant]
    found = [perceptual_hash(np.ascontiguousarray(turned(picture, variant))) for picture in thumbnails]
    wrong = [apart(a, b) for a, b in zip(foretold, found, strict=True)]
    assert max(wrong) <= (0 if variant in (0, 4) else 10)
    assert np.mean(wrong) <= 4


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_a_turn_can_be_undone_and_leads_to_no_ninth_orientation(hashes):
    table = dihedral_hashes(np.array(hashes, np.uint64))
    again = [dihedral_hashes(column.copy()) for column in table.T]
    assert (table[:, 0] == np.array(hashes, np.uint64)).all()
    for variant in (1, 2, 3, 4):  # each of these undoes itself
        assert (again[variant][:, variant] == table[:, 0]).all()
    # However a picture lies, its eight orientations are the same eight.
    for variants in again:
        assert (np.sort(variants) == np.sort(table)).all()


# Pairs of hashes


def distances(hashes: np.ndarray) -> np.ndarray:
    """Bits between each two hashes, in the best orientation of one of them; 99 for those that are no pair i < j."""
    table = dihedral_hashes(hashes)
    best = np.bitwise_count(table[:, None, :] ^ hashes[None, :, None]).min(axis=2).astype(int)
    return np.where(np.triu(np.ones_like(best), 1), best, 99)


def near_hashes(n: int, seed: int) -> np.ndarray:
    """Different hashes, many of which are some bits or a turn from another."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, max(n, 1), np.uint64)
    for i in range(1, n):
        if rng.random() < 0.6:
            hashes[i] = dihedral_hashes(hashes[rng.integers(i), None])[0, rng.integers(8)]
            for bit in rng.choice(64, rng.integers(1, 16), replace=False):
                hashes[i] ^= np.uint64(1) << np.uint64(bit)
    return hashes[:n]


@settings(deadline=None, max_examples=25)
@given(n=st.integers(0, 40), seed=st.integers(0, 2**32), radius=st.integers(0, 20))
def test_close_hashes_are_those_that_comparing_every_pair_finds(n, seed, radius):
    hashes = near_hashes(n, seed)
    found = close_hashes(hashes, radius, ENOUGH)
    assert found.dtype == np.int64
    assert found.shape == (len(found), 2)
    assert (found == np.argwhere(distances(hashes) <= radius)).all()


# Within three bits pairs are looked up by bands, within more all are compared.
@pytest.mark.parametrize("radius", [3, 4])
def test_pairs_are_found_across_blocks_of_rows(radius):
    hashes = np.random.default_rng(0).integers(0, 2**64, 700, np.uint64)
    hashes[[3, 650]] = hashes[300]
    hashes[3] ^= np.uint64(0b101)
    hashes[650] = dihedral_hashes(hashes[300, None])[0, 6] ^ np.uint64(1 << 40)
    assert close_hashes(hashes, radius, ENOUGH).tolist() == [[3, 300], [3, 650], [300, 650]]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_hashes_make_no_pair(n):
    assert close_hashes(np.zeros(n, np.uint64), 12, ENOUGH).shape == (0, 2)


def test_equal_hashes_make_a_chain_and_not_every_pair():
    assert close_hashes(np.full(100, 7, np.uint64), 12, ENOUGH).tolist() == [[i, i + 1] for i in range(99)]


def test_a_row_near_one_of_several_equal_ones_is_linked_to_them():
    hashes = np.array([5, 0x0F0F << 40, 5, 5, 7], np.uint64)
    assert close_hashes(hashes, 1, ENOUGH).tolist() == [[0, 2], [0, 4], [2, 3]]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), at_most=st.integers(0, 60), largest=st.sampled_from([3, 20]))
def test_too_many_pairs_shrink_the_radius_and_nothing_else(seed, at_most, largest):
    hashes = near_hashes(40, seed)
    found = close_hashes(hashes, largest, at_most).tolist()
    assert len(found) <= at_most
    # What is left is all pairs within some smaller radius, and one bit more would have been too many.
    exact = [np.argwhere(distances(hashes) <= radius).tolist() for radius in range(-1, largest + 1)]
    assert found == [pairs for pairs in exact if len(pairs) <= at_most][-1]


# Orientations


def in_all_orientations(picture: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(side, k) for side in (picture, picture[:, ::-1]) for k in range(4)]


@pytest.mark.parametrize("shape", [(9, 9), (7, 12), (12, 7, 3), (9, 9, 1), (8, 8, 4)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_all_orientations_of_a_picture_have_one_canonical_digest(rng, shape, dtype):
    picture = (rng.random(shape) * 255).astype(dtype)
    turns = in_all_orientations(picture)
    assert len({digest(turn) for turn in turns}) == 8
    assert {canonical_digest(turn) for turn in turns} == {min(map(digest, turns))}
    assert len({turnless(turn) for turn in turns}) == 1


def test_another_picture_has_another_canonical_digest(rng):
    picture = rng.integers(0, 256, (9, 9, 3), np.uint8)
    other = picture.copy()
    other[4, 4], other[0, 0] = picture[0, 0], picture[4, 4]  # two pixels change places
    assert turnless(other) == turnless(picture)
    assert canonical_digest(other) != canonical_digest(picture)
    assert turnless(picture[:8]) != turnless(picture[:, :8][:8])


def test_what_has_too_little_in_it_to_tell_is_not_turned():
    nine = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]], np.uint8)
    six = nine[::-1, ::-1].copy()
    assert canonical_digest(six) != canonical_digest(nine)
    assert canonical_digest(np.zeros((9, 9), np.uint8)) == digest(np.zeros((9, 9), np.uint8))
    assert arrangement(nine) == pytest.approx(np.log2(math.comb(15, 3)))
    assert arrangement(np.zeros((9, 9, 3))) == 0
