import cv2
import numpy as np
import pytest
from PIL import Image

import augment.previewing
from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.policies import library
from augment.previewing import Sheet, chosen_rows, corruption_sheet, policies_sheet, policy_sheet, preview
from augment.trial import trial
from curate.sets.reading import read
from curate.stage.errors import DataError, OutputError, UnknownName

UNITS = {"side": 32.0, "sd_l": 5.0, "sd_a": 3.0, "sd_b": 3.0}


@pytest.fixture
def of(artifacts):
    return trial(None, BuildConfig(artifacts=str(artifacts)))


def shown(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


# Sheets


@pytest.mark.parametrize("size", [(8, 8), (32, 24), (112, 112), (300, 40), (40, 300), (500, 500)])
def test_a_sheet_has_a_place_for_every_picture_and_title(size):
    picture = np.full((size[1], size[0], 3), (200, 30, 60), np.uint8)
    sheet = Sheet(["a class", "b"], ["source", "1", "2"], [[picture] * 3] * 2).drawn()
    red = (sheet == (200, 30, 60)).all(axis=2)
    across, down = red.any(axis=0), red.any(axis=1)
    assert (np.diff(across.astype(int)) == 1).sum() == 3
    assert (np.diff(down.astype(int)) == 1).sum() == 2
    cells = red.sum() / 6
    assert cells == pytest.approx((112 / max(size)) ** 2 * size[0] * size[1], rel=0.1)
    assert (sheet[:, :150] != 255).any()  # titles of rows
    assert (sheet[:26] != 255).any()  # and of columns


def test_a_sheet_without_titles_of_rows_has_no_room_for_them():
    picture = np.zeros((32, 32, 3), np.uint8)
    with_titles, without = (Sheet(rows, ["x"], [[picture]]).drawn().shape for rows in (["a"], [""]))
    assert without[1] < with_titles[1] - 100


def test_pictures_are_shown_as_they_are(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    sheet = Sheet([""], ["x"], [[picture]])
    sheet.write(tmp_path / "sheet.png")
    drawn = shown(tmp_path / "sheet.png")
    assert np.array_equal(drawn, sheet.drawn())
    assert np.array_equal(drawn[26:138, 6:118], picture)


def test_a_title_in_any_script_is_written():
    picture = np.zeros((32, 32, 3), np.uint8)
    long = Sheet(["红细胞" * 20], ["α" * 50], [[picture]]).drawn()
    assert (long != 255).any()


def test_where_a_sheet_cannot_be_written_that_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        Sheet([""], ["x"], [[np.zeros((32, 32, 3), np.uint8)]]).write(tmp_path / "file" / "sheet.png")


# Which pictures


def test_pictures_of_each_class_in_turn_are_shown(of):
    rows = chosen_rows(of.images, 6)
    assert len(rows) == len(set(rows)) == 6
    assert np.bincount(of.images.labels[rows]).tolist() == [2, 2, 2]
    assert of.images.labels[rows].tolist() == sorted(of.images.labels[rows].tolist())


def test_of_a_set_without_labels_some_are_shown(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros((9, 12, 12, 3), np.uint8))
    assert len(chosen_rows(read(tmp_path / "data.npz"), 4)) == 4


def test_no_more_are_shown_than_there_are(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros((3, 12, 12, 3), np.uint8), labels=[0, 1, 1])
    assert sorted(chosen_rows(read(tmp_path / "data.npz"), 8)) == [0, 1, 2]


def test_what_cannot_be_read_is_not_shown(tmp_path):
    (tmp_path / "a").mkdir()
    for row in range(3):
        Image.fromarray(np.zeros((12, 12, 3), np.uint8)).save(tmp_path / "a" / f"{row}.png")
    (tmp_path / "a" / "1.png").write_bytes(b"")
    assert sorted(chosen_rows(read(tmp_path), 8)) == [0, 2]


# Sheets of a policy and of corruptions


def test_copies_are_those_that_a_build_of_the_same_seed_would_draw(of):
    policy = library.policy("moderate")
    sheet = policy_sheet(of, [3, 5], policy, copies=2, seed=4)
    assert sheet.columns == ["source", "1", "2"]
    assert sheet.rows == [of.images.label_name(3), of.images.label_name(5)]
    again = policy_sheet(of, [3, 5], policy, copies=2, seed=4)
    other = policy_sheet(of, [3, 5], policy, copies=2, seed=5)
    for row in range(2):
        assert np.array_equal(sheet.pictures[row][0], of.pictures[[3, 5][row]])
        assert np.array_equal(sheet.pictures[row][1], again.pictures[row][1])
    assert not np.array_equal(sheet.pictures[0][1], other.pictures[0][1])


def test_a_policy_that_mixes_is_shown_mixed(of):
    sheet = policy_sheet(of, [3, 5, 7], library.policy("cutmix"), copies=3)
    # Now and then a picture's partner is itself.
    assert sum(not np.array_equal(made, pictures[0]) for pictures in sheet.pictures for made in pictures[1:]) >= 4


def test_every_policy_is_shown_on_one_picture(of):
    sheet = policies_sheet(of, 3, copies=2)
    assert tuple(sheet.rows) == library.names()
    assert sheet.columns == ["source", "1", "2"]
    for pictures in sheet.pictures:
        assert np.array_equal(pictures[0], of.pictures[3])
    changed = [not np.array_equal(pictures[1], pictures[0]) for pictures in sheet.pictures]
    assert sum(changed) > len(changed) / 2


def test_a_corruption_is_shown_clean_and_at_five_severities(of):
    picture = of.pictures[0]
    names = ("brightness", "gaussian_noise")
    settings = {
        name: [CORRUPTIONS[name].settings(strength, UNITS) for strength in (0.1, 0.3, 0.5, 0.7, 1)] for name in names
    }
    sheet = corruption_sheet(picture, CORRUPTIONS, settings, UNITS)
    assert sheet.rows == list(names)
    assert sheet.columns == ["clean", *(f"severity {s}" for s in range(1, 6))]
    for pictures in sheet.pictures:
        assert pictures[0] is picture
        away = [np.abs(made.astype(int) - picture).mean() for made in pictures]
        assert away == sorted(away)
        assert away[1] > 0


# The whole


def test_a_policy_is_previewed_on_the_clean_set(artifacts, tmp_path):
    said = []
    path = preview(
        None, BuildConfig(artifacts=str(artifacts), policy="light"), tmp_path / "new" / "p.png", say=said.append
    )
    assert path == tmp_path / "new" / "p.png"
    assert shown(path).shape[0] > 8 * 100
    assert said == []


def test_where_nothing_was_scanned_it_is_previewed_on_drawn_cells_and_that_is_told(tmp_path):
    said = []
    config = BuildConfig(artifacts=str(tmp_path / "nowhere"), policy="light")
    preview(None, config, tmp_path / "p.png", copies=2, images=2, say=said.append)
    assert said == ["no set is given and none was scanned here: shown on synthetic cells"]
    assert {path.name for path in tmp_path.iterdir()} == {"p.png"}


def test_every_corruption_of_a_build_is_previewed(artifacts, tmp_path, quick, monkeypatch):
    drawn = []
    sheet = augment.previewing.corruption_sheet
    monkeypatch.setattr(
        augment.previewing, "corruption_sheet", lambda *given, **more: drawn.append(sheet(*given, **more)) or drawn[0]
    )
    config = BuildConfig(artifacts=str(artifacts), benchmark=("blood",))
    preview(None, config, tmp_path / "c.png", show="corruptions")
    assert drawn[0].rows == ["brightness", "jpeg_compression", "saturate", "stain_deposit"]
    assert np.array_equal(shown(tmp_path / "c.png"), drawn[0].drawn())


def test_every_policy_is_previewed(artifacts, tmp_path):
    preview(None, BuildConfig(artifacts=str(artifacts)), tmp_path / "p.png", show="policies", copies=2)
    assert shown(tmp_path / "p.png").shape[0] > len(library.names()) * 100


def test_a_published_preset_is_previewed(artifacts, tmp_path, quick):
    config = BuildConfig(artifacts=str(artifacts), severities="medmnist-c-blood")
    preview(None, config, tmp_path / "c.png", show="corruptions")
    assert shown(tmp_path / "c.png").shape[1] > 6 * 100


def test_a_set_with_pictures_that_cannot_be_read_is_previewed(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    for row in range(8):
        Image.fromarray(np.full((12, 12, 3), 20 * row, np.uint8)).save(tmp_path / "set" / "a" / f"{row}.png")
    (tmp_path / "set" / "a" / "4.png").write_bytes(b"")
    preview(tmp_path / "set", BuildConfig(policy="mixup", artifacts=str(tmp_path)), tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()


@pytest.mark.parametrize("given", [{"copies": 0}, {"copies": -1}, {"images": 0}])
def test_to_show_nothing_is_refused(tmp_path, given):
    with pytest.raises(DataError, match="needed is a whole number from 1"):
        preview(None, BuildConfig(artifacts=str(tmp_path)), tmp_path / "p.png", **given)
    assert not (tmp_path / "p.png").exists()


def test_an_unknown_policy_is_told_of(tmp_path):
    with pytest.raises(UnknownName, match="no policy named 'haevy'"):
        preview(None, BuildConfig(policy="haevy", artifacts=str(tmp_path)), tmp_path / "p.png")


def test_a_sheet_takes_the_place_of_a_sheet_only_and_of_no_input(tmp_path):
    sheet = Sheet([""], ["x"], [[np.zeros((32, 32, 3), np.uint8)]])
    sheet.write(tmp_path / "sheet.png")
    sheet.write(tmp_path / "sheet.png")
    (tmp_path / "set.npz").write_bytes(b"PK of a set")
    with pytest.raises(OutputError, match="is there and is no contact sheet"):
        sheet.write(tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == b"PK of a set"
