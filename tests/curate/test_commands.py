import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer import Context
from typer.main import get_command
from typer.testing import CliRunner

from curate.commands import app
from curate.configs import MAP_NAMES
from curate.demo import DemoConfig, clean_cells
from curate.findings import SEVERITY
from curate.scans import ScanManifest
from curate.sets.exporting import EXPORTS
from curate.sets.formats import FORMATS
from curate.sets.reading import read
from curate.sets.shards import write_shard
from curate.stage.manifest import read_manifest


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document_of(*arguments: object):
    """The one JSON document that a command prints, and nothing beside it."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def completed(command: str, option: str, incomplete: str = "") -> list[str]:
    program = get_command(app)
    (param,) = (param for param in program.commands[command].params if param.name == option)
    return [item.value for item in param.shell_complete(Context(program), incomplete)]


@pytest.fixture
def data(tmp_path) -> Path:
    images, labels = clean_cells(DemoConfig(images=22, classes=2))
    images = np.concatenate([images, images[3:5]])
    np.savez(tmp_path / "data.npz", images=images, labels=np.append(labels, labels[3:5]))
    return tmp_path / "data.npz"


@pytest.fixture
def artifacts(data) -> Path:
    """Of a scan of it."""
    place = data.parent / "artifacts"
    result = run("scan", data, "--backbone", "builtin", "--map", "none", "--artifacts", place)
    assert result.exit_code == 0, result.output
    return place


def test_decisions_and_what_becomes_of_them_are_told_as_json(artifacts):
    applied = document_of("apply", "--artifacts", artifacts, "--drop-id", "0", "--why", "it is blurred")
    assert applied["path"] == str(artifacts / "clean.npz")
    assert applied["decided"] == 1
    assert applied["kept"] + applied["review"] == applied["rows"]
    undone = document_of("undo", "--artifacts", artifacts)
    assert undone["taken_back"] == [{"id": "0", "action": "drop", "why": "it is blurred"}]
    assert undone["rows"] == applied["rows"] + 1


def test_many_are_decided_at_once_by_ids_groups_and_files_and_told_line_by_line(artifacts, tmp_path):
    place = ("--artifacts", artifacts)
    table = pd.read_parquet(artifacts / "scan" / "images.parquet")
    (group,) = table.loc[table["id"].isin(["3", "22"]), "group"].unique()
    name = table["label_name"].iloc[0]
    (tmp_path / "c.csv").write_text(f"ID, Action ,label\n7,Drop,\n8,,\n9,relabel,{name}\n99,keep,\n")
    told = run(
        "apply", *place, "--drop-id", "0,1", "--keep-id", "2", "--keep-group", group, "--from", tmp_path / "c.csv"
    )
    assert told.exit_code == 0, told.output
    decided = [line.removeprefix("decided: ") for line in told.stdout.splitlines() if line.startswith("decided: ")]
    assert decided == ["keep 2", "drop 0", "drop 1", "keep 3", "keep 22", "drop 7", f"relabel 9 to {name}"]
    notes = [line.removeprefix("note    ") for line in told.stdout.splitlines() if line.startswith("note ")]
    assert notes == [
        "1 of 4 rows of c.csv have no action, and were skipped",
        "1 of the 3 decisions of c.csv is not on an image of this scan, such as 99 (is 9 meant?)",
    ]
    clean = set(read(artifacts / "clean.npz").ids)
    assert {"0", "1", "7"} & clean == set()
    assert {"2", "3", "22", "9"} <= clean
    again = document_of("apply", *place, "--drop-id", "0,1", "--from", tmp_path / "c.csv")
    assert again["recorded"] == 0
    assert "4 decisions hold already, and are not recorded again" in again["notes"]
    undone = document_of("undo", *place)
    assert undone["taken_back"] == [{"id": "9", "action": "relabel", "label": name, "why": ""}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drop-group", "77"), "has no group '77'"),
        (("--not-copies", "3,22"), "3 and 22 have the same pixels"),
        (("--not-copies", "3"), "takes two ids or more"),
        (("--relabel", "3=owl"), "no class named 'owl'"),
        (("--relabel", "owl=cat"), "has the id 'owl'"),
        (("--from", "nowhere.csv"), "nowhere.csv does not exist"),
        (("--drop-id", "3,owl"), "has the id 'owl'"),
        (("--drop-id", "3", "--decision", "burn"), "no decision named 'burn'"),
    ],
)
def test_what_cannot_be_decided_is_told_and_nothing_is_written(artifacts, options, message):
    result = run("apply", "--artifacts", artifacts, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (artifacts / "decisions.jsonl").exists() or not (artifacts / "decisions.jsonl").read_text()


def test_splits_are_told_as_json(artifacts):
    splits = document_of("split", "--artifacts", artifacts)
    assert splits["path"] == str(artifacts / "splits.csv")
    assert splits["proof"]["crossings"] == 0
    assert sum(row["total"] for row in splits["counts"]) == 22


def test_an_export_is_told_as_json(data, tmp_path):
    export = document_of("export", data, "--to", "folder", "--out", tmp_path / "out")
    assert export["path"] == str(tmp_path / "out")
    assert export["images"] == 24
    assert export["to"] == "folder"


def test_a_demonstration_is_told_as_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("curate.scanning.load_embedder", embedder_of_its_own)
    demo = document_of("demo", "here", "--images", 60, "--map", "none")
    assert demo["path"] == "here/data.npz"
    assert demo["scan"]["artifacts"] == "here/artifacts"
    assert {row["kind"] for row in demo["found"]} >= {"exact"}


def embedder_of_its_own(*given: object, **named: object):
    from curate.measuring.embedding import builtin

    return builtin(), ""


def test_a_quiet_scan_prints_results_without_notes(data):
    place = ("--artifacts", data.parent / "artifacts")
    loud = run("scan", data, "--backbone", "builtin", "--map", "none", *place)
    quiet = run("scan", data, "--backbone", "builtin", "--map", "none", *place, "-q")
    assert quiet.exit_code == 0
    lines = quiet.stdout.splitlines()
    assert set(lines) <= set(loud.stdout.splitlines())
    assert not any(line.startswith(("note ", "data.npz:")) for line in lines)
    assert any(line.startswith("would drop 2 rows") for line in lines)


def test_a_scan_says_how_long_it_took_when_asked(data):
    place = ("--artifacts", data.parent / "artifacts")
    result = run("scan", data, "--backbone", "builtin", "--map", "none", *place, "-v")
    assert any(line.startswith("stages  ") for line in result.stdout.splitlines())
    assert result.stderr.startswith("time    ")


def test_the_formats_are_those_that_are_registered():
    assert tuple(EXPORTS) == FORMATS


def test_checks_maps_backbones_and_formats_complete():
    assert completed("scan", "drop", "dark,li") == ["dark,light"]
    assert completed("apply", "review") == list(SEVERITY)
    assert completed("scan", "thresholds", "dark=0.6,lea") == ["dark=0.6,leak="]
    assert completed("scan", "map") == list(MAP_NAMES)
    assert completed("export", "to", "w") == ["webdataset"]
    assert completed("scan", "backbone", "b") == ["builtin"]
    assert "MobileNetV2" in completed("selftest", "backbone", "Mobile")


# Names that steer a terminal, turn the order of letters about, are markup, or flood a line.
HOSTILE = ("\x1b[31mred\x1b]0;title\x07", "[red]:cat:[/b] \u202egnp\na line\x9b2J", "x" * 300)
STEERING = set("\x07\x1b\x9b\u2028\u202e\u2067")


@pytest.fixture
def hostile(tmp_path) -> Path:
    images, labels = clean_cells(DemoConfig(images=30, classes=3))
    images = np.concatenate([images, images[3:5], images[6:9]])
    labels = np.concatenate([labels, labels[3:5], (labels[6:9] + 1) % 3])
    ids = np.array([f"\x1b[2J{row}\u2067[bold]\u2028" for row in range(len(images))])
    path = tmp_path / "\x1b[1mdata.npz"
    np.savez(path, images=images, labels=labels, ids=ids, class_names=np.array(HOSTILE))
    return path


def test_no_name_steers_the_terminal_whatever_the_command(hostile, tmp_path):
    place = ("--artifacts", tmp_path / "a")
    scan = ("scan", hostile, "--backbone", "builtin", "--map", "none", *place)
    one = "\x1b[2J3\u2067[bold]\u2028"
    commands = [
        scan,
        ("apply", *place, "--drop-id", one, "--why", "it is \x1b[5mred"),
        scan,
        ("undo", *place),
        ("split", *place),
        ("diff", tmp_path / "a" / "scan", tmp_path / "a" / "scan"),
        ("export", hostile, "--to", "csv", "--out", tmp_path / "out\x1b[1m"),
        ("apply", *place, "--relabel", f"{one}={HOSTILE[1]}", "--not-copies", f"{one},{one.replace('3', '5')}"),
        ("apply", *place, "--from", tmp_path / "a" / "decisions.jsonl"),
        ("undo", *place, "2"),
        ("apply", *place, "--relabel", f"{one}=\x1b[2J"),
        ("apply", *place, "--not-copies", f"{one},{one.replace('3', '30')}"),
        ("apply", *place, "--from", "\x1b[2J"),
        ("apply", *place, "--drop-id", "\x1b[2Jnobody", "-v"),
        ("scan", "\x1b[2Jnowhere", *place),
        ("scan", hostile, "--map", "\x1b[2J"),
        ("scan", hostile, "--\x1b[2J"),
        ("scan", hostile, "\x1b[2J\u202e"),
        ("\x1b[2J",),
    ]
    shown = ""
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0 or result.exit_code == 2, (command, result.output)
        assert not STEERING & set(result.output), command
        shown += result.output
    for words in (
        r"\x1b[31mred\x1b]0;title\x07",
        r"[red]:cat:[/b] \u202egnp\na line\x9b2J",
        "x" * 300,
        r"it is \x1b[5mred",
    ):
        assert words in shown


def test_json_of_such_names_is_json_and_has_them_as_they_are(hostile, tmp_path):
    place = ("--artifacts", tmp_path / "a")
    result = run("scan", hostile, "--backbone", "builtin", "--map", "none", *place, "--json")
    assert not STEERING & set(result.output)
    assert json.loads(result.stdout)["classes"] == list(HOSTILE)
    split = document_of("split", *place)
    assert {row["class"] for row in split["counts"]} >= set(HOSTILE)


@pytest.mark.parametrize("kept", [12, 0])
def test_a_scan_does_not_offer_a_build_of_one_class_or_of_nothing(tmp_path, kept):
    images = clean_cells(DemoConfig(images=12, classes=2))[0]
    images = images if kept else np.repeat(images, 2, axis=0)
    np.savez(tmp_path / "data.npz", images=images, labels=["a"] * 12 if kept else ["a", "b"] * 12)
    options = ("--strict", "--backbone", "builtin", "--map", "none", "--artifacts", tmp_path / "artifacts")
    result = run("scan", tmp_path / "data.npz", *options)
    assert result.exit_code == 0, result.output
    assert "augment build" not in result.stdout.splitlines()[-1]
    assert ("nothing is left: the clean set holds no image" in result.stdout) == (not kept)


@pytest.mark.parametrize(
    ("names", "fresh"), [(["north", "south"], True), (["train", "south"], False), (["", "a"], False)]
)
def test_the_next_command_splits_anew_what_came_without_a_train(names, fresh, data, tmp_path):
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    splits = np.array([names[row % 2] for row in range(len(labels))])
    np.savez(tmp_path / "set.npz", images=images, labels=labels, splits=splits)
    options = ("--backbone", "builtin", "--map", "none", "--artifacts", tmp_path / "artifacts")
    document = document_of("scan", tmp_path / "set.npz", *options)
    assert document["next"].startswith("augment build")
    assert ("--fresh" in document["next"]) == fresh


def test_a_scan_follows_the_decisions_that_hold_and_says_so(artifacts, data):
    scan = ("scan", data, "--backbone", "builtin", "--map", "none", "--artifacts", artifacts)
    run("apply", "--artifacts", artifacts, "--drop-id", "0", "--keep-id", "1")
    told = document_of(*scan)
    assert (told["decided"], told["decisions"]) == (2, {"keep": 1, "drop": 1})
    assert told["next"] == f"augment build --policy heavy --artifacts {artifacts}"
    assert {"0", "1"} & set(read(artifacts / "clean.npz").ids) == {"1"}
    lines = run(*scan).stdout.splitlines()
    assert any(line.startswith("your 2 decisions included (1 keep, 1 drop): ") for line in lines)
    html = (artifacts / "scan" / "report.html").read_text()
    assert "2 images were decided on by a person before" in html


def test_what_cannot_be_checked_is_said_with_the_reason(data):
    result = run("scan", data, "--backbone", "builtin", "--map", "none", "--artifacts", data.parent / "a")
    assert "note    not checked: leak (no splits)" in result.stdout.splitlines()


def test_the_table_of_a_scan_counts_by_verdict_as_the_summary_does(artifacts, data):
    told = document_of("scan", data, "--backbone", "builtin", "--map", "none", "--artifacts", artifacts)
    table = pd.read_parquet(artifacts / "scan" / "images.parquet")
    findings = pd.read_parquet(artifacts / "scan" / "findings.parquet")
    for check, counts in told["checks"].items():
        verdicts = table["verdict"][findings.loc[(findings["check"] == check) & (findings["row"] >= 0), "row"]]
        assert counts["drop"] == (verdicts == "drop").sum()


@pytest.fixture
def patients(tmp_path, monkeypatch) -> Path:
    """A folder of patients, each with pictures of two classes; the tests stand in it."""
    images, labels = clean_cells(DemoConfig(images=36, classes=2))
    for row, (picture, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "tiles" / str(8863 + row % 6) / f"kind{label}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    monkeypatch.chdir(tmp_path / "tiles")
    return tmp_path / "tiles"


def test_a_rehearsal_says_what_is_taken_for_what_and_writes_nothing(patients):
    result = run("scan", ".", "--dry-run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "tiles: 36 images, 96x96 PNG, 2 classes"
    words = [line.split(maxsplit=1) for line in lines[1:9]]
    assert ["classes", "2 (kind0, kind1), folder level 2"] in words
    assert ["groups", "6 (8863, 8864, 8865 ...), folder level 1"] in words
    assert "8863/kind" in result.stdout
    assert [path.name for path in patients.iterdir() if not path.name.isdecimal()] == []
    document = document_of("scan", ".", "--dry-run")
    assert document["reading"]["splits"] == "none"
    assert len(document["rows"]) == 5
    assert set(document["rows"][0]) == {"id", "class", "split", "group"}


def test_a_rehearsal_holds_files_of_an_own_model_against_the_set(patients, tmp_path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).normal(size=(36, 4)))
    result = run("scan", ".", "--dry-run", "--embeddings", tmp_path / "own.npy")
    assert "own model    embeddings from own.npy (4 numbers an image)" in result.stdout
    np.save(tmp_path / "own.npy", np.zeros((35, 4)))
    refused = run("scan", ".", "--dry-run", "--embeddings", tmp_path / "own.npy")
    assert refused.exit_code == 2
    assert "has 35 rows, and the set 36 images" in refused.output.replace("\n", " ")


def test_rows_of_a_rehearsal_leave_no_group_blank(tmp_path):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((4, 4), np.uint8))
    (tmp_path / "labels.csv").write_text("file,label,group\na.png,cat,\nb.png,dog,p1\n")
    rows = document_of("scan", tmp_path, "--dry-run")["rows"]
    assert [row["group"] for row in rows] == ["", "0"]


@pytest.mark.parametrize("name", ["data.npz", "list.txt", "built"])
def test_every_kind_of_source_can_be_rehearsed(name, data, tmp_path):
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    cv2.imwrite(str(tmp_path / "a.png"), images[0])
    (tmp_path / "list.txt").write_text("a.png\n")
    write_shard(tmp_path / "built", 0, images, labels, [str(i) for i in range(len(images))], ("a", "b"))
    document = document_of("scan", tmp_path / name, "--dry-run")
    assert {"classes", "splits", "groups", "ids", "left out"} <= set(document["reading"])


def test_a_scan_says_how_the_set_was_read_and_its_later_stages_read_it_so(patients):
    words = ("--backbone", "builtin", "--map", "none", "--classes-from", "1", "--splits-from", "none")
    result = run("scan", ".", *words)
    assert result.exit_code == 0, result.output
    assert any(line.split()[:2] == ["classes", "6"] for line in result.stdout.splitlines())
    assert "the pictures do not tell the classes apart" in result.stdout
    assert read_manifest(ScanManifest, Path("artifacts/scan")).config.classes_from == "1"
    assert run("apply", "--drop-id", next(Path("8863").rglob("*.png"))).exit_code == 0
    assert {row["class"] for row in document_of("split", ".")["counts"] if row["class"] != "total"} == {
        str(number) for number in range(8863, 8869)
    }


def test_a_level_that_is_not_there_ends_with_one_line(patients):
    result = run("scan", ".", "--classes-from", "4")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "there is no such level" in result.stderr


def test_an_id_is_not_kept_and_dropped_at_once(artifacts):
    result = run("apply", "--artifacts", artifacts, "--keep-id", "0", "--drop-id", "0")
    assert result.exit_code == 2
    assert "0 is decided on twice: keep 0; drop 0" in result.stderr
    assert not (artifacts / "decisions.jsonl").exists()
