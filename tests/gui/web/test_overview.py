"""The dashboard's overview, in a real browser."""

from __future__ import annotations

import re

import pytest
from fake_node import FakeNode, sample_instrument, sample_link, sample_snapshot
from playwright.sync_api import Browser, Page, Response, expect

from qnx_hw.api.schema import Event, Level, LinkPhase, NodeView

pytestmark = pytest.mark.slow


def test_the_key_figures_are_those_of_the_node(page: Page) -> None:
    expect(page.locator("#kpi-rate")).to_have_text("3.42")
    expect(page.locator("#kpi-qber")).to_have_text("2.31 | 2.87")
    expect(page.locator("#kpi-chsh-note")).to_have_text("89 σ above 2")
    expect(page.locator("#kpi-links")).to_have_text("1 / 1")


def test_changes_arrive_without_reloading(page: Page, node: FakeNode) -> None:
    node.push("link", sample_link(secret_rate_bps=9_999.0, block=500))

    expect(page.locator("#kpi-rate")).to_have_text("10.00")
    expect(page.locator("#link-rows")).to_contain_text("500")


def test_stop_is_a_post_with_the_clients_name(page: Page, node: FakeNode) -> None:
    page.get_by_role("button", name="Stop alice-bob").click()

    expect(page.get_by_role("button", name="Start alice-bob")).to_be_visible()
    (path, headers), *others = node.commands
    assert path == "/api/v1/links/alice-bob/stop"
    assert headers["x-qnx-client"] == "dashboard"
    assert not others


def test_a_refusal_is_told_in_the_nodes_words(page: Page, node: FakeNode) -> None:
    node.refusal = "alice's tagger is not connected; check its cable"

    page.get_by_role("button", name="Stop alice-bob").click()

    expect(page.get_by_role("alert")).to_have_text(node.refusal)


def test_simulated_hardware_is_marked_globally_and_per_device(page: Page) -> None:
    expect(page.locator("#simulated")).to_be_visible()
    expect(page.locator("#instrument-rows .pill.simulated")).to_have_count(6)


def test_text_from_the_network_never_becomes_markup(page: Page, node: FakeNode) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    node.push("link", sample_link(message=evil, phase=LinkPhase.FAULT))
    instrument = sample_instrument("bob", evil, model=evil, error=evil, state="fault")
    node.push(
        "node",
        NodeView(
            name="bob", is_online=True, position=(0.5, 0.5), pool_bits=0, pool_capacity_bits=1,
            instruments=(instrument,),
        ),
    )  # fmt: skip
    node.push("event", Event(number=9, time_s=1.78e9, level=Level.ALARM, source=evil, message=evil))

    expect(page.locator("#event-rows")).to_contain_text("onerror")
    expect(page.locator("#instrument-rows")).to_contain_text("onerror")
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title()


def test_a_silent_node_greys_the_page(page: Page, node: FakeNode) -> None:
    node.fall_silent()

    expect(page.locator("#live")).to_have_text("STALE")
    expect(page.locator("main")).to_have_class(re.compile("is-stale"))


def test_the_theme_switches_and_is_remembered(page: Page) -> None:
    before = page.locator("html").get_attribute("data-theme")

    page.get_by_role("button", name="Switch between dark and light").click()
    page.reload()

    assert page.locator("html").get_attribute("data-theme") != before


def test_a_phone_shows_everything_without_sideways_scrolling(browser: Browser, url: str) -> None:
    phone = browser.new_context(viewport={"width": 360, "height": 740})
    page = phone.new_page()
    page.goto(url)
    expect(page.locator("#kpi-chsh")).to_have_text("2.712")

    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )

    phone.close()
    assert overflow <= 0


def test_the_page_weighs_less_than_300_kib(browser: Browser, url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  (it marks it)
    page.goto(url)
    expect(page.locator("#live")).to_have_text("LIVE")

    bodies = [answer.body() for answer in answers if "/api/" not in answer.url]
    context.close()
    assert len(bodies) > 8
    assert sum(map(len, bodies)) <= 300 * 1024


def test_no_page_runs_inline_code(page: Page, url: str) -> None:
    answer = page.request.get(url)

    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", answer.text())


def test_a_network_without_links_is_shown_as_such(
    browser: Browser, node: FakeNode, url: str
) -> None:
    node.snapshot = sample_snapshot(links=(), events=())
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)

    expect(page.locator("#kpi-links")).to_have_text("0 / 0")
    expect(page.locator("#kpi-rate-note")).to_have_text("no link")
    context.close()
