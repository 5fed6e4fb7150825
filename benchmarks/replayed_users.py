"""Users of tunnels: open-loop transfers on all hosts, begun when a schedule says so.

Every transfer is one TCP connection to the tunnel's port at its source; its delay runs until its
last byte has arrived at the user at the far end, on one clock, since all hosts are one machine.
Who waits too long gives up; what had arrived by then counts as arrived.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from shaped_sites import SINK_PORT, Sites, Tunnel

PATIENCE_S = 10.0
_HEAD = struct.Struct(">QI")
_PIECE_BYTES = 64 << 10


@dataclass(slots=True)
class Transfer:
    """One user's transfer: what he wanted, and what came of it."""

    at_s: float
    """Since the schedule's beginning."""
    tunnel: Tunnel
    size: int
    begun_s: float = 0.0
    arrived_bytes: int = 0
    arrived_s: float | None = None
    """When the last byte came, since the schedule's beginning."""

    @property
    def delay_s(self) -> float:
        """Return how long it took; the patience of its user where it never arrived."""
        return PATIENCE_S if self.arrived_s is None else self.arrived_s - self.begun_s


class Users:
    """Runs transfers; `users` makes them."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._running: dict[int, Transfer] = {}
        self._taking: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._began_s = time.monotonic()

    def since_s(self) -> float:
        """Return the time since the schedule began."""
        return time.monotonic() - self._began_s

    async def play(self, transfers: Sequence[Transfer]) -> None:
        """Begin each transfer when its time comes; returns when the last is over."""
        self._began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, transfer in enumerate(transfers):
                await asyncio.sleep(max(0.0, transfer.at_s - self.since_s()))
                tasks.create_task(self._send(number, transfer))

    async def _send(self, number: int, transfer: Transfer) -> None:
        loop = asyncio.get_running_loop()
        with self._sites.net.inside(transfer.tunnel.source):
            user = socket.socket()
        user.setblocking(False)
        self._running[number] = transfer
        transfer.begun_s = self.since_s()
        octets = _HEAD.pack(number, transfer.size) + bytes(transfer.size)
        with user, suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await loop.sock_connect(user, ("127.0.0.1", self._sites.port(transfer.tunnel)))
                await loop.sock_sendall(user, octets)
                user.shutdown(socket.SHUT_WR)
                await loop.sock_recv(user, 1)
        del self._running[number]

    async def end(self) -> None:
        """Let go of what still arrives."""
        for writer in self._taking.values():
            writer.close()
        await asyncio.gather(*self._taking)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._taking[task] = writer
        with suppress(OSError, asyncio.IncompleteReadError):
            number, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
            while (transfer := self._running.get(number)) is not None:
                piece = await reader.read(_PIECE_BYTES)
                transfer.arrived_bytes += len(piece)
                if transfer.arrived_bytes >= size:
                    transfer.arrived_s = self.since_s()
                if not piece or transfer.arrived_bytes >= size:
                    break
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        del self._taking[task]


@asynccontextmanager
async def users(sites: Sites) -> AsyncIterator[Users]:
    """Let users at every host take what arrives there, while the context lasts."""
    made, servers = Users(sites), []
    try:
        for host in sites.net.names:
            with sites.net.inside(host):
                listener = socket.create_server(("127.0.0.1", SINK_PORT))
            servers.append(await asyncio.start_server(made._take, sock=listener))
        yield made
    finally:
        for server in servers:
            server.close()
        await made.end()
