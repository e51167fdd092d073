from __future__ import annotations

import json
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import scanned
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate import deciding, scans
from curate.cleaning import ApplyConfig, apply, undo
from curate.deciding import Decisions
from curate.decisions import VERDICTS, Proposal, standing
from curate.findings import Finding, findings_table
from curate.scans import open_scan, relabelled_of
from curate.sets.reading import read
from curate.stage.errors import DataError, OutputError, UnknownName
from curate.stage.files import write_parquet


def decide(artifacts, ids, action, why=""):
    """The same decision on several images."""
    return deciding.decide(artifacts, dict.fromkeys([ids] if isinstance(ids, str) else ids, action), why)


@pytest.fixture
def source(tmp_path) -> Path:
    """Eight small images of two classes; row 2 has the pixels of row 0."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 3), dtype=np.uint8)
    pixels[2] = pixels[0]
    path = tmp_path / "d.npz"
    np.savez(path, images=pixels, labels=np.arange(8) % 2, class_names=["cat", "dog"])
    return path


@pytest.fixture
def artifacts(source, tmp_path) -> Path:
    return scanned(source, tmp_path / "artifacts")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four image files of two classes, one of which cannot be decoded."""
    root = tmp_path / "set"
    for i, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "dog/broken.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (i, 40, 90)).save(root / name)
    (root / "dog/broken.png").write_bytes(b"\x89PNG no more")
    return root


def ids(artifacts: Path) -> tuple[str, ...]:
    return read(artifacts / "clean.npz").ids


# The clean set


def test_without_decisions_the_clean_set_is_the_scans_own_to_the_byte(artifacts):
    before = (artifacts / "clean.npz").read_bytes()
    applied = apply(artifacts)
    assert (artifacts / "clean.npz").read_bytes() == before
    assert (applied.rows, applied.kept, applied.dropped, applied.review, applied.decided) == (6, 5, 2, 1, 0)
    assert applied.path == artifacts / "clean.npz"
    assert applied.notes == ()


def test_strict_leaves_out_what_awaits_review(artifacts):
    assert apply(artifacts, ApplyConfig(strict=True)).rows == 5
    assert "5" not in ids(artifacts)


@pytest.mark.parametrize(("given", "rows"), [(None, 5), (False, 6), (True, 5)])
def test_strictness_is_the_scans_unless_given(source, tmp_path, given, rows):
    artifacts = scanned(source, tmp_path / "strict", strict=True)
    assert apply(artifacts, ApplyConfig(strict=given)).rows == rows


def test_a_check_can_be_dropped_or_reviewed_as_a_whole(artifacts):
    applied = apply(artifacts, ApplyConfig(drop=("blurred",), review=("exact_duplicate",)))
    assert (applied.kept, applied.dropped, applied.review) == (5, 1, 2)
    assert set(ids(artifacts)) == set("0123467")


def test_of_several_findings_the_gravest_counts(artifacts):
    assert apply(artifacts, ApplyConfig(drop=("dark",), review=("exact_duplicate",))).dropped == 1
    assert "2" not in ids(artifacts)


def test_a_decision_wins_over_the_scan_and_over_the_checks_options(artifacts):
    decide(artifacts, ["1"], "keep")
    decide(artifacts, ["0", "5"], "drop")
    applied = apply(artifacts, ApplyConfig(drop=("exact_duplicate",), review=("blurred",)))
    assert ids(artifacts) == ("1", "3", "4", "6", "7")
    assert (applied.kept, applied.dropped, applied.review, applied.decided) == (5, 3, 0, 3)


def test_nothing_else_is_written(artifacts):
    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in artifacts.rglob("*") if path.is_file()}

    before = state()
    decide(artifacts, ["1"], "keep")
    apply(artifacts)
    after = state()
    assert {path.name for path in after if before.get(path) != after[path]} == {
        "clean.json",
        "clean.npz",
        "decisions.jsonl",
    }


def test_the_tables_of_the_scan_may_hold_whole_set_findings(source, tmp_path):
    artifacts = scanned(source, tmp_path / "a")
    findings = pd.read_parquet(artifacts / "scan" / "findings.parquet")
    whole = findings_table([Finding(-1, "", "shortcut", 0.8, -1, "drop", "size tells the class")])
    write_parquet(pd.concat([findings, whole], ignore_index=True), artifacts / "scan" / "findings.parquet")
    assert apply(artifacts).rows == 6


def test_image_files_are_listed_and_what_cannot_be_decoded_is_never_kept(folder, tmp_path):
    artifacts = scanned(folder, tmp_path / "a", [(3, "unreadable", "drop"), (0, "dark", "drop")])
    decide(artifacts, ["cat/a.png"], "keep")
    applied = apply(artifacts, ApplyConfig(review=("unreadable",)))
    assert read(artifacts / "clean.csv").ids == ("cat/a.png", "cat/b.png", "dog/a.png")
    assert (applied.rows, applied.review) == (3, 1)
    assert "cannot be decoded" in applied.notes[0]


@pytest.mark.parametrize("action", ["keep", "review"])
def test_what_cannot_be_decoded_can_only_be_dropped(folder, tmp_path, action):
    artifacts = scanned(folder, tmp_path / "a", [(3, "unreadable", "drop")])
    with pytest.raises(DataError, match=r"dog/broken.png cannot be decoded, so that it can only be dropped"):
        decide(artifacts, ["dog/broken.png"], action)
    decide(artifacts, ["dog/broken.png"], "drop")


def test_a_clean_set_of_nothing_is_refused(artifacts):
    before = (artifacts / "clean.npz").read_bytes()
    decide(artifacts, [str(row) for row in range(8)], "drop")
    with pytest.raises(DataError, match=r"no image would be left: 8 of 8 are dropped"):
        apply(artifacts)
    assert (artifacts / "clean.npz").read_bytes() == before


# A source that is not what it was


def test_a_source_that_moved_is_named(artifacts, source):
    source.rename(source.with_name("elsewhere.npz"))
    with pytest.raises(DataError, match=r"d.npz is not where it was scanned. Put it back, or scan it"):
        apply(artifacts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": 7, "labels": 7}, r"holds 7 images, but 8 were scanned"),
        ({"ids": [f"x{i}" for i in range(8)]}, r"image 0 is x0, but 0 was scanned"),
        ({"labels": [0, 1, 0, 1, 0, 1, 0, 0]}, r"the label of image 7 is cat, but was dog .* 1 labels differ"),
        ({"shuffled": True}, r"image 0 has other pixels than when it was scanned"),
    ],
)
def test_a_source_that_changed_is_refused_and_the_clean_set_stays(artifacts, source, change, said):
    with np.load(source) as file:
        arrays = dict(file)
    for key, value in change.items():
        if key == "shuffled":
            arrays["images"] = arrays["images"][::-1]
        else:
            arrays[key] = arrays[key][:value] if isinstance(value, int) else np.array(value)
    np.savez(source, **arrays)
    before = (artifacts / "clean.npz").read_bytes()
    with pytest.raises(DataError, match=said) as error:
        apply(artifacts)
    assert "curate scan" in str(error.value)
    assert (artifacts / "clean.npz").read_bytes() == before


def test_labels_of_files_may_be_corrected_between_scan_and_apply(folder, tmp_path):
    listing = tmp_path / "set.csv"
    rows = [f"set/{name},{name[:3]}" for name in ("cat/a.png", "cat/b.png", "dog/a.png")]
    listing.write_text("\n".join(["file,label", *rows]))
    artifacts = scanned(listing, tmp_path / "a", [])
    listing.write_text("\n".join(["file,label", *rows[:2], "set/dog/a.png,cat"]))
    assert apply(artifacts).notes == ("1 label differs from those that were scanned, such as of set/dog/a.png",)
    assert read(artifacts / "clean.csv").classes == ("cat",)


def test_the_labels_of_a_flat_folder_are_read_again_also_from_elsewhere(tmp_path):
    root = tmp_path / "flat"
    root.mkdir()
    for i in range(3):
        Image.new("RGB", (6, 5), (i, 40, 90)).save(root / f"{i}.png")
    artifacts = scanned(root, tmp_path / "a", [], labels=str(tmp_path / "gone.csv"))
    with pytest.raises(DataError, match=r"gone.csv does not exist"):
        apply(artifacts)
    (tmp_path / "here.csv").write_text("file,label\n0.png,x\n1.png,y\n2.png,x\n")
    assert apply(artifacts, ApplyConfig(labels=str(tmp_path / "here.csv"))).rows == 3
    assert read(artifacts / "clean.csv").classes == ("x", "y")


def test_the_input_is_never_overwritten(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.zeros((2, 5, 5), np.uint8))
    scanned(tmp_path / "d.npz", tmp_path, [])
    manifest = tmp_path / "scan" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("d.npz", "clean.npz"))
    before = (tmp_path / "clean.npz").read_bytes()
    with pytest.raises(OutputError, match=r"clean.npz is what was read, and no input is overwritten"):
        apply(tmp_path)
    assert (tmp_path / "clean.npz").read_bytes() == before


# A scan that is not whole


@pytest.mark.parametrize("act", [lambda a: apply(a), lambda a: undo(a), lambda a: decide(a, ["1"], "keep")])
def test_without_a_finished_scan_the_command_is_told(tmp_path, act):
    with pytest.raises(DataError, match="Run `curate scan` first"):
        act(tmp_path)


@pytest.mark.parametrize("content", [None, b"no table"])
@pytest.mark.parametrize("name", ["images.parquet", "findings.parquet"])
def test_a_broken_table_is_named(artifacts, name, content):
    path = artifacts / "scan" / name
    path.unlink()
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} (is missing|cannot be read).*Run `curate scan` again"):
        apply(artifacts)


# Decisions


def test_a_decision_is_one_line_of_json(artifacts):
    made = decide(artifacts, ["1", "5"], "drop", "twice the same, ändert nichts")
    lines = [json.loads(line) for line in (artifacts / "decisions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["1", "5"]
    assert {(line["action"], line["why"], line["by"]) for line in lines} == {
        ("drop", "twice the same, ändert nichts", "person")
    }
    assert pd.Timestamp(lines[0]["when"]).utcoffset() == pd.Timedelta(0)
    assert isinstance(made, Decisions)
    assert [decision.id for decision in made.made] == ["1", "5"]
    assert made.standing == standing(artifacts)


def test_the_last_decision_of_an_image_is_in_force(artifacts):
    decide(artifacts, ["1", "2"], "keep")
    decide(artifacts, ["1"], "review", "not sure")
    assert {name: d.action for name, d in standing(artifacts).items()} == {"1": "review", "2": "keep"}


def test_an_id_given_twice_or_alone_counts_once(artifacts):
    assert len(decide(artifacts, ["1", "1"], "keep").made) == 1
    assert decide(artifacts, "1", "drop").made[0].id == "1"


def test_an_unknown_id_names_the_nearest_and_nothing_is_written(folder, tmp_path):
    artifacts = scanned(folder, tmp_path / "a", [])
    with pytest.raises(DataError, match=r"has the id 'cats/b.png', nor have 1 more.* Did you mean 'cat/b.png'"):
        decide(artifacts, ["cat/a.png", "cats/b.png", "x"], "drop")
    assert not (artifacts / "decisions.jsonl").exists()


def test_an_id_that_is_like_none_is_answered_with_none(folder, tmp_path):
    artifacts = scanned(folder, tmp_path / "a", [])
    with pytest.raises(DataError, match=r"no image of the scan in .* has the id 'nonsense'\. Ids are the column id of"):
        decide(artifacts, ["nonsense"], "drop")


def test_the_nearest_id_of_a_large_set_is_found_by_its_file_name(monkeypatch, folder, tmp_path):
    monkeypatch.setattr("curate.deciding._COMPARED", 2)
    artifacts = scanned(folder, tmp_path / "a", [])
    with pytest.raises(DataError, match=r"Did you mean 'cat/b.png'"):
        decide(artifacts, ["zoo/cat/b.png"], "drop")


def test_other_actions_and_empty_lists_are_refused(artifacts):
    with pytest.raises(UnknownName, match=r"no action named 'kep'. Did you mean 'keep'"):
        decide(artifacts, ["1"], "kep")
    with pytest.raises(DataError, match=r"no ids were given"):
        decide(artifacts, [], "keep")


def test_options_name_checks():
    with pytest.raises(UnknownName, match=r"no check named 'drak'. Did you mean 'dark'"):
        ApplyConfig(drop=("drak",))
    with pytest.raises(DataError, match=r"dark is given to both"):
        ApplyConfig(drop=("dark",), review=("dark",))


def test_decisions_on_other_pixels_or_absent_images_do_not_count(artifacts):
    decide(artifacts, ["0", "3"], "drop")
    path = artifacts / "decisions.jsonl"
    first, second = path.read_text().splitlines()
    other = json.dumps(json.loads(second) | {"digest": "0" * 32})
    path.write_text("\n".join([first, other, '{"id": "77", "action": "drop"}', '{"id": "4", "action": "drop"}', ""]))
    applied = apply(artifacts)
    assert applied.decided == 2  # one without a digest, as typed by hand, counts
    assert ids(artifacts) == ("3", "5", "6", "7")
    assert applied.notes == ("2 decisions hold; 2 do not: their images are no longer in the set, such as 3",)


def test_reasons_may_hold_any_text(artifacts):
    why = 'line\nbreak "quoted" \udc80 \u2028 😀'
    decide(artifacts, ["1"], "keep", why)
    assert standing(artifacts)["1"].why == why


def test_writers_at_once_lose_nothing(artifacts):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: decide(artifacts, [str(i % 8), str((i + 1) % 8)], "keep", str(i)), range(24)))
    assert len((artifacts / "decisions.jsonl").read_text().splitlines()) == 48


def test_where_nothing_can_be_written_it_says_so(artifacts):
    (artifacts / "decisions.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*decisions.jsonl: .*No decision was taken"):
        decide(artifacts, ["1"], "keep")
    with pytest.raises(DataError, match=r"decisions.jsonl cannot be read"):
        standing(artifacts)


# A file that was cut short, or edited


def test_the_next_decision_takes_the_place_of_a_line_cut_short(artifacts):
    decide(artifacts, ["1"], "keep")
    path = artifacts / "decisions.jsonl"
    path.write_bytes(path.read_bytes() + b'{"id": "3", "act')
    note = "line 2 of decisions.jsonl was cut short while it was written, and does not count"
    assert apply(artifacts).notes == (note,)
    assert decide(artifacts, ["4"], "drop").notes == (note,)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["1", "4"]
    assert standing(artifacts)["4"].line == 2


def test_a_last_line_without_its_end_counts_where_it_is_whole(artifacts):
    path = artifacts / "decisions.jsonl"
    path.write_text('{"id": "1", "action": "keep"}')
    assert list(standing(artifacts)) == ["1"]
    decide(artifacts, ["4"], "drop")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["1", "4"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "Expecting value"),
        ("[]", "it is not an object"),
        ('{"action": "keep"}', "it names no id"),
        ('{"id": 7, "action": "keep"}', "it names no id"),
        ('{"id": "7", "action": "burn"}', "its action is 'burn'"),
        ('{"id": "7", "action": ["keep"]}', "its action is"),
        ('{"undo": 1}', "no decision stands on line 1 to be undone"),
        ('{"undo": "x"}', "no decision stands on line 'x'"),
    ],
)
def test_another_malformed_line_is_named(artifacts, line, said):
    (artifacts / "decisions.jsonl").write_text(f'\n{line}\n{{"id": "1", "action": "keep"}}\n')
    for act in (standing, apply, lambda a: decide(a, ["1"], "keep")):
        with pytest.raises(DataError, match=rf"decisions.jsonl, line 2 is no decision: .*{said}.*Correct that line"):
            act(artifacts)


# Undo


def test_undo_takes_back_the_last_and_the_one_before_counts_again(artifacts):
    decide(artifacts, ["1"], "keep")
    decide(artifacts, ["1"], "drop")
    undone = undo(artifacts)
    assert [(d.id, d.action, d.line) for d in undone.taken_back] == [("1", "drop", 2)]
    assert standing(artifacts)["1"].action == "keep"
    assert undone.standing == standing(artifacts)
    assert undone.applied.rows == 7
    assert "1" in ids(artifacts)


def test_undo_erases_nothing(artifacts):
    decide(artifacts, ["1", "5"], "drop")
    before = (artifacts / "decisions.jsonl").read_bytes()
    undo(artifacts, 2)
    after = (artifacts / "decisions.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["undo"] for line in after[len(before) :].splitlines()] == [2, 1]


def test_undo_goes_back_past_what_was_undone(artifacts):
    decide(artifacts, ["1", "5", "6"], "drop")
    undo(artifacts)
    assert [d.id for d in undo(artifacts).taken_back] == ["5"]
    decide(artifacts, ["7"], "drop")
    assert [d.id for d in undo(artifacts, 2).taken_back] == ["7", "1"]
    assert standing(artifacts) == {}


def test_undo_of_nothing_or_of_too_much_says_so_and_changes_nothing(artifacts):
    with pytest.raises(DataError, match=r"nothing to undo: no decision stands"):
        undo(artifacts)
    assert not (artifacts / "decisions.jsonl").exists()
    decide(artifacts, ["1"], "keep")
    before = (artifacts / "decisions.jsonl").read_bytes()
    with pytest.raises(DataError, match=r"cannot take back 2: only 1 decision stands"):
        undo(artifacts, 2)
    with pytest.raises(DataError, match=r"cannot take back 0 decisions"):
        undo(artifacts, 0)
    assert (artifacts / "decisions.jsonl").read_bytes() == before


def test_undo_changes_nothing_where_the_clean_set_cannot_be_made(artifacts, source):
    decide(artifacts, ["1"], "keep")
    before = (artifacts / "decisions.jsonl").read_bytes()
    source.unlink()
    with pytest.raises(DataError, match=r"is not where it was scanned"):
        undo(artifacts)
    assert (artifacts / "decisions.jsonl").read_bytes() == before


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True), st.sampled_from(VERDICTS)),
            st.integers(1, 3),
        ),
        max_size=6,
    )
)
@settings(max_examples=15, deadline=None)
def test_any_history_leaves_what_a_stack_of_decisions_would(tmp_path_factory, steps):
    home = tmp_path_factory.mktemp("h")
    np.savez(home / "d.npz", images=np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 5), np.uint8))
    artifacts = scanned(home / "d.npz", home / "a")
    stack: list[tuple[str, str]] = []
    for step in steps:
        if isinstance(step, int):
            if step <= len(stack):
                undo(artifacts, step)
                del stack[-step:]
        else:
            names = [str(row) for row in step[0]]
            decide(artifacts, names, step[1])
            stack += [(name, step[1]) for name in names if dict(stack).get(name) != step[1]]  # what holds adds no line
    assert {name: d.action for name, d in standing(artifacts).items()} == dict(stack)


# Of every picture a copy stays


OWN = ("blurred", "outlier_group", "label_conflict")
ALL = ("exact_duplicate", "near_duplicate", "leak", *OWN)
COPIED = 12
FINDING = st.tuples(st.integers(0, COPIED - 1), st.sampled_from(ALL), st.sampled_from(["drop", "review"]))


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """An archive of twelve small images."""
    path = tmp_path_factory.mktemp("copied") / "d.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (COPIED, 4, 5, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.arange(COPIED) % 2)
    return path


@given(
    groups=st.lists(st.integers(-1, 3), min_size=COPIED, max_size=COPIED),
    said=st.lists(FINDING, max_size=20, unique_by=lambda finding: finding[:2]),
    decided=st.dictionaries(st.integers(0, COPIED - 1), st.sampled_from(VERDICTS), max_size=5),
    options=st.sampled_from([{}, {"strict": True}, {"drop": ("blurred",)}, {"review": ("near_duplicate",)}]),
)
@settings(max_examples=60, deadline=None)
def test_of_every_picture_a_copy_stays_unless_each_is_dropped_for_itself(
    tmp_path_factory, copied, groups, said, decided, options
):
    artifacts = scanned(copied, tmp_path_factory.mktemp("a"), said, groups=groups)
    for row, action in decided.items():
        decide(artifacts, str(row), action)
    config = ApplyConfig(**options)

    def leaves(row: int, checks: Container[str]) -> bool:
        """Whether a row leaves the set by a person's word, or else by what these checks found."""
        found = [
            "drop" if check in config.drop else "review" if check in config.review else action
            for r, check, action in said
            if r == row and check in checks
        ]
        actions = [decided[row]] if row in decided else found
        return "drop" in actions or ("review" in actions and bool(config.strict))

    of_group = {g: [row for row in range(COPIED) if groups[row] == g] for g in set(groups)}
    alone = {row for row in of_group.pop(-1, []) if not leaves(row, ALL)}
    whole = {g for g, rows in of_group.items() if not all(leaves(row, OWN) for row in rows)}
    if not alone and not whole:
        with pytest.raises(DataError, match="no image would be left"):
            apply(artifacts, config)
        return
    apply(artifacts, config)
    stays = {int(name) for name in ids(artifacts)}
    assert {groups[row] for row in stays} - {-1} == whole
    assert {row for row in stays if groups[row] == -1} == alone
    for row, action in decided.items():
        assert (row in stays) == (not leaves(row, ALL)), action
    # What was there stays; beyond it no more than one copy of a picture comes back.
    there = {row for row in range(COPIED) if not leaves(row, ALL)}
    assert there <= stays
    for g in whole:
        assert len(stays & set(of_group[g])) == max(1, len(there & set(of_group[g])))


def test_the_copy_that_takes_the_place_of_another_is_the_held_out_or_the_nearest_one_and_is_told(source, tmp_path):
    said = [(row, "near_duplicate", "drop") for row in (1, 2, 3)]
    groups = [0, 0, 0, 0, -1, -1, -1, -1]
    artifacts = scanned(source, tmp_path / "a", said, groups=groups, scores={1: 0.9, 2: 0.99, 3: 0.95})
    decide(artifacts, "0", "drop")
    applied = apply(artifacts)
    assert ids(artifacts) == ("2", "4", "5", "6", "7")
    assert applied.notes[-1] == (
        "1 copy stays in place of one that leaves, for of each picture one stays, such as 2; "
        "drop that too (--drop-id ID) to be rid of the picture"
    )
    decide(artifacts, ["2", "1", "3"], "drop")  # the advice, followed
    assert apply(artifacts).notes == ()
    assert ids(artifacts) == ("4", "5", "6", "7")
    undo(artifacts, 3)
    assert ids(artifacts) == ("2", "4", "5", "6", "7")
    undo(artifacts)
    assert ids(artifacts) == ("0", "4", "5", "6", "7")
    splits = ["train", "train", "train", "test", *["train"] * 4]
    artifacts = scanned(source, tmp_path / "b", said, groups=groups, splits=splits)
    decide(artifacts, "0", "drop")
    apply(artifacts)
    assert ids(artifacts)[0] == "3"


# Other labels, and images told apart


def say(artifacts: Path, *proposals: Proposal) -> Decisions:
    return deciding.decide(artifacts, proposals)


def test_a_relabelled_row_has_its_new_label_in_the_clean_set_and_images_parquet(artifacts):
    folder = artifacts / "scan"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    say(artifacts, Proposal("relabel", "4", label="dog", why="ears"), Proposal("relabel", "5", label="dog"))
    applied = apply(artifacts)
    assert (applied.relabelled, applied.decided, applied.decisions) == (1, 2, {"relabel": 2})
    clean = read(artifacts / "clean.npz")
    assert [clean.label_name(clean.ids.index(name)) for name in ("4", "5", "6")] == ["dog", "dog", "cat"]
    table = pd.read_parquet(folder / "images.parquet")
    assert table["relabelled_to"].tolist() == ["", "", "", "", "dog", "", "", ""]
    assert table["label_name"].tolist() == pd.read_parquet(BytesIO(before["images.parquet"]))["label_name"].tolist()
    assert open_scan(folder).manifest.replaced is None
    undo(artifacts, 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("stop", range(3))
def test_killed_while_it_notes_the_labels_a_scan_is_whole_and_can_be_applied_again(artifacts, monkeypatch, stop):
    say(artifacts, Proposal("relabel", "4", label="dog"))
    moves = 0

    def killed(call):
        def step(*arguments):
            nonlocal moves
            if moves == stop:
                raise KeyboardInterrupt
            moves += 1
            return call(*arguments)

        return step

    with monkeypatch.context() as patch:
        patch.setattr("curate.scans.write_manifest", killed(scans.write_manifest))
        patch.setattr("curate.scans.put_in_place", killed(scans.put_in_place))
        with pytest.raises(KeyboardInterrupt):
            apply(artifacts)
    assert relabelled_of(open_scan(artifacts / "scan").table) in ({}, {4: "dog"})
    apply(artifacts)
    scan = open_scan(artifacts / "scan")
    assert relabelled_of(scan.table) == {4: "dog"}
    assert scan.manifest.replaced is None


def test_a_list_of_files_tells_both_labels(folder, tmp_path):
    artifacts = scanned(folder, tmp_path / "a", [])
    say(artifacts, Proposal("relabel", "cat/b.png", label="dog"))
    apply(artifacts)
    clean = read(artifacts / "clean.csv")
    assert [clean.label_name(row) for row in range(3)] == ["cat", "dog", "dog"]
    with pytest.raises(DataError, match=r"dog/broken.png cannot be decoded, so that it can only be dropped"):
        say(artifacts, Proposal("relabel", "dog/broken.png", label="cat"))


def test_images_told_apart_stay_and_come_back_when_that_is_taken_back(source, tmp_path):
    groups = [0, 0, -1, 0, -1, -1, -1, -1]
    said = [(1, "near_duplicate", "drop"), (3, "near_duplicate", "drop")]
    artifacts = scanned(source, tmp_path / "artifacts", said, groups)
    pairs = pd.DataFrame([(0, 1, "near", 0.1), (1, 3, "near", 0.2)], columns=["row_a", "row_b", "kind", "distance"])
    write_parquet(pairs.astype({"kind": "str", "distance": "float32"}), artifacts / "scan" / "pairs.parquet")
    say(artifacts, Proposal("not_copies", ids=("0", "3")))
    assert apply(artifacts).decisions == {"not_copies": 1}
    assert ids(artifacts) == ("0", "2", "3", "4", "5", "6", "7")
    undone = undo(artifacts)
    assert [decision.ids for decision in undone.taken_back] == [("0", "3")]
    assert undone.applied.notes == ()
    assert ids(artifacts) == ("0", "2", "4", "5", "6", "7")


def test_what_a_scan_has_apart_is_joined_by_another_scan_alone(artifacts):
    say(artifacts, Proposal("not_copies", ids=("3", "4")))
    assert undo(artifacts).applied.notes == (
        "3 and 4 were told apart when the set was scanned: scan again to have them compared",
    )


def test_decisions_hold_for_a_set_in_another_order(source, tmp_path, artifacts):
    say(artifacts, Proposal("drop", "3"), Proposal("relabel", "4", label="dog"))
    with np.load(source) as arrays:
        pixels, labels = arrays["images"][::-1], arrays["labels"][::-1]
        np.savez(source, images=pixels, labels=labels, class_names=["cat", "dog"])
    scanned(source, artifacts, [])
    applied = apply(artifacts)
    assert applied.notes == ("2 decisions hold, on images that have other ids now",)
    clean = read(artifacts / "clean.npz")
    assert clean.ids == ("0", "1", "2", "3", "5", "6", "7")
    assert clean.label_name(clean.ids.index("3")) == "dog"
