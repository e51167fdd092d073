from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from jinja2 import UndefinedError

from curate.configs import ScanConfig
from curate.reporting.base import Report, asset, render, settings_of

REPORT = Report(
    kind="run",
    name="heavy <2>",
    notes=("nothing of <note>", "caf\udce9 was read"),
    files=(("model.keras", "the <model>"),),
    settings=[("Settings: fit", [("batch size", "32")]), ("Settings: run", [("seed", "<7>")])],
    versions=[("numpy", "2.4.6")],
    timings=[("fitting", "12.3 s")],
)
TEMPLATE = """{% extends "base.html" %}
{% block facts %}<li>{{ images | n }} images</li>{% endblock %}
{% block links %}<a href="#own">Own</a>{% endblock %}
{% block sections %}<section id="own">{{ word }} {{ accuracy | share }} {{ nothing | share }}</section>{% endblock %}
"""
CONTENT: Mapping[str, object] = {"images": 12345, "word": "right", "accuracy": 2 / 3, "nothing": None}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package that has a template."""
    folder = tmp_path / "paged"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "report.html").write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "paged"


def test_a_page_has_a_head_its_own_sections_and_how_it_was_made(package):
    html = render(REPORT, package, "", CONTENT)
    assert "<title>heavy &lt;2&gt;: run report</title>" in html
    for words in ("<li>12,345 images</li>", "nothing of &lt;note&gt;", "the &lt;model&gt;", "Settings: fit", "12.3 s"):
        assert words in html
    assert '<section id="own">right 0.667 </section>' in html
    assert re.search(r"<dt>numpy</dt><dd>\d+\.\d+", html)
    assert "no-such-package" not in html
    order = [
        html.index(words) for words in ("<h1", "nothing of", 'href="#own"', 'href="#made"', 'id="own"', 'id="made"')
    ]
    assert order == sorted(order)


def test_a_name_that_is_no_text_does_not_keep_a_page_from_being_written(package):
    assert r"caf\udce9 was read" in render(REPORT, package, "", CONTENT).encode("utf-8").decode("utf-8")


def test_style_comes_after_that_of_every_page_and_is_no_text(package):
    html = render(REPORT, package, ".own > p { color: red; }", CONTENT)
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    assert style[1] == asset("curate.reporting", "base.css") + ".own > p { color: red; }"


def test_what_there_is_none_of_has_no_heading(package):
    html = render(replace(REPORT, notes=(), files=(), timings=()), package, "", CONTENT)
    assert not re.search("Notes|Files beside this page|Time taken", html)


def test_what_a_template_needs_and_is_not_given_is_an_error(package):
    with pytest.raises(UndefinedError, match="word"):
        render(REPORT, package, "", {"images": 1, "accuracy": None, "nothing": None})


@pytest.mark.parametrize("own", ["curate.reporting", "train.reporting"])
def test_no_rule_of_the_base_is_said_again(own):
    rules = [
        set(re.findall(r"^[^@\s}/].*\{.*\}$", asset(each, name), re.M))
        for each, name in (("curate.reporting", "base.css"), (own, "report.css"))
    ]
    assert rules[0]
    assert not rules[0] & rules[1]


def test_settings_are_options_and_values_in_words():
    config = ScanConfig(thresholds={"dark": 0.6, "blurred": 0.5}, drop=("leak", "outlier"), strict=True, artifacts=None)
    settings = dict(settings_of(config))
    assert settings["thresholds"] == "dark 0.6, blurred 0.5"
    assert settings["drop"] == "leak, outlier"
    assert settings["review"] == "none"
    assert settings["strict"] == "yes"
    assert settings["artifacts"] == "none"
    assert settings["input size"] == "160"


def test_a_configuration_within_another_is_no_option():
    @dataclass(frozen=True)
    class Whole:
        scan: ScanConfig = field(default_factory=ScanConfig)
        seed: int = 3

    assert settings_of(Whole()) == [("seed", "3")]


def test_characters_that_turn_letters_about_are_written_out_wherever_a_name_stands(package):
    html = render(replace(REPORT, name="a\u202egnp.exe", notes=("of \u2067b",)), package, "", CONTENT)
    assert not set(html) & set("\u202e\u2067")
    assert r"a\u202egnp.exe</h1>" in html
    assert r"<bdi>of \u2067b</bdi>" in html
