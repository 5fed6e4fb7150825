"""A trial tells a key that a fault cut off from one that was never there."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from free_ports import free_ports

from qnx_hw import config
from qnx_hw.commands.chaos.watch import Keys
from qnx_hw.config import NetworkFile
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.keys.delivery.values014 import NOT_FOUND

DEMO = Path(__file__).parents[3] / "examples" / "demo.toml"
ANSWER_DEADLINE_S = 60.0


class _KeyManager(HTTPServer):
    """Gives out one key, and has none; cuts so many connections off instead of an answer."""

    cuts = 0

    def given(self, path: str) -> tuple[int, object]:
        if path.endswith("enc_keys"):
            return 200, {"keys": [{"key_ID": "one", "key": "AAAA"}]}
        if self.cuts:
            self.cuts -= 1
            return 0, None
        return 400, {"message": NOT_FOUND}


class _Handler(BaseHTTPRequestHandler):
    server: _KeyManager

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, what = self.server.given(self.path)
        if status:
            body = json.dumps(what).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def key_manager(network: NetworkFile, node: str, cuts: int) -> Iterator[None]:
    kme = network.nodes[node].kme
    assert kme is not None
    host, _, port = kme.listen.rpartition(":")
    files = pki.of_kme(network.certificates, node)
    authority = pki.authority(network.certificates, pki.SAE_AUTHORITY).certificate
    with _KeyManager((host, int(port)), _Handler) as server:
        server.cuts = cuts
        tls = identity.server_side(files.certificate, files.key, authority)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            serving.join(ANSWER_DEADLINE_S)


def network_in(folder: Path) -> NetworkFile:
    text = DEMO.read_text().replace(".qnx/demo", str(folder / "data"))
    for port, free in zip((8481, 8482), free_ports(2), strict=True):
        text = text.replace(f":{port}", f":{free}")
    (folder / "demo.toml").write_text(text)
    network = config.load(folder / "demo.toml")
    for authority in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
        pki.make_authority(network.certificates, authority)
    pki.complete(network, network.certificates)
    return network


@pytest.mark.parametrize(("cuts", "lost", "owed"), [(0, 0, 1), (1, 1, 0)])
def test_only_a_key_whose_answer_was_cut_off_may_be_gone(
    tmp_path: Path, cuts: int, lost: int, owed: int
) -> None:
    network = network_in(tmp_path)
    keys = Keys(network, [])

    with key_manager(network, "alice", 0), key_manager(network, "bob", cuts):
        keys.get("sae-alice", "sae-bob")
        for _ in range(2):
            asyncio.run(keys.settle())

    assert (keys.lost, len(keys.owed), keys.broken) == (lost, owed, [])
    assert all(NOT_FOUND in words for words in keys.owed)


def test_where_nobody_listens_nothing_can_have_been_given_out(tmp_path: Path) -> None:
    network = network_in(tmp_path)
    keys = Keys(network, [])

    with key_manager(network, "alice", 0):
        keys.get("sae-alice", "sae-bob")
    asyncio.run(keys.settle())
    with key_manager(network, "bob", 0):
        asyncio.run(keys.settle())

    assert (keys.lost, len(keys.owed)) == (0, 1)
