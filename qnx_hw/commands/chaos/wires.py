"""Wires between the parts of a network: they can be cut, and what passes is kept for a search."""

from __future__ import annotations

import asyncio
import mmap
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

ENDING_S = 5.0
PIECE_BYTES = 1 << 16
MOST_CAPTURED_BYTES = 1 << 30
"""Of one wire; what comes after passes unseen."""


class Wire:
    """Forwards a local port of its own, taken at once, to another one while it is whole."""

    def __init__(self, name: str, target: int, captured: Path | None) -> None:
        self.name = name
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.captured_bytes = 0
        self._target = target
        self._file: BinaryIO | None = None
        self._path = captured / f"wire-{self.port}" if captured else None
        self._is_whole = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def close(self) -> None:
        """Give its port back; for a wire that nobody joined."""
        self._socket.close()

    def cut(self) -> None:
        """Break what passes now, and refuse what comes."""
        self._is_whole = False
        for writer in tuple(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections pass again."""
        self._is_whole = True

    def found(self, needles: Iterable[bytes]) -> int:
        """Return how many of these strings passed in the clear; blocks."""
        if self._path is None or not self.captured_bytes:
            return 0
        if self._file is not None:
            self._file.flush()
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            return sum(text.find(needle) >= 0 for needle in needles)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Forward while the context lasts."""
        server = await asyncio.start_server(self._serve, sock=self._socket)
        self._file = self._path.open("wb") if self._path else None
        try:
            yield
        finally:
            server.close()
            self.cut()
            async with asyncio.timeout(ENDING_S):
                await self._is_idle.wait()
            if self._file is not None:
                self._file.close()
                self._file = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_whole:
            writer.transport.abort()
            return
        try:
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, onward}
        self._writers |= ends
        self._is_idle.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, onward))
                tasks.create_task(self._pass(onward_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()
            if not self._writers:
                self._is_idle.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self._file is not None and self.captured_bytes < MOST_CAPTURED_BYTES:
                    self._file.write(piece)
                    self.captured_bytes += len(piece)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()


@asynccontextmanager
async def joined(wires: Iterable[Wire]) -> AsyncIterator[None]:
    """Forward on all wires while the context lasts."""
    async with AsyncExitStack() as stack:
        for wire in wires:
            await stack.enter_async_context(wire.joined())
        yield
