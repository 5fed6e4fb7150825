"""A real nats-server for tests: its own authority, one certificate per participant."""

import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from free_ports import free_ports

from qnx_hw.bus.certificates import context
from qnx_hw.bus.core import CONFIGURATION, CoreSite, installed_server, prepare

NODES = ("alice", "bob", "carol")


class NatsCore:
    """A core that can be stopped and started again on the same port with the same store."""

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[str] = NODES,
        *,
        address: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        """Prepare a core at an address; `within` is the command that starts it in another host."""
        self.folder = folder
        self._address = address
        self._within = within
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        prepare(folder, "test", nodes, CoreSite.local(folder, address, self.port))

    @property
    def url(self) -> str:
        return f"tls://{self._address}:{self.port}"

    def tls(self, name: str) -> ssl.SSLContext:
        return context(self.folder, name)

    def start(self) -> None:
        """Start; whoever connects before it listens tries again."""
        log = (self.folder / "core.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._within, server(), "-c", str(self.folder / CONFIGURATION)],
                stdout=log,
                stderr=log,
                env={**os.environ, "GOMAXPROCS": "1"},
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)
            self._process = None


@contextmanager
def nats_core(folder: Path, nodes: Sequence[str] = NODES) -> Iterator[NatsCore]:
    """Run a core; skips the test where nats-server is not installed."""
    server()
    core = NatsCore(folder, nodes)
    core.start()
    try:
        yield core
    finally:
        core.stop()


def server() -> str:
    """Return the program; skips the test where it is not installed."""
    path = installed_server()
    if path is None:
        pytest.skip("nats-server is not installed")
    return path
