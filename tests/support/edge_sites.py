"""Sites of one network file in one process, with in-memory keys and a user who shouts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from common_keys import CommonKeys
from free_ports import free_port

from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.bus.interface import Bus
from qnx_hw.config import NetworkFile, parse
from qnx_hw.edge.site import Site, Surroundings, open_site
from qnx_hw.keys.vault import open_vault

DIAMOND = {"alice": ["carol", "dora"], "carol": ["alice", "bob"], "dora": ["alice", "bob"]}
DIAMOND["bob"] = ["carol", "dora"]


STREAM = """
[streams.sensors]
source = "alice"
destination = "bob"
steps = [
  { step = "deduplicate", settings = { within_s = 1000.0 } },
  { step = "batch", settings = { records = 20, age_s = 0.2 } },
  { step = "compress" },
]
"""


def network_of(folder: Path, target: int, neighbours: dict[str, list[str]]) -> str:
    text = f'[network]\nname = "test"\ndata_dir = "{folder}"\n'
    for node, peers in neighbours.items():
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:1"\n'
        text += f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{free_port()}"\n'
        text += "".join(f"[nodes.{node}.edge.hops.{peer}]\n" for peer in peers)
    text += '[tunnels.web]\nsource = "alice"\ndestination = "bob"\nlisten = "127.0.0.1:0"\n'
    return text + f'target = "127.0.0.1:{target}"\n' + STREAM


class Running:
    """Sites of one network in one process."""

    def __init__(
        self,
        network: NetworkFile,
        file: Path,
        keys: CommonKeys,
        buses: dict[str, Bus] | None = None,
    ) -> None:
        self.network = network
        self.file = file
        self.sites: dict[str, Site] = {}
        self._closing: dict[str, AsyncExitStack] = {}
        self.bus = InProcessBus()
        self.buses = buses or {}
        self.keys = keys

    async def start(self, node: str) -> None:
        folder = self.network.folder_of(node)
        around = Surroundings(
            source=self.keys.of(node),
            bus=self.buses.get(node, self.bus),
            folder=folder / "edge",
            sealer=open_vault(folder / "edge.key", may_create=True),
            tell=lambda *_: None,
        )
        stack = self._closing[node] = AsyncExitStack()
        self.sites[node] = await stack.enter_async_context(open_site(self.network, node, around))

    async def stop(self, node: str) -> None:
        await self._closing[node].aclose()
        del self.sites[node]

    async def ask(self, octets: bytes) -> bytes:
        """Ask through the tunnel; the user at the other end answers in capitals."""
        host, port = self.sites["alice"].tunnel_addresses["web"].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(octets)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


async def capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()


@asynccontextmanager
async def running(
    folder: Path,
    neighbours: dict[str, list[str]] = DIAMOND,
    keys: CommonKeys | None = None,
    buses: dict[str, Bus] | None = None,
) -> AsyncIterator[Running]:
    target = await asyncio.start_server(capitals, "127.0.0.1", 0)
    text = network_of(folder, target.sockets[0].getsockname()[1], neighbours)
    file = folder / "net.toml"
    file.write_text(text)
    if keys is None:
        keys = CommonKeys()
        keys.give("alice", "bob", 10_000)
    net = Running(parse(text), file, keys, buses)
    try:
        for node in neighbours:
            await net.start(node)
        yield net
    finally:
        for node in tuple(net.sites):
            await net.stop(node)
        target.close()
