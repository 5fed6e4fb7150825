"""Two sites with a key manager each that serve SAEs over TLS, and a client for tests."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from key_pairs import Pair, joined

from qnx_hw.api.schema import Level
from qnx_hw.config import NetworkFile, parse
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.node.key_service import delivering

NETWORK = """
[network]
name = "test"
[keys]
max_key_per_request = 128
[nodes.alice]
listen = "127.0.0.1:1"
kme = { listen = "127.0.0.1:0", peers = "127.0.0.1:0", id = "kme-alice", hosts = ["kms.example"] }
[nodes.bob]
listen = "127.0.0.1:2"
kme = { listen = "127.0.0.1:0", peers = "127.0.0.1:0", id = "kme-bob" }
[saes.sae-a]
node = "alice"
[saes.sae-b]
node = "bob"
[saes.sae-c]
node = "bob"
[saes."urn:lab:d/1"]
node = "bob"
[saes.sae-slow]
node = "alice"
requests_per_s = 0.001
[saes.sae-poor]
node = "alice"
bits_per_day = 512
"""


def certified(folder: Path) -> NetworkFile:
    """Return the network of these tests, its certificates made in `folder` where missing."""
    network = parse(NETWORK.replace("[keys]", f'[keys]\ncertificates = "{folder}"'))
    for name in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
        pki.make_authority(folder, name)
    pki.complete(network, folder)
    return network


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])

    @property
    def keys(self) -> dict[str, bytes]:
        """The keys of a container by their names."""
        return {each["key_ID"]: base64.b64decode(each["key"]) for each in self.json["keys"]}


@dataclass
class Sites:
    """Both sites while they serve."""

    network: NetworkFile
    pair: Pair
    ports: dict[str, int]

    def tls(self, sae: str) -> ssl.SSLContext:
        """Return the TLS context of an SAE that has a certificate."""
        folder = self.network.certificates
        files = pki.of_sae(folder, sae)
        authority = pki.authority(folder, pki.SAE_AUTHORITY)
        return identity.client_side(files.certificate, files.key, authority.certificate)

    def port_of(self, sae: str) -> int:
        return self.ports[self.network.saes[sae].node]

    async def ask(
        self, sae: str, path: str, body: object = None, *, method: str = "", **headers: str
    ) -> Answer:
        """Ask an SAE's own key manager; POST where there is a body."""
        return await asyncio.to_thread(self._ask, sae, path, body, method, headers)

    async def enc(self, sae: str, slave: str, body: object = None) -> Answer:
        """*Get key*."""
        return await self.ask(sae, f"/api/v1/keys/{quote(slave, safe='')}/enc_keys", body)

    async def dec(self, sae: str, master: str, *names: str) -> Answer:
        """*Get key with key IDs*."""
        body = {"key_IDs": [{"key_ID": name} for name in names]}
        return await self.ask(sae, f"/api/v1/keys/{quote(master, safe='')}/dec_keys", body)

    def _ask(
        self, sae: str, path: str, body: object, method: str, headers: dict[str, str]
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port_of(sae), timeout=120, context=self.tls(sae)
        )
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(
                method or ("GET" if body is None else "POST"), path, body=raw, headers=headers
            )
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


@asynccontextmanager
async def served(network: NetworkFile, folder: Path, n_bytes: int = 8192) -> AsyncIterator[Sites]:
    """Open both key managers with key in common, and serve their SAEs."""
    async with (
        joined(folder, n_bytes) as pair,
        delivering(network, pair.alice, _tell) as ours,
        delivering(network, pair.bob, _tell) as theirs,
    ):
        ports = {
            node: int(address.rpartition(":")[2])
            for node, address in (("alice", ours), ("bob", theirs))
        }
        yield Sites(network, pair, ports)


def request(line: bytes, *headers: bytes, version: bytes = b"1.1", body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    return b"\r\n".join((line + b" HTTP/" + version, b"Host: x", *headers, b"", body))


async def talk(port: int, tls: ssl.SSLContext, sent: bytes, *, host: str = "127.0.0.1") -> bytes:
    """Send bytes and return all that comes back; empty where the server hung up on us.

    Or where its certificate is not for `host`.
    """
    writer = None
    try:
        async with asyncio.timeout(120):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=tls, server_hostname=host
            )
            writer.write(sent)
            await writer.drain()
            return await reader.read()
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        if writer is not None:
            writer.transport.abort()


async def check_alive(sites: Sites) -> None:
    """Check that keys are still given and fetched."""
    given = await sites.enc("sae-a", "sae-b")
    assert (await sites.dec("sae-b", "sae-a", *given.keys)).keys == given.keys


def _tell(level: Level, source: str, message: str, about: str = "", /) -> None:
    """Nobody listens to the events of these tests."""
