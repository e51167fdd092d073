from __future__ import annotations

import base64
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
import pytest

from train.configs import EnsembleConfig
from train.metrics import (
    ClassScores,
    CorruptionMeasures,
    KeptEpoch,
    Metrics,
    RelativeErrors,
    Spread,
    Unlabelled,
    WorstClass,
)
from train.reporting import RunReport, page
from train.slices import ScanWord

# Elements that have no end.
VOID = {"meta", "img", "br", "hr", "input", "link", "line", "circle", "polyline"}


class Outline(HTMLParser):
    """Elements with their attributes, text by table cell, and whether all that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.opened: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.opened, self.opened

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.opened and self.opened[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def said(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def with_parts(run: RunReport, **parts: object) -> RunReport:
    """The run with other parts of its metrics."""
    return replace(run, metrics=replace(run.metrics, **parts))


def with_fog(run: RunReport, **measures: object) -> CorruptionMeasures:
    """The measures of fog, some of them others."""
    assert run.metrics.benchmark is not None
    assert run.metrics.benchmark.corruptions is not None
    return replace(run.metrics.benchmark.corruptions["fog"], **measures)


def section(html: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', html, re.S)
    assert found is not None, name
    return found[0]


def cells(row: str) -> list[str]:
    return [
        " ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
    ]


def rows_of(html: str) -> list[list[str]]:
    return [cells(row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", html, re.S)]


def test_it_says_at_once_how_right_the_model_is(run: RunReport) -> None:
    said = Outline(page(run)).said
    clean, benchmark = run.metrics.clean, run.metrics.benchmark
    assert (
        f"Accuracy {clean.accuracy:.3f} on the clean test images, {benchmark.mean_accuracy:.3f} under corruption "
        f"and {benchmark.composed['composed-3'].accuracy:.3f} with 3 corruptions at once."
    ) in said
    for number in (*clean.interval, *benchmark.interval, run.metrics.external["zoo <1>.npz"].accuracy):
        assert f"{number:.3f}" in said
    for words in ("heavy <2>", "at 96 pixels", "12,345 parameters", "3 classes", "kept epoch 2 of stage 2"):
        assert words in said
    assert f"{clean.worst_class.recall:.3f} recall of {clean.worst_class.class_name}, clean" in said


def test_the_page_is_well_formed_and_every_link_on_it_leads_somewhere(run: RunReport) -> None:
    outline = Outline(page(run))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(link["href"]).removeprefix("#") for link in outline.all("a")]
    assert targets
    assert set(targets) <= set(ids)


def test_nothing_is_fetched_from_anywhere_and_nothing_runs(run: RunReport) -> None:
    html = page(run)
    assert "default-src 'none'" in html
    assert not re.search(r"https?:|url\(|@import", html)
    assert re.findall(r"<link\b[^>]*>", html) == ['<link rel="icon" href="data:,">']  # no request for an icon
    assert not re.search(r"<(iframe|source|script|object)\b", html)
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in Outline(html).all("img"))


def test_words_from_the_data_are_text_and_never_markup(run: RunReport) -> None:
    html = page(run)
    for raw in ("<b>bone</b>", "<script", "<i>", "zoo <1>", "heavy <2>", "<note>"):
        assert raw not in html.replace('<i class="', "").replace('<i style="', "")
    said = Outline(html).said
    for words in ("dog & <b>bone</b>", "</script><script>alert(1)</script>", "zoo <1>.npz", "nothing of <note>"):
        assert words in said


def test_a_name_that_is_no_text_does_not_keep_the_page_from_being_written(run: RunReport) -> None:
    html = page(replace(run, notes=("caf\udce9 was read",)))
    assert r"caf\udce9 was read" in html.encode("utf-8").decode("utf-8")


def test_the_same_run_gives_the_same_page_and_times_stand_in_their_places(run: RunReport) -> None:
    assert page(run) == page(run)
    other = page(replace(run, seconds={"fitting": 99.0}))
    timings = re.compile(r'<dl class="pairs" id="timings">.*?</dl>', re.S)
    assert other != page(run)
    assert timings.sub("", other) == timings.sub("", page(run))


def test_pictures_and_charts_say_in_words_what_they_show(run: RunReport) -> None:
    outline = Outline(page(run))
    assert all(image["alt"] for image in outline.all("img"))
    drawn = [svg for svg in outline.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawn) == 3 + 2  # curves, and calibration
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawn)
    for table in re.findall(r"<table.*?</table>", page(run), re.S):
        assert re.search(r'<th scope="col"', table)


def test_each_corruption_has_its_row_with_every_severity_and_its_verdict(run: RunReport) -> None:
    html = section(page(run), "shift")
    table = re.search(r'<table class="heat shift">.*?</table>', html, re.S)
    assert table is not None
    rows = {row[0]: row[1:] for row in rows_of(table[0])}
    told = run.metrics.benchmark.corruptions
    for name, words in (
        ("fog", "fog near"),
        ("shot_noise", "shot noise"),
        ("impulse_noise", "impulse noise identical"),
    ):
        row, of_one = rows[words], told[name]
        expected = [*of_one.severities.values(), of_one.accuracy]
        assert row[:6] == [f"{value:.2f}" for value in expected]
        assert row[6] == f"{of_one.interval[0]:.3f} to {of_one.interval[1]:.3f}"
    assert rows["Mean of all"][5] == f"{run.metrics.benchmark.mean_accuracy:.2f}"
    # By family, that of the corruption which hurts most first; and so within it.
    order = sorted(told, key=lambda name: told[name].accuracy)
    families = [row[0] for row in rows_of(table[0]) if len(row) == 1]
    assert families[0] == told[order[0]].family
    assert "identical ones are what training saw" in Outline(html).said


def test_the_worse_an_accuracy_the_stronger_its_colour(run: RunReport) -> None:
    chance = 1 / 3
    accuracies = {"1": 1.0, "2": 0.9, "3": 0.6, "4": chance, "5": 0.0}
    benchmark = replace(run.metrics.benchmark, corruptions={"fog": with_fog(run, severities=accuracies)})
    html = page(with_parts(run, benchmark=benchmark))
    row = re.search(r"<tr>\s*<th scope=\"row\">fog.*?</tr>", html, re.S)
    assert row is not None
    assert [int(level) for level in re.findall(r"bad-(\d+)", row[0])][:5] == [0, 3, 12, 20, 20]


def test_a_severity_that_was_not_measured_leaves_its_cell_empty(run: RunReport) -> None:
    benchmark = run.metrics.benchmark
    some = {name: benchmark.corruptions["fog"].severities[name] for name in ("1", "5")}
    benchmark = replace(benchmark, corruptions={**benchmark.corruptions, "fog": with_fog(run, severities=some)})
    html = page(with_parts(run, benchmark=benchmark))
    rows = {row[0]: row[1:] for row in rows_of(section(html, "shift"))}
    assert rows["fog near"][1:4] == ["", "", ""]


def test_errors_relative_to_a_baseline_have_a_column(run: RunReport) -> None:
    baseline = RelativeErrors("plain", {"fog": 0.512, "shot_noise": None, "impulse_noise": 1.2}, 0.86, {}, None)
    html = page(with_parts(run, benchmark=replace(run.metrics.benchmark, baseline=baseline)))
    rows = {row[0]: row for row in rows_of(section(html, "shift"))}
    assert rows["Corruption"][-1] == "CE"
    assert (rows["fog near"][-1], rows["shot noise"][-1], rows["Mean of all"][-1]) == ("0.51", "", "0.86")
    assert "0.860 relative to plain" in Outline(html).said


def test_classes_and_who_is_taken_for_whom_stand_with_their_counts(run: RunReport) -> None:
    html = section(page(run), "classes")
    clean = run.metrics.clean
    rows = rows_of(html)
    cat = clean.per_class["cat"]
    assert next(row[1:] for row in rows if row[0].startswith("cat")) == [
        f"{cat.precision:.3f}", f"{cat.recall:.3f}", f"{cat.f1:.3f}", str(cat.support)
    ]  # fmt: skip
    matrix = re.search(r'<table class="heat matrix">.*?</table>', html, re.S)
    assert matrix is not None
    counts = [[int(cell.replace("·", "0")) for cell in row[1:]] for row in rows_of(matrix[0])[1:]]
    assert counts == list(map(list, clean.confusion))
    wrong = np.array(clean.confusion)
    np.fill_diagonal(wrong, 0)
    assert f"({wrong.max()} of 20)" in html


def test_of_very_many_classes_the_worst_pairs_stand_for_the_matrix(run: RunReport) -> None:
    names = [f"class {i}" for i in range(60)]
    counts = 9 * np.eye(60, dtype=int)
    counts[3, 5], counts[7, 1] = 4, 2
    clean = replace(
        run.metrics.clean,
        per_class=dict.fromkeys(names, ClassScores(0.9, 0.9, 0.9, 9)),
        confusion=tuple(map(tuple, counts.tolist())),
        worst_class=WorstClass("class 3", 0.6),
    )
    html = section(page(with_parts(run, clean=clean)), "classes")
    assert 'class="heat matrix"' not in html
    assert ["class 3", "class 5", "4", "13"] in rows_of(html)
    assert ["class 7", "class 1", "2", "11"] in rows_of(html)


def test_a_class_that_a_set_does_not_have_has_no_recall(run: RunReport) -> None:
    measures = run.metrics.external["zoo <1>.npz"]
    per_class = {**measures.per_class, "cat": ClassScores(None, None, None, 0)}
    external = {"zoo": replace(measures, per_class=per_class), "unlabelled": Unlabelled()}
    html = section(page(with_parts(run, external=external)), "elsewhere")
    assert ["", "", "", "0"] in [row[1:] for row in rows_of(html)]
    assert "unlabelled" not in html


def test_without_a_benchmark_slices_have_no_columns_for_it(run: RunReport) -> None:
    clean = tuple(replace(part, benchmark=None) for part in run.metrics.slices or ())
    shown, alone = (section(page(of), "slices") for of in (run, with_parts(run, benchmark=None, slices=clean)))
    assert "Under corruption" in shown
    assert "Under corruption" not in alone
    assert alone.count("<td") == len(clean) * 5


def test_slices_are_told_in_words_against_the_rest(run: RunReport) -> None:
    html = section(page(run), "slices")
    told = {one.slice: one for one in run.metrics.slices}
    rows = {row[0]: row[1:] for row in rows_of(html)}
    title = next(name for name in rows if name.startswith("Colour casts"))
    one = told["colour_cast"]
    assert rows[title][:3] == ["9", f"{one.clean.accuracy:.3f}", f"{one.clean.rest:.3f}"]
    assert rows[title][3].startswith(f"{one.clean.difference:+.3f}")
    assert any(name.startswith("In a group of copies") for name in rows)


def test_every_panel_is_shown_with_its_pictures_in_their_order(run: RunReport) -> None:
    assert run.explained is not None
    html = section(page(run), "looks")
    cases = [case for panel in run.explained.panels for case in panel.cases]
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(shown) == len(cases)
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(shown[0]), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (160, 2 * 160 + 2, 3)
    for panel in run.explained.panels:
        assert panel.title in html.replace("&lt;", "<").replace("&gt;", ">")
    assert "The resolution of the map is 4x3." in html  # width first, as sizes are told everywhere


def test_the_hardest_images_stand_in_the_order_of_the_table(run: RunReport) -> None:
    assert run.explained is not None
    said = Outline(section(page(run), "hardest")).said
    places = [said.index(name) for name in run.explained.hardest["id"].head(12)]
    assert places == sorted(places)
    assert run.explained.hardest["id"][12] not in said


def test_beside_a_hard_image_stands_what_the_scan_said_of_it_and_where_to_decide(run: RunReport) -> None:
    assert run.explained is not None
    first, second = run.explained.hardest["source"].head(2)
    words = {first: ScanWord("review", ("Blurred: far <less> detail",)), second: ScanWord("keep", ())}
    html = section(page(replace(run, scan=words)), "hardest")
    said = Outline(html).said
    assert "the scan: to review Blurred: far <less> detail. decide on it" in said
    assert "the scan: kept nothing found. decide on it" in said
    assert html.count("decide on it") == 2
    assert f'href="../../scan/report.html#image={quote(first, safe="")}"' in html
    assert "decide on it" not in page(run)


def test_what_it_was_made_of_can_be_traced(run: RunReport) -> None:
    html = section(page(run), "made")
    said = Outline(html).said
    for words in (
        "scan digest 5ca1ab1e",
        "build digest b111d",
        "label smoothing 0.1",
        "seed 7",
        "unfreeze 0.6",
        "keras",
    ):
        assert words in said
    assert "source digest" not in said


def test_a_probe_alone_has_no_curve(run: RunReport) -> None:
    assert run.history is not None
    probe = with_parts(run, fit=replace(run.metrics.fit, kept=KeptEpoch(0, 0, 0.6)))
    html = page(replace(probe, history=run.history.head(1)))
    assert "There is one epoch, and so no curve." in html
    assert "kept the probe" in html


def test_curves_run_over_all_stages_and_mark_what_was_kept(run: RunReport) -> None:
    html = section(page(run), "curves")
    assert html.count("<svg viewBox") - html.count('aria-hidden="true"') == 3
    assert html.count(">kept</text>") == 3
    assert html.count('<line class="division"') == 2 * 3
    assert "clean from 0.8 to 0.9; corrupted from 0.6 to 0.7; composed from 0.5 to 0.6" in html
    assert "train from 1.125 to 0.625" in html  # the probe has no loss


def test_a_run_of_other_runs_has_a_page_without_model_and_fit(run: RunReport) -> None:
    metrics = Metrics(**{field.name: getattr(run.metrics, field.name) for field in fields(Metrics)})
    html = page(RunReport("ensemble", EnsembleConfig(), metrics))
    for name in ("curves", "looks", "hardest"):
        assert f'id="{name}"' not in html
    assert "mean" in Outline(section(html, "made")).said


def test_without_benchmark_or_elsewhere_the_rest_stands(run: RunReport) -> None:
    clean_alone = with_parts(run, val=None, benchmark=None, calibration=None, slices=(), external={})
    html = page(replace(clean_alone, explained=None))
    Outline(html)
    assert f"Accuracy {run.metrics.clean.accuracy:.3f} on the clean test images." in html
    for name in ("shift", "elsewhere", "slices", "calibration"):
        assert f'id="{name}"' not in html


def test_several_fits_tell_how_far_they_differ(run: RunReport) -> None:
    several = with_parts(run, spread={"clean": Spread(0.951, 0.004, (0.95, 0.96, 0.94))})
    assert "clean, 3 fits 0.951 sd 0.004" in Outline(page(several)).said


@pytest.mark.parametrize("gone", ["val_clean", "val_composed", "val_loss"])
def test_what_was_not_watched_is_left_out(run: RunReport, gone: str) -> None:
    assert run.history is not None
    Outline(page(replace(run, history=run.history.drop(columns=gone))))


def test_a_model_that_is_right_throughout_has_nothing_wrong_to_show(run: RunReport) -> None:
    counts = tuple(map(tuple, (20 * np.eye(3, dtype=int)).tolist()))
    right = with_parts(run, clean=replace(run.metrics.clean, confusion=counts))
    assert "No image was predicted as another class." in section(page(right), "classes")


def test_an_empty_history_is_no_failure(run: RunReport) -> None:
    assert run.history is not None
    Outline(page(replace(run, history=pd.DataFrame(columns=run.history.columns))))
