"""The core that the nodes of a trial share: a nats-server that can end and start again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from qnx_hw.bus.core import CONFIGURATION, CoreSite, installed_server, prepare
from qnx_hw.errors import ConfigError

STOP_DEADLINE_S = 10.0
RESTART_S = 2.0
"""As long its service waits (`examples/systemd/qnx-core.service`)."""


class Core:
    """One nats-server with an authority, certificates and a store of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._process: asyncio.subprocess.Process | None = None
        self._is_up = asyncio.Event()
        self.ended_by_itself = 0
        """How often it was started again without having been killed."""

    @property
    def process_id(self) -> int | None:
        """The server's, which is another one after each start; None before the first."""
        return self._process.pid if self._process is not None else None

    def prepare(self, network: str, nodes: Sequence[str]) -> None:
        """Make its certificates and its configuration."""
        self._folder.mkdir(mode=0o700)
        site = CoreSite.local(self._folder, "127.0.0.1", self._port)
        prepare(self._folder, network, nodes, site)

    async def start(self) -> None:
        """Start it, also again; nodes that find nobody try until it listens."""
        with (self._folder / "core.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                server(), "-c", str(self._folder / CONFIGURATION), stdout=log, stderr=log
            )
        self._is_up.set()

    async def keep(self) -> None:
        """Start it again, for ever, whenever it ends by itself: nobody runs it but as a service."""
        while True:
            await self._is_up.wait()
            assert self._process is not None
            await self._process.wait()
            if self._is_up.is_set():
                self.ended_by_itself += 1
                self._is_up.clear()
                await asyncio.sleep(RESTART_S)
                await self.start()

    async def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._is_up.clear()
        with suppress(ProcessLookupError):
            self._process.kill()
        async with asyncio.timeout(STOP_DEADLINE_S):
            await self._process.wait()


@asynccontextmanager
async def running(core: Core | None) -> AsyncIterator[None]:
    """Run a core, where the network has one, while the context lasts."""
    if core is None:
        yield
        return
    await core.start()
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(core.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await core.kill()


def server() -> str:
    """Return where nats-server is; `ConfigError` where it is not installed."""
    found = installed_server()
    if found is None:
        raise ConfigError(
            "this network has a [controller], whose nodes meet in NATS: install nats-server"
        )
    return found
