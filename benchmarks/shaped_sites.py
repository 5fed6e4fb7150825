"""Real nodes on hosts of their own, joined by wires of a given delay and rate and by a bus.

Every node is a process in a network namespace; tunnels join all of them; key comes at rates that
can be changed while they run. What is not there (root, TUN devices, nats-server) is said, not
worked around.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from fed_node import Feed

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from hosts import CORE, Hosts, Shape, hosts, missing

from qnx_hw.bus.core import installed_server
from qnx_hw.keys import initial

if TYPE_CHECKING:
    from nats_core import NatsCore

EDGE_PORT, SINK_PORT, FIRST_PORT = 7100, 7900, 7200
START_DEADLINE_S = 240.0
HEADROOM_S = 3
"""A change of key rates holds from so many seconds later on, when both ends have read it."""


def lacking() -> str:
    """Say why there can be no sites here; empty where there can."""
    return missing() or ("" if installed_server() else "nats-server is not installed")


@dataclass(frozen=True)
class Tunnel:
    """A tunnel of the network: its ends, and how its traffic is encrypted."""

    source: str
    destination: str
    mode: str = "aes-256-gcm"

    @property
    def name(self) -> str:
        """Return its name in the network file."""
        return f"{self.source}-{self.destination}-{self.mode[:3]}"


@dataclass
class Sites:
    """The running hosts and nodes; `sites` makes them."""

    net: Hosts
    folder: Path
    tunnels: tuple[Tunnel, ...]
    nodes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    feed: Feed = field(default_factory=lambda: Feed(seed="", began_s=0, rates_bps={}))

    def port(self, tunnel: Tunnel) -> int:
        """Return where a tunnel listens at its source, on loopback."""
        return FIRST_PORT + self.tunnels.index(tunnel)

    def said(self, node: str) -> str:
        """Return what a node said so far."""
        return (self.folder / f"{node}.log").read_text()

    def _is_up(self, node: str, peers: int) -> bool:
        return self.said(node).count(" is up") >= peers

    def key_rate(self, link: str, rate_bps: float) -> None:
        """Let a link make so much key from `HEADROOM_S` on."""
        first = int(time.time()) + HEADROOM_S
        rates = {**self.feed.rates_bps, link: [*self.feed.rates_bps[link], (first, rate_bps)]}
        self.feed = msgspec.structs.replace(self.feed, rates_bps=rates)
        self._write_feed()

    def _write_feed(self) -> None:
        scratch = self.folder / ".feed.json"
        scratch.write_bytes(msgspec.json.encode(self.feed))
        scratch.replace(self.folder / "feed.json")

    def wait(self, is_done: Callable[[], bool], trouble: str) -> None:
        """Wait until something is so."""
        end_s = time.monotonic() + START_DEADLINE_S
        while not is_done():
            dead = [node for node, each in self.nodes.items() if each.poll() is not None]
            if dead or time.monotonic() > end_s:
                words = "\n".join(self.said(node)[-2000:] for node in dead or self.nodes)
                raise SystemExit(f"{trouble}: {words}")
            time.sleep(0.1)

    def start(self, key_bps: float, others: Mapping[str, float] | None = None) -> None:
        """Start all nodes; returns when every hop is up. `others` are rates of links by name."""
        links = ["-".join(wire.ends) for wire in self.net.wires]
        self.feed = Feed(
            seed=self.folder.name,
            began_s=int(time.time()),
            rates_bps={link: [(0, (others or {}).get(link, key_bps))] for link in links},
        )
        self._write_feed()
        script = str(Path(__file__).with_name("fed_node.py"))
        for node in self.net.names:
            words = (sys.executable, "-P", script, str(self.folder / "net.toml"), node)
            with (self.folder / f"{node}.log").open("a") as log:
                self.nodes[node] = self.net.start(
                    node, *words, str(self.folder / "feed.json"), log=log
                )
        for node in self.net.names:
            peers = [wire.ends for wire in self.net.wires if node in wire.ends]
            self.wait(partial(self._is_up, node, len(peers)), f"{node} is not up")


def network_text(sites: Sites, core: NatsCore, more: str) -> str:
    """Return the network file; `more` are further tables of it."""
    net, folder = sites.net, sites.folder
    text = f'[network]\nname = "sites"\ndata_dir = "{folder}/data"\n{more}'
    text += f'[bus]\nservers = ["{core.url}"]\ncertificates = "{core.folder}"\n'
    for node in net.names:
        text += f'[nodes.{node}]\nlisten = "{net.address(node)}:7000"\n'
        text += f'[nodes.{node}.edge]\nlisten = "0.0.0.0:{EDGE_PORT}"\n'
        for wire in net.wires:
            if node in wire.ends:
                (peer,) = set(wire.ends) - {node}
                text += f'[nodes.{node}.instruments.{peer}]\ndriver = "tdc1"\n'
                text += 'url = "tcp://127.0.0.1:9"\n'
                text += f"[nodes.{node}.edge.hops.{peer}]\n"
                text += f'address = "{net.address(peer, node)}:{EDGE_PORT}"\n'
                text += f"capacity_bps = {wire.shape.rate_bps}\n" if wire.shape else ""
    for wire in net.wires:
        near, far = wire.ends
        text += f'[links.{near}-{far}]\nalice = {{ node = "{near}", tagger = "{far}" }}\n'
        text += f'bob = {{ node = "{far}", tagger = "{near}" }}\n'
    for tunnel in sites.tunnels:
        text += f'[tunnels.{tunnel.name}]\nsource = "{tunnel.source}"\n'
        text += f'destination = "{tunnel.destination}"\nmode = "{tunnel.mode}"\n'
        text += 'traffic_class = "critical"\n' if tunnel.mode == "otp" else ""
        text += f'listen = "127.0.0.1:{sites.port(tunnel)}"\ntarget = "127.0.0.1:{SINK_PORT}"\n'
    return text


@contextmanager
def sites(
    folder: Path,
    wires: Mapping[tuple[str, str], Shape],
    tunnels: tuple[Tunnel, ...],
    *,
    more: str = "",
) -> Iterator[Sites]:
    """Build hosts, bus and network file; the caller starts the nodes."""
    from nats_core import NatsCore  # it needs pytest, which the other parts do without

    names = tuple(dict.fromkeys(end for ends in wires for end in ends))
    folder.mkdir()
    with hosts(names, wires) as net:
        core = NatsCore(folder / "core", names, address=net.address(CORE), within=net.command(CORE))
        core.start()
        try:
            made = Sites(net, folder, tunnels)
            (folder / "net.toml").write_text(network_text(made, core, more))
            for near, far in wires:
                ends = (folder / "data" / near, folder / "data" / far)
                initial.make(f"{near}-{far}", ends)
            yield made
        finally:
            core.stop()
