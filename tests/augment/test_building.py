from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import augment.building
from augment import making
from augment.building import build
from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.planning import plan
from augment.replaying import replay
from curate.builds import SPLITS, BuildManifest, ComposedSet, CorruptedSet
from curate.cleaning import apply, undo
from curate.configs import ScanConfig
from curate.deciding import decide
from curate.scanning import scan
from curate.sets.reading import read
from curate.sets.scaling import INTEGERS, Decoding, Scale
from curate.sets.shards import read_shards
from curate.stage.errors import DataError, OutputError, UnknownName, WorkerLost
from curate.stage.manifest import check_outputs, read_manifest
from curate.stage.progress import Silent
from curate.stage.records import document_of

ROOT = Path(__file__).parents[2]
IMAGE = 32 * 32 * 3
# Builds with the options of its first argument, shards of ten images, and is killed when the fifth is written; before
# that, where the second argument says so, so that of its two files one is there.
KILLED = """
import json, os, signal, sys
from augment import making
from augment.building import build
from augment.configs import BuildConfig

making.SHARD_BYTES = 10 * 32 * 32 * 3
write = making.write_shard

def deadly(folder, number, *given):
    if number == 4 and sys.argv[2] == "between two":
        os.kill(os.getpid(), signal.SIGKILL)
    path = write(folder, number, *given)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return path

making.write_shard = deadly
options = json.loads(sys.argv[1])
options["benchmark"] = tuple(options["benchmark"])
build(None, BuildConfig(**options))
"""


class Noted(Silent):
    """A reporter that keeps what is said, and how far each stage came."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def rows_of(path, name):
    return pd.read_parquet(path / name / "rows.parquet")


def draft_of(artifacts):
    return artifacts / "built.partial"


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of ten images."""
    monkeypatch.setattr(making, "SHARD_BYTES", 10 * IMAGE)


# What is built


def test_every_source_and_every_group_is_in_one_split(built):
    side_of = {}
    for name in SPLITS:
        rows = rows_of(built.path, name)
        assert len(rows)
        for unit in [*rows["source_id"], *rows.loc[rows["group"] >= 0, "group"]]:
            assert side_of.setdefault(unit, name) == name
    assert sum(isinstance(unit, int) for unit in side_of) == 4


def test_what_is_mixed_in_is_of_the_training_set_as_well(built):
    sources = {name: set(rows_of(built.path, name)["source_row"]) for name in SPLITS}
    partners = {r["row"] for ops in rows_of(built.path, "train")["ops"] for r in json.loads(ops) if "row" in r}
    assert partners
    assert partners <= sources["train"]


def test_the_benchmark_is_of_test_pictures_and_its_validation_part_of_val_pictures(built):
    sources = {name: set(rows_of(built.path, name)["source_id"]) for name in SPLITS}
    roles = {s.name: s.role for s in built.benchmark.sets}
    assert set(roles.values()) == {TEST, VALIDATION}
    for name, role in roles.items():
        of = set(rows_of(built.path, f"benchmark/{name}")["source_id"])
        assert of <= sources["test" if role == TEST else "val"]
        assert of.isdisjoint(sources["train"])


def test_the_classes_come_out_as_planned(built):
    table = built.decisions.copy_plan.table
    rows = rows_of(built.path, "train")
    for code, images in enumerate(table["images"]):
        assert (rows["label"] == code).sum() == images
    assert built.counts["train"].tolist() == table["images"].tolist()
    assert built.counts["copies"].tolist() == table["copies"].tolist()
    assert len(set(built.counts["train"])) == 1  # balanced
    for name in ("val", "test"):
        assert built.counts[name].tolist() == np.bincount(rows_of(built.path, name)["label"], minlength=3).tolist()
    assert built.images["train"] == len(rows) == built.decisions.images["train"]


def test_what_was_built_is_read_as_a_set(built):
    images = read(built.path)
    assert len(images) == sum(built.decisions.images.values())
    assert images.classes == built.decisions.set.classes
    assert set(images.splits) == set(SPLITS)
    assert images.soft.sum(axis=1) == pytest.approx(np.ones(len(images)), abs=1e-6)
    mixed = (images.soft > 0).sum(axis=1) > 1
    assert mixed.any()
    assert not mixed[np.array(images.splits) != "train"].any()


def test_the_document_of_the_benchmark_describes_just_what_is_on_disk(built):
    sets = {s.name: s for s in built.benchmark.sets}
    folders = {path.parent.name for path in (built.path / "benchmark").rglob("rows.parquet")}
    assert set(sets) == folders
    assert document_of(built.benchmark) == json.loads((built.path / "benchmark.json").read_text())
    for name, record in sets.items():
        images = read_shards(built.path / "benchmark" / name)
        assert len(images) == record.images == built.images[f"benchmark/{name}"]
        rows = rows_of(built.path, f"benchmark/{name}")
        for ops in rows["ops"]:
            drawn = json.loads(ops)
            if isinstance(record, CorruptedSet):
                assert record.values.items() <= drawn[0].items()
                assert drawn[0]["op"] == CORRUPTIONS[record.corruption].operation.name
            else:
                assert len(drawn) == record.composed
    assert {s.images for s in sets.values() if isinstance(s, CorruptedSet)} == {5}
    assert {s.images for s in sets.values() if isinstance(s, ComposedSet)} == {15}


def test_a_built_folder_holds_the_sets_and_what_is_told_of_them_and_nothing_else(built):
    assert {path.name for path in built.path.iterdir()} == {
        "train", "val", "test", "benchmark", "plan.json", "benchmark.json", "manifest.json",
    }  # fmt: skip
    assert not draft_of(built.path.parent).exists()
    for path in built.path.rglob("*"):
        assert path.is_dir() or path.suffix in (".json", ".npz", ".parquet")


def test_the_manifest_is_of_the_build(built):
    told = read_manifest(BuildManifest, built.path)
    assert told.config["benchmark_images"] == 5
    assert set(told.outputs) == {"plan.json", "benchmark.json", *(f"{name}/rows.parquet" for name in told.sets)}
    assert set(told.sets) == set(built.images)
    assert told.counts == {**built.decisions.images, "redrawn": built.redrawn}
    assert told.source == str(built.decisions.set.source.path.resolve())


def test_labels_were_checked_and_what_was_redrawn_is_counted(built):
    rows = rows_of(built.path, "train")
    assert built.redrawn == (rows["attempt"] > 0).sum()
    assert built.doubted == rows["doubted"].sum()
    assert built.plan.labels_lost is not None
    assert document_of(built.plan) == json.loads((built.path / "plan.json").read_text())


def test_the_sources_are_only_read(scanned, artifacts, plain):
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (scanned / "data.npz", artifacts / "clean.npz")]
    build(None, plain(policy="mixup-cutmix"))
    after = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (scanned / "data.npz", artifacts / "clean.npz")]
    assert after == before


def test_the_scanned_set_itself_can_be_built_from(scanned, plain):
    done = build(scanned / "data.npz", plain())
    assert done.plan.source == str(scanned / "data.npz")
    assert done.decisions.images["train"] > 200


# The same bytes


def test_the_same_options_give_the_same_bytes_and_another_seed_others(plain, artifacts, digests):
    seen = []
    for seed in (0, 0, 1):
        build(None, plain(policy="moderate", seed=seed))
        seen.append(digests(artifacts / "built"))
    assert seen[0] == seen[1]
    assert seen[0]["train/part-00000.npz"] != seen[2]["train/part-00000.npz"]


def test_two_builds_of_one_process_are_each_their_own(plain, artifacts, digests):
    build(None, plain(policy="light"))
    first = digests(artifacts / "built")
    build(None, plain(policy="dihedral8", copies=3, balance="none"))
    rows = rows_of(artifacts / "built", "train")
    assert {json.loads(ops)[0]["op"] for ops in rows.loc[rows["copy"] > 0, "ops"]} == {"dihedral"}
    build(None, plain(policy="light"))
    assert digests(artifacts / "built") == first


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(plain, artifacts, digests, tmp_path, small_shards):
    (tmp_path / "mixed.toml").write_text(
        'copies = 1\nsteps = [{op = "tone_curve", amount = [0.1, 0.6]}, {op = "mixup", alpha = 0.4, p = 0.5}]\n'
    )
    seen = []
    for workers in (1, 2, 4):
        config = plain(policy=str(tmp_path / "mixed.toml"), check=True, backbone="builtin", workers=workers)
        done = build(None, config)
        seen.append((digests(artifacts / "built"), done.redrawn, done.doubted))
    assert len(seen[0][0]) > 20
    assert seen[0] == seen[1] == seen[2]


# Interrupted


def killed(config, tmp_path, when="after the fifth"):
    """Run a build that is killed with SIGKILL in the middle."""
    (tmp_path / "killed.py").write_text(KILLED)
    names = ("benchmark", "check", "workers", "policy", "artifacts", "copies", "seed")
    options = {name: getattr(config, name) for name in names}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "killed.py"), json.dumps(options), when],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("when", ["after the fifth", "between two"])
def test_after_a_kill_in_the_middle_only_what_is_missing_is_made_and_the_bytes_are_the_same(
    plain, artifacts, digests, tmp_path, small_shards, monkeypatch, when
):
    config = plain(policy="moderate", copies=1)
    build(None, config)
    whole = digests(artifacts / "built")
    shutil.rmtree(artifacts / "built")
    killed(config, tmp_path, when)
    assert not (artifacts / "built").exists()
    made = []
    monkeypatch.setattr(augment.building, "make", lambda task: made.append(task) or making.make(task))
    done = build(None, plain(policy="moderate", copies=1, resume=True))
    assert digests(artifacts / "built") == whole
    kept = 5 if when == "after the fifth" else 4
    assert done.resumed == kept
    assert len(made) == sum(name.endswith(".npz") for name in whole) - kept
    assert not draft_of(artifacts).exists()


def test_resuming_counts_what_was_redrawn_before(plain, artifacts, small_shards, monkeypatch):
    monkeypatch.setattr(
        making, "_label_check", lambda job, folder: lambda images, labels, rows, open_row: rows % 2 == 0
    )
    monkeypatch.setattr(augment.preparing, "_label_probe", _a_probe)
    monkeypatch.setattr(augment.preparing, "load_features", _no_features)
    whole = build(None, plain(check=True))
    assert whole.redrawn
    assert whole.redrawn == whole.doubted
    break_at(monkeypatch, 9)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(check=True, seed=0))
    monkeypatch.setattr(augment.building, "make", making.make)
    resumed = build(None, plain(check=True, resume=True))
    assert resumed.resumed == 8
    assert (resumed.redrawn, resumed.doubted) == (whole.redrawn, whole.doubted)


def _a_probe(plans, config, features, units, reporter):
    class Kept:
        def save(self, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    return Kept(), pd.DataFrame({"operation": [], "tried": [], "augmented": [], "clean": [], "lost": []}), ""


def _no_features(*given):
    return namedtuple("Nothing", "name size")("none", 32), ""


def break_at(monkeypatch, number):
    """Let the making of that shard fail."""
    count = 0

    def broken(task):
        nonlocal count
        count += 1
        if count == number:
            raise ZeroDivisionError
        return making.make(task)

    monkeypatch.setattr(augment.building, "make", broken)


@pytest.mark.parametrize("other", [{"seed": 1}, {"policy": "heavy"}, {"copies": 2}, {"size": (24, 24)}])
def test_resuming_with_other_options_is_refused_and_what_there_is_stays(
    plain, artifacts, digests, small_shards, monkeypatch, other
):
    break_at(monkeypatch, 4)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(copies=1))
    before = digests(draft_of(artifacts))
    with pytest.raises(DataError, match=r"is of another input or of other options\. .* leave out --resume"):
        build(None, plain(**{"copies": 1, "resume": True, **other}))
    assert digests(draft_of(artifacts)) == before


def test_with_nothing_to_resume_a_build_starts_and_says_so(plain, artifacts):
    noted = Noted()
    done = build(None, plain(resume=True), noted)
    assert "nothing to resume: building from the start" in noted.said
    assert done.resumed == 0
    assert (artifacts / "built" / "manifest.json").is_file()


def test_what_an_interrupted_build_left_goes_where_it_is_not_resumed(plain, artifacts, small_shards, monkeypatch):
    break_at(monkeypatch, 4)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(copies=1))
    assert len(list(draft_of(artifacts).rglob("*.npz"))) == 4  # and listings.npz
    monkeypatch.setattr(augment.building, "make", making.make)
    done = build(None, plain(copies=1))
    assert done.resumed == 0
    assert not draft_of(artifacts).exists()


def test_an_earlier_build_stays_until_the_next_is_done(plain, artifacts, digests, monkeypatch, small_shards):
    build(None, plain(copies=1))
    before = digests(artifacts / "built")
    break_at(monkeypatch, 4)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(copies=2))
    assert digests(artifacts / "built") == before


def test_shards_of_a_job_that_is_not_known_any_more_are_made_anew(plain, artifacts, digests, small_shards, monkeypatch):
    build(None, plain(copies=1, seed=1))
    whole = digests(artifacts / "built")
    break_at(monkeypatch, 4)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(copies=1))
    (draft_of(artifacts) / "work" / "identity").unlink()  # as where it was killed while it tidied up
    monkeypatch.setattr(augment.building, "make", making.make)
    assert build(None, plain(copies=1, seed=1, resume=True)).resumed == 0
    assert digests(artifacts / "built") == whole


def deciding_during_train(artifacts, monkeypatch, then=lambda: None) -> None:
    """Let a person drop an image, and apply that, while the third shard of train is made."""
    kept = read(artifacts / "clean.npz").ids

    def decided(task):
        if task.entry == "train" and task.part == 2:
            decide(artifacts, {kept[0]: "drop"})
            apply(artifacts)
            then()
        return making.make(task)

    monkeypatch.setattr(augment.building, "make", decided)


def test_decisions_that_are_applied_during_a_build_never_mix_two_states(
    plain, artifacts, digests, monkeypatch, small_shards
):
    build(None, plain(copies=1))
    whole = digests(artifacts / "built")
    deciding_during_train(artifacts, monkeypatch, making._opened.cache_clear)  # as a worker finds it that begins now
    with pytest.raises(DataError, match=r"clean\.npz has changed since this build began"):
        build(None, plain(copies=1))
    monkeypatch.setattr(augment.building, "make", making.make)
    with pytest.raises(DataError, match="is of another input or of other options"):
        build(None, plain(copies=1, resume=True))
    undo(artifacts)
    assert build(None, plain(copies=1, resume=True)).resumed == 2
    assert digests(artifacts / "built") == whole


def test_a_build_that_has_its_set_open_goes_on_with_the_state_that_it_began_with(
    plain, artifacts, digests, monkeypatch, small_shards
):
    build(None, plain(copies=1))
    whole = digests(artifacts / "built")
    deciding_during_train(artifacts, monkeypatch)
    build(None, plain(copies=1))
    assert digests(artifacts / "built") == whole


def test_the_rows_of_every_set_have_their_digests_in_the_manifest(built):
    manifest = read_manifest(BuildManifest, built.path)
    check_outputs(manifest, built.path, manifest.outputs)
    assert {f"{name}/rows.parquet" for name in manifest.sets} < set(manifest.outputs)


def test_an_interrupt_from_the_keyboard_keeps_what_is_finished(plain, artifacts, small_shards, monkeypatch):
    def stopped(task):
        if task.part == 3:
            raise KeyboardInterrupt
        return making.make(task)

    monkeypatch.setattr(augment.building, "make", stopped)
    noted = Noted()
    with pytest.raises(KeyboardInterrupt):
        build(None, plain(copies=1), noted)
    assert noted.said == ["interrupted; what was finished is kept: go on with --resume"]
    monkeypatch.setattr(augment.building, "make", making.make)
    assert build(None, plain(copies=1, resume=True)).resumed == 3


# What goes wrong


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_in_one_line_and_what_is_finished_is_kept(
    plain, artifacts, digests, tmp_path, small_shards
):
    """By a person's own function, as the system does it when the memory is used up."""
    (tmp_path / "mine.py").write_text(
        "import os, signal\n"
        "from pathlib import Path\n\n"
        "def fade(image, rng):\n"
        f"    if Path({str(tmp_path / 'poison')!r}).exists() and rng.random() < 0.02:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return image // 2\n"
    )
    config = {"policy": f"{tmp_path / 'mine.py'}:fade", "copies": 1, "workers": 2}
    build(None, plain(**config))
    whole = digests(artifacts / "built")
    shutil.rmtree(artifacts / "built")
    (tmp_path / "poison").touch()
    with pytest.raises(WorkerLost, match=r"a worker process was killed.* go on with --resume, or with fewer") as error:
        build(None, plain(**config))
    assert "\n" not in str(error.value)
    (tmp_path / "poison").unlink()
    kept = len(list(draft_of(artifacts).rglob("part-*.npz")))
    assert 0 < kept < len(whole)
    build(None, plain(**config, resume=True))
    assert digests(artifacts / "built") == whole


def test_a_full_disk_is_told_before_anything_is_made(plain, artifacts, monkeypatch):
    made = []
    monkeypatch.setattr(augment.building, "make", made.append)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    monkeypatch.setattr(augment.building, "prepare", lambda *given: made.append(given))
    with pytest.raises(OutputError, match=r"0\.0 GB are needed in .* and 0\.0 GB are free\. Free some space"):
        build(None, plain())
    assert made == []
    assert not (artifacts / "built").exists()
    assert not draft_of(artifacts).exists()


def test_the_benchmark_counts_as_well(plain, artifacts, quick, monkeypatch):
    config = plain(benchmark=("blood",), benchmark_images=12, copies=0, balance="none")
    free = plan(None, config).bytes + 20 * IMAGE
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free, 0, free))
    with pytest.raises(OutputError, match="GB are needed"):
        build(None, config)
    assert build(None, plain(copies=0, balance="none")).images["train"] > 0


def test_a_disk_that_fills_up_on_the_way_is_told_and_what_is_finished_is_kept(
    plain, artifacts, small_shards, monkeypatch
):
    write = making.write_shard

    def full(folder, number, *given):
        if number == 3:
            raise OutputError("cannot write it: the disk is full.")
        return write(folder, number, *given)

    monkeypatch.setattr(making, "write_shard", full)
    with pytest.raises(OutputError, match="the disk is full"):
        build(None, plain(copies=1))
    monkeypatch.setattr(making, "write_shard", write)
    assert build(None, plain(copies=1, resume=True)).resumed == 3


def test_a_function_of_a_person_that_fails_is_told_with_its_name(plain, tmp_path, artifacts):
    (tmp_path / "mine.py").write_text("def fade(image, rng):\n    return image[:5]\n")
    with pytest.raises(DataError, match=r"mine\.py:fade gave uint8 \(5, 32, 3\); needed is uint8 \(32, 32, 3\)"):
        build(None, plain(policy=f"{tmp_path / 'mine.py'}:fade"))
    assert not (artifacts / "built").exists()


@pytest.mark.parametrize(
    ("given", "error"),
    [({"policy": "haevy"}, UnknownName), ({"train": 0, "val": 0.5, "test": 0.5}, DataError)],
)
def test_what_cannot_be_built_leaves_nothing_behind(plain, artifacts, given, error):
    before = {path.name for path in artifacts.iterdir()}
    with pytest.raises(error):
        build(None, plain(**given))
    assert {path.name for path in artifacts.iterdir()} - before <= {"splits.csv"}


def test_a_set_that_was_not_scanned_is_told_what_to_type(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros((4, 12, 12, 3), np.uint8), labels=[0, 0, 1, 1])
    with pytest.raises(DataError, match="Type `curate scan"):
        build(tmp_path / "data.npz", BuildConfig(artifacts=str(tmp_path / "artifacts")))
    assert not (tmp_path / "artifacts").exists()


def test_a_policy_that_contains_what_is_tested_is_refused_and_leaves_nothing_behind(plain, artifacts, quick, tmp_path):
    (tmp_path / "same.toml").write_text('steps = [{op = "jpeg", quality = [2, 100]}]\n')
    config = {"policy": str(tmp_path / "same.toml"), "benchmark": ("blood",), "benchmark_images": 3}
    with pytest.raises(DataError, match="contains what the benchmark tests: jpeg_compression"):
        build(None, plain(**config))
    assert not (artifacts / "built").exists()
    assert not draft_of(artifacts).exists()
    done = build(None, plain(**config, allow_overlap=True))
    verdicts = {s.corruption: s.verdict for s in done.benchmark.sets}
    assert verdicts["jpeg_compression"] == "identical"


# Sets of all kinds


def test_without_a_test_split_there_is_none_and_no_benchmark_to_test_on(plain, artifacts, quick):
    done = build(None, plain(train=0.8, val=0.2, test=0, benchmark=("blood", "common"), benchmark_images=3))
    assert not (artifacts / "built" / "test").exists()
    assert done.counts["test"].tolist() == [0, 0, 0]
    assert {s.role for s in done.benchmark.sets} == {VALIDATION}


def test_of_training_pictures_alone_no_benchmark_is_made(plain, artifacts, quick):
    done = build(None, plain(train=1, val=0, test=0, benchmark=("blood",)))
    assert done.benchmark.sets == ()
    assert {path.name for path in done.path.iterdir()} == {"train", "plan.json", "benchmark.json", "manifest.json"}


def test_a_folder_of_pictures_of_several_sizes_is_built_at_one(tmp_path, cells_of, scan_by_hand, digests):
    images, labels = cells_of((14, 14))
    for row, picture in enumerate(images):
        path = tmp_path / "set" / "ab"[labels[row]] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[: 24 + row % 3 * 4]).save(path)
    before = digests(tmp_path / "set")
    artifacts = scan_by_hand(tmp_path / "set", tmp_path / "artifacts")
    config = BuildConfig(
        artifacts=str(artifacts), policy="light", copies=1, benchmark=(), check=False, workers=1, fit="pad"
    )
    done = build(None, config)
    assert any("differ in size" in note for note in done.notes)
    train = read_shards(done.path / "train")
    assert {train.images[row].pixels.shape for row in range(len(train))} == {(28, 32, 3)}
    assert set(rows_of(done.path, "train")["source_id"]) <= {
        path.name for path in (tmp_path / "set").rglob("*.png")
    } | {f"{'ab'[labels[row]]}/{row}.png" for row in range(28)}
    assert digests(tmp_path / "set") == before


def test_grey_pictures_are_built_as_three_equal_channels_or_as_colours_of_the_policy(tmp_path, cells_of, scan_by_hand):
    images, labels = cells_of((14, 14))
    np.savez(tmp_path / "grey.npz", images=images[..., 1], labels=labels)
    artifacts = scan_by_hand(tmp_path / "grey.npz", tmp_path / "artifacts")
    done = build(
        None,
        BuildConfig(artifacts=str(artifacts), policy="dihedral8", copies=2, benchmark=(), check=False, workers=1),
    )
    pixels = np.load(done.path / "train" / "part-00000.npz")["images"]
    assert pixels.shape[1:] == (32, 32, 3)
    assert (pixels == pixels[..., :1]).all()


def test_a_size_that_is_asked_for_is_that_of_every_set(plain):
    done = build(None, plain(size=(40, 24), fit="stretch"))
    for name in SPLITS:
        images = read_shards(done.path / name)
        assert images.describe == "40x24 RGB"


def test_a_balanced_test_set_is_built(plain):
    done = build(None, plain(balanced_test=True))
    assert len(set(done.counts["test"])) == 1
    assert done.counts["test"][0] > 1


def test_images_without_a_label_are_in_no_set(tmp_path, cells_of, scan_by_hand):
    images, labels = cells_of((14, 14))
    labels = labels.copy()
    labels[:4] = -1
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    artifacts = scan_by_hand(tmp_path / "data.npz", tmp_path / "artifacts")
    done = build(None, BuildConfig(artifacts=str(artifacts), policy="mixup", benchmark=(), check=False, workers=1))
    sources = {source for name in SPLITS for source in rows_of(done.path, name)["source_row"]}
    assert sources == set(range(4, 28))
    assert "4 images have no label and are left out" in done.notes


def test_the_policy_of_a_person_is_used(plain, tmp_path):
    (tmp_path / "mine.py").write_text("def fade(image, rng):\n    return image // 2\n")
    (tmp_path / "mine.toml").write_text(
        'copies = 2\n[[pipeline]]\nsteps = [{call = "mine.py:fade"}]\n[[pipeline]]\nsteps = [{op = "flip_x"}]\n'
    )
    done = build(
        None, plain(policy=str(tmp_path / "mine.toml"), functions=(str(tmp_path / "mine.py"),), balance="none")
    )
    rows, pixels = rows_of(done.path, "train"), np.load(done.path / "train" / "part-00000.npz")["images"]
    for i in np.flatnonzero(rows["copy"] == 0).tolist():
        assert np.array_equal(pixels[i + 1], pixels[i] // 2)
        assert np.array_equal(pixels[i + 2], pixels[i][:, ::-1])


def test_what_is_counted_is_what_was_planned(plain, monkeypatch):
    plans = plan(None, plain())
    monkeypatch.setattr(augment.building, "_join", lambda todo, job, draft: _wrong(plans))
    with pytest.raises(OutputError, match="did not come out as planned"):
        build(None, plain())


def _wrong(plans):
    table = plans.copy_plan.table
    return pd.DataFrame({"class": table["class"], "train": table["images"] + 1, "copies": table["copies"]})


def test_a_group_that_came_out_in_two_splits_is_found(plain, artifacts, monkeypatch):
    write = making.write_provenance

    def confused(origins, path, relabelled=False):
        write([replace(origin, source_row=0, source_id="0", group=0) for origin in origins], path, relabelled)

    monkeypatch.setattr(making, "write_provenance", confused)
    with pytest.raises(OutputError, match="0 came out in train and in val; build again"):
        build(None, plain())
    assert not (artifacts / "built").exists()


def test_an_interrupted_build_that_names_another_policy_on_disk_does_not_run_it(
    plain, artifacts, small_shards, monkeypatch, tmp_path
):
    break_at(monkeypatch, 4)
    with pytest.raises(ZeroDivisionError):
        build(None, plain(copies=1))
    monkeypatch.setattr(augment.building, "make", making.make)
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\ndef f(image, rng): return image\n"
    )
    job = draft_of(artifacts) / "work" / "job.json"
    job.write_text(json.dumps(json.loads(job.read_text()) | {"policy": f"{tmp_path / 'evil.py'}:f"}))
    with pytest.raises(DataError, match=r"evil\.py:f\. Leave out --resume to start over"):
        build(None, plain(copies=1, resume=True))
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_files_of_sixteen_bits_are_built_and_replayed_by_the_scale_of_their_scan(tmp_path):
    rng = np.random.default_rng(0)
    for row in range(40):
        # Every second picture is dim; the clean set of such alone would be brightened.
        values = rng.integers(0, 4000 if row % 2 else 900, (24, 24)).astype(np.uint16)
        path = tmp_path / "frames" / "ab"[row // 20] / f"{row:02}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    artifacts = str(tmp_path / "artifacts")
    scanned = scan(tmp_path / "frames", ScanConfig(artifacts=artifacts, backbone="builtin", map="none", max_pixels=600))
    config = BuildConfig(policy="dihedral8", copies=1, benchmark=(), check=False, artifacts=artifacts, workers=2)
    built = build(None, config)
    expected = {id: scanned.images.images[row].pixels for row, id in enumerate(scanned.images.ids)}
    validation = read_shards(built.path / "val")
    for row, id in enumerate(validation.ids):
        np.testing.assert_array_equal(validation.images[row].pixels, expected[id])
    manifest = read_manifest(BuildManifest, built.path)
    assert manifest.scale == {INTEGERS: Scale(0, 4095, 12)}
    assert manifest.decoding == Decoding(manifest.scale, 600, foreign=True)
    assert built.plan.decoding == Decoding(manifest.scale, 600)
    train = read_shards(built.path / "train")
    assert replay(train.ids[-1], artifacts).equal
