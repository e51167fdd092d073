from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import IN_BROWSER, chromium, faults, ready, violations, visit, written
from playwright.sync_api import expect

from curate.scans import Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = IN_BROWSER

COPIES = (30, 31)  # one picture under two labels: the first awaits review, the second is dropped
TOGETHER = (56, 57, 58, 59)  # that the label check found as one group
AWAITING = 10
DOG = "dog & <b>bone</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def grouped(scan: Scan) -> Scan:
    """The last four of the label errors as one group, and digests as a scan has them."""
    findings = scan.findings.reset_index(drop=True)
    group = findings["group"].where(~((findings["check"] == "label_error") & findings["row"].isin(TOGETHER)), 7)
    suggested = [
        "cat" if check == "label_error" and row % 3 else ""
        for check, row in zip(findings["check"], findings["row"], strict=True)
    ]
    suggested = [
        DOG if check == "label_error" and not name else name
        for check, name in zip(findings["check"], suggested, strict=True)
    ]
    digest = [name[:32] if row != COPIES[1] else "f" * 32 for row, name in enumerate(scan.table["digest"])]
    table = scan.table.assign(digest=digest)
    return replace(scan, findings=findings.assign(group=group, suggested=suggested), table=table)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, grouped: Scan, tmp_path: Path) -> Iterator[Page]:
    page = visit(context, written(grouped, tmp_path))
    yield page
    assert faults(page) == []


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def counter(page: Page) -> str:
    return page.inner_text(".queue .counter b")


def shown(page: Page) -> str:
    """The number in the id of the picture that is looked at."""
    return page.inner_text(".queue .words .name b")[-6:-4]


def short(name: str) -> str:
    """The number in an id; the last one has none."""
    return name[-6:-4]


def go_to(page: Page, number: int) -> None:
    for _ in range(AWAITING):
        if shown(page) == str(number):
            return
        press(page, "s")
    raise AssertionError(f"{number} is not in the queue")


def saved(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click("#decided [data-save]")
    assert download.value.suggested_filename == "decisions.jsonl"
    return [json.loads(line) for line in Path(download.value.path()).read_text("utf-8").splitlines()]


def test_ten_rows_by_keyboard_a_group_two_relabelled_and_one_taken_back(
    page: Page, context: BrowserContext, grouped: Scan
) -> None:
    press(page, "q")
    expect(page.locator("dialog.queue")).to_be_visible()
    assert counter(page) == f"1 of {AWAITING}"
    go_to(page, 56)
    press(page, "g")
    expect(page.locator(".queue .asked")).to_contain_text("For all 4 pictures of this group of likely label errors")
    press(page, "d")
    for number in (52, 53, 54, 55, 50, 30):
        press(page, *["ArrowLeft"] * AWAITING)
        go_to(page, number)
        if number == 52:
            press(page, "r", "Enter")  # as suggested
        elif number == 53:
            press(page, "r", *"dog", "Enter")  # as typed
        else:
            press(page, "k" if number % 2 else "d")
    expect(page.locator(".queue .end h2")).to_have_text("All decided")
    expect(page.locator(".queue .end")).to_contain_text("curate apply")
    assert "7 dropped, 1 kept, 2 relabelled" in page.inner_text(".queue .tally")
    press(page, "u")
    assert shown(page) == "30"
    press(page, "Escape")
    expect(page.locator("#decided output")).to_have_text("6 dropped, 1 kept, 2 relabelled")

    page.reload()
    ready(page)
    expect(page.locator("#decided output")).to_have_text("6 dropped, 1 kept, 2 relabelled")
    press(page, "q")
    assert shown(page) == "30"
    press(page, "Escape")

    other = visit(context, page.url)
    expect(other.locator("#decided output")).to_have_text("6 dropped, 1 kept, 2 relabelled")
    press(other, "q", "k")
    expect(page.locator("#decided output")).to_have_text("6 dropped, 2 kept, 2 relabelled")

    lines = {line["id"][-6:-4]: line for line in saved(page)}
    assert {name: line["action"] for name, line in lines.items()} == {
        "30": "keep", "50": "drop", "52": "relabel", "53": "relabel", "54": "drop", "55": "keep",
        "56": "drop", "57": "drop", "58": "drop", "x>": "drop",
    }  # fmt: skip
    row = 52
    assert lines["52"] == {
        "id": grouped.images.ids[row],
        "action": "relabel",
        "label": "cat",
        "digest": str(grouped.table["digest"][row]),
        "given": grouped.table["label_name"][row],
        "why": "",
        "when": lines["52"]["when"],
        "by": "person",
    }
    assert lines["53"]["label"] == DOG


def test_copies_are_told_apart_as_a_group(page: Page) -> None:
    press(page, "q")
    go_to(page, COPIES[0])
    expect(page.locator(".queue .compared").first).to_contain_text("The same picture, 1 more time")
    press(page, "n")
    expect(page.locator(".queue .tally")).to_have_text("1 told apart")
    press(page, "Escape")
    (line,) = saved(page)
    assert line["action"] == "not_copies"
    assert [name[-6:-4] for name in line["ids"]] == ["30", "31"]
    assert len(line["digests"]) == 2
    assert "id" not in line


def test_what_has_the_same_pixels_is_not_told_apart(context: BrowserContext, grouped: Scan, tmp_path: Path) -> None:
    digest = grouped.table["digest"].where(grouped.table["row"] != COPIES[1], grouped.table["digest"][COPIES[0]])
    page = visit(context, written(replace(grouped, table=grouped.table.assign(digest=digest)), tmp_path))
    press(page, "q")
    go_to(page, COPIES[0])
    page.wait_for_selector(".queue .beside")
    assert page.locator(".queue .act.apart").is_hidden()
    press(page, "n", "Escape")
    assert page.locator("#decided").is_hidden()
    assert page.locator("#check-label_conflict button:has-text('keep all')").count() == 1
    assert page.locator("#check-label_conflict button:has-text('not copies')").count() == 0


def test_a_group_of_copies_is_decided_as_a_whole(page: Page) -> None:
    press(page, "q")
    go_to(page, COPIES[0])
    press(page, "g", "d", "Escape")
    assert sorted(line["id"][-6:-4] for line in saved(page)) == ["30", "31"]


def test_what_is_decided_is_left_out_until_it_is_asked_for(page: Page) -> None:
    press(page, "q")
    first = shown(page)
    press(page, "d")
    second = shown(page)
    press(page, "Escape", "q")
    assert shown(page) == second
    press(page, "ArrowLeft")
    assert shown(page) == first
    page.uncheck(".queue .settings input")
    press(page, "s", "ArrowLeft")
    assert shown(page) == first
    page.select_option(".queue select", "class")
    labels = []
    for _ in range(AWAITING):
        labels.append(page.inner_text(".queue .words .label"))
        press(page, "s")
    assert labels == sorted(labels, key=str.lower)


def test_every_key_has_a_button(page: Page) -> None:
    press(page, "q")
    press(page, "s", "s")
    before = shown(page)
    page.click(".queue .act.drop")
    assert shown(page) != before
    page.click(".queue .act.undo")
    assert shown(page) == before
    page.click(".queue .act.back")
    page.click(".queue .act.skip")
    assert shown(page) == before
    press(page, "Escape", "q")
    go_to(page, 58)
    page.click(".queue .act.relabel")
    page.click(".labelling li:has-text('suggested')")
    expect(page.locator(".queue .tally")).to_have_text("1 relabelled")
    page.click(".queue .act.drop")
    press(page, "k")  # although a button has the focus
    expect(page.locator(".queue .tally")).to_have_text("1 dropped, 1 kept, 1 relabelled")


def test_classes_are_chosen_by_number_and_none_by_enter_where_none_is_suggested(page: Page) -> None:
    press(page, "q")
    go_to(page, 50)  # of which the size is odd, and whose label is the third
    press(page, "r", "Enter")
    expect(page.locator(".queue .labelling")).to_be_visible()
    press(page, "3")
    expect(page.locator(".queue .labelling")).to_be_visible()  # its own label
    press(page, "2")
    expect(page.locator(".queue .tally")).to_have_text("1 relabelled")
    press(page, "Escape")
    assert saved(page)[0]["label"] == DOG


def test_no_key_acts_in_a_text_field_nor_with_a_modifier(page: Page) -> None:
    page.click("#search")
    page.keyboard.type("qu?d/")
    assert page.input_value("#search") == "qu?d/"
    assert page.locator("dialog[open]").count() == 0
    page.evaluate("document.activeElement.blur()")
    press(page, "Control+q", "Alt+q")
    assert page.locator("dialog[open]").count() == 0
    press(page, "/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.evaluate("document.activeElement.blur()")
    press(page, "?")
    expect(page.locator("dialog.help")).to_contain_text("While reviewing")
    press(page, "d", "Escape")
    assert page.locator("dialog[open]").count() == 0
    press(page, "q", "r")
    page.keyboard.type("dog")
    assert page.input_value(".queue .labelling input") == "dog"
    press(page, "Escape")
    expect(page.locator("dialog.queue")).to_be_visible()
    assert page.locator("#decided").is_hidden()


def test_what_was_decided_is_listed_and_taken_back_one_by_one(page: Page) -> None:
    press(page, "q", "d", "k", "d", "Escape")
    page.click("#decided summary")
    expect(page.locator("#decided li")).to_have_count(3)
    page.locator("#decided li button").nth(1).click()
    expect(page.locator("#decided output")).to_have_text("2 dropped")
    press(page, "u")
    expect(page.locator("#decided output")).to_have_text("1 dropped")


def test_what_cannot_be_written_is_said_and_the_picture_comes_back(page: Page) -> None:
    press(page, "q")
    first = shown(page)
    page.evaluate("""() => {
      Storage.prototype.setItem = () => { throw new Error("full"); };
    }""")
    press(page, "d")
    expect(page.locator("#complaint")).to_contain_text("keeps no more")
    press(page, "k", "Escape")
    expect(page.locator("#decided output")).to_have_text("1 dropped, 1 kept")  # held by the page all the same
    assert len(saved(page)) == 2
    assert first in saved(page)[0]["id"]


def test_the_row_and_what_was_decided_are_told_aloud(page: Page) -> None:
    press(page, "q")
    first = shown(page)
    assert f"number {first}.png" in page.inner_text(".queue .announcements")
    press(page, "d")
    assert page.inner_text(".queue .announcements").startswith("dropped. ")
    assert f"2 of {AWAITING}" in page.inner_text(".queue .announcements")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_in_any_dialog(browser: Browser, grouped: Scan, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = visit(context, written(grouped, tmp_path))
    press(page, "?")
    assert violations(page) == []
    press(page, "Escape", "q")
    page.wait_for_selector(".queue .beside")
    assert violations(page) == []
    press(page, "d", "r")
    assert violations(page) == []
    press(page, "Escape", "g", "Escape")
    page.locator("#check-label_error .picture").first.click()
    page.wait_for_selector(".closer .beside")
    press(page, "r")
    assert violations(page) == []
    context.close()


def test_on_a_phone_nothing_is_wider_than_the_window(browser: Browser, grouped: Scan, tmp_path: Path) -> None:
    names = ("\u202ecat\x1b[31m", "n" * 300, "\u05d0\u05d1")
    ids = tuple(f"\u2067evil\n{'i' * 300}{row}" for row in range(60))
    hostile = replace(
        grouped,
        images=replace(grouped.images, classes=names, ids=ids),
        table=grouped.table.assign(id=ids, label_name=[names[label] for label in grouped.table["label"]]),
        findings=grouped.findings.assign(
            suggested=["n" * 300 if name else "" for name in grouped.findings["suggested"]]
        ),
    )
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = visit(context, written(hostile, tmp_path))
    press(page, "q")
    for _ in range(AWAITING):
        page.wait_for_selector(".queue .beside")
        assert page.evaluate("document.querySelector('.queue .main').scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelector('dialog.queue').scrollWidth <= innerWidth")
        assert not set(page.inner_text("dialog.queue")) & set("\u202e\u2067\x1b")
        box = page.locator(".queue .act.drop").bounding_box()
        assert box
        assert box["y"] + box["height"] <= 844
        press(page, "s")
    assert faults(page) == []
    context.close()
