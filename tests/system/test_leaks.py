"""A whole run with all its screens open: no key bit in anything it puts out, however written.

The programs log all details, the core of the bus writes down each message with its content, the
stream is read from start to end, every page is drawn by a browser, and taggers are recorded. What
is looked for is all that the two stores hold at the end, the key that was fetched, the part of the
initial secret that stays, and the keys that seal the stores.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import tomli_w
from leaks import found
from nats_core import NatsCore, server
from playwright.sync_api import sync_playwright
from programs import fetch_a_key, finish, line_with

from gui.web.pages import PAGES
from qnx_hw import config
from qnx_hw.cli import main
from qnx_hw.keys import KeyStore
from qnx_hw.keys.ledger import Purpose
from qnx_hw.keys.store import DATABASE, KEY_FILE

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

LINK = "alice-bob"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(name="core")
def _core(tmp_path: Path) -> Iterator[NatsCore]:
    """Run a core that writes down all that passes it."""
    server()
    core = NatsCore(tmp_path / "core", ("alice", "bob"))
    with (core.folder / "core.conf").open("a") as file:
        file.write("\ntrace: true\n")
    core.start()
    yield core
    core.stop()


@pytest.fixture(name="watched")
def _watched(file: Path, core: NatsCore) -> Path:
    """Return the example with a bus over that core and a controller."""
    table = tomllib.loads(file.read_text())
    table["bus"] = {"servers": [core.url], "certificates": str(core.folder)}
    table["controller"] = {"node": "alice", "interval_s": 1.0}
    file.write_text(tomli_w.dumps(table))
    return file


def test_nothing_that_a_run_puts_out_holds_a_bit_of_a_key(
    start: Start, watched: Path, core: NatsCore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chromium = shutil.which("chromium") or pytest.skip("no Chromium on this machine")
    for words in (["keys", "init"], ["pki", "init"]):
        assert main([*words, str(watched)]) == 0
    laboratory = start("sim", str(watched))
    line_with(laboratory, "endpoints")
    node = start("run", str(watched), "--verbose", "--record", "--seconds", "300")
    said: list[str] = []
    url = re.search(r"http://\S+", line_with(node, "API", said))[0]  # type: ignore[index]
    with streamed(url) as stream:
        line_with(node, "secret bits in", said)
        keys = fetch_a_key(watched, tmp_path)
        assert main(["keys", "status", str(watched), "--as", "sae-bob", "--with", "sae-alice"]) == 0
        again = ["keys", "dec", str(watched), "--as", "sae-alice", "--with", "sae-bob"]
        assert main([*again, "00000000-0000-4000-8000-000000000000"]) == 1
        answers = asked(url, keys[0])
        pages = drawn(chromium, url)
    said.append(finish(node))
    core.stop()
    shown = capfd.readouterr()

    folder = config.load(watched)
    network = {node: folder.folder_of(node) for node in ("alice", "bob")}
    written = {
        path: path.read_bytes()
        for top in (tmp_path / "data", core.folder)
        for path in top.rglob("*")
        if path.is_file() and path.name != KEY_FILE
    }
    keys += [secret for each in network.values() for secret in held(each)]
    trace = (core.folder / "core.log").read_bytes()
    assert b"MSG_PAYLOAD" in trace
    assert all(LINK.encode() in b"".join(part) for part in (answers, pages, stream))
    assert {DATABASE, "core.log"} <= {path.name for path in written}
    assert any(path.suffix == ".qtags" or "recordings" in path.parts for path in written)
    outputs = [*answers, *pages, b"".join(stream), *written.values()]
    outputs += [text.encode() for text in (*said, shown.out, shown.err)]
    assert sum(map(len, keys)) > 1000
    assert found(keys, outputs) == []


@contextmanager
def streamed(url: str) -> Iterator[list[bytes]]:
    """Read the stream of state and events from now to the end of the context."""
    pieces: list[bytes] = []
    is_open, is_over = threading.Event(), threading.Event()

    stream = httpx.stream("GET", f"{url}/api/v1/stream", timeout=60)

    def read() -> None:
        with suppress(httpx.HTTPError), stream as answer:
            for piece in answer.iter_bytes():
                pieces.append(piece)
                is_open.set()
                if is_over.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    assert is_open.wait(60)
    yield pieces
    is_over.set()
    reader.join(60)
    assert not reader.is_alive()


def asked(url: str, key: bytes) -> list[bytes]:
    """Ask for all that the API and the metrics say, and for things that are refused."""
    with httpx.Client(base_url=url, timeout=60) as client:
        paths = client.get("/api/v1/openapi.json").json()["paths"]
        plain = [path for path, ways in paths.items() if "get" in ways and "{" not in path]
        prefix = "" if plain[0].startswith("/api/v1") else "/api/v1"
        answers = [
            client.get(prefix + path).content for path in plain if not path.endswith("stream")
        ]
        answers.append(client.get("/metrics").content)
        wrong = client.post("/api/v1/links/nowhere/stop", headers={"X-QNX-Client": "test"})
        assert wrong.is_client_error
        assert len(answers) > 15
        return [*answers, wrong.content]


def drawn(chromium: str, url: str) -> list[bytes]:
    """Return what each page holds once a browser has drawn it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        contents = []
        for path in (*(each.path for each in PAGES), f"/links/{LINK}"):
            page.goto(url + path)
            page.wait_for_function("document.querySelector('#live-word')?.textContent === 'LIVE'")
            contents.append(page.content().encode())
        browser.close()
    return contents


def held(folder: Path) -> Iterator[bytes]:
    """Yield all secrets that a node's store holds, and the key that seals it."""
    yield (folder / KEY_FILE).read_bytes()
    with KeyStore(folder) as store:
        yield store.hash_keys(LINK).reveal()
        yield store.channel_key(LINK).reveal()
        with store._database.reading() as execute:
            for purpose in Purpose:
                for _, secret in store._ledger(execute, LINK, purpose).all():
                    yield secret.reveal()
