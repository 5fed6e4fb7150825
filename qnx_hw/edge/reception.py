"""Who comes to a node's edge: neighbours that prove themselves, and those that ask for circuits."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from qnx_hw.edge.circuits import (
    CONNECT_DEADLINE_S,
    LENGTH_BYTES,
    Open,
    Opened,
    Purpose,
    Refusal,
    check,
    read_exactly,
    receive_rest,
    send,
)
from qnx_hw.edge.dialling import Declined
from qnx_hw.edge.hops import answer
from qnx_hw.edge.neighbours import Neighbours, common_name
from qnx_hw.edge.wires import TLS_HANDSHAKE, PlainWire, TlsWire, Wire, hear, tell
from qnx_hw.errors import ChannelError, KeyExhausted, QnxError

log = logging.getLogger(__name__)

Serve = Callable[[socket.socket, Open], Awaitable[bool]]
"""Does what a request for a circuit asks; returns whether the socket is needed on."""


class Reception:
    """Takes connections; with `neighbours`, only of nodes that have proven themselves."""

    def __init__(self, node: str, neighbours: Neighbours | None, serve: Serve) -> None:
        self.refused = 0
        """Connections that were not taken."""
        self._node = node
        self._neighbours = neighbours
        self._serve = serve

    async def take(self, circuit: socket.socket, done: Callable[[socket.socket], object]) -> None:
        """Serve one connection; whatever is wrong with it ends here. `done` is always called."""
        kept = False
        request: Open | None = None
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                begun = await read_exactly(circuit, LENGTH_BYTES)
                if begun[0] != TLS_HANDSHAKE:
                    request = await receive_rest(circuit, begun, Open)
            if request is None:
                await self._meet(circuit, begun)
            else:
                kept = await self._admit(circuit, request)
        except (QnxError, OSError, TimeoutError) as error:
            self.refused += 1
            log.debug("%s refused a circuit: %s", self._node, error)
            refusal = Opened(refusal=_kind(error), reason=str(error)[:300])
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_DEADLINE_S):
                    await self.reply(circuit, request, refusal)
        finally:
            done(circuit)
            if not kept:
                circuit.close()

    async def reply(self, circuit: socket.socket, request: Open | None, reply: Opened) -> None:
        """Answer a request so that the neighbour knows from whom it comes."""
        if request is not None and self._neighbours is not None:
            reply = self._neighbours.sign_answer(request, reply)
        await send(circuit, reply)

    async def _admit(self, circuit: socket.socket, request: Open) -> bool:
        check(request)
        if self._neighbours is not None:
            self._neighbours.check(request)
        if request.purpose is Purpose.PROBE and request.destination == self._node:
            await self._echo(PlainWire(circuit))
            return False
        return await self._serve(circuit, request)

    async def _meet(self, circuit: socket.socket, begun: bytes) -> None:
        """Let a neighbour prove itself, take its key, and answer its probes."""
        neighbours = self._neighbours
        if neighbours is None:
            raise ChannelError(f"'{self._node}' has no certificate to show")
        wire = TlsWire(circuit, neighbours.answering, is_server=True, heard=begun)
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await wire.shake_hands()
            name = common_name(wire.tls)
            request = await hear(wire, Open)
        if name not in neighbours.names or request.path != (name,):
            raise ChannelError(f"'{name[:64]}' is no neighbour of '{self._node}'")
        key_id = neighbours.meet(name, request.greeting)
        try:
            await self._echo(wire)
        finally:
            neighbours.part(key_id)

    async def _echo(self, wire: Wire) -> None:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await tell(wire, Opened())
        with suppress(ChannelError, OSError, TimeoutError):
            await answer(wire)


def _kind(error: Exception) -> Refusal:
    if isinstance(error, KeyExhausted):
        return Refusal.NO_KEY
    return Refusal.DECLINED if isinstance(error, Declined) else Refusal.NO_WAY
