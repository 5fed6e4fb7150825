"""Traffic of others that passes through a node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from qnx_hw.edge.circuits import Open, Opened, closed_on_failure
from qnx_hw.edge.crowd import Crowd
from qnx_hw.edge.dialling import Dialler, Vicinity
from qnx_hw.edge.relay import Relay
from qnx_hw.errors import ChannelError

MAX_CIRCUITS = 1000
"""Of others at once; further ones are refused."""
MARGIN_MS = 200
"""What a relay keeps of the deadline to pass a refusal back."""

Reply = Callable[[socket.socket, Open, Opened], Awaitable[None]]


class Transit:
    """Holds a node's relays; belongs to the event loop's thread."""

    def __init__(self, node: str, around: Vicinity, dialler: Dialler, crowd: Crowd) -> None:
        self._node = node
        self._spans = around.spans
        self._hops = around.hops
        self._dialler = dialler
        self._crowd = crowd
        self._relays: set[Relay] = set()
        self._loop = asyncio.get_running_loop()

    async def carry(self, circuit: socket.socket, request: Open, reply: Reply) -> bool:
        """Open the next hop of a circuit and copy its bytes from then on."""
        if not self._spans:
            raise ChannelError(f"'{self._node}' carries no traffic of others")
        if len(self._relays) >= MAX_CIRCUITS:
            raise ChannelError(f"'{self._node}' carries as many circuits as it can")
        onward = msgspec.structs.replace(
            request,
            path=(*request.path, self._node),
            deadline_ms=max(1, request.deadline_ms - MARGIN_MS),
        )
        after, answer = await self._dialler.dial(onward)
        with closed_on_failure(after):
            await reply(circuit, request, msgspec.structs.replace(answer, tag=b""))
        position = answer.path.index(self._node) if self._node in answer.path else 0
        following = answer.path[position + 1] if position + 1 < len(answer.path) else ""
        hops = request.path[-1], following
        relay = Relay(circuit, after, on_over=self._over, hops=hops)
        self._relays.add(relay)
        if len(self._relays) > self._crowd.threaded:
            self._crowd.begin(relay.run())
        else:
            relay.start()
        return True

    def cut(self, target: str | None = None) -> None:
        """End the relays over a neighbour, or all."""
        for relay in tuple(self._relays):
            if target is None or target in relay.hops:
                relay.cut()

    def add_bytes(self, sums: dict[str, int]) -> None:
        """Add what was sent to each neighbour in `sums` by relays that still run."""
        for relay in self._relays:
            for to, name in enumerate(relay.hops):
                if name in sums:
                    sums[name] += relay.sent_bytes[to]

    def retransmits(self, target: str) -> int:
        """Return how many TCP segments were sent again to a neighbour by relays that run."""
        return sum(
            count
            for relay in self._relays
            for name, count in zip(relay.hops, relay.retransmits(), strict=True)
            if name == target
        )

    def _over(self, relay: Relay) -> None:
        """Note that a relay ended; any thread."""
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._over_here, relay)

    def _over_here(self, relay: Relay) -> None:
        self._relays.discard(relay)
        for to, name in enumerate(relay.hops):
            if name in self._hops:
                self._hops[name].sent_bytes += relay.sent_bytes[to]
