"""A whole run with all its screens open: no key bit in anything it puts out, however written.

Two nodes with key in common run as one program that logs all details; keys are given and fetched,
the core of the bus writes down each message with its content, the stream is read from start to
end, and every page is drawn by a browser. What is looked for is all that the two stores ever held,
and the keys that seal them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from free_ports import free_ports
from kme_cluster import SAES, Cluster
from leaks import found
from nats_core import NatsCore, server
from playwright.sync_api import expect, sync_playwright
from programs import Listener, fetch_a_key

from gui.web.pages import PAGES
from qnx_hw.cli import main
from qnx_hw.keys.store import DATABASE, KEY_FILE

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(900)]

LINK = "alice-bob"
REST = """
[bus]
servers = ["{core.url}"]
certificates = "{core.folder}"
[api]
listen = "127.0.0.1:{ports[0]}"
[controller]
node = "alice"
interval_s = 1.0
[nodes.alice.edge]
listen = "127.0.0.1:{ports[1]}"
hops = {{ bob = {{ capacity_bps = 1e8 }} }}
[nodes.bob.edge]
listen = "127.0.0.1:{ports[2]}"
hops = {{ alice = {{ capacity_bps = 1e8 }} }}
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(name="core")
def _core(tmp_path: Path) -> Iterator[NatsCore]:
    """Run a core that writes down all that passes it."""
    server()
    core = NatsCore(tmp_path / "core", tuple(SAES))
    with (core.folder / "core.conf").open("a") as file:
        file.write("\ntrace: true\n")
    core.start()
    yield core
    core.stop()


def test_nothing_that_a_run_puts_out_holds_a_bit_of_a_key(
    start: Start, core: NatsCore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chromium = shutil.which("chromium") or pytest.skip("no Chromium on this machine")
    tables = REST.format(core=core, ports=free_ports(3))
    folder = tmp_path / "net"
    folder.mkdir()
    cluster = Cluster(folder, blocks=6, block_bytes=4096, tables=tables)
    file = str(cluster.file)
    keys = [*cluster.key, *sealing(cluster)]
    assert main(["keys", "init", file]) == 0
    node = Listener(start("run", file, "--verbose", "--record", "--seconds", "800"))
    url = re.search(r"http://\S+", node.line_with("API"))[0]  # type: ignore[index]
    with streamed(url) as stream:
        node.line_with("serves keys to applications")
        keys += fetch_a_key(cluster.file, tmp_path)
        assert main(["keys", "status", file, "--as", "sae-bob", "--with", "sae-alice"]) == 0
        again = ["keys", "dec", file, "--as", "sae-alice", "--with", "sae-bob"]
        unknown = "00000000-0000-4000-8000-000000000000"
        assert main([*again, unknown, "--out", str(tmp_path / "none.json")]) == 1
        answers = asked(url)
        pages = drawn(chromium, url)
    said = node.finish()
    core.stop()
    shown = capfd.readouterr()

    written = {
        path: path.read_bytes()
        for top in (folder, core.folder)
        for path in top.rglob("*")
        if path.is_file() and path.name != KEY_FILE
    }
    assert b"MSG_PAYLOAD" in (core.folder / "core.log").read_bytes()
    assert all(LINK.encode() in b"".join(part) for part in (answers, pages, stream))
    assert {DATABASE, "core.log", "events.sqlite", "access.sqlite"} <= {
        path.name for path in written
    }
    outputs = [*answers, *pages, b"".join(stream), *written.values()]
    outputs += [text.encode() for text in (said, shown.out, shown.err)]
    assert found(keys, outputs) == []


def sealing(cluster: Cluster) -> list[bytes]:
    """Return the keys that seal the stores."""
    folders = [cluster.network.folder_of(node) for node in SAES]
    return [(folder / KEY_FILE).read_bytes() for folder in folders]


@contextmanager
def streamed(url: str) -> Iterator[list[bytes]]:
    """Read the stream of state and events from now to the end of the context."""
    pieces: list[bytes] = []
    is_open, is_over = threading.Event(), threading.Event()

    stream = httpx.stream("GET", f"{url}/api/v1/stream", timeout=240)

    def read() -> None:
        with suppress(httpx.RemoteProtocolError), stream as answer:
            for piece in answer.iter_bytes():
                pieces.append(piece)
                is_open.set()
                if is_over.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    assert is_open.wait(240)
    yield pieces
    is_over.set()
    reader.join(120)
    assert not reader.is_alive()


def asked(url: str) -> list[bytes]:
    """Ask for all that the API and the metrics say, and for things that are refused."""
    with httpx.Client(base_url=url, timeout=120) as client:
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
        page.set_default_timeout(120_000)
        contents = []
        for path in (*(each.path for each in PAGES), f"/links/{LINK}"):
            page.goto(url + path)
            expect(page.locator("#live-word")).to_have_text("LIVE", timeout=120_000)
            contents.append(page.content().encode())
        browser.close()
    return contents
