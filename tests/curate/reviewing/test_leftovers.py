from __future__ import annotations

import cv2
import numpy as np
import pytest
from reviewed import scanned_for_real

from curate.reviewing.leftovers import Leftovers
from curate.scans import open_scan


@pytest.fixture
def artifacts(tmp_path):
    return scanned_for_real(tmp_path)


def test_the_pictures_of_a_report_are_found_by_id(artifacts):
    leftovers = Leftovers(artifacts / "scan/report.html")
    for name in open_scan(artifacts / "scan").table["id"]:
        small = leftovers.get(name)
        assert cv2.imdecode(np.frombuffer(small.jpeg, np.uint8), 1).shape == (small.height, small.width, 3)
    assert leftovers.get("none") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        '<script type="application/json" id="data">{}</script>',
        '<script type="application/json" id="data">{</script><script type="application/json" id="pictures">{}</script>',
    ],
)
def test_a_report_that_is_missing_or_another_has_none(tmp_path, text):
    (tmp_path / "report.html").write_text(text)
    assert Leftovers(tmp_path / "report.html").get("a") is None
    assert Leftovers(tmp_path / "none.html").get("a") is None


def test_the_report_is_read_once_and_not_before_it_is_needed(artifacts):
    leftovers = Leftovers(artifacts / "scan/report.html")
    text = (artifacts / "scan/report.html").read_text(encoding="utf-8")
    (artifacts / "scan/report.html").unlink()
    (artifacts / "scan/report.html").write_text(text, encoding="utf-8")
    first = leftovers.get("ant/0.jpg")
    (artifacts / "scan/report.html").unlink()
    assert leftovers.get("ant/0.jpg") is first is not None
