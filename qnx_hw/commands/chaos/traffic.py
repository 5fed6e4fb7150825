"""What users send: a day of measured traffic, played fast, through tunnels that send it back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import ConfigError

STEP_S = 1.0
"""A step of a traffic file, five minutes or so, is played in this time."""
PEAK_BYTES = 1 << 18
"""What a tunnel sends in its busiest step."""
STEADY_BYTES = 1 << 14
"""What it sends in every step where no file says more."""
PIECE_BYTES = 1 << 15
ECHO_DEADLINE_S = 60.0
AGAIN_S = 0.25


def steps_of(file: Path | None, tunnels: int) -> list[tuple[int, ...]]:
    """Return the bytes of each step for each tunnel: the busiest flows of a traffic file.

    The file is one of `qnx routes evaluate`: `tm_mbps`, shape (steps, nodes, nodes). The busiest
    flow's highest step is `PEAK_BYTES`; no step is empty.
    """
    if file is None:
        return [(STEADY_BYTES,)] * tunnels
    try:
        with np.load(file, allow_pickle=False) as arrays:
            demand = np.asarray(arrays["tm_mbps"], dtype=float)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{file} holds no traffic that can be replayed: {error}") from error
    if demand.ndim != 3 or not demand.size or not np.isfinite(demand).all():
        raise ConfigError(f"{file}: tm_mbps is no array of steps, nodes and nodes with numbers")
    flows = demand.reshape(len(demand), -1)
    busiest: npt.NDArray[np.intp] = np.argsort(-flows.mean(axis=0), kind="stable")[:tunnels]
    peak = float(flows[:, busiest].max(initial=0.0)) or 1.0
    played = np.maximum(1, flows[:, busiest] / peak * PEAK_BYTES).astype(np.int64)
    return [tuple(played[:, place % len(busiest)].tolist()) for place in range(tunnels)]


@dataclass(eq=False)
class Echo:
    """Sends through a tunnel what comes back from its end, and compares."""

    name: str
    listen: int
    target: int
    broken: list[str]
    steps: tuple[int, ...]
    marker: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    returned_bytes: int = 0

    async def run(self) -> None:
        """Serve the far end and use the near one, for ever."""
        server = await asyncio.start_server(_echo, "127.0.0.1", self.target)
        due = cycle(self.steps)
        try:
            while True:
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    await self._use(due)
                await asyncio.sleep(AGAIN_S)
        finally:
            server.close()

    async def _use(self, due: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listen)
        try:
            for size in due:
                for start in range(0, size, PIECE_BYTES):
                    sent = self.marker + secrets.token_bytes(min(PIECE_BYTES, size - start))
                    async with asyncio.timeout(ECHO_DEADLINE_S):
                        writer.write(sent)
                        await writer.drain()
                        came = await reader.readexactly(len(sent))
                    if came != sent:
                        self.broken.append(f"tunnel {self.name} returned other bytes than it took")
                        return
                    self.returned_bytes += len(sent)
                await asyncio.sleep(STEP_S)
        finally:
            writer.transport.abort()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.transport.abort()
