"""Of the scan made by hand, whose names are hostile: views of it are small, inert and whole."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from curate.findings import findings_table
from curate.reporting.notebooks import Gallery, finding_view, findings_view, rows_view, scan_view
from curate.scans import Scan
from curate.sets.imageset import Picture

LONG = 50
TAGS = "div|p|h3|h4|ul|ol|li|span|b|i|img|figure|figcaption|table|thead|tbody|tr|th|td|code|details|summary"


def body(html: str) -> str:
    """What a view shows, without its style."""
    return html.split("</style>", 1)[1]


@pytest.fixture
def gallery(scan: Scan) -> Gallery:
    return Gallery(scan)


def number_of(scan: Scan, check: str) -> int:
    return scan.findings["check"].tolist().index(check)


def test_a_scan_says_what_is_wrong_how_much_of_it_and_what_to_do_next(gallery: Gallery) -> None:
    view = scan_view(gallery, "augment build")
    shown = body(view.html)
    counts = gallery.scan.table["verdict"].value_counts()
    for verdict, words in (("keep", "kept"), ("review", "for review"), ("drop", "dropped")):
        assert f"<b>{counts[verdict]}</b> {words}" in shown
    for check in gallery.scan.findings["check"].unique():
        assert f"<code>{check}</code>" in shown
    assert shown.count("data:image/jpeg") > 3
    assert "<code>augment build</code>" in shown
    assert view.words == repr(gallery.scan)


@pytest.mark.parametrize("artifacts", [None, "out"])
def test_only_of_a_scan_that_was_written_it_is_said_how_to_decide(scan: Scan, artifacts: str | None) -> None:
    shown = body(scan_view(Gallery(replace(scan, config=replace(scan.config, artifacts=artifacts))), "").html)
    assert (".decide(" in shown) == (artifacts is not None)
    assert ("curate review --artifacts out" in shown) == (artifacts is not None)
    assert ("Nothing was written" in shown) == (artifacts is None)
    assert "report.html" in shown or artifacts is None


def test_a_scan_that_found_nothing_says_so(scan: Scan) -> None:
    table = scan.table.assign(verdict="keep")
    shown = body(scan_view(Gallery(replace(scan, findings=findings_table([]), table=table, stories=())), "").html)
    assert "No check found anything" in shown
    assert "The most telling" not in shown


def test_findings_of_a_check_come_the_likeliest_first_and_the_others_are_counted(gallery: Gallery) -> None:
    view = findings_view(gallery, "label_error", 3)
    assert re.findall(r"looks like a dog, (\d+) %", body(view.html)) == ["59", "58", "57"]
    assert "and 5 more" in view.html
    assert view.words.startswith("Likely label errors: 8 findings\n  label_error of ")


def test_of_a_check_that_could_not_say_anything_it_is_told_why(scan: Scan) -> None:
    view = findings_view(Gallery(replace(scan, not_checked={"leak": "no splits"})), "leak", 5)
    assert view.words == "Leaks were not looked for: no splits"
    assert "no splits" in view.html


def test_a_copy_stands_beside_the_others_of_its_group_and_a_label_error_beside_its_nearest(gallery: Gallery) -> None:
    copy = number_of(gallery.scan, "exact_duplicate")
    name, rows = gallery.mates(copy)
    assert "in group 1" in name
    assert rows == [21, 23]
    name, rows = gallery.mates(number_of(gallery.scan, "label_error"))
    assert name == "nearest to it"
    assert 0 < len(rows) <= 6


def test_a_finding_on_the_set_as_a_whole_has_no_picture(gallery: Gallery) -> None:
    view = finding_view(gallery, number_of(gallery.scan, "shortcut"))
    assert "<img" not in view.html
    assert view.words == "shortcut: the background tells the class"


def test_a_picture_that_cannot_be_read_is_said_to_be_so(gallery: Gallery) -> None:
    assert "cannot be read" in body(finding_view(gallery, number_of(gallery.scan, "unreadable")).html)


def test_a_label_error_tells_the_class_that_is_suggested(gallery: Gallery) -> None:
    shown = body(finding_view(gallery, number_of(gallery.scan, "label_error")).html)
    assert "suggested: dog &amp; &lt;b&gt;bone&lt;/b&gt;" in shown


def test_images_are_shown_with_the_gravest_of_what_was_found_in_them(gallery: Gallery) -> None:
    view = rows_view(gallery, [LONG, 25], 5)
    assert "300x200 among 28x28" in view.html
    assert "lighter than" not in view.html
    assert "Nothing was found in it." in view.html
    assert view.words.startswith("2 images\n  odd_size of ")


def test_no_name_does_anything_in_a_view(gallery: Gallery) -> None:
    views = [scan_view(gallery, "x"), rows_view(gallery, range(60), 60)]
    views += [findings_view(gallery, check, 50) for check in gallery.scan.findings["check"].unique()]
    for view in views:
        shown = body(view.html)
        assert "<script" not in shown
        assert "<img src=x" not in shown
        assert not re.search(rf"<(?!/?({TAGS})[ >])", shown)
        assert 'src="data:image/jpeg;base64,' in shown or "<img" not in shown
        assert len(view.words) < 2_500


class Noise:
    """Large pictures that no codec makes small."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> Picture:
        pixels = np.random.default_rng(row).integers(0, 256, (400, 400, 3), dtype=np.uint8)
        return Picture(pixels, pixels)


def test_a_view_has_a_bound_whatever_the_pictures_and_however_many_are_asked_for(scan: Scan) -> None:
    gallery = Gallery(replace(scan, images=replace(scan.images, images=Noise())))
    view = rows_view(gallery, range(60), 60)
    assert 200_000 < len(view.html) < 500_000
    assert re.search(r"and \d+ more", view.html)
    assert len(scan_view(gallery, "").html) < 500_000
    assert len(findings_view(gallery, "outlier_group", 20).html) < 500_000
