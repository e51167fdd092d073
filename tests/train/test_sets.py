import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from curate.sets.imageset import Unreadable
from curate.sets.scaling import BYTES, FLOATS, INTEGERS, Decoding, Scale
from curate.sets.shards import read_shards, write_shard
from curate.stage.errors import DataError, UnknownName
from curate.stage.files import write_parquet
from curate.stage.manifest import file_digest
from train.sets import LabelledSet, read_built, read_set


@pytest.fixture(scope="module")
def sets(built):
    return read_built(built)


@pytest.fixture
def change_rows(own_built):
    """Change columns of the rows.parquet of one set of own_built."""

    def change(name, **columns):
        path = own_built / "built" / name / "rows.parquet"
        write_parquet(pd.read_parquet(path).assign(**columns), path)

    return change


def external(tmp_path, labels=None, side=32, names=None, **more):
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((side, side, 3), np.uint8)
    arrays = {"images": images} | more
    if labels is not None:
        arrays["labels"] = np.array(labels)
    if names is not None:
        arrays["class_names"] = np.array(names)
    np.savez(tmp_path / "external.npz", **arrays)
    return tmp_path / "external.npz"


def test_a_build_is_read_as_it_was_written(sets, built, blob_classes):
    assert (len(sets.train), len(sets.val), len(sets.test)) == (108, 18, 24)
    assert sets.classes == blob_classes
    assert sets.train.size == (32, 32)
    assert [s.role for s in (sets.train, sets.val, sets.test)] == ["train", "val", "test"]
    assert sets.class_weights.tolist() == [1, 1, 1]
    assert sets.manifest.stage == "build"
    assert sets.plan.policy.name == "fake"
    assert sets.path == built / "built"
    assert sets.train.soft is None
    assert np.bincount(sets.train.labels).tolist() == [36, 36, 36]


def test_a_batch_is_the_pictures_of_its_rows_from_whatever_shards_they_are_in(sets, built, rng):
    written = read_shards(built / "built" / "train")
    rows = rng.permutation(108)[:50]
    batch = sets.train.batch(rows)
    assert batch.dtype == np.uint8
    assert batch.shape == (50, 32, 32, 3)
    for row, picture in zip(rows.tolist(), batch, strict=True):
        assert (picture == written.images[row].pixels).all()
    assert (sets.train.images[7] == written.images[7].pixels).all()
    assert sets.train.batch([]).shape == (0, 32, 32, 3)


def test_rows_may_be_a_list_a_range_or_a_mask(sets):
    mask = np.zeros(108, bool)
    mask[[1, 2, 5]] = True
    expected = sets.train.batch(np.array([1, 2, 5]))
    for rows in ([1, 2, 5], mask):
        assert (sets.train.batch(rows) == expected).all()
    assert (sets.train.batch(range(1, 3)) == expected[:2]).all()


def test_copies_share_source_and_group_with_their_picture(sets):
    train = sets.train
    assert train.copies.tolist() == [0, 1, 2] * 36
    for values in (train.sources, train.groups):
        assert (values[0::3] == values[1::3]).all()
        assert (values[0::3] == values[2::3]).all()
    assert [name.partition("+")[0] for name in train.ids] == train.sources.tolist()


def test_two_sources_of_one_group_share_a_number_and_no_lone_source_has_that_of_a_group(sets, built):
    rows = pd.read_parquet(built / "built" / "train" / "rows.parquet")
    grouped = (rows["group"] >= 0).to_numpy()
    assert grouped.sum() == 3 * 2 * 3  # two sources of each class, three images of each
    assert sets.train.groups.min() >= 0
    assert len(set(sets.train.groups[grouped])) == 3
    assert len(set(sets.train.groups[~grouped])) == 3 * 10
    assert not set(sets.train.groups[grouped]) & set(sets.train.groups[~grouped])


def test_an_image_has_the_same_group_in_each_set_of_a_build(sets):
    of = dict(zip(sets.test.sources.tolist(), sets.test.groups.tolist(), strict=True))
    for images in sets.benchmark:
        if images.role == "test":
            assert all(of[s] == g for s, g in zip(images.sources.tolist(), images.groups.tolist(), strict=True))


def test_the_benchmark_has_its_sets_in_order_with_what_is_told_of_each(sets):
    names = [images.name for images in sets.benchmark]
    singles = [f"{name}-{s}" for name in ("fog", "gaussian_noise", "speckle_noise") for s in (1, 3)]
    assert names == [*singles, "composed-2", "composed-2-validation"]
    fog = sets.benchmark[1]
    assert (fog.role, fog.corruption, fog.severity, fog.family, fog.verdict) == ("test", "fog", 3, "weather", "near")
    assert (len(fog), fog.classes) == (24, sets.classes)
    composed = sets.benchmark[-1]
    assert (composed.role, composed.corruption, composed.severity, composed.family) == (
        "validation", "composed-2-validation", 0, "",
    )  # fmt: skip
    assert len(composed) == 3 * 18
    assert composed.copies.tolist() == [1, 2, 3] * 18


def test_no_benchmark_is_no_error(write_built, tmp_path):
    sets = read_built(write_built(tmp_path, benchmark=False))
    assert sets.benchmark == ()


def test_targets_are_one_hot_or_the_shares_of_a_mixed_image(sets, write_built, tmp_path):
    assert sets.train.targets([0, 5]).tolist() == np.eye(3)[sets.train.labels[[0, 5]]].tolist()
    mixed = read_built(write_built(tmp_path, soft=True, benchmark=False)).train
    targets = mixed.targets([0, 1])
    assert targets.dtype == np.float32
    assert sorted(targets[0].tolist()) == [0, 0, 1]
    assert sorted(targets[1].tolist()) == pytest.approx([0, 0.3, 0.7])


def test_what_is_taken_keeps_its_pictures_labels_and_names(sets):
    some = sets.train.take([9, 4, 7])
    again = some.take([2, 0])
    assert len(again) == 2
    assert again.size == (32, 32)
    assert again.ids == (sets.train.ids[7], sets.train.ids[9])
    assert again.labels.tolist() == sets.train.labels[[7, 9]].tolist()
    assert again.copies.tolist() == [1, 0]
    assert (again.batch([0, 1]) == sets.train.batch([7, 9])).all()
    assert again.images.shape == (2, 32, 32, 3)


def test_an_array_does_for_images(sets):
    pictures = np.zeros((2, 8, 10, 3), np.uint8)
    of_array = LabelledSet(
        "two", "external", pictures, np.array([0, -1]), None, ("a", "b"), np.array(["a", "b"]), np.arange(2),
        np.zeros(2, np.int64), ("x", "y"),
    )  # fmt: skip
    assert of_array.size == (8, 10)
    assert of_array.batch([1]).shape == (1, 8, 10, 3)
    assert of_array.targets([0, 1]).tolist() == [[1, 0], [0, 0]]


# What is refused


def test_without_a_build_the_command_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no manifest.json in it. Run `augment build` first"):
        read_built(tmp_path)


def test_an_unfinished_build_is_not_read(own_built):
    (own_built / "built" / "manifest.json").unlink()
    with pytest.raises(DataError, match="holds no finished build"):
        read_built(own_built)
    (own_built / "built").rename(own_built / "built.partial")
    with pytest.raises(
        DataError, match=r"built.partial an interrupted one.*--resume`; where .* changed .* run `augment build` again"
    ):
        read_built(own_built)


@pytest.mark.parametrize("split", ["val", "test", "train"])
def test_a_missing_split_is_named(own_built, split):
    shutil.rmtree(own_built / "built" / split)
    with pytest.raises(DataError, match=f"has no {split} set.*augment build --fresh --train 0.7 --val 0.15 --test"):
        read_built(own_built)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train", "train has no image of jade: they are not learned, and what is shown of them counts as wrong"),
        ("val", "val has no image of jade: they have no say in which epoch is kept"),
        ("test", "test has no image of jade: their recall is not measured, and means over classes are those of the"),
    ],
)
def test_a_class_that_a_split_lacks_is_told_and_not_refused(write_built, tmp_path, split, said):
    counts = {"train": (4, 4, 4), "val": (3, 3, 3), "test": (3, 3, 3)}
    counts[split] = (3, 0, 3)
    (note,) = read_built(write_built(tmp_path, sources=counts, benchmark=False)).notes
    assert note.startswith(said)


def test_a_build_that_lacks_nothing_has_no_notes(sets):
    assert sets.notes == ()


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_a_clean_set_that_has_changed_since_the_build_is_told(own_built, sets, recorded, moved):
    clean = own_built / "clean.npz"
    clean.write_bytes(b"as it was")
    source = Path("gone", "clean.npz") if moved else clean.resolve()
    plan = replace(sets.plan, source=str(source), source_digest=file_digest(clean))

    def notes() -> tuple[str, ...]:
        if recorded:
            written = {"path": clean.name, "digest": file_digest(clean)}
            (own_built / "clean.json").write_text(json.dumps({"format": 1, "clean": written}))
        return replace(sets, plan=plan, path=own_built / "built").notes

    assert notes() == ()
    clean.write_bytes(b"without what a person dropped")
    assert notes() == ("the clean set has changed since this build: run `augment build` again to train on it",)
    plan = replace(plan, source=str(own_built / "other.npz"))
    assert notes() == ()


def test_one_class_alone_is_refused(write_built, tmp_path):
    counts = {"train": (4, 0, 0), "val": (3, 3, 3), "test": (3, 3, 3)}
    with pytest.raises(DataError, match="one class only, crimson: a model tells classes apart, and needs two"):
        read_built(write_built(tmp_path, sources=counts, benchmark=False))


def unsigned(artifacts):
    """A build whose manifest says nothing of its shards' digests, so that they may be exchanged."""
    path = artifacts / "built" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sets": {}}))
    return artifacts / "built"


def test_classes_that_differ_are_told_with_their_places(own_built, first_shard):
    folder = unsigned(own_built) / "test"
    with np.load(first_shard(folder)) as shard:
        images, labels, ids = shard["images"], shard["labels"], shard["ids"].tolist()
    write_shard(folder, 0, images, labels, ids, ("crimson", "jade", "teal"))
    with pytest.raises(DataError, match=r"crimson, jade, violet in .*train, crimson, jade, teal in .*test"):
        read_built(own_built)


def test_sizes_that_differ_are_told_with_their_places(own_built, first_shard, blob_classes):
    folder = unsigned(own_built) / "benchmark" / "fog-1"
    with np.load(first_shard(folder)) as shard:
        images, labels, ids = shard["images"], shard["labels"], shard["ids"].tolist()
    write_shard(folder, 0, images[:, :16], labels, ids, blob_classes)
    with pytest.raises(DataError, match=r"two sizes: 32x32 in .*train and 32x16 in .*fog-1"):
        _ = read_built(own_built).benchmark


@pytest.mark.parametrize("folder", ["train", "benchmark/fog-1"])
def test_one_flipped_bit_of_a_shard_is_noticed_when_its_pictures_are_read(own_built, first_shard, folder):
    path = first_shard(own_built / "built" / folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00000\.npz is not what was built: its digest is not the one"):
        _ = read_built(own_built).benchmark


@pytest.mark.parametrize("name", ["plan.json", "benchmark.json"])
def test_a_document_that_reads_well_but_was_changed_is_refused(own_built, name):
    path = own_built / "built" / name
    path.write_text(path.read_text() + " ")
    with pytest.raises(DataError, match=rf"{name} is not what `augment build` wrote"):
        _ = read_built(own_built).benchmark


def test_a_shard_that_is_missing_at_the_end_is_told(own_built):
    (own_built / "built" / "train" / "part-00002.npz").unlink()
    with pytest.raises(DataError, match=r"train lacks part-00002\.npz"):
        read_built(own_built)


def test_a_group_in_two_splits_is_a_leak(own_built, change_rows, sets):
    change_rows("test", group=[0] + [-1] * 23)  # group 0 is in train
    with pytest.raises(
        DataError,
        match=f"train and test .* same groups .1, such as that of {sets.train.sources[sets.train.groups == 0][0]}",
    ):
        read_built(own_built)


def test_a_source_in_two_splits_is_a_leak(own_built, change_rows, sets):
    change_rows("val", source_id=[sets.test.sources[0], *sets.val.sources[1:].tolist()])
    with pytest.raises(DataError, match=f"val and test have .*{sets.test.sources[0]}.*--fresh"):
        read_built(own_built)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("plan.json", "{", "plan.json is not valid JSON"),
        ("plan.json", "[]", "plan.json holds no JSON object"),
        ("plan.json", "{}", "plan.json: policy is missing"),
        (
            "plan.json",
            '{"class_weights": {"crimson": 1, "jade": 1}}',
            "plan.json: policy is missing",
        ),
        ("benchmark.json", '{"sets": [{"name": "fog-1"}]}', "benchmark.json: severities is missing"),
        ("benchmark.json", '{"sets": 3}', "benchmark.json: severities is missing"),
    ],
)
def test_damaged_descriptions_are_told_in_a_line(own_built, file, text, message):
    (own_built / "built" / file).write_text(text)
    with pytest.raises(DataError, match=message):
        _ = read_built(own_built).benchmark


def test_missing_or_damaged_provenance_is_told(own_built):
    rows = own_built / "built" / "val" / "rows.parquet"
    rows.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"rows.parquet cannot be read"):
        read_built(own_built)
    rows.unlink()
    with pytest.raises(DataError, match=r"rows.parquet is missing"):
        read_built(own_built)
    (own_built / "built" / "plan.json").unlink()
    with pytest.raises(DataError, match=r"plan.json cannot be read"):
        read_built(own_built)


# One set by name or path


def test_a_set_of_the_build_is_read_by_name(built, sets):
    val = read_set("val", sets.classes, built)
    assert (val.name, val.role, val.ids) == ("val", "val", sets.val.ids)
    fog = read_set("fog-3", sets.classes, built)
    assert (fog.severity, fog.role) == (3, "test")
    assert (fog.batch([3]) == sets.benchmark[1].batch([3])).all()


def test_a_set_comes_at_the_size_that_is_asked_for(built, sets):
    val = read_set("val", sets.classes, built, (16, 16))
    assert val.size == (16, 16)
    by_hand = cv2.resize(sets.val.batch([2])[0], (16, 16), interpolation=cv2.INTER_AREA)
    assert (val.batch([2])[0] == by_hand).all()


def test_a_misspelt_name_gets_the_nearest(built, sets):
    with pytest.raises(UnknownName, match="Did you mean 'fog-3'"):
        read_set("fogg-3", sets.classes, built)


def test_what_is_no_file_is_told_as_curate_tells_it(built, sets):
    with pytest.raises(DataError, match=r"none.npz does not exist"):
        read_set("none.npz", sets.classes, built)


def test_a_name_without_a_build_asks_for_a_build(tmp_path, sets):
    with pytest.raises(DataError, match="Run `augment build` first"):
        read_set("test", sets.classes, tmp_path)


def test_a_file_from_elsewhere_has_its_labels_by_name_in_any_case(built, sets, tmp_path):
    path = external(tmp_path, [0, 1, 2, 0, 1, -1], names=["Violet", "crimson ", "jade"])
    found = read_set(path, sets.classes, built)
    assert found.labels.tolist() == [2, 0, 1, 2, 0, -1]
    assert (found.role, found.name, found.classes) == ("external", "external.npz", sets.classes)
    assert found.ids == tuple("012345")
    assert found.sources.tolist() == list("012345")
    assert len(set(found.groups.tolist())) == 6
    assert found.batch([4, 1])[:, 0, 0, 0].tolist() == [4, 1]


def test_groups_of_a_file_are_kept(built, sets, tmp_path):
    path = external(tmp_path, ["jade"] * 6, groups=np.array([7, 7, -1, -1, 9, 9]))
    assert read_set(path, sets.classes, built).groups.tolist() == [0, 0, 5, 7, 2, 2]


def test_classes_that_a_model_does_not_know_count_as_unlabelled(built, sets, tmp_path):
    path = external(tmp_path, ["jade", "teal", "crimson", "teal", "ochre", "jade"])
    found = read_set(path, sets.classes, built)
    assert found.labels.tolist() == [1, -1, 0, -1, -1, 1]
    assert "3 images count as unlabelled: the model has no class ochre, teal" in found.notes


def test_a_file_of_other_classes_only_is_refused(built, sets, tmp_path):
    path = external(tmp_path, ["teal", "ochre"] * 3)
    with pytest.raises(DataError, match="has classes ochre, teal, and the model crimson, jade, violet: none"):
        read_set(path, sets.classes, built)


def test_labels_without_names_are_taken_as_numbers_and_that_is_told(built, sets, tmp_path):
    found = read_set(external(tmp_path, [2, 2, 0, 0, -1, 2]), sets.classes, built)  # no image of class 1
    assert found.labels.tolist() == [2, 2, 0, 0, -1, 2]
    assert any("taken as they are, 0 for crimson" in note for note in found.notes)


def test_numbers_beyond_the_classes_are_refused(built, sets, tmp_path):
    with pytest.raises(DataError, match="numbers from 1 to 3, and the model has 3 classes from 0 on"):
        read_set(external(tmp_path, [1, 2, 3, 1, 2, 3]), sets.classes, built)


def test_without_classes_a_set_keeps_its_own(built, tmp_path):
    found = read_set(external(tmp_path, ["teal", "ochre"] * 3), None, built)
    assert found.classes == ("ochre", "teal")


def test_a_file_without_labels_is_read_unlabelled(built, sets, tmp_path):
    found = read_set(external(tmp_path), sets.classes, built)
    assert found.labels.tolist() == [-1] * 6
    assert found.targets([0, 1]).tolist() == [[0, 0, 0]] * 2


def test_soft_labels_follow_the_order_of_the_classes(built, sets, tmp_path):
    shares = np.tile(np.float32([0.7, 0.2, 0.1]), (6, 1))
    found = read_set(external(tmp_path, shares, names=["jade", "violet", "crimson"]), sets.classes, built)
    assert found.targets([3])[0].tolist() == pytest.approx([0.1, 0.7, 0.2])
    assert found.labels.tolist() == [1] * 6


def test_pictures_of_another_size_are_resized_and_that_is_told(built, sets, tmp_path):
    found = read_set(external(tmp_path, ["jade"] * 6, side=50), sets.classes, built)
    assert found.batch([5]).shape == (1, 32, 32, 3)
    assert (found.batch([5]) == 5).all()
    assert any("(50x50 RGB) are cropped to their middle and resized to 32x32" in note for note in found.notes)


def test_a_file_needs_no_build_where_the_size_is_known(tmp_path):
    assert read_set(external(tmp_path, ["a"] * 6), ("a",), tmp_path / "nowhere", (24, 24)).size == (24, 24)
    with pytest.raises(DataError, match="Run `augment build` first"):
        read_set(external(tmp_path, ["a"] * 6), ("a",), tmp_path / "nowhere")


def test_a_folder_of_uneven_files_is_read_and_a_broken_one_is_named(built, sets, tmp_path):
    for name, shape in (("a", (40, 64)), ("b", (20, 9))):
        (tmp_path / "jade").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "jade" / f"{name}.png"), np.full((*shape, 3), 77, np.uint8))
    (tmp_path / "jade" / "c.png").write_bytes(b"no image")
    found = read_set(tmp_path, sets.classes, built)
    assert found.batch([0, 1]).shape == (2, 32, 32, 3)
    assert found.labels.tolist() == [1, 1, 1]
    with pytest.raises(Unreadable, match=r"jade/c.png of .*clean set of a scan"):
        found.batch([1, 2])


def test_reading_twice_gives_the_same(built, sets):
    again = read_built(built)
    assert again.train.ids == sets.train.ids
    assert (again.train.groups == sets.train.groups).all()
    assert again.plan == sets.plan


TWELVE = Decoding({INTEGERS: Scale(0, 4095, 12)}, foreign=True)


def frames(tmp_path, values):
    """An archive of six pictures of noise in these values."""
    low, high, dtype = values
    noise = np.random.default_rng(0).random((6, 32, 32, 3)) * (high - low) + low
    np.savez(tmp_path / "frames.npz", images=noise.astype(dtype))
    return tmp_path / "frames.npz"


def test_frames_of_a_dimmer_session_are_read_by_the_scale_of_the_model(built, tmp_path):
    path = frames(tmp_path, (0, 800, np.uint16))
    own, model = read_set(path, None, built), read_set(path, None, built, decoding=TWELVE)
    assert own.batch([0]).mean() > 90
    assert 20 < model.batch([0]).mean() < 30
    assert "values are read by the scale of the model, 12 bit (0 to 4,095); they run from 0 to 799" in model.notes
    assert any("was fitted with is not known here" in note for note in own.notes)


def test_one_float_picture_alone_is_read_by_the_scale_of_the_model(built, tmp_path):
    model = Decoding({FLOATS: Scale(-2, 3)}, foreign=True)
    found = read_set(frames(tmp_path, (-1, 1.8, np.float32)), None, built, decoding=model)
    assert 45 < found.batch([0]).min() < 57
    assert 185 < found.batch([0]).max() < 197


def test_values_beyond_the_scale_of_the_model_are_told(built, tmp_path):
    found = read_set(frames(tmp_path, (0, 16000, np.uint16)), None, built, decoding=TWELVE)
    assert any("% of all, up to 15,99" in note and "are cut off" in note for note in found.notes)


def test_pictures_of_eight_bits_stay_as_they_are_and_that_is_told(built, tmp_path):
    found = read_set(frames(tmp_path, (0, 255, np.uint8)), None, built, decoding=TWELVE)
    assert found.batch([0]).max() > 240
    assert any(note.startswith("pictures are of 8 bit, and the model was fitted to integers") for note in found.notes)


def test_deeper_pictures_for_a_model_of_eight_bits_have_their_own_scale_and_that_is_told(built, tmp_path):
    eight = Decoding({BYTES: Scale()}, foreign=True)
    found = read_set(frames(tmp_path, (0, 4000, np.uint16)), None, built, decoding=eight)
    assert found.batch([0]).max() > 230
    assert "the model was fitted to pictures of 8 bit, so that the set's own scale is taken" in found.notes


def test_a_set_next_to_black_is_told_first(built, tmp_path):
    found = read_set(frames(tmp_path, (0, 0.004, np.float32)), None, built)
    assert found.notes[0].startswith("every picture is black or nearly so")
