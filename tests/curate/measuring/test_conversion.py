import pytest

from curate.measuring import conversion
from curate.measuring.backbones import WeightsUnavailable
from curate.stage.errors import DataError, UnknownName

NAME = "MobileNetV2-0.35"


@pytest.mark.parametrize(
    ("error", "status"),
    [(WeightsUnavailable("offline"), 3), (DataError("does not fit"), 2), (UnknownName("no backbone"), 2)],
)
def test_the_exit_status_says_what_is_wrong_and_the_last_line_why(monkeypatch, capsys, error, status):
    def convert(*_):
        raise error

    monkeypatch.setattr(conversion, "convert", convert)
    assert conversion.main([NAME, "96", "imagenet", "out.xml"]) == status
    assert capsys.readouterr().err.splitlines()[-1] == str(error)


def test_a_conversion_that_succeeds_is_silent(monkeypatch, capsys, tmp_path):
    asked = []
    monkeypatch.setattr(conversion, "convert", lambda *arguments: asked.append(arguments))
    assert conversion.main([NAME, "96", "random", str(tmp_path / "out.xml")]) == 0
    assert asked == [(NAME, 96, "random", tmp_path / "out.xml")]
    assert capsys.readouterr() == ("", "")
