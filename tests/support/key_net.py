"""Key managers of several nodes in one process, with links between some and relay between all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from key_pairs import MADE

from qnx_hw.errors import ChannelError
from qnx_hw.keys import KeyStore, Kme, LinkEnd
from qnx_hw.keys.messages import (
    Peer,
    Reply,
    Request,
    decode_replies,
    decode_requests,
    encode,
)
from qnx_hw.keys.relay import Relay, RelayedBlocks, RelaySettings
from qnx_hw.keys.split import split
from qnx_hw.secret import Secret

Tamper = Callable[[str, str, Request], Request | None]
"""What a wire makes of a message from one node to another; None loses it."""


def as_sent(asker: str, answerer: str, request: Request) -> Request:
    return request


class Wire(Peer):
    """Carries bytes from one key manager to another; `tamper` sees each message."""

    def __init__(self, net: KeyNet, asker: str, answerer: str) -> None:
        self._net = net
        self._asker = asker
        self._answerer = answerer

    async def call(self, requests: Sequence[Request]) -> Sequence[Reply]:
        heard = []
        for each in decode_requests(encode(requests)):
            changed = self._net.tamper(self._asker, self._answerer, each)
            if changed is None:
                raise ChannelError("the wire was cut")
            heard.append(changed)
        replies = encode(await self._net.kmes[self._answerer].answer(self._asker, heard))
        return decode_replies(replies, len(requests))


@dataclass
class KeyNet:
    """The nodes while they run."""

    links: Sequence[tuple[str, str]]
    stores: dict[str, KeyStore] = field(default_factory=dict)
    kmes: dict[str, Kme] = field(default_factory=dict)
    relays: dict[str, Relay] = field(default_factory=dict)
    tamper: Tamper = as_sent

    @property
    def nodes(self) -> list[str]:
        return sorted({node for link in self.links for node in link})

    @property
    def graph(self) -> dict[str, set[str]]:
        return {
            node: {peer for link in self.links for peer in link if node in link} - {node}
            for node in self.nodes
        }

    def fill(self, n_bytes: int, *, is_simulated: bool = False) -> None:
        """Give each link two more blocks of key."""
        for one, other in self.links:
            link = f"{one}-{other}"
            for _ in range(2):
                block = self.stores[one].memory(link).next_block
                key = secrets.token_bytes(n_bytes)
                made = type(MADE)(is_simulated, 1.0)
                for node in (one, other):
                    self.stores[node].ingest(link, block, split(block, Secret(key)), made)

    def ends(self, node: str) -> dict[str, LinkEnd]:
        direct = {
            peer: LinkEnd("-".join(link), link.index(node))
            for link in self.links
            if node in link
            for peer in link
            if peer != node
        }
        beyond = {
            peer: LinkEnd("~".join(pair), pair.index(node), is_relayed=True)
            for pair in combinations(self.nodes, 2)
            if node in pair
            for peer in pair
            if peer != node and peer not in direct
        }
        return direct | beyond

    async def attend(self, asker: str, answerer: str) -> None:
        """Keep a wire in use, as a node does."""
        while True:
            try:
                await self.kmes[asker].attend(answerer, Wire(self, asker, answerer))
            except ChannelError:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def key_net(
    folder: Path,
    links: Sequence[tuple[str, str]],
    settings: RelaySettings | None = None,
    *,
    n_bytes: int = 65_536,
    is_simulated: bool = False,
    fills: bool = True,
) -> AsyncIterator[KeyNet]:
    """Run the nodes at the ends of `links`; relays keep key ready where `fills`."""
    net = KeyNet(links)
    async with AsyncExitStack() as stack:
        for node in net.nodes:
            store = net.stores[node] = stack.enter_context(KeyStore(folder / node))
            kme = net.kmes[node] = Kme(node, store.issued, net.ends(node))
            blocks = RelayedBlocks(store)
            given = settings or RelaySettings()
            if not fills:
                given = replace(given, low_bits=0, high_bits=0)
            net.relays[node] = Relay(kme, blocks, net.graph, given)
        net.fill(n_bytes, is_simulated=is_simulated)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = [
            *(tasks.create_task(net.attend(a, b)) for link in links for a, b in (link, link[::-1])),
            *(tasks.create_task(relay.run()) for relay in net.relays.values()),
        ]
        stack.callback(lambda: [task.cancel() for task in running])
        yield net
