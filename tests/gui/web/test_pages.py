"""Every page: reached by clicks, readable for all, in both themes, on a phone, and light."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import served_api
from playwright.sync_api import Page, expect
from served_api import ServedApi

from gui.web.pages import HIDDEN_PAGES, PAGES

pytestmark = pytest.mark.slow
Open = Callable[..., Page]

AXE = (Path(served_api.__file__).parent / "vendor" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
WEIGHT_LIMIT = 300 * 1024
SHOWN = {
    "overview": "14", "map": "bob – edge-1", "pools": "bob → edge-1", "links": "alice-bob",
    "nodes": "polarization controller", "routing": "edge-1 draws more", "alarms": "no heartbeat",
    "analytics": "alice-bob", "recordings": "No recording yet", "settings": "lab.toml",
    "users": "Nobody has to log in", "audit": "Nothing was changed yet", "link": "2.712",
}  # fmt: skip


def violations(page: Page) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(
        "rules => axe.run({ runOnly: rules }).then(result => result.violations)", RULES
    )
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][-120:]}"
        for each in found
        for node in each["nodes"]
    ]


def overflow(page: Page) -> int:
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def weight(page: Page) -> int:
    """Return the bytes of the page and its files, unpacked, also of those that were cached."""
    sizes: list[int] = page.evaluate(
        "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
        ".filter(one => !one.name.includes('/api/')).map(one => one.decodedBodySize)"
    )
    assert len(sizes) > 6
    return sum(sizes)


@pytest.mark.parametrize("name", [page.name for page in (*PAGES, *HIDDEN_PAGES)])
def test_a_page_is_reached_shown_and_usable_everywhere(visit: Open, name: str) -> None:
    page = visit("/", scripts=AXE)
    wanted = next(each for each in (*PAGES, *HIDDEN_PAGES) if each.name == name)
    nav = page.get_by_role("navigation", name="Pages")
    if name == "link":
        page.get_by_role("link", name="alice-bob").first.click()
    elif name != "overview":
        nav.get_by_role("link", name=wanted.title).click()
    else:
        page.reload()

    expect(page.locator("#live-word")).to_have_text("LIVE")
    expect(page.locator("main")).to_contain_text(SHOWN[name])
    assert violations(page) == []
    before = page.locator("html").get_attribute("data-theme")
    page.get_by_role("button", name="Switch between dark and light").click()
    assert page.locator("html").get_attribute("data-theme") != before
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert overflow(page) <= 0
    assert weight(page) <= WEIGHT_LIMIT


def test_a_phone_reaches_all_pages_by_its_menu(visit: Open) -> None:
    page = visit("/", width=360, height=740)
    page.get_by_role("button", name="Pages").click()
    page.get_by_role("link", name="Key pools").click()

    expect(page.locator("h1")).to_have_text("Key pools")
    assert overflow(page) <= 0


def test_the_keyboard_alone_reaches_and_does_everything(visit: Open, api: ServedApi) -> None:
    page = visit("/links")
    expect(page.locator("#link-rows")).to_contain_text("alice-bob")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator(":focus").get_attribute("aria-label") == "Stop alice-bob":
            break
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Start alice-bob")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop alice-bob")).to_be_focused()


CONTROLS = (
    "main a[href], main button:not([disabled]), main input:not([disabled]), "
    "main select:not([disabled]), main summary, main [tabindex='0']"
)
WALK = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const marked = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
  at.dataset.walked = marked ? 'seen' : 'unseen';
}"""
MISSED = """controls => [...document.querySelectorAll(controls)]
  .filter(each => each.checkVisibility() && each.type !== 'radio' && !each.dataset.walked)
  .map(each => each.outerHTML.slice(0, 120))"""


MOST_WALKS = 4
"""A control that came while the keyboard was on its way past is met by the next walk."""


def walk(page: Page) -> None:
    """Go from the list of pages through all that is on the page now."""
    page.locator("body").focus()
    controls = page.locator(CONTROLS).count()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past the list of pages
    for _ in range(controls + 5):
        page.keyboard.press("Tab")
        page.evaluate(WALK)


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(
    visit: Open, api: ServedApi
) -> None:
    page = visit("/")
    for each in PAGES:
        page.goto(api.url + each.path)
        expect(page.locator("main")).to_contain_text(SHOWN[each.name])
        for _ in range(MOST_WALKS):
            walk(page)
            if not (missed := page.evaluate(MISSED, CONTROLS)):
                break
        assert missed == [], each.name
        assert page.locator("main [data-walked='unseen']").count() == 0, each.name


def test_no_page_holds_inline_code_or_styles(visit: Open, api: ServedApi) -> None:
    for each in PAGES:
        _, text, headers = api.ask("GET", each.path)
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", text)


def test_an_unknown_address_is_a_page_for_a_browser_and_a_refusal_for_a_program(
    api: ServedApi,
) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}

    status, text, headers = api.ask("GET", "/nowhere/at/all", headers=browser)
    assert status == 404
    assert "There is no page at this address" in text
    assert "unsafe" not in headers["Content-Security-Policy"]
    for path, wish in (("/nowhere", {"Accept": "*/*"}), ("/api/v1/nowhere", browser)):
        status, answer, _ = api.ask("GET", path, headers=wish)
        assert (status, answer["error"]) == (404, f"GET {path}: Not Found")
