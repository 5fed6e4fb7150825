"""A wire between two edges that captures what passes, and may change it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

Tamper = Callable[[int, str, bytes], bytes]
"""Takes the number of the connection, `out` or `back`, and a piece; returns what goes on."""


class HostileWire:
    """Forwards a port; `captured` holds all bytes by connection and direction, as they came."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.tamper: Tamper = lambda number, direction, piece: piece
        self.captured: dict[tuple[int, str], bytearray] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    def cut(self) -> None:
        """Break all connections now."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass(number, "out", reader, onward))
            tasks.create_task(self._pass(number, "back", onward_reader, writer))
        self._writers -= {writer, onward}

    async def _pass(
        self, number: int, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        seen = self.captured.setdefault((number, way), bytearray())
        with suppress(OSError):
            while piece := await reader.read(65536):
                seen += piece
                writer.write(self.tamper(number, way, piece))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def hostile_wire(target: int) -> AsyncIterator[tuple[HostileWire, int]]:
    wire = HostileWire(target)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        wire.cut()
