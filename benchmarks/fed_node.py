"""A real node of a network file, whose links' keys come from a seed at the rates a file tells.

Where a bench of instruments would make too little key too slowly, this stands for the stations
alone: each second both ends of a link take the same block into their stores. All else is the node
as `qnx run --node` runs it. `python benchmarks/fed_node.py FILE NODE FEED`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from pathlib import Path

import msgspec

from qnx_hw import config
from qnx_hw.commands.lifetime import run_async, told_to_stop, until
from qnx_hw.config import NetworkFile
from qnx_hw.keys import KeyStore, Provenance
from qnx_hw.keys.split import split
from qnx_hw.node.host import Host
from qnx_hw.secret import Secret

AT_ONCE = 8
"""Blocks that a node which is late takes before it looks at the clock again."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What the links' stations make."""

    seed: str
    began_s: int
    """The second (of the clock) of block 1."""
    rates_bps: dict[str, list[tuple[int, float]]]
    """By link, from which second on how much; whoever changes it does so for later seconds."""

    def block(self, link: str, number: int) -> bytes:
        """Return what a link makes in one second."""
        second, rate_bps = self.began_s + number - 1, 0.0
        for first, each in self.rates_bps[link]:
            rate_bps = each if second >= first else rate_bps
        seed = f"{self.seed} {link} {number}".encode()
        return hashlib.shake_256(seed).digest(int(rate_bps / 8))


async def feed(store: KeyStore, links: list[str], file: Path) -> None:
    """Take each second's block of every link, until cancelled."""
    numbers = dict.fromkeys(links, 0)
    while True:
        await asyncio.to_thread(_take, store, file, numbers)
        await asyncio.sleep(1 - time.time() % 1)


def _take(store: KeyStore, file: Path, numbers: dict[str, int]) -> None:
    told = msgspec.json.decode(file.read_bytes(), type=Feed)
    newest = int(time.time()) - told.began_s
    for link, before in numbers.items():
        for number in range(before + 1, min(newest, before + AT_ONCE) + 1):
            octets = told.block(link, number)
            made = Provenance(is_simulated=False, made_s=time.time(), qber=0.02, epsilon=1e-10)
            store.ingest(link, number, split(number, Secret(octets)), made)
            numbers[link] = number


async def _run(network: NetworkFile, node: str, file: Path) -> None:
    host = Host(network, [node])
    links = [
        name for name, link in network.links.items() if node in (link.alice.node, link.bob.node)
    ]
    async with told_to_stop() as stop, host.running(), asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed(host.nodes[node].store, links, file))
        seen = 0

        def tell() -> bool:
            nonlocal seen
            changes = host.hub.since(seen)
            seen = changes.number
            for event in changes.events:
                print(f"{time.time():.3f} {event.message}", flush=True)
            return False

        await until(stop, None, tell)
        feeding.cancel()


def main() -> None:
    """Run until told to stop."""
    import logging

    logging.basicConfig(level=logging.INFO)
    run_async(_run(config.load(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])))


if __name__ == "__main__":
    main()
