"""A real browser on the dashboard of a fake node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from fake_node import FakeNode, sample_snapshot, serve
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium's own calls home are refused where there is no network, and slow it down.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser for one module only: while Playwright runs, this thread has an event loop."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(sample_snapshot())


@pytest.fixture
def url(node: FakeNode) -> Iterator[str]:
    with serve(node) as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """Open the overview; an error in the page's scripts fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.goto(url)
    expect(opened.locator("#live")).to_have_text("LIVE", timeout=20_000)
    yield opened
    context.close()
    assert [error for error in errors if not error.startswith("Failed to load resource")] == []
