import base64
import re

import numpy as np

from curate.notebooks.fragments import View, amounts, clean, figure, head, html, page_of, strip, tile

HOSTILE = '"><img src=x onerror=alert(1)>\n\x1b[31m\u202e</style><script>' * 20
GREY = np.full((40, 60, 3), 90, np.uint8)


def test_a_view_is_html_for_a_notebook_and_words_for_a_console():
    view = View("<p>two pets</p>", "two pets")
    assert view._repr_html_() == "<p>two pets</p>"
    assert repr(view) == "two pets"


def test_values_are_escaped_and_pieces_are_not():
    assert html("<p>{a}{b}</p>", a=html("<i>{x}</i>", x="<&>"), b=3) == "<p><i>&lt;&amp;&gt;</i>3</p>"


def test_texts_are_bounded_without_control_characters_and_valid():
    assert clean("a\x1b\n\u202e") == r"a\x1b\n\u202e"
    assert len(clean("a" * 10_000)) == 400
    clean("\udce4 and \ud800").encode()


def test_a_page_is_styled_in_its_own_scope_alone():
    page = page_of(html("<p>a pet</p>"))
    style = re.search("<style>(.*)</style>", page, re.DOTALL)[1]
    rules = re.sub(r"/\*.*?\*/|@keyframes.*?\}\s*\}", "", style, flags=re.DOTALL)
    selectors = re.findall(r"([^{}]+)\{", rules)
    assert len(selectors) > 30
    assert all(selector.strip().startswith((".trustset", "@media")) for selector in selectors)
    assert "url(" not in style
    assert "@import" not in style
    assert page.startswith('<div class="trustset">')
    assert page.endswith("<p>a pet</p></div>")


def test_a_tile_has_its_picture_inside_and_says_what_it_shows():
    picture = tile(GREY, ("a pet", "row 7"), verdict="drop")
    assert (picture.width, picture.height) == (60, 40)
    data = base64.b64decode(picture.uri.removeprefix("data:image/jpeg;base64,"))
    assert data.startswith(b"\xff\xd8")
    markup = figure(picture)
    assert 'alt="a pet, row 7"' in markup
    assert 'class="picture drop"' in markup
    assert 'class="lying"' in markup


def test_what_cannot_be_read_is_a_tile_that_says_so():
    markup = figure(tile(None, ("row 7",)))
    assert "<img" not in markup
    assert "cannot be read" in markup


def test_amounts_are_bars_and_beyond_twenty_a_line():
    markup = amounts([(f"class {i}", 100 - i) for i in range(25)], "classes")
    assert markup.count("<li>") == 20
    assert 'style="width: 100.0%"' in markup
    assert "and 5 more classes" in markup
    assert "more" not in amounts([("ant", 0)], "classes")


def test_hostile_names_are_inert_wherever_they_are():
    page = page_of(head(HOSTILE, [HOSTILE]), amounts([(HOSTILE, 1)], HOSTILE), strip([tile(GREY, (HOSTILE, HOSTILE))]))
    inside = page.split("</style>", 1)[1]
    assert "<script" not in inside
    assert inside.count("<img") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
