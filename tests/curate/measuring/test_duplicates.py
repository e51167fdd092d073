import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.measuring.duplicates import first_of_each
from curate.planting import FAULTS, NEAR

N = 100
EACH = 8  # copies of each kind that are planted among the cells
# How many of them are found. A window of the picture, enlarged, is the hardest.
FOUND = {
    "jpeg": 8,
    "shift": 8,
    "bright": 8,
    "resize": 8,
    "rot90": 8,
    "flip": 8,
    "crop": 6,
    "rotation": 8,
    "noise": 8,
    "contrast": 8,
    "gamma": 8,
}
TURNED = ("rot90", "flip")


@pytest.fixture(scope="module")
def ways():
    """The way in which each copy was made; that of row r is copied from row r."""
    return [way for _ in range(EACH) for way in NEAR]


@pytest.fixture(scope="module")
def planted(cells, ways, evidence_of):
    """A hundred cells, and after them altered copies of the first of them."""
    images, labels = cells[0][:N], cells[1][:N]
    copies = [NEAR[way](images[row], np.random.default_rng([1, row])) for row, way in enumerate(ways)]
    return evidence_of(np.concatenate([images, copies]), np.concatenate([labels, labels[: len(copies)]]))


def found_pairs(evidence) -> set[tuple[int, int]]:
    return {(a, b) for a, b, *_ in evidence.copies.pairs}


def texture(height: int, width: int, seed: int, grain: int = 8) -> np.ndarray:
    """A smooth random picture."""
    coarse = np.random.default_rng(seed).uniform(20, 235, (height // grain + 2, width // grain + 2, 3))
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def solid(*colour: int, height: int = 40, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


# What is found


def test_the_list_of_ways_to_copy_is_whole():
    assert FOUND.keys() == NEAR.keys()


@pytest.mark.parametrize("way", NEAR)
def test_copies_made_in_every_way_are_found(planted, ways, way):
    kinds = {(a, b): kind for a, b, kind, _ in planted.copies.pairs}
    told = [kinds.get((row, N + row)) for row, made in enumerate(ways) if made == way]
    assert len(told) == EACH
    assert sum(kind is not None for kind in told) >= FOUND[way]
    assert set(told) - {None} == {"rotated" if way in TURNED else "near"}


def test_of_every_pair_found_one_is_a_copy_of_the_other(planted):
    assert all(b == N + a for a, b in found_pairs(planted))


def test_a_copy_and_its_original_are_one_group_around_the_copy_kept(planted):
    copies = planted.copies
    for a, b, _, distance in copies.pairs:
        assert copies.group[a] == copies.group[b] >= 0
        assert copies.kept[a] == copies.kept[b]
        assert copies.kept[a] in (a, b)
        assert copies.distance[[a, b]] == pytest.approx([0, distance] if copies.kept[a] == a else [distance, 0])
        assert 0 <= distance <= 1 - copies.threshold
    alone = np.setdiff1d(np.arange(len(planted)), np.array(sorted(found_pairs(planted))))
    assert (copies.group[alone] == -1).all()
    assert (copies.kept[alone] == alone).all()


# Noise can pass for sharpness: docs/checks.md says so.
@pytest.mark.parametrize("way", [way for way in NEAR if way != "noise"])
def test_the_original_is_kept_rather_than_its_altered_copy(planted, ways, way):
    copies = planted.copies
    found = [row for row, made in enumerate(ways) if made == way and copies.group[row] >= 0]
    kept = [copies.kept[row] == row for row in found]
    assert sum(kept) >= len(found) - 1, f"{len(found) - sum(kept)} of {len(found)} copies are taken for the better ones"
    assert set(copies.kept[found].tolist()) <= set(found) | {N + row for row in found}


def test_distinct_cells_are_no_copies_of_each_other(clean):
    assert clean.copies.pairs == []
    assert (clean.copies.group == -1).all()
    assert not clean.copies.extra.any()
    assert not clean.copies.exact.any()


def test_the_number_of_workers_changes_nothing(planted, evidence_of):
    threads = evidence_of(planted.images, workers=3).copies
    assert threads.pairs == planted.copies.pairs
    assert (threads.group == planted.copies.group).all()
    assert (threads.kept == planted.copies.kept).all()
    assert (threads.distance == planted.copies.distance).all()


def test_identical_pictures_are_exact_copies_of_the_first_of_them(cells, evidence_of):
    images = cells[0][[5, 1, 2, 1, 4, 5, 1]]
    copies = evidence_of(images).copies
    assert copies.pairs == [(0, 5, "exact", 0.0), (1, 3, "exact", 0.0), (1, 6, "exact", 0.0)]
    assert copies.group.tolist() == [0, 1, -1, 1, -1, 0, 1]
    assert copies.kept.tolist() == [0, 1, 2, 1, 4, 0, 1]
    assert copies.extra.tolist() == copies.exact.tolist() == [row in (3, 5, 6) for row in range(7)]
    assert copies.members(1).tolist() == [1, 3, 6]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_pictures_is_compared_as_well(cells, evidence_of, n):
    images = cells[0][:n]
    assert evidence_of(images).copies.pairs == []
    flipped = np.concatenate([images, images[:1, :, ::-1]])
    (pair,) = evidence_of(flipped).copies.pairs
    assert pair[:3] == (0, n, "rotated")


# What only looks like a copy


def test_solid_pictures_of_different_colours_are_no_copies(cells, evidence_of):
    colours = [
        (0, 0, 0),
        (255, 255, 255),
        (200, 10, 10),
        (10, 200, 10),
        (10, 10, 200),
        (128, 128, 128),
        (129, 128, 128),
    ]
    solids = np.stack([solid(*colour, height=96, width=96) for colour in colours])
    assert evidence_of(solids).copies.pairs == []
    assert evidence_of(np.concatenate([solids, cells[0][:40]])).copies.pairs == []


def test_solid_pictures_with_a_little_noise_are_no_copies(cells, evidence_of):
    solids = np.stack([FAULTS["solid"](cell, np.random.default_rng(row)) for row, cell in enumerate(cells[0][:12])])
    assert evidence_of(np.concatenate([cells[0][:40], solids])).copies.pairs == []


def test_solid_pictures_of_one_colour_and_different_shapes_are_no_copies(evidence_of):
    shapes = [(10, 20), (20, 10), (10, 10), (20, 20)]
    evidence = evidence_of([solid(0, 0, 0, height=h, width=w)[None] for h, w in shapes])
    assert evidence.copies.pairs == []


def test_sixteen_grey_levels_more_or_less_are_not_nothing(evidence_of):
    # Differences squared in 8 bits: 16 * 16 is 0, and two pictures seem identical.
    evidence = evidence_of(np.stack([solid(v, v, v) for v in (64, 80, 96, 112)]))
    assert evidence.copies.pairs == []
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
    other = noise + np.where(rng.random(noise.shape) < 0.5, 16, 240).astype(np.uint8)
    assert not ((noise - other) ** 2).any()
    assert all(kind != "exact" for *_, kind, _ in evidence_of(np.stack([noise, other])).copies.pairs)


def test_pictures_of_one_sum_are_no_copies(cells, evidence_of, rng):
    images = np.stack([rng.permutation(cells[0][0].reshape(-1, 3)).reshape(96, 96, 3) for _ in range(30)])
    assert len(set(images.sum(axis=(1, 2, 3)).tolist())) == 1
    assert evidence_of(images).copies.pairs == []


def test_different_cells_out_of_focus_are_no_copies(cells, evidence_of):
    images = cells[0][:N].copy()
    for row in range(5, N, 12):
        images[row] = FAULTS["blur"](images[row], np.random.default_rng([2, row]))
    assert evidence_of(images).copies.pairs == []


def test_pictures_that_share_three_quarters_are_no_copies(cells, evidence_of):
    pairs = []
    for seed in range(4):
        picture, other = texture(96, 96, seed), texture(96, 96, seed + 50)
        patched = picture.copy()
        patched[:48, :48] = other[:48, :48]
        pairs += [picture, patched]
    assert evidence_of(np.concatenate([pairs, cells[0][:40]])).copies.pairs == []


def test_a_negative_is_another_picture(evidence_of):
    picture = texture(96, 96, 0)
    assert evidence_of(np.stack([picture, 255 - picture])).copies.pairs == []


# Groups


@pytest.fixture(scope="module")
def chain(cells, evidence_of):
    """Eight windows that move along one long picture, each much like the one before, and forty cells; all too small to
    have local features, by which parts of one photograph belong together."""
    long = texture(60, 250, 0, grain=5)
    windows = [long[:, start : start + 60] for start in range(0, 48, 6)]
    small = [cv2.resize(cell, (60, 60), interpolation=cv2.INTER_AREA) for cell in cells[0][:40]]
    return evidence_of(np.concatenate([windows, small])).copies


def test_a_chain_of_lookalikes_does_not_merge(chain):
    assert {(a, a + 1) for a in range(7)} <= {(a, b) for a, b, *_ in chain.pairs}
    for group in range(chain.group.max() + 1):
        members = chain.members(group)
        # Each has half of itself at least in common with the one kept.
        assert np.abs(members - chain.kept[members]).max() <= 5
    assert len(set(chain.group[:8].tolist()) - {-1}) >= 2


def test_every_member_of_a_group_stood_against_the_one_kept(chain, planted):
    for copies in (chain, planted.copies):
        grouped = np.flatnonzero(copies.group >= 0)
        assert (copies.group[copies.kept[grouped]] == copies.group[grouped]).all()
        assert (copies.distance[grouped] <= 1 - copies.threshold + 1e-6).all()
        assert (copies.distance[copies.kept] == 0).all()


def test_of_no_pair_both_are_kept(chain, planted):
    for copies in (chain, planted.copies):
        assert all(copies.extra[[a, b]].any() for a, b, *_ in copies.pairs)


def test_groups_are_numbered_by_their_first_rows(chain, planted):
    for copies in (chain, planted.copies):
        numbers = copies.group[copies.group >= 0].tolist()
        assert list(dict.fromkeys(numbers)) == list(range(max(numbers) + 1))


def test_the_larger_of_two_copies_is_kept(cells, evidence_of):
    small = np.stack([cv2.resize(cell, (64, 64), interpolation=cv2.INTER_AREA) for cell in cells[0][:3]])
    copies = evidence_of([small, cells[0][:20]]).copies
    assert copies.kept[:6].tolist() == [3, 4, 5, 3, 4, 5]
    assert copies.extra[:3].all()
    assert not copies.exact.any()


def test_the_sharper_of_two_copies_of_one_size_is_kept(cells, evidence_of):
    soft = np.stack([cv2.GaussianBlur(cell, (0, 0), 1) for cell in cells[0][:3]])
    copies = evidence_of(np.concatenate([soft, cells[0][:20]])).copies
    assert copies.kept[:6].tolist() == [3, 4, 5, 3, 4, 5]


def test_of_equally_good_copies_the_first_is_kept(cells, evidence_of):
    flipped = cells[0][:3, :, ::-1]
    copies = evidence_of(np.concatenate([flipped, cells[0][:20]])).copies
    assert copies.kept[:6].tolist() == [0, 1, 2, 0, 1, 2]


def test_the_held_out_copy_is_kept_even_where_another_is_larger(cells, evidence_of, set_of):
    small = np.stack([cv2.resize(cell, (64, 64), interpolation=cv2.INTER_AREA) for cell in cells[0][:3]])
    splits = ["test", "val", "train"] + ["train"] * 20
    copies = evidence_of(set_of([small, cells[0][:20]], splits=splits)).copies
    assert copies.kept[:6].tolist() == [0, 1, 5, 0, 1, 5]


def test_a_copy_of_a_copy_with_the_very_pixels_of_one_not_kept_is_exact(cells, evidence_of):
    small = cv2.resize(cells[0][0], (64, 64), interpolation=cv2.INTER_AREA)[None]
    copies = evidence_of([small, cells[0][:20], small]).copies
    assert copies.kept[[0, 1, 21]].tolist() == [1, 1, 1]
    # Row 0 is a near copy of row 1; row 21 has the pixels of row 0.
    assert copies.exact[[0, 1, 21]].tolist() == [False, False, True]
    assert copies.extra[[0, 1, 21]].tolist() == [True, False, True]


# The parts


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=12))
def test_the_first_of_each_is_the_first_row_of_that_digest(digests):
    expected = [-1 if name == "" else digests.index(name) for name in digests]
    assert first_of_each(np.array(digests, dtype="<U32")).tolist() == expected


def test_pictures_that_cannot_be_read_are_no_copies_of_each_other():
    assert first_of_each(np.array(["", "", ""])).tolist() == [-1, -1, -1]


# Turned, exactly


def all_turns(images: np.ndarray) -> np.ndarray:
    """Each picture in its eight orientations, one after the other."""
    return np.stack([np.rot90(side, k) for image in images for side in (image, image[:, ::-1]) for k in range(4)])


@pytest.mark.parametrize("number", [1, 4, 30])
def test_all_orientations_of_a_picture_are_one_group_whatever_its_neighbours(cells, evidence_of, number):
    copies = evidence_of(all_turns(cells[0][:number])).copies
    assert copies.group.tolist() == np.repeat(range(number), 8).tolist()
    assert copies.kept.tolist() == np.repeat(range(0, 8 * number, 8), 8).tolist()
    assert not copies.distance.any()
    assert {kind for *_, kind, _ in copies.pairs} == {"rotated"}
    assert len(copies.pairs) == 7 * number
    assert not copies.exact.any()


def test_turned_pictures_of_any_shape_are_found_and_equal_ones_stay_exact(evidence_of):
    wide = texture(30, 50, 3)
    turned = [wide, texture(30, 50, 4), np.rot90(wide).copy(), wide.copy(), np.rot90(wide).copy()]
    copies = evidence_of([picture[None] for picture in turned]).copies
    assert copies.group.tolist() == [0, -1, 0, 0, 0]
    assert copies.pairs == [(0, 2, "rotated", 0.0), (0, 3, "exact", 0.0), (2, 4, "exact", 0.0)]
    assert copies.exact.tolist() == [False, False, False, True, True]


def test_flat_and_symmetric_pictures_are_copies_only_where_they_are_equal(evidence_of):
    ring = np.zeros((40, 40, 3), np.uint8)
    cv2.circle(ring, (20, 20), 12, (200, 90, 40), 3)
    flat = [solid(0, 0, 0), solid(0, 0, 0), solid(9, 9, 9), ring, ring[::-1, ::-1].copy()]
    pairs = evidence_of([picture[None] for picture in flat]).copies.pairs
    assert (0, 1, "exact", 0.0) in pairs
    assert not any(2 in pair[:2] for pair in pairs)


# Many copies


def saved_again(image: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("pictures", "times"), [(1, 16), (1, 40), (4, 16)])
def test_many_copies_of_a_few_pictures_hide_no_other_pair(cells, evidence_of, pictures, times):
    images = cells[0]
    n = len(images) - pictures
    pairs = [[saved_again(x, 60), np.clip(x * 1.1, 0, 255).astype(np.uint8)][i % 2] for i, x in enumerate(images[:20])]
    many = [saved_again(x, 95 - i) for x in images[n:] for i in range(times)]
    group = evidence_of(np.stack([*images[:n], *pairs, *many])).copies.group
    assert [row for row in range(20) if group[row] < 0 or group[row] != group[n + row]] == []
    of_many = group[n + 20 :].reshape(pictures, times)
    assert (of_many == of_many[:, :1]).all()
    assert len(set(of_many[:, 0].tolist())) == pictures
    assert (of_many >= 0).all()


# Small pictures, which have no local features


def small_copies(picture: np.ndarray, times: int, seed: int) -> list[np.ndarray]:
    """Parts of a picture, each shifted, turned and enlarged by a little, of 32 pixels a side."""
    rng = np.random.default_rng(seed)
    copies = []
    for _ in range(times):
        turn = cv2.getRotationMatrix2D((48, 48), rng.uniform(-6, 6), rng.uniform(0.38, 0.44))
        turn[:, 2] += rng.uniform(-1.5, 1.5, 2) - 32
        copies.append(cv2.warpAffine(picture, turn, (32, 32), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT))
    return copies


def test_many_warped_copies_of_small_pictures_are_as_many_groups(evidence_of, scene):
    shown = [small_copies(scene(seed, 96, 96), 1, seed)[0] for seed in range(60)]
    many = [copy for seed in (0, 1) for copy in small_copies(scene(seed, 96, 96), 40, 100 + seed)]
    copies = evidence_of(np.stack([*shown, *many])).copies
    for number, rows in enumerate((range(60, 100), range(100, 140))):
        groups, counts = np.unique(copies.group[[number, *rows]], return_counts=True)
        assert counts[groups >= 0].max() >= 36
    assert (copies.group[2:60] == -1).all()
