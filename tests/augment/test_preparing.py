import json
import shutil

import numpy as np
import pytest

import augment.preparing
from augment.configs import BuildConfig
from augment.making import make, read_job, tasks
from augment.planning import plan
from augment.preparing import identity
from augment.preservation import open_label_probe
from augment.statistics import lab_spread
from curate.cleaning import apply
from curate.deciding import decide
from curate.decisions import Proposal
from curate.sets.provenance import Provenance
from curate.sets.reading import read
from curate.stage.errors import DataError


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def identity_of(config):
    return identity(plan(None, config), config)


# Identity


def test_the_same_options_are_the_same_build_wherever_and_by_however_many_workers(plain, tmp_path, artifacts):
    elsewhere = shutil.copytree(artifacts, tmp_path / "elsewhere")
    same = [plain(), plain(workers=4), plain(resume=True), plain(artifacts=str(elsewhere))]
    assert len({identity_of(config) for config in same}) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"policy": "moderate"}, {"copies": 2}, {"balance": "none"}, {"cap": 3}, {"train": 0.6, "val": 0.25},
        {"size": (30, 30)}, {"fit": "pad"}, {"benchmark": ("blood",)}, {"benchmark_images": 7}, {"check": True},
        {"allow_overlap": True}, {"backbone": "builtin"}, {"seed": 1}, {"severities": "cifar-c"},
    ],
    ids=str,
)  # fmt: skip
def test_other_options_are_another_build(plain, given):
    assert identity_of(plain()) != identity_of(plain(**given))


def test_what_a_policy_file_draws_is_part_of_the_identity_and_its_words_are_not(plain, tmp_path):
    path = tmp_path / "mine.toml"
    seen = []
    for words, degrees in (("a", 10), ("b", 10), ("b", 20)):
        path.write_text(f'about = "{words}"\nsteps = [{{op = "hue", degrees = [-{degrees}, {degrees}]}}]\n')
        seen.append(identity_of(plain(policy=str(path))))
    assert seen[0] == seen[1] != seen[2]


def test_the_function_of_a_person_is_part_of_the_identity(plain, tmp_path):
    path = tmp_path / "mine.py"
    seen = []
    for value in (1, 2):
        path.write_text(f"def fade(image, rng):\n    return image // {value}\n")
        seen.append(identity_of(plain(policy=f"{path}:fade")))
    assert seen[0] != seen[1]


def test_other_pixels_and_other_labels_are_another_build(tmp_path, scan_by_hand):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), np.uint8)
    labels = np.arange(30) % 3
    seen = set()
    for change in ("none", "pixels", "labels"):
        given = pixels.copy(), labels.copy()
        given[0][7] += change == "pixels"
        given[1][7] = (given[1][7] + (change == "labels")) % 3
        np.savez(tmp_path / f"{change}.npz", images=given[0], labels=given[1])
        artifacts = scan_by_hand(tmp_path / f"{change}.npz", tmp_path / change)
        seen.add(identity_of(BuildConfig(artifacts=str(artifacts), policy="light")))
    assert len(seen) == 3


# What is put into the folder


def test_nothing_is_looked_at_where_nothing_asks_for_it(prepared, monkeypatch):
    def too_much(*given):
        raise AssertionError("a backbone was loaded")

    monkeypatch.setattr(augment.preparing, "load_features", too_much)
    _, draft = prepared()
    files = {path.relative_to(draft).as_posix() for path in draft.rglob("*") if path.is_file()}
    assert files == {
        "plan.json",
        *(f"work/{name}" for name in ("job.json", "listings.npz", "groups.npy", "digests.npy", "identity")),
    }
    job, _ = read_job(draft / "work")
    assert not job.check
    assert job.backbone == ""
    assert [entry.name for entry in job.entries] == ["train", "val", "test"]


def test_the_plan_is_written_down_as_it_was_made(prepared):
    plans, draft = prepared(copies=3)
    told = read_json(draft / "plan.json")
    table = plans.copy_plan.table
    assert [row["images"] for row in told["classes"]] == table["images"].tolist()
    assert told["class_weights"] == dict(zip(table["class"], table["weight"], strict=True))
    assert (told["size"], told["fit"], told["balance"]) == ([32, 32], "crop", "oversample")
    assert told["policy"]["name"] == "light"
    assert set(told["policy"]["operations"]) == set(plans.policy.operations())
    assert told["source"] == str(plans.set.source.path.resolve())
    assert told["labels"] is told["labels_lost"] is None
    assert told["notes"] == list(plans.notes)


def test_units_are_those_of_the_training_pictures(prepared):
    plans, draft = prepared()
    job, _ = read_job(draft / "work")
    pictures = [plans.set.images[row].pixels for row in plans.copy_plan.rows.tolist()]
    assert job.units == {**lab_spread(pictures), "side": 32.0}
    assert read_json(draft / "plan.json")["units"] == job.units


def test_of_large_pictures_fewer_are_held_in_memory(prepared, monkeypatch):
    monkeypatch.setattr(augment.preparing, "_SAMPLE_BYTES", 40 * 32 * 32 * 3)
    monkeypatch.setattr(augment.preparing, "_FEWEST", 10)
    plans, draft = prepared()
    rows = plans.copy_plan.rows
    some = rows[np.unique(np.linspace(0, len(rows) - 1, 40).astype(int))]
    pictures = [plans.set.images[row].pixels for row in some.tolist()]
    assert len(pictures) == 40 < len(rows)
    assert read_json(draft / "plan.json")["units"] == {**lab_spread(pictures), "side": 32.0}


def test_groups_on_disk_are_those_that_were_split_by(prepared):
    plans, draft = prepared()
    assert np.array_equal(np.load(draft / "work" / "groups.npy"), plans.set.groups)


def test_what_relabelled_images_were_given_is_kept_for_their_provenance(prepared, artifacts):
    with np.load(artifacts / "clean.npz") as clean:
        name, label = str(clean["ids"][0]), int(clean["labels"][0])
        names = clean["class_names"].tolist()
    decide(artifacts, [Proposal("relabel", name, label=names[label - 1])])
    apply(artifacts)
    plans, draft = prepared()
    assert plans.set.label_name(0) == names[label - 1]
    kept = np.load(draft / "work" / "given_labels.npy").tolist()
    assert kept == [names[label], *[""] * (len(plans.set) - 1)]
    job, lists = read_job(draft / "work")
    origins = []
    for task in tasks(job, lists, draft / "work", draft):
        make(task)
        rows = Provenance(task.provenance)
        origins += zip(rows.source_ids, rows.given_labels, strict=True)
    assert {(source, given) for source, given in origins if given or source == name} == {(name, names[label])}


def test_whoever_judges_labels_is_kept_with_what_each_operation_does_to_them(prepared):
    plans, draft = prepared(check=True)
    job, _ = read_job(draft / "work")
    assert job.check
    assert (job.backbone, job.input_size) == ("quick", 32)
    probe = open_label_probe(draft / "work" / "keeper.npz")
    assert set(probe.rows.tolist()) <= set(plans.copy_plan.rows.tolist())
    assert probe.clean > 0.8
    lost = read_json(draft / "plan.json")["labels_lost"]
    assert {row["operation"] for row in lost} == set(plans.policy.operations())
    assert all(row["lost"] == pytest.approx(row["killed"] - row["clean"]) for row in lost)


def test_labels_that_no_probe_can_learn_are_not_checked_and_that_is_told(prepared, artifacts, scan_by_hand, tmp_path):
    images = read(artifacts / "clean.npz")
    pixels = np.stack([images.images[row].pixels for row in range(len(images))])
    by_chance = np.random.default_rng(0).integers(0, 3, len(images))
    np.savez(tmp_path / "chance.npz", images=pixels, labels=by_chance)
    elsewhere = scan_by_hand(tmp_path / "chance.npz", tmp_path / "chance")
    _, draft = prepared(check=True, artifacts=str(elsewhere))
    job, _ = read_job(draft / "work")
    assert not job.check
    assert not (draft / "work" / "keeper.npz").exists()
    told = read_json(draft / "plan.json")
    assert told["labels_lost"] is None
    assert any("the labels of augmented images are not checked" in note for note in told["notes"])


def test_no_copies_have_no_labels_to_be_checked_and_no_size_that_could_change(prepared):
    _, draft = prepared(check=True, copies=0, balance="none", policy="heavy")
    job, _ = read_job(draft / "work")
    assert not job.check
    assert read_json(draft / "plan.json")["notes"] == []


def test_a_policy_that_makes_no_copies_overlaps_with_nothing(prepared):
    given = {"policy": "everything", "benchmark": ("blood",), "benchmark_images": 5}
    with pytest.raises(DataError, match="contains what the benchmark tests"):
        prepared(**given)
    _, draft = prepared(**given, copies=0, balance="none")
    assert {one["verdict"] for one in read_json(draft / "benchmark.json")["sets"]} == {"disjoint"}


def test_where_size_tells_the_classes_apart_a_policy_that_changes_it_is_warned_of(prepared):
    notes = {}
    for policy in ("light", "shear-zoom-flip"):
        _, draft = prepared(policy, policy=policy, copies=1)
        notes[policy] = read_json(draft / "plan.json")["notes"]
    assert notes["light"] == []
    (note,) = notes["shear-zoom-flip"]
    assert note.startswith("object size tells the classes apart (")
    assert "and shear-zoom-flip changes it by affine: keep" in note


def test_the_policy_of_a_person_is_found_from_wherever_a_worker_runs(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def fade(image, rng):\n    return image // 2\n")
    (tmp_path / "mine.toml").write_text('steps = [{call = "mine.py:fade"}]\n')
    for name in ("mine.py:fade", "mine.toml"):
        _, draft = prepared(f"draft of {name}", policy=name, functions=("mine.py",))
        job, _ = read_job(draft / "work")
        assert job.policy == str(tmp_path / name)


def test_a_policy_that_contains_what_is_tested_is_refused(prepared, tmp_path):
    (tmp_path / "same.toml").write_text('steps = [{op = "jpeg", quality = [2, 100]}]\n')
    with pytest.raises(DataError, match=r"policy same contains what the benchmark tests: jpeg_compression\."):
        prepared(policy=str(tmp_path / "same.toml"), benchmark=("blood",), benchmark_images=3)
    _, draft = prepared(
        "allowed", policy=str(tmp_path / "same.toml"), benchmark=("blood",), benchmark_images=3, allow_overlap=True
    )
    sets = read_json(draft / "benchmark.json")["sets"]
    assert {s["verdict"] for s in sets if s["corruption"] == "jpeg_compression"} == {"identical"}
