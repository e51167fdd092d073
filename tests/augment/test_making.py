import json
import os
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from augment import making
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.listings import Listing
from augment.making import (
    ATTEMPTS,
    COMPOSED_SEVERITIES,
    Entry,
    Task,
    Workshop,
    make,
    read_job,
    tasks,
    write_job,
)
from augment.operations.operation import OPERATIONS
from augment.policies.policy import perform
from curate.builds import CorruptedSet
from curate.sets.provenance import merge_provenance
from curate.sets.reading import read
from curate.sets.shards import read_shards
from curate.stage.errors import DataError


@pytest.fixture
def job(prepared):
    """A function that prepares a build and gives (job, lists, work, out)."""

    def made(name="draft", **given):
        _, draft = prepared(name, **given)
        return *read_job(draft / "work"), draft / "work", draft

    return made


def shop_of(job, lists, work, known=None):
    return Workshop(job, lists, making._job_images(job, work), known)


def made_of(task):
    make(task)
    return pd.read_parquet(task.provenance), dict(np.load(task.path))


@pytest.fixture(scope="module")
def bench(built):
    """The provenance of every benchmark set that was built."""
    folder = built.path / "benchmark"
    return {path.parent.name: pd.read_parquet(path) for path in sorted(folder.rglob("rows.parquet"))}


# Jobs and tasks


def test_a_job_comes_back_from_the_disk_as_it_was(job, tmp_path):
    of, lists, *_ = job(benchmark=("blood", "common"), benchmark_images=3)
    write_job(of, lists, tmp_path / "again")
    again, lists_again = read_job(tmp_path / "again")
    assert json.dumps(asdict(again)) == json.dumps(asdict(of))
    assert again.entries == of.entries
    assert list(lists_again) == list(lists)
    for name, listing in lists.items():
        assert np.array_equal(lists_again[name].rows, listing.rows)
        assert np.array_equal(lists_again[name].copies, listing.copies)


# A source that changes while it is built from


def rewritten(artifacts, change):
    """The clean set, saved anew with its rows changed."""
    with np.load(artifacts / "clean.npz") as file:
        arrays = dict(file)
    np.savez(artifacts / "clean.npz", **change(arrays))


def permuted(arrays):
    n = len(arrays["images"])
    return {key: array[::-1] if array.shape[:1] == (n,) else array for key, array in arrays.items()}


@pytest.mark.parametrize(
    "change",
    [
        permuted,
        lambda arrays: {key: array[1:] if len(array) > 3 else array for key, array in arrays.items()},
        lambda arrays: arrays | {"labels": (arrays["labels"] + 1) % 3},
        lambda arrays: arrays | {"class_names": arrays["class_names"][::-1]},
    ],
    ids=["permuted", "shorter", "relabelled", "renamed"],
)
def test_a_worker_that_finds_another_set_refuses_to_build_from_it(job, artifacts, change):
    found = job()
    rewritten(artifacts, change)
    with pytest.raises(DataError, match=r"clean\.npz has changed since this build began: .* Build again"):
        shop_of(*found[:3])


def test_a_picture_that_is_not_the_one_that_was_scanned_is_refused(job, artifacts):
    of, lists, work, out = job()
    rewritten(artifacts, lambda arrays: arrays | {"images": arrays["images"][::-1]})
    with pytest.raises(DataError, match=r"of .*clean\.npz has other pixels than when it was scanned\. Scan it again"):
        make(tasks(of, lists, work, out)[0])


def test_the_tasks_hold_every_image_of_every_set_once(job, monkeypatch):
    of, lists, work, out = job(benchmark=("blood",), benchmark_images=3)
    monkeypatch.setattr(making, "SHARD_BYTES", 10 * 32 * 32 * 3)
    found = tasks(of, lists, work, out)
    for entry in of.entries:
        parts = [task for task in found if task.entry == entry.name]
        assert [task.part for task in parts] == list(range(len(parts)))
        assert [task.first for task in parts] == [10 * part for part in range(len(parts))]
        assert [task.images for task in parts[:-1]] == [10] * (len(parts) - 1)
        assert parts[-1].last == len(lists[entry.listing])
        assert len({task.path for task in parts}) == len({task.provenance for task in parts}) == len(parts)
    assert sum(task.images for task in found) == sum(len(lists[entry.listing]) for entry in of.entries)


def test_a_shard_has_one_picture_at_least(job, monkeypatch):
    of, lists, work, out = job()
    monkeypatch.setattr(making, "SHARD_BYTES", 1)
    assert {task.images for task in tasks(of, lists, work, out)} == {1}


def test_a_task_is_done_when_both_its_files_are_there(job):
    task = tasks(*job())[1]
    assert not task.exists
    made = make(task)
    assert task.exists
    assert task.shard() == made
    task.provenance.unlink()
    assert not task.exists


def test_a_task_gives_the_same_bytes_whenever_it_is_done(job):
    task = tasks(*job(policy="mixup-cutmix"))[0]
    make(task)
    before = task.path.read_bytes(), task.provenance.read_bytes()
    making._opened.cache_clear()
    make(task)
    assert (task.path.read_bytes(), task.provenance.read_bytes()) == before


def test_another_job_in_the_same_place_is_opened_anew(job):
    one, _ = made_of(tasks(*job(policy="light"))[0])
    other, _ = made_of(tasks(*job(policy="dihedral8"))[0])
    assert one["ops"][1] != other["ops"][1]
    assert json.loads(other["ops"][1]) == [{"op": "dihedral", "element": 1}]


def test_an_empty_shard_can_be_made_and_read(job):
    of, lists, work, out = job()
    lists["val"] = Listing(np.zeros(0, np.int64), np.zeros(0, np.int64))
    write_job(of, lists, work)
    (task,) = (task for task in tasks(of, lists, work, out) if task.entry == "val")
    assert task.images == 0
    rows, arrays = made_of(task)
    assert len(rows) == 0
    assert arrays["images"].shape == (0, 32, 32, 3)


# What a shard holds


def test_a_shard_and_its_provenance_tell_of_the_same_images(job):
    of, lists, work, out = job(policy="mixup-cutmix-traditional", copies=3)
    images = making._job_images(of, work)
    task = tasks(of, lists, work, out)[0]
    rows, arrays = made_of(task)
    listing = lists["train"]
    assert rows["source_row"].tolist() == listing.rows.tolist()
    assert rows["copy"].tolist() == listing.copies.tolist()
    assert arrays["ids"].tolist() == rows["id"].tolist()
    assert rows["source_id"].tolist() == [images.ids[row] for row in listing.rows]
    assert rows["label"].tolist() == images.labels[listing.rows].tolist()
    assert rows["label_name"].tolist() == [images.label_name(row) for row in listing.rows]
    assert rows["group"].tolist() == images.groups[listing.rows].tolist()
    assert arrays["class_names"].tolist() == list(images.classes)
    assert set(rows["seed"]) == {0}
    for i, copy in enumerate(rows["copy"]):
        assert rows["id"][i] == (f"{rows['source_id'][i]}+{copy}" if copy else rows["source_id"][i])
        assert bool(json.loads(rows["ops"][i])) == bool(copy)


def test_the_picture_itself_is_the_source_pixel_for_pixel(job):
    of, lists, work, out = job()
    images = making._job_images(of, work)
    for task in tasks(of, lists, work, out):
        rows, arrays = made_of(task)
        for i in np.flatnonzero(rows["copy"] == 0).tolist():
            assert np.array_equal(arrays["images"][i], images.images[int(rows["source_row"][i])].pixels)


def test_every_image_is_what_its_record_makes_of_its_source(job):
    of, lists, work, out = job(policy="mixup-cutmix-traditional", copies=2)
    images = making._job_images(of, work)
    rows, arrays = made_of(tasks(of, lists, work, out)[0])
    for i in range(40):
        source = images.images[int(rows["source_row"][i])].pixels
        again = perform(source, json.loads(rows["ops"][i]), lambda row: images.images[row].pixels)
        assert np.array_equal(again, arrays["images"][i])


def test_labels_of_mixed_images_are_shares_that_add_up_to_one(job):
    of, lists, work, out = job(policy="mixup-cutmix-traditional", copies=3)
    images = making._job_images(of, work)
    rows, arrays = made_of(tasks(of, lists, work, out)[0])
    labels = arrays["labels"]
    assert labels.dtype == np.float32
    assert labels.sum(axis=1) == pytest.approx(np.ones(len(labels)), abs=1e-6)
    assert ((labels > 0).sum(axis=1) > 1).any()
    for i, copy in enumerate(rows["copy"]):
        if not copy:
            assert labels[i].tolist() == [float(code == rows["label"][i]) for code in range(3)]
    partners = {record["row"] for ops in rows["ops"] for record in json.loads(ops) if "row" in record}
    assert partners <= set(lists["train"].rows.tolist())
    assert len(partners) > 20
    assert images.labels[list(partners)].min() >= 0


def test_labels_are_whole_where_nothing_is_mixed_and_outside_of_training(job):
    for policy in ("light", "mixup"):
        of, lists, work, out = job(policy, policy=policy)
        for task in tasks(of, lists, work, out):
            _, arrays = made_of(task)
            soft = policy == "mixup" and task.entry == "train"
            assert arrays["labels"].dtype == (np.float32 if soft else np.int64)


def test_the_policy_is_drawn_from_seed_row_and_copy_and_from_nothing_else(job):
    of, lists, work, _ = job()
    shop, again = shop_of(of, lists, work), shop_of(of, lists, work)
    train = shop.entries["train"]
    one = shop.draw(train, 3, 1)
    assert again.draw(train, 9, 2) is not None
    assert again.draw(train, 3, 1) == one
    others = [shop.draw(train, 3, 2), shop.draw(train, 4, 1), shop.draw(train, 3, 1, attempt=1)]
    others.append(shop_of(replace(of, seed=1), lists, work).draw(train, 3, 1))
    assert one not in others


# The benchmark


def test_severities_of_a_corruption_differ_in_strength_alone(bench):
    five = [bench[f"stain_deposit-{severity}"] for severity in range(1, 6)]
    for of in zip(*(table["ops"] for table in five), strict=True):
        records = [json.loads(ops)[0] for ops in of]
        assert len({record["seed"] for record in records}) == 1
        counts = [record["count"] for record in records]
        assert counts == sorted(set(counts))


def test_images_of_one_set_are_drawn_differently(bench):
    seeds = [json.loads(ops)[0]["seed"] for ops in bench["stain_deposit-3"]["ops"]]
    assert len(set(seeds)) == len(seeds)


def test_a_benchmark_set_is_named_after_what_was_done_to_it(bench):
    for name, rows in bench.items():
        corruption, _, severity = name.rpartition("-")
        if severity in set("12345") and corruption in CORRUPTIONS:
            assert {json.loads(ops)[0]["op"] for ops in rows["ops"]} == {CORRUPTIONS[corruption].operation.name}
            assert {len(json.loads(ops)) for ops in rows["ops"]} == {1}


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("suffix", "role"), [("", TEST), ("-validation", VALIDATION)])
def test_composed_tracks_are_of_that_many_families_of_their_role_as_light_travels(bench, number, suffix, role):
    families = {c.operation.name: c.family for c in CORRUPTIONS.values() if c.role == role}
    orders = set()
    for ops in bench[f"composed-{number}{suffix}"]["ops"]:
        of = [families[record["op"]] for record in json.loads(ops)]
        assert len(of) == len(set(of)) == number
        assert of == sorted(of, key=making._ORDER.index)
        orders.add(tuple(of))
    assert number == 3 or len(orders) > 1  # there are three families, so that of two there are three choices


def test_composed_tracks_are_of_moderate_severities(built, bench):
    values = {(s.corruption, s.severity): s.values for s in built.benchmark.sets if isinstance(s, CorruptedSet)}
    seen = set()
    for ops in bench["composed-2"]["ops"]:
        for record in json.loads(ops):
            names = [n for n, c in CORRUPTIONS.items() if c.operation.name == record["op"]]
            fits = [s for n in names for s in range(1, 6) if values.get((n, s), {"": 0}).items() <= record.items()]
            assert len(fits) == 1
            seen |= set(fits)
    assert seen == set(COMPOSED_SEVERITIES)


def test_the_order_of_light_has_every_family():
    assert sorted(making._ORDER) == sorted({of.family for of in OPERATIONS.values()})


def test_a_published_preset_is_drawn_with_its_values(job):
    of, lists, work, _ = job(benchmark=("blood",), severities="medmnist-c-blood", benchmark_images=3)
    shop = shop_of(of, lists, work)
    (record,) = shop.draw(shop.entries["benchmark/bubble-3"], 0, 0)
    assert (record["op"], record["radius"], record["count"]) == ("bubbles", 10, 10)


# Labels that are checked


@pytest.fixture
def judged(job, monkeypatch):
    """A function that makes the training set while labels are known as it says, and gives rows and what was made."""

    def made(known, **given):
        of, lists, work, out = job(**{"policy": "light", "copies": 2, **given})
        write_job(replace(of, check=True), lists, work)
        monkeypatch.setattr(making, "_label_check", lambda job, folder: known)
        making._opened.cache_clear()
        task = tasks(of, lists, work, out)[0]
        done = make(task)
        making._opened.cache_clear()
        return pd.read_parquet(task.provenance), done

    return made


def test_an_image_whose_label_is_known_is_drawn_once(judged):
    rows, done = judged(lambda images, labels, rows, open_row: np.ones(len(images), bool))
    assert (done.redrawn, done.doubted) == (0, 0)
    assert not rows["attempt"].any()


def test_an_image_whose_label_is_never_known_is_doubted_after_some_attempts(judged):
    rows, done = judged(lambda images, labels, rows, open_row: np.zeros(len(images), bool))
    copies = rows["copy"] > 0
    assert done.redrawn == done.doubted == copies.sum()
    assert (rows["attempt"] == np.where(copies, ATTEMPTS, 0)).all()
    assert (rows["doubted"] == copies).all()


def test_only_what_is_not_known_is_drawn_again_and_its_record_is_that_of_the_last_draw(judged, job):
    asked = []

    def only_even_rows(images, labels, rows, open_row):
        asked.append(len(images))
        return rows % 2 == 0 if len(asked) == 1 else np.ones(len(images), bool)

    rows, done = judged(only_even_rows)
    again = (rows["copy"] > 0) & (rows["source_row"] % 2 == 1)
    assert asked == [(rows["copy"] > 0).sum(), again.sum()]
    assert done.redrawn == again.sum()
    assert done.doubted == 0
    assert (rows["attempt"] == again).all()
    of, lists, work, _ = job("other", policy="light", copies=2)
    shop = shop_of(of, lists, work)
    for row, copy, attempt, ops in rows[["source_row", "copy", "attempt", "ops"]].itertuples(index=False):
        assert json.loads(ops) == shop.draw(shop.entries["train"], row, copy, attempt)


def test_the_judge_sees_soft_labels_the_rows_and_the_clean_pictures(judged):
    seen = []

    def known(images, labels, rows, open_row):
        assert images.dtype == np.uint8
        assert labels.shape == (len(images), 3)
        assert labels.sum(axis=1) == pytest.approx(np.ones(len(images)), abs=1e-6)
        seen.append(open_row(int(rows[0])).shape)
        return np.ones(len(images), bool)

    judged(known, policy="mixup")
    assert seen == [(32, 32, 3)]


def test_val_test_and_benchmark_are_never_drawn_again(built):
    for path in built.path.rglob("rows.parquet"):
        if path.parent.name != "train":
            rows = pd.read_parquet(path)
            assert not rows["attempt"].any()
            assert not rows["doubted"].any()


# Provenance


def test_the_provenance_of_a_set_is_that_of_its_shards_in_order(job, monkeypatch, tmp_path):
    of, lists, work, out = job()
    monkeypatch.setattr(making, "SHARD_BYTES", 50 * 32 * 32 * 3)
    parts = [task for task in tasks(of, lists, work, out) if task.entry == "train"]
    assert len(parts) > 3
    for task in reversed(parts):
        make(task)
    merge_provenance([task.provenance for task in parts], tmp_path / "rows.parquet")
    merged = pd.read_parquet(tmp_path / "rows.parquet")
    assert merged["source_row"].tolist() == lists["train"].rows.tolist()
    merge_provenance([task.provenance for task in parts], out / "train" / "rows.parquet")
    assert read_shards(out / "train").ids == tuple(merged["id"])


def test_a_shard_is_whole_or_not_there(job, monkeypatch):
    task = tasks(*job())[0]
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="cannot write"):
        make(task)
    assert not task.exists
    assert not list(task.path.parent.glob("*"))


def test_the_set_that_a_job_is_of_has_the_groups_that_it_was_split_by(job, artifacts):
    of, _, work, _ = job()
    images = making._job_images(of, work)
    assert (images.groups >= 0).any()
    assert images.ids == read(artifacts / "clean.npz").ids


def test_an_entry_and_a_task_say_what_they_are():
    assert Entry("train", "train") == Entry("train", "train", "", 0, 0, "")
    assert Task("w", "o", "benchmark/fog-3", 2, 10, 15).images == 5
    assert Task("w", "o", "benchmark/fog-3", 2, 10, 15).path.as_posix() == "o/benchmark/fog-3/part-00002.npz"
