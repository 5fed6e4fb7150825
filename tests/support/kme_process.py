"""One node's key manager, and its edge, in a process of their own: `kme_process.py FILE NODE`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qnx_hw import config
from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.commands.lifetime import settle_heap
from qnx_hw.config import NetworkFile
from qnx_hw.edge.site import Surroundings, open_site
from qnx_hw.keys import KeyStore, Kme
from qnx_hw.keys.relay import Relay, RelayedBlocks
from qnx_hw.keys.vault import open_vault
from qnx_hw.node.edge_keys import KmeSource
from qnx_hw.node.ends import graph_of, key_ends, relay_settings, relayed_ends
from qnx_hw.node.key_service import TlsWire, delivering, receiving_peers


async def serve(file: Path, node: str) -> None:
    """Serve until killed; says `ready` when it listens."""
    network = config.load(file)
    with KeyStore(network.folder_of(node)) as store:
        ends = {**key_ends(network, node), **relayed_ends(network, node)}
        kme = Kme(node, store.issued, ends)
        settings = relay_settings(network.keys)
        relay = Relay(kme, RelayedBlocks(store), graph_of(network), settings)
        async with (
            delivering(network, kme, lambda *_: None),
            receiving_peers(network, kme, lambda *_: None),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(relay.run())
            for peer in key_ends(network, node):
                section = network.nodes[peer].kme
                assert section is not None
                assert section.peers is not None
                tasks.create_task(TlsWire(network, kme, peer, section.peers).run())
            for peer in kme.peers:
                await kme.connected(peer)
            async with _edge(network, kme):
                settle_heap()
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                while (await asyncio.to_thread(sys.stdin.readline)).strip() == "cpu":
                    sys.stdout.write(f"{time.process_time()}\n")
                    sys.stdout.flush()
                tasks.create_task(_leave())


@asynccontextmanager
async def _edge(network: NetworkFile, kme: Kme) -> AsyncIterator[None]:
    """Run the node's edge where the network file has one."""
    if network.nodes[kme.node].edge is None:
        yield
        return
    folder = network.folder_of(kme.node) / "edge"
    around = Surroundings(
        source=KmeSource(kme, 1 << 20),
        bus=InProcessBus(),
        folder=folder,
        sealer=open_vault(folder / "edge.key", may_create=True),
        tell=lambda *_: None,
    )
    async with open_site(network, kme.node, around):
        yield


async def _leave() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
    except* KeyboardInterrupt:
        pass
