"""The way to each neighbour: probed all the time, so that a cut is known before anybody asks."""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from qnx_hw.edge import interfaces, tcp
from qnx_hw.edge.circuits import (
    CONNECT_DEADLINE_S,
    VERSION,
    Open,
    Opened,
    Purpose,
    Refusal,
    connecting,
)
from qnx_hw.edge.neighbours import Neighbours, common_name
from qnx_hw.edge.wires import PlainWire, TlsWire, Unproven, Wire, hear, tell
from qnx_hw.errors import ChannelError

PROBE_INTERVAL_S = 0.25
PROBE_DEADLINE_S = 2.0
"""A neighbour that does not echo within this is down."""
SILENT_S, SILENT_DUES = 1.2, 4.0
"""One whose kernel does not even acknowledge for so long, and for so many times what that usually
takes, is down already. A busy machine's does; a lost probe is sent again thrice by then."""
LOOK_S = 0.05
PROBE_BYTES = 16
SILENCE_S = 10.0
"""After so long without a probe the connection is dropped; the neighbour makes a new one."""
SMOOTHING = 0.25


@dataclass(slots=True, eq=False)
class Hop:
    """A neighbour as the probes see it."""

    target: str
    address: tuple[str, int]
    capacity_bps: float
    is_up: bool = False
    delay_s: float | None = None
    """One way, smoothed."""
    probes: int = 0
    lost: int = 0
    sent_bytes: int = 0
    """By sessions and relays that ended."""
    reason: str = ""
    interface: int | None = None
    """By which the probes leave this host; None where the kernel does not tell."""
    cut_s: float = -math.inf
    """When that was last told to be down, monotonic."""
    on_change: Callable[[Hop], None] = field(default=lambda hop: None)


async def watch(node: str, hop: Hop, neighbours: Neighbours | None = None) -> None:
    """Probe a neighbour for ever; with `neighbours`, only one that proves itself counts."""
    while True:
        try:
            await _probe(node, hop, neighbours)
        except (ChannelError, OSError, TimeoutError) as error:
            hop.probes += 1
            hop.lost += 1
            reason = str(error) or "no echo"
            # A neighbour that is not there yet is no news; one with a wrong certificate is, once.
            is_news = isinstance(error, Unproven) and reason != hop.reason
            _change(hop, is_up=False, reason=reason, is_news=is_news)
        await asyncio.sleep(PROBE_INTERVAL_S)


def interface_down(hops: Iterable[Hop], interface: int) -> None:
    """Take hops that leave by an interface as down until a probe sent from now on is echoed."""
    for hop in hops:
        if hop.interface == interface:
            hop.cut_s = time.monotonic()
            _change(hop, is_up=False, reason="the interface it leaves by is down")


async def answer(wire: Wire) -> None:
    """Echo a neighbour's probes until it falls silent."""
    while True:
        async with asyncio.timeout(SILENCE_S):
            await wire.write(await wire.read(PROBE_BYTES))


async def _probe(node: str, hop: Hop, neighbours: Neighbours | None) -> None:
    async with connecting(hop.address) as circuit:
        introduction = neighbours.introduce() if neighbours is not None else b""
        async with asyncio.timeout(PROBE_DEADLINE_S):
            wire = await _proven(circuit, hop, neighbours)
            await tell(wire, _request(node, hop, introduction))
            welcome = await hear(wire, Opened)
        if welcome.refusal is not Refusal.NONE:
            raise ChannelError(welcome.reason)
        if neighbours is not None:
            neighbours.introduced(hop.target, introduction)
        hop.interface = interfaces.towards(circuit)
        await _measure(circuit, wire, hop)


async def _proven(
    circuit: socket.socket, hop: Hop, neighbours: Neighbours | None
) -> PlainWire | TlsWire:
    """Return the wire to a neighbour; `ChannelError` where somebody else is at its address."""
    if neighbours is None:
        return PlainWire(circuit)
    wire = TlsWire(circuit, neighbours.dialling, is_server=False)
    await wire.shake_hands()
    if (name := common_name(wire.tls)) != hop.target:
        raise Unproven(f"'{name[:64]}' answers at the address of '{hop.target}'")
    return wire


def _request(node: str, hop: Hop, introduction: bytes) -> Open:
    return Open(
        version=VERSION,
        purpose=Purpose.PROBE,
        source=node,
        destination=hop.target,
        traffic_class="any",
        path=(node,),
        deadline_ms=int(1000 * CONNECT_DEADLINE_S),
        greeting=introduction,
    )


async def _measure(circuit: socket.socket, wire: Wire, hop: Hop) -> None:
    while True:
        token = secrets.token_bytes(PROBE_BYTES)
        start_s = time.monotonic()
        async with _acknowledged(circuit):
            await wire.write(token)
            if await wire.read(PROBE_BYTES) != token:
                raise ChannelError("the neighbour echoed something else")
        delay_s = (time.monotonic() - start_s) / 2
        before_s = hop.delay_s if hop.delay_s is not None else delay_s
        hop.delay_s = before_s + SMOOTHING * (delay_s - before_s)
        hop.probes += 1
        if start_s > hop.cut_s:
            _change(hop, is_up=True, reason="")
        await asyncio.sleep(PROBE_INTERVAL_S)


@asynccontextmanager
async def _acknowledged(circuit: socket.socket) -> AsyncIterator[None]:
    """Bound the wait for an echo; end it earlier where nothing comes through at all."""
    limit = asyncio.timeout(PROBE_DEADLINE_S)
    watch = _CutWatch(circuit, limit)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        raise ChannelError("nothing comes through" if watch.is_cut else "no echo") from error
    finally:
        watch.end()


class _CutWatch:
    """Ends a wait once what was sent has stayed unacknowledged for too long."""

    def __init__(self, circuit: socket.socket, limit: asyncio.Timeout) -> None:
        self.is_cut = False
        self._circuit, self._limit = circuit, limit
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def end(self) -> None:
        """Look no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        due_s, silent_s = tcp.due_s(self._circuit), self._loop.time() - self._begun_s
        if due_s is None or silent_s < max(SILENT_S, SILENT_DUES * due_s):
            self._timer = self._loop.call_later(LOOK_S, self._look)
        elif not self._limit.expired():
            self.is_cut = True
            self._limit.reschedule(self._loop.time())


def _change(hop: Hop, *, is_up: bool, reason: str, is_news: bool = False) -> None:
    was, hop.is_up, hop.reason = hop.is_up, is_up, reason
    if was != is_up or is_news:
        hop.on_change(hop)
