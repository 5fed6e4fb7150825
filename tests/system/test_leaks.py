"""A whole run with all its screens open: no key bit in anything it puts out, however written.

Two nodes on a simulated laboratory run as one program that logs all details and records its tags.
They begin with key laid in, of which every bit is known, and go on to make their own; all that can
be had is fetched at both ends. The core of the bus writes down each message with its content, the
stream is read from start to end, and every page is drawn by a browser. What is looked for is all
that was laid in, delivered or left in the two stores, and the keys that seal them.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import httpx
import pytest
import tomli_w
from free_ports import free_ports
from key_pairs import LINK, MADE
from leaks import found
from nats_core import NatsCore, server
from playwright.sync_api import expect, sync_playwright
from programs import Listener, line_with

from gui.web.pages import PAGES
from qnx_hw import config
from qnx_hw.cli import main
from qnx_hw.commands.keys import client_of
from qnx_hw.config import NetworkFile
from qnx_hw.errors import KeyExhausted, RequestRefused
from qnx_hw.keys import KEYS, KeyStore
from qnx_hw.keys.delivery.client import Client, names_in
from qnx_hw.keys.initial import path_of
from qnx_hw.keys.ledger import TAGS
from qnx_hw.keys.split import split
from qnx_hw.keys.store import DATABASE, KEY_FILE
from qnx_hw.secret import Secret

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(1200)]

SAES = {"alice": "sae-alice", "bob": "sae-bob"}
LAID_IN_BYTES = 2048
"""Of each of two blocks, one for either direction."""
PIECE_BYTES = 64
PAIR_RATE_HZ = 200_000.0
"""Makes a block in some seconds."""
TAGS_SUFFIX = ".parquet"
"""Of recorded tags, which may be many; they are read one file at a time."""
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
    start: Start, file: Path, core: NatsCore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chromium = shutil.which("chromium") or pytest.skip("no Chromium on this machine")
    network = with_all_parts(file, core)
    for what in ("keys", "pki"):
        assert main([what, "init", str(file)]) == 0
    known = lay_in(network)
    line_with(start("sim", str(file)), "endpoints")
    counts = tmp_path / "counts.json"
    words = ("--verbose", "--seconds", "1100", "--json", str(counts))
    node = Listener(start("run", str(file), *words))
    url = re.search(r"http://\S+", node.line_with("API"))[0]
    node.line_with("serves keys to applications", 600.0)  # a first run compiles
    with streamed(url) as stream:
        known += made_and_delivered(network, node, b"".join(known))
        record(url)
        assert main(["keys", "status", str(file), "--as", "sae-bob", "--with", "sae-alice"]) == 0
        again = ["keys", "dec", str(file), "--as", "sae-alice", "--with", "sae-bob"]
        unknown = "00000000-0000-4000-8000-000000000000"
        assert main([*again, unknown, "--out", str(tmp_path / "none.json")]) == 1
        answers = asked(url)
        pages = drawn(chromium, url)
    said = node.finish()
    core.stop()
    shown = capfd.readouterr()

    # Read before what is left is taken, which goes over the stores.
    outputs = [*answers, *pages, b"".join(stream)]
    outputs += [text.encode() for text in (said, shown.out, shown.err)]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != KEY_FILE]
    outputs += [path.read_bytes() for path in written if path.suffix != TAGS_SUFFIX]
    known += left(network)
    assert b"MSG_PAYLOAD" in (core.folder / "core.log").read_bytes()
    assert all(LINK.encode() in b"".join(part) for part in (answers, pages, stream))
    names = {path.name for path in written}
    assert {DATABASE, "core.log", "events.sqlite", "access.sqlite", "recording.json"} <= names
    assert json.loads(counts.read_text())["links"][LINK]["secret_bits"] > 0
    recorded = [path for path in written if path.suffix == TAGS_SUFFIX]
    assert recorded
    assert found(known, chain(outputs, (path.read_bytes() for path in recorded))) == []


def with_all_parts(file: Path, core: NatsCore) -> NetworkFile:
    """Give the nodes a bus, edges and a controller too, and less to compute."""
    table = tomllib.loads(file.read_text())
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = PAIR_RATE_HZ
    ports = free_ports(2)
    table["bus"] = {"servers": [core.url], "certificates": str(core.folder)}
    table["controller"] = {"node": "alice", "interval_s": 1.0}
    for node, peer, port in (("alice", "bob", ports[0]), ("bob", "alice", ports[1])):
        hops = {peer: {"capacity_bps": 1e8}}
        table["nodes"][node]["edge"] = {"listen": f"127.0.0.1:{port}", "hops": hops}
    file.write_text(tomli_w.dumps(table))
    return config.load(file)


def record(url: str) -> None:
    """Have the tags recorded from now on."""
    headers = {"X-QNX-Client": "test"}
    answer = httpx.post(f"{url}/api/v1/recordings/start", json={}, headers=headers, timeout=120)
    answer.raise_for_status()


def lay_in(network: NetworkFile) -> list[bytes]:
    """Give both stores the same two blocks; return them, and what else is secret there."""
    laid = [secrets.token_bytes(LAID_IN_BYTES) for _ in range(2)]
    initial = json.loads(path_of(network.folder_of("alice"), LINK).read_bytes())
    known = [*laid, base64.b64decode(initial["secret"])]
    for folder in map(network.folder_of, SAES):
        with KeyStore(folder) as store:
            for block, key in enumerate(laid, start=1):
                store.ingest(LINK, block, split(block, Secret(key), (32, 32)), MADE)
        known.append((folder / KEY_FILE).read_bytes())
    return known


def made_and_delivered(network: NetworkFile, node: Listener, laid_in: bytes) -> list[bytes]:
    """Fetch keys until some are among them that the link made meanwhile; return all."""
    keys: list[bytes] = []
    while all(key in laid_in for key in keys):
        heard = len(node.lines)
        if more := delivered(network):
            keys += more
        else:
            node.line_with("secret bits in", 600.0, after=heard)
    return keys


def delivered(network: NetworkFile) -> list[bytes]:
    """Get keys at both ends until there are none, and fetch each at the other."""
    keys = []
    saes = tuple(SAES.values())
    for master, slave in (saes, saes[::-1]):
        with client_of(network, master) as ours, client_of(network, slave) as theirs:
            while given := got(ours, slave):
                assert theirs.get_by_id(master, [name for name, _ in names_in(given)]) == given
                keys += [base64.b64decode(each["key"]) for each in json.loads(given)["keys"]]
    return keys


def got(master: Client, slave: str) -> bytes:
    """Get a few keys; nothing where there are none."""
    try:
        return master.get(slave, number=8)
    except RequestRefused as error:
        if error.status != 503:
            raise
        return b""


def left(network: NetworkFile) -> list[bytes]:
    """Take all that the stores hold after a run."""
    keys = []
    for folder in map(network.folder_of, SAES):
        with KeyStore(folder) as store:
            for purpose in (*KEYS, *TAGS):
                with suppress(KeyExhausted):
                    while True:
                        keys.append(store.take(LINK, purpose, PIECE_BYTES).secret.reveal())
    return keys


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
