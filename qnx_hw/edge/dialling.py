"""Opening circuits: over the best neighbour that finds a way."""

from __future__ import annotations

import socket
import time
from asyncio import timeout
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from qnx_hw.edge.carrier import THREADED
from qnx_hw.edge.circuits import (
    OPEN_DEADLINE_S,
    VERSION,
    Open,
    Opened,
    Purpose,
    Refusal,
    connecting,
    receive,
    send,
)
from qnx_hw.edge.engine import Engine
from qnx_hw.edge.forwarding import Forwarder
from qnx_hw.edge.hops import Hop
from qnx_hw.edge.neighbours import Neighbours
from qnx_hw.edge.traffic import Line
from qnx_hw.errors import ChannelError, KeyExhausted, QnxError


class Declined(ChannelError):
    """The destination itself does not want this; another way would not help."""


FINAL: Mapping[Refusal, type[QnxError]] = {
    Refusal.NO_KEY: KeyExhausted,
    Refusal.DECLINED: Declined,
}


@dataclass(frozen=True, slots=True)
class Vicinity:
    """What is around a node."""

    hops: Mapping[str, Hop]
    forwarder: Forwarder
    neighbours: Neighbours | None = None
    """With it, only neighbours that have proven themselves are dialled and served."""
    spans: bool = True
    """Whether traffic of others may pass through the node."""
    threaded: int = THREADED
    """How many sessions, and relays, have threads of their own; the rest share one."""
    engine: Engine | None = None
    """Where those with threads find compiled loops; without it they run in the interpreter."""


def asked(node: str, line: Line, purpose: Purpose, greeting: bytes) -> Open:
    """Return a node's request for a circuit of its own."""
    return Open(
        version=VERSION,
        purpose=purpose,
        source=node,
        destination=line.peer,
        traffic_class=line.traffic.traffic_class,
        path=(node,),
        deadline_ms=int(1000 * OPEN_DEADLINE_S),
        greeting=greeting,
    )


class Dialler:
    """Dials for one node."""

    def __init__(self, node: str, around: Vicinity) -> None:
        self._node = node
        self._hops = around.hops
        self._forwarder = around.forwarder
        self._neighbours = around.neighbours

    async def dial(self, request: Open) -> tuple[socket.socket, Opened]:
        """Open a circuit; `ChannelError` where no neighbour has a way, `FINAL` where that is so."""
        end_s = time.monotonic() + request.deadline_ms / 1000
        up = [name for name, hop in self._hops.items() if hop.is_up]
        reasons = []
        for target in self._forwarder.candidates(
            request.source, request.destination, request.traffic_class, path=request.path, up=up
        ):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            onward = msgspec.structs.replace(request, deadline_ms=max(1, int(1000 * left_s)))
            try:
                circuit, answer = await self._try(target, onward, left_s)
            except (ChannelError, OSError, TimeoutError) as error:
                reasons.append(f"{target}: {str(error) or 'deadline'}")
                continue
            if answer.refusal is Refusal.NONE:
                return circuit, answer
            circuit.close()
            if answer.refusal is not Refusal.NO_WAY:
                raise FINAL[answer.refusal](answer.reason)
            reasons.append(f"{target}: {answer.reason}")
        words = "; ".join(reasons) or "no neighbour leads there"
        raise ChannelError(f"no way from '{self._node}' to '{request.destination}': {words}"[:500])

    async def _try(self, target: str, request: Open, left_s: float) -> tuple[socket.socket, Opened]:
        neighbours = self._neighbours
        if neighbours is not None:
            request = neighbours.sign(target, request)
        async with connecting(self._hops[target].address) as circuit, timeout(left_s):
            await send(circuit, request)
            answer = await receive(circuit, Opened)
            if neighbours is not None:
                neighbours.check_answer(target, request, answer)
            return circuit, answer
