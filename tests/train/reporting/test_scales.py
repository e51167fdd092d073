from __future__ import annotations

import re
from itertools import pairwise

import pytest

from train.reporting.scales import CONTRAST, LEVELS, colours, contrast, lightness, rules

EVERY = [(scale, page) for scale in ("bad", "good") for page in ("light", "dark")]


@pytest.mark.parametrize(("scale", "page"), EVERY)
def test_numbers_can_be_read_on_every_level(scale: str, page: str) -> None:
    made = colours(scale, page)
    assert len(made) == LEVELS
    assert min(contrast(ground, ink) for ground, ink in made) >= CONTRAST


@pytest.mark.parametrize(("scale", "page"), EVERY)
def test_equal_steps_look_equal(scale: str, page: str) -> None:
    light = [lightness(ground) for ground, _ in colours(scale, page)]
    steps = [b - a for a, b in pairwise(light)]
    assert all(step * steps[0] > 0 for step in steps)
    assert max(map(abs, steps)) - min(map(abs, steps)) < 0.006  # of colours in whole 255ths


@pytest.mark.parametrize(("scale", "page"), EVERY)
def test_a_scale_begins_with_the_ground_of_the_page(scale: str, page: str) -> None:
    assert colours(scale, page)[0][0] == {"light": "#ffffff", "dark": "#1d2024"}[page]


def test_known_colours_have_their_known_lightness() -> None:
    # https://bottosson.github.io/posts/oklab/ gives 1 for white; black is 0; sRGB red is 0.628.
    assert lightness("#ffffff") == pytest.approx(1, abs=1e-4)
    assert lightness("#000000") == 0
    assert lightness("#ff0000") == pytest.approx(0.628, abs=1e-3)


def test_every_level_has_a_rule_for_light_and_dark_pages() -> None:
    text = rules()
    for scale in ("bad", "good"):
        for level in range(LEVELS):
            assert len(re.findall(rf"\.{scale}-{level} {{", text)) == 2
    assert text.index("prefers-color-scheme: dark") > text.index(".good-20")
