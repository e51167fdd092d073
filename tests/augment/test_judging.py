import pytest

from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.judging import judge
from curate.stage.errors import UnknownName
from curate.stage.progress import Silent


class Noted(Silent):
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def test_every_corruption_and_composed_track_has_a_verdict(artifacts, quick):
    noted = Noted()
    config = BuildConfig(artifacts=str(artifacts), policy="light", benchmark=("blood", "common"), allow_overlap=True)
    table = judge(None, config, noted).set_index("corruption")
    assert set(table.index) == {
        "brightness", "jpeg_compression", "stain_deposit", "saturate", "gaussian_blur", "speckle_noise",
        "composed-2", "composed-3", "composed-2-validation", "composed-3-validation",
    }  # fmt: skip
    for name, row in table.iterrows():
        assert row["verdict"] in ("disjoint", "near", "identical")
        assert row["because"]
        assert row["ratio"] >= 0
        role = "validation" if name.endswith("-validation") else "test"
        assert row["role"] == (CORRUPTIONS[name].role if name in CORRUPTIONS else role)
    assert table.loc["brightness", "verdict"] == "near"  # light changes the light
    assert not any("synthetic cells" in line for line in noted.said)


def test_where_nothing_was_scanned_it_is_judged_on_drawn_cells_and_that_is_told(tmp_path, quick):
    noted = Noted()
    config = BuildConfig(
        artifacts=str(tmp_path), policy="dihedral8", benchmark=("blood",), size=(32, 32), allow_overlap=True
    )
    table = judge(None, config, noted)
    assert noted.said[0] == "no set is given and none was scanned here: judged on synthetic cells"
    assert set(table["verdict"]) == {"disjoint"}
    assert list(tmp_path.iterdir()) == []


def test_the_verdicts_are_those_of_the_build(built, scanned, quick):
    config = BuildConfig(
        artifacts=str(scanned / "artifacts"), policy=str(built.path.parent.parent / "mixed.toml"), allow_overlap=True
    )
    verdicts = judge(None, config).set_index("corruption")["verdict"].to_dict()
    assert verdicts == {s.corruption: s.verdict for s in built.benchmark.sets}


def test_a_policy_that_contains_a_corruption_is_judged_and_not_refused(artifacts, quick, tmp_path):
    (tmp_path / "same.toml").write_text('steps = [{op = "jpeg", quality = [2, 100]}]\n')
    config = BuildConfig(artifacts=str(artifacts), policy=str(tmp_path / "same.toml"), benchmark=("blood",))
    table = judge(None, config).set_index("corruption")
    assert table.loc["jpeg_compression", "verdict"] == "identical"
    assert table.loc["composed-2", "verdict"] == "identical"


def test_an_unknown_policy_is_told_of(tmp_path):
    with pytest.raises(UnknownName, match="no policy named 'haevy'"):
        judge(None, BuildConfig(policy="haevy", artifacts=str(tmp_path)))
