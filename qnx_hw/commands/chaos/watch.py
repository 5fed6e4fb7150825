"""What is looked at all the time: keys fetched at both ends, links, events and routes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, permutations
from typing import Any, NamedTuple

from qnx_hw.api.client import NodeClient
from qnx_hw.api.schema import Event, Level, LinkPhase, Snapshot
from qnx_hw.commands.keys import client_of
from qnx_hw.config import NetworkFile
from qnx_hw.errors import QnxError, RequestRefused
from qnx_hw.keys.delivery.values014 import NOT_FOUND
from qnx_hw.node.key_watch import STOCK_OF

LOOK_S, FETCH_S = 0.25, 2.0
IN_ORDER = frozenset({"ready", "busy", "streaming"})
MOST_REMEMBERED = 200
"""Keys whose bits are searched for on the wires; a number that still takes seconds."""
_NOTHING_WAS_ASKED = (ConnectionRefusedError, ssl.SSLCertVerificationError)
_OF_BLOCK = re.compile(r"block (\d+)(?: was given up: (the error rate )|: )")


@dataclass(slots=True)
class _Due:
    """A key that an application got, and its partner not yet."""

    master: str
    slave: str
    name: str
    digest: bytes = field(repr=False)
    is_cut_off: bool = False
    """Whether the partner asked once and never had the answer, for the connection ended."""
    refusal: str = "it was not asked for"

    def __str__(self) -> str:
        return f"key {self.name} of {self.master} for {self.slave}: {self.refusal}"


@dataclass(eq=False)
class Keys:
    """Fetches keys as applications do, and compares both ends'."""

    network: NetworkFile
    broken: list[str]
    is_wanted: bool = True
    """Whether more are fetched."""
    delivered: int = 0
    needles: list[bytes] = field(default_factory=list, repr=False)
    _seen: set[bytes] = field(default_factory=set, repr=False)
    lost: int = 0
    """Keys whose answer was cut off, and which a key manager rightly gave out no second time."""
    _due: list[_Due] = field(default_factory=list, repr=False)

    async def run(self) -> None:
        """Fetch while it is wanted; a key manager short of key, or gone, is asked again."""
        pairs = [
            (master, slave)
            for master, slave in permutations(self.network.saes, 2)
            if self.network.saes[master].node != self.network.saes[slave].node
        ]
        while self.is_wanted:
            for master, slave in pairs:
                await asyncio.to_thread(self.get, master, slave)
            await self.settle()
            await asyncio.sleep(FETCH_S)

    async def serves(self, sae: str) -> bool:
        """Whether an application is served by its key manager, whose certificate it checks."""
        return await asyncio.to_thread(self._serves, sae)

    def _serves(self, sae: str) -> bool:
        others = (name for name in self.network.saes if name != sae)
        try:
            with client_of(self.network, sae) as client:
                client.status(next(others))
        except (QnxError, OSError):
            return False
        return True

    async def settle(self) -> None:
        """Fetch at the other end what one end gave out."""
        due, self._due = self._due, []
        for each in due:
            await asyncio.to_thread(self._dec, each)

    @property
    def owed(self) -> list[str]:
        """Keys given out at one end that the other end did not give out yet, and why not."""
        return list(map(str, self._due))

    def get(self, master: str, slave: str) -> None:
        """Fetch a new key at one end, to be fetched at the other when it is settled."""
        with suppress(QnxError, OSError):
            with client_of(self.network, master) as client:
                answer = client.get(slave)
            for name, key in _keys(answer):
                self._take(master, name, key)
                self._due.append(_Due(master, slave, name, hashlib.sha256(key).digest()))

    def _take(self, master: str, name: str, key: bytes) -> None:
        digest = hashlib.sha256(key).digest()
        if digest in self._seen:
            self.broken.append(f"the key {name} that {master} got was handed out before")
        self._seen.add(digest)
        if len(self.needles) < 2 * MOST_REMEMBERED:
            self.needles += [key, _base64(key)]

    def _dec(self, due: _Due) -> None:
        try:
            with client_of(self.network, due.slave) as client:
                answer = client.get_by_id(due.master, [due.name])
        except RequestRefused as refused:
            due.refusal = str(refused)
            if due.is_cut_off and NOT_FOUND in due.refusal:
                self.lost += 1
            else:
                self._due.append(due)
            return
        except (QnxError, OSError) as error:
            due.refusal = str(error)
            due.is_cut_off |= not isinstance(error.__cause__, _NOTHING_WAS_ASKED)
            self._due.append(due)
            return
        for _, key in _keys(answer):
            if secrets.compare_digest(hashlib.sha256(key).digest(), due.digest):
                self.delivered += 1
            else:
                self.broken.append(f"{due.master} and {due.slave} got different keys {due.name}")


class Fates(NamedTuple):
    """Blocks of a link that ended, by their numbers, as its ends told."""

    released: frozenset[int]
    refused: frozenset[int]
    """Those whose error rate was above the limit."""

    def heard(self) -> frozenset[int]:
        """Return those all of whose detections are newer than some of a refused block.

        Blocks are collected one after the other. So, while an eavesdropper stays who measures
        every photon, she measured all of these.
        """
        both = self.released | self.refused
        first = min(self.refused, default=max(both, default=0))
        return frozenset(each for each in both if each > first)


def fates(events: Iterable[Event], link: str, since_s: float) -> Fates:
    """Sort what a link told of its blocks since a Unix time."""
    released, refused = set(), set()
    for event in events:
        told = _OF_BLOCK.match(event.message)
        if event.source != link or event.time_s < since_s or told is None:
            continue
        if event.level is Level.OK:
            released.add(int(told[1]))
        elif told[2]:
            refused.add(int(told[1]))
    return Fates(frozenset(released), frozenset(refused))


class Alarm(NamedTuple):
    """A warning or an alarm that a node told."""

    node: str
    time_s: float
    source: str
    message: str
    about: str = ""

    @property
    def is_of_stock(self) -> bool:
        """Whether it tells that few keys are left, which stays so until more were made."""
        return self.about.startswith(STOCK_OF)

    def __str__(self) -> str:
        return f"{self.source} of {self.node}: {self.message}"


@dataclass(eq=False)
class Sight:
    """The newest state of every node, by its API; None while a node does not answer."""

    apis: dict[str, str]
    states: dict[str, Snapshot | None] = field(default_factory=dict)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            for node, url in self.apis.items():
                try:
                    self.states[node] = await asyncio.to_thread(NodeClient(url).state)
                except (QnxError, OSError):
                    self.states[node] = None
            await asyncio.sleep(LOOK_S)

    def blocks(self, link: str, nodes: tuple[str, str]) -> tuple[int, ...] | None:
        """Return how many blocks both ends made; None where one does not answer."""
        found = []
        for node in nodes:
            state = self.states.get(node)
            view = (
                next((each for each in state.links if each.name == link), None) if state else None
            )
            if view is None or view.phase is not LinkPhase.GENERATING:
                return None
            found.append(view.blocks_done)
        return tuple(found)

    def fates(self, link: str, since_s: float) -> Fates:
        """Return how blocks ended of which either end told since a Unix time."""
        known = [state.events for state in self.states.values() if state is not None]
        return fates(chain.from_iterable(known), link, since_s)

    def agree_on_routes(self, network: NetworkFile, *, since_s: float) -> bool:
        """Whether the controller looked since then and every edge follows its newest routes."""
        if network.controller is None:
            return True
        state = self.states.get(network.controller.node)
        plan = state.plans[0] if state is not None and state.plans else None
        edges = {name for name, node in network.nodes.items() if node.edge is not None}
        return plan is not None and plan.time_s > since_s and edges <= set(plan.acknowledged)

    def is_calm(self) -> bool:
        """Whether all nodes answer, all links make key and all instruments are in order."""
        states = self.states.values()
        return all(
            state is not None
            and all(link.phase is LinkPhase.GENERATING for link in state.links)
            and all(
                instrument.state in IN_ORDER
                for node in state.nodes
                for instrument in node.instruments
            )
            for state in states
        )

    def alarms(self) -> dict[Alarm, bool]:
        """Return the warnings and alarms that were raised, and whether each is still open."""
        return {
            Alarm(node, event.time_s, event.source, event.message, event.about): event.is_open
            for node, state in self.states.items()
            if state is not None
            for event in state.events
            if event.is_trouble
        }


def _keys(container: bytes) -> list[tuple[str, bytes]]:
    import base64

    found: Any = json.loads(container)  # its members are looked up by name below
    return [(each["key_ID"], base64.b64decode(each["key"])) for each in found["keys"]]


def _base64(key: bytes) -> bytes:
    import base64

    return base64.b64encode(key)
