import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from augment.building import build
from augment.configs import BuildConfig
from augment.policies.functions import digest_of
from augment.replaying import replay
from curate.sets.shards import read_shards
from curate.stage.errors import DataError, UnknownName
from curate.stage.files import write_parquet


@pytest.fixture(scope="module")
def place(built):
    """The artifacts that it was built in."""
    return built.path.parent


@pytest.fixture
def moved(built, plain, artifacts):
    """Artifacts of our own with a small build, whose source may be changed."""
    build(None, plain(policy="mixup", copies=1))
    return artifacts


def some_ids(path):
    rows = pd.read_parquet(path / "rows.parquet")
    return rows["id"].tolist()[:: max(1, len(rows) // 12)]


@pytest.mark.parametrize("name", ["train", "val", "test", "benchmark/stain_deposit-4", "benchmark/composed-3"])
def test_every_image_comes_out_pixel_for_pixel(built, place, name):
    stored = read_shards(built.path / name)
    for id in some_ids(built.path / name):
        done = replay(id, place, name)
        assert done.equal
        assert (done.set, done.row.id) == (name, id)
        assert np.array_equal(done.image, stored.images[stored.ids.index(id)].pixels)


def test_a_mixed_image_comes_out_of_two_sources(built, place):
    rows = pd.read_parquet(built.path / "train" / "rows.parquet")
    mixed = [id for id, ops in zip(rows["id"], rows["ops"], strict=True) if "mixup" in ops]
    done = replay(mixed[0], place)
    assert done.equal
    assert not np.array_equal(done.image, done.source)
    assert json.loads(done.row.ops) == done.record


def test_the_picture_itself_has_nothing_done_to_it(built, place):
    rows = pd.read_parquet(built.path / "train" / "rows.parquet")
    id = rows.loc[rows["copy"] == 0, "id"].iloc[0]
    done = replay(id, place)
    assert done.record == []
    assert np.array_equal(done.image, done.source)


def test_the_first_of_train_val_and_test_that_has_it_is_taken(built, place):
    for name in ("train", "val", "test"):
        id = pd.read_parquet(built.path / name / "rows.parquet")["id"].iloc[0]
        assert replay(id, place).set == name


def test_what_became_of_it_is_drawn_beside_its_source(place, built, tmp_path):
    id = pd.read_parquet(built.path / "train" / "rows.parquet")["id"].iloc[1]
    replay(id, place).write(tmp_path / "new" / "one.png")
    sheet = cv2.imread(str(tmp_path / "new" / "one.png"))
    assert sheet.shape[1] > 2 * sheet.shape[0] * 0.5


def test_a_folder_of_pictures_of_several_sizes_is_replayed_at_its_size(tmp_path, cells_of, scan_by_hand):
    images, labels = cells_of((14, 14))
    for row, picture in enumerate(images):
        path = tmp_path / "set" / "ab"[labels[row]] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[: 24 + row % 3 * 4]).save(path)
    artifacts = scan_by_hand(tmp_path / "set", tmp_path / "artifacts")
    config = BuildConfig(artifacts=str(artifacts), policy="mixup", benchmark=(), check=False, workers=1)
    done = build(tmp_path / "set", config)
    for id in some_ids(done.path / "train"):
        assert replay(id, artifacts).equal


# What cannot be made again


def test_an_id_that_is_none_is_answered_with_those_that_are_near(place):
    with pytest.raises(UnknownName, match=r"no image has the id '1234567\+1' in train, val, test of .* There are "):
        replay("1234567+1", place)


def test_an_image_of_another_set_is_not_found_without_its_name(built, place):
    id = pd.read_parquet(built.path / "benchmark" / "composed-2" / "rows.parquet")["id"].iloc[0]
    with pytest.raises(UnknownName, match="--set names another set"):
        replay(id, place)
    assert replay(id, place, "benchmark/composed-2").equal


def test_a_set_that_is_none_is_answered_with_the_nearest(place):
    with pytest.raises(UnknownName, match=r"no set named 'composed-2'\. Did you mean 'benchmark/composed-2'\?"):
        replay("1+1", place, "composed-2")


def test_where_nothing_was_built_the_error_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"built holds no built set\. Type `augment build` first"):
        replay("1+1", tmp_path)


def test_a_source_that_has_gone_is_told_of(moved):
    id = pd.read_parquet(moved / "built" / "train" / "rows.parquet")["id"].iloc[0]
    (moved / "clean.npz").unlink()
    with pytest.raises(DataError, match=r"clean\.npz does not exist"):
        replay(id, moved)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("plan.json", r"plan\.json is not valid JSON \(.*\)\. Run `augment build` again"),
        ("train/rows.parquet", r"train/rows\.parquet cannot be read \(.*\)\. Build the set again"),
    ],
)
def test_a_built_set_that_is_broken_is_told_of(moved, broken, message):
    id = pd.read_parquet(moved / "built" / "train" / "rows.parquet")["id"].iloc[0]
    (moved / "built" / broken).write_bytes(b"{")
    with pytest.raises(DataError, match=message):
        replay(id, moved)


def changed(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)


def test_other_pixels_in_the_source_are_told_of(moved):
    rows = pd.read_parquet(moved / "built" / "train" / "rows.parquet")
    changed(moved / "clean.npz", lambda arrays: arrays["images"].__iadd__(1))
    with pytest.raises(DataError, match=r"clean\.npz has changed since: .* cannot be reproduced from it any more"):
        replay(rows["id"].iloc[0], moved)


def test_other_images_in_the_source_are_told_of(moved):
    rows = pd.read_parquet(moved / "built" / "train" / "rows.parquet")
    last = rows.loc[rows["source_row"].idxmax()]

    def without_the_first(arrays):
        for name in ("images", "labels", "rows", "groups"):
            arrays[name] = arrays[name][1:]

    changed(moved / "clean.npz", without_the_first)
    with pytest.raises(DataError, match=r"clean\.npz has changed since: its row \d+ is not \d+ any more"):
        replay(last["id"], moved)


def test_a_partner_that_has_gone_is_told_of(moved):
    rows = pd.read_parquet(moved / "built" / "train" / "rows.parquet")
    partner = [json.loads(ops)[-1]["row"] if "mixup" in ops else -1 for ops in rows["ops"]]
    of = rows.loc[np.argmax(np.array(partner) - rows["source_row"])]
    kept = int(of["source_row"]) + 1
    assert max(partner) >= kept

    def fewer(arrays):
        for name in ("images", "labels", "rows", "groups"):
            arrays[name] = arrays[name][:kept]

    changed(moved / "clean.npz", fewer)
    with pytest.raises(DataError, match=r"clean\.npz has changed since"):
        replay(of["id"], moved)


def test_a_shard_that_is_not_what_was_built_is_refused(moved):
    shutil.copy(moved / "built" / "val" / "part-00000.npz", moved / "spare.npz")
    changed(moved / "built" / "val" / "part-00000.npz", lambda arrays: arrays["images"].__iadd__(1))
    id = pd.read_parquet(moved / "built" / "val" / "rows.parquet")["id"].iloc[0]
    with pytest.raises(DataError, match=r"part-00000\.npz is not what was built"):
        replay(id, moved)


def record_instead(artifacts, record: object) -> str:
    """Put another record in the place of the first copy's, as a received set may have it, and give its id."""
    path = artifacts / "built" / "train" / "rows.parquet"
    rows = pd.read_parquet(path)
    copy = rows.index[rows["copy"] > 0][0]
    rows.loc[copy, "ops"] = record if isinstance(record, str) else json.dumps(record)
    write_parquet(rows, path)
    return str(rows.loc[copy, "id"])


def test_code_that_a_set_names_runs_only_from_a_file_that_the_person_names(moved, tmp_path):
    own = tmp_path / "part.py"
    own.write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\ndef f(image, rng): return image\n"
    )
    call = {"op": "call", "function": f"{own}:f", "digest": digest_of(f"{own}:f"), "seed": 1}
    id = record_instead(moved, [call])
    with pytest.raises(DataError, match=r"train/rows.parquet: this was made by f of .*part\.py.*, and add --functions"):
        replay(id, moved)
    assert not (tmp_path / "ran").exists()
    assert not replay(id, moved, functions=[own]).equal
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", r"train/rows\.parquet: what was done to it is no JSON"),
        ([{"op": "system"}], r"train/rows\.parquet: there is no operation 'system'"),
        ([{"op": "mixup", "row": 10**9, "kept": 0.5, "first": []}], r"has changed since: it has no row 1000000000"),
        ([{"op": "dihedral", "element": 0.5}], r"what was done to .* cannot be done again"),
    ],
)
def test_a_record_that_cannot_be_done_is_told_of(moved, record, message):
    with pytest.raises(DataError, match=message):
        replay(record_instead(moved, record), moved)
