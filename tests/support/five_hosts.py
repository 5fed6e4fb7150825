"""Five nodes on five hosts, each a `qnx run --node`, joined by a real core with mutual TLS.

    alice ── carol ── bob       the short way
    alice ── dora ── erin ── bob      the long one

Alice and Bob have a link of their own whose ledgers are filled beforehand; its instruments do not
answer, so no key comes after that.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hosts import CORE, Hosts, Shape, hosts
from key_pairs import MADE
from nats_core import NatsCore, server

from qnx_hw.bus.certificates import Authority
from qnx_hw.config import NetworkFile, load
from qnx_hw.keys import KeyStore, initial
from qnx_hw.keys.split import split
from qnx_hw.secret import Secret

NODES = ("alice", "bob", "carol", "dora", "erin")
LINK = "alice-bob"
SHAPE = Shape(delay_s=0.002, loss=0.0002, rate_bps=300e6)
WIRES = {
    ("alice", "carol"): SHAPE,
    ("carol", "bob"): SHAPE,
    ("alice", "dora"): SHAPE,
    ("dora", "erin"): SHAPE,
    ("erin", "bob"): SHAPE,
}
EDGE_PORT = 7100
KEY_BLOCKS, KEY_BLOCK_BYTES = 8, 32_768


class FiveHosts:
    """The hosts, the core and the nodes; `five_hosts` makes them."""

    def __init__(self, net: Hosts, core: NatsCore, folder: Path) -> None:
        self.net = net
        self.core = core
        self.folder = folder
        self.file = folder / "net.toml"
        self.file.write_text(network_text(net, core, folder))
        self.network: NetworkFile = load(self.file)
        self.nodes: dict[str, subprocess.Popen[str]] = {}
        _fill(self.network)

    def start(self, *names: str, file: Path | None = None) -> None:
        """Start nodes; what they say goes to `NODE.log`."""
        for name in names:
            words = (sys.executable, "-m", "qnx_hw", "run", str(file or self.file), "--no-api")
            with (self.folder / f"{name}.log").open("a") as log:
                self.nodes[name] = self.net.start(name, *words, "--node", name, log=log)

    def kill(self, name: str) -> None:
        """Kill a node as `kill -9` does."""
        process = self.nodes.pop(name)
        process.kill()
        process.wait()

    def said(self, name: str) -> str:
        """Return what a node said so far."""
        return (self.folder / f"{name}.log").read_text()

    def with_other_certificates(self, name: str) -> Path:
        """Return a network file for a node whose certificate is of another authority."""
        folder = self.folder / "strangers"
        authority = Authority.new("strangers")
        authority.issue(name, folder)
        ours = (self.core.folder / "authority.pem").read_bytes()
        (folder / "authority.pem").write_bytes(ours)
        file = self.folder / "strangers.toml"
        file.write_text(network_text(self.net, self.core, self.folder, folder))
        return file


def network_text(net: Hosts, core: NatsCore, folder: Path, certificates: Path | None = None) -> str:
    """Return the network file of these hosts."""
    text = f'[network]\nname = "five"\ndata_dir = "{folder}/data"\n'
    text += f'[bus]\nservers = ["{core.url}"]\ncertificates = "{certificates or core.folder}"\n'
    text += '[controller]\nnode = "bob"\ninterval_s = 1.0\n'
    for node in net.names:
        text += f'[nodes.{node}]\nlisten = "{net.address(node)}:7000"\n'
        if node in LINK.split("-"):
            text += 'instruments.tagger = { driver = "tdc1", url = "tcp://127.0.0.1:9" }\n'
        text += f'[nodes.{node}.edge]\nlisten = "0.0.0.0:{EDGE_PORT}"\n'
        for wire in net.wires:
            if node in wire.ends:
                (peer,) = set(wire.ends) - {node}
                text += f"[nodes.{node}.edge.hops.{peer}]\n"
                text += f'address = "{net.address(peer, node)}:{EDGE_PORT}"\n'
                text += f"capacity_bps = {wire.shape.rate_bps}\n" if wire.shape else ""
    ends = (f'{end} = {{ node = "{end}", tagger = "tagger" }}\n' for end in LINK.split("-"))
    return f"{text}[links.{LINK}]\n{''.join(ends)}"


@contextmanager
def five_hosts(folder: Path, names: Sequence[str] = NODES) -> Iterator[FiveHosts]:
    """Build hosts and core; no node runs yet."""
    server()
    with ExitStack() as stack:
        net = stack.enter_context(hosts(names, WIRES))
        within = net.command(CORE)
        core = NatsCore(folder / "core", names, address=net.address(CORE), within=within)
        core.start()
        stack.callback(core.stop)
        yield FiveHosts(net, core, folder)


def _fill(network: NetworkFile) -> None:
    one, other = (network.folder_of(node) for node in LINK.split("-"))
    initial.make(LINK, (one, other))
    with KeyStore(one) as ours, KeyStore(other) as theirs:
        for block in range(1, KEY_BLOCKS + 1):
            key = secrets.token_bytes(KEY_BLOCK_BYTES)
            for store in (ours, theirs):
                store.ingest(LINK, block, split(block, Secret(key)), MADE)
