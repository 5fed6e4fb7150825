"""Nodes in a row, each in a process that may be killed and started again.

Two with a link between, or more, with a link from each to the next; then the first and the last
have their keys relayed by those between.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from free_ports import free_ports
from key_pairs import MADE

from qnx_hw.config import NetworkFile, load
from qnx_hw.keys import KeyStore, pki
from qnx_hw.keys.delivery import identity
from qnx_hw.keys.split import split
from qnx_hw.secret import Secret

PROCESS = Path(__file__).with_name("kme_process.py")
NETWORK = """
[network]
name = "cluster"
data_dir = "{folder}"
[keys.relay]
low_bits = 32768
high_bits = 65536
batch_bits = 16384
[saes.sae-alice]
node = "alice"
[saes.sae-bob]
node = "bob"
"""
NODE = """
[nodes.{node}]
listen = "127.0.0.1:{place}"
kme = {{ listen = "127.0.0.1:{ports[0]}", peers = "127.0.0.1:{ports[1]}" }}
instruments.tagger = {{ driver = "tdc1", url = "tcp://127.0.0.1:9" }}
"""
ONE_LINK = """
[links.{one}-{other}]
alice = {{ node = "{one}", tagger = "tagger", channels = {{ H = 1, V = 2, D = 3, A = 4 }} }}
bob = {{ node = "{other}", tagger = "tagger", channels = {{ H = 1, V = 2, D = 3, A = 4 }} }}
"""
SAES = {"alice": "sae-alice", "bob": "sae-bob"}


class Cluster:
    """All nodes; `alice` serves `sae-alice`, `bob` serves `sae-bob`.

    Each link begins with the same `blocks`, of which the even ones are for keys from its first end.
    `tables` are further tables of the network file; where they give the nodes edges, those run too.
    """

    def __init__(
        self,
        folder: Path,
        blocks: range,
        block_bytes: int,
        *,
        between: tuple[str, ...] = (),
        tables: str = "",
    ) -> None:
        self.nodes = ("alice", *between, "bob")
        self.links = {f"{one}-{other}": (one, other) for one, other in pairwise(self.nodes)}
        ports = iter(free_ports(2 * len(self.nodes)))
        text = NETWORK.format(folder=folder)
        for place, node in enumerate(self.nodes, start=1):
            text += NODE.format(node=node, place=place, ports=(next(ports), next(ports)))
        text += "".join(ONE_LINK.format(one=one, other=other) for one, other in self.links.values())
        self.file = folder / "cluster.toml"
        self.file.write_text(text + tables)
        self.network: NetworkFile = load(self.file)
        for name in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
            pki.make_authority(self.network.certificates, name)
        pki.complete(self.network, self.network.certificates)
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.key: list[bytes] = []
        """Of all blocks."""
        with self.stores() as stores:
            for link, ends in self.links.items():
                for block in blocks:
                    self.key.append(secrets.token_bytes(block_bytes))
                    for node in ends:
                        parts = split(block, Secret(self.key[-1]))
                        stores[node].ingest(link, block, parts, MADE)

    @contextmanager
    def stores(self) -> Iterator[dict[str, KeyStore]]:
        """Open all stores, while no process has them."""
        with ExitStack() as stack:
            yield {
                node: stack.enter_context(KeyStore(self.network.folder_of(node)))
                for node in self.nodes
            }

    def start(self, *nodes: str) -> None:
        """Start processes that do not run, and wait until they are in touch with each other."""
        for node in nodes:
            self.processes[node] = subprocess.Popen(
                [sys.executable, str(PROCESS), str(self.file), node],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        for node in nodes:
            stdout = self.processes[node].stdout
            assert stdout is not None
            assert stdout.readline() == "ready\n"

    def kill(self, node: str) -> None:
        """Kill a process as `kill -9` does."""
        process = self.processes.pop(node)
        process.kill()
        process.communicate()

    def stop(self) -> None:
        """End all processes."""
        for node in tuple(self.processes):
            self.kill(node)

    def cpu_s(self, node: str) -> float:
        """Return the processor time that a process used."""
        process = self.processes[node]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("cpu\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    def tls(self, node: str) -> ssl.SSLContext:
        """Return the TLS context of the SAE at a node."""
        own = pki.of_sae(self.network.certificates, SAES[node])
        authority = pki.authority(self.network.certificates, pki.SAE_AUTHORITY)
        return identity.client_side(own.certificate, own.key, authority.certificate)

    def port(self, node: str) -> int:
        """Return where a node serves its SAE."""
        section = self.network.nodes[node].kme
        assert section is not None
        return int(section.listen.rpartition(":")[2])


class Application:
    """One SAE's client with a kept connection, which it opens again where it was lost."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", cluster.port(node), timeout=120, context=cluster.tls(node)
        )
        self._peer = SAES["bob" if node == "alice" else "alice"]
        self.refusal = ""
        """What the last answer said that was not 200."""

    def get(self, number: int = 1) -> dict[str, bytes] | None:
        """Get new keys by name; None where the answer was not 200."""
        return self._ask("enc_keys", {"number": number})

    def fetch(self, names: list[str]) -> dict[str, bytes] | None:
        """Get keys by their names; None where the answer was not 200."""
        return self._ask("dec_keys", {"key_IDs": [{"key_ID": name} for name in names]})

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _ask(self, what: str, body: object) -> dict[str, bytes] | None:
        response = None
        try:
            path = f"/api/v1/keys/{self._peer}/{what}"
            self._connection.request("POST", path, body=json.dumps(body).encode())
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            if response is not None:
                response.close()  # it holds the socket as well
            self._connection.close()
            raise
        if response.status != 200:
            self.refusal = json.loads(answer)["message"]
            return None
        keys = json.loads(answer)["keys"]
        return {each["key_ID"]: base64.b64decode(each["key"]) for each in keys}
