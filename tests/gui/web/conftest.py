"""A real browser on the dashboard of a real API over an invented network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sample_network import fill_history, sample_network
from served_api import ServedApi, Site, served

from gui.web.pages import routes

EXAMPLE = Path(__file__).parents[3] / "examples" / "demo.toml"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium's own calls home are refused where there is no network, and slow it down.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
expect.set_options(timeout=120_000)
Open = Callable[..., Page]


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
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(EXAMPLE.read_text())
    return path


@pytest.fixture
def api(file: Path) -> Iterator[ServedApi]:
    with served(Site(snapshot=sample_network(), pages=routes(), file=file)) as api:
        api.call(lambda: fill_history(api, time.time(), samples=60))
        yield api


@pytest.fixture
def visit(browser: Browser, api: ServedApi) -> Iterator[Open]:
    """Open pages, each in a profile of its own; an error in their scripts fails the test."""
    opened: list[Page] = []
    errors: list[str] = []

    def visit(path: str = "/", *, width: int = 1440, height: int = 1000, scripts: str = "") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        if scripts:
            context.add_init_script(scripts)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        opened.append(page)
        page.goto(api.url + path)
        if page.locator("#live-word").count():
            expect(page.locator("#live-word")).to_have_text("LIVE")
        return page

    yield visit
    for page in opened:
        page.context.close()
    assert [error for error in errors if not error.startswith("Failed to load resource")] == []
