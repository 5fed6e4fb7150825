"""The way to each neighbour: probed all the time, so that a cut is known before anybody asks."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qnx_hw.edge.circuits import (
    CONNECT_DEADLINE_S,
    VERSION,
    Open,
    Opened,
    Purpose,
    Refusal,
    connecting,
    read_exactly,
    receive,
    send,
)
from qnx_hw.errors import ChannelError

PROBE_INTERVAL_S = 0.5
PROBE_DEADLINE_S = 2.0
"""A neighbour that does not echo within this is down."""
PROBE_BYTES = 16
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
    on_change: Callable[[Hop], None] = field(default=lambda hop: None)


async def watch(node: str, hop: Hop) -> None:
    """Probe a neighbour for ever."""
    while True:
        try:
            await _probe(node, hop)
        except (ChannelError, OSError, TimeoutError) as error:
            hop.probes += 1
            hop.lost += 1
            _change(hop, is_up=False, reason=str(error) or "no echo")
        await asyncio.sleep(PROBE_INTERVAL_S)


async def _probe(node: str, hop: Hop) -> None:
    loop = asyncio.get_running_loop()
    async with connecting(hop.address) as circuit:
        request = Open(
            version=VERSION,
            purpose=Purpose.PROBE,
            source=node,
            destination=hop.target,
            traffic_class="any",
            path=(node,),
            deadline_ms=int(1000 * CONNECT_DEADLINE_S),
            greeting=b"",
        )
        async with asyncio.timeout(PROBE_DEADLINE_S):
            await send(circuit, request)
            answer = await receive(circuit, Opened)
        if answer.refusal is not Refusal.NONE:
            raise ChannelError(answer.reason)
        while True:
            token = secrets.token_bytes(PROBE_BYTES)
            start_s = time.monotonic()
            async with asyncio.timeout(PROBE_DEADLINE_S):
                await loop.sock_sendall(circuit, token)
                if await read_exactly(circuit, PROBE_BYTES) != token:
                    raise ChannelError("the neighbour echoed something else")
            delay_s = (time.monotonic() - start_s) / 2
            before_s = hop.delay_s if hop.delay_s is not None else delay_s
            hop.delay_s = before_s + SMOOTHING * (delay_s - before_s)
            hop.probes += 1
            _change(hop, is_up=True, reason="")
            await asyncio.sleep(PROBE_INTERVAL_S)


def _change(hop: Hop, *, is_up: bool, reason: str) -> None:
    was, hop.is_up, hop.reason = hop.is_up, is_up, reason
    if was != is_up:
        hop.on_change(hop)
