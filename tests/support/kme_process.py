"""One node's key manager in a process of its own, without stations: `kme_process.py FILE NODE`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from qnx_hw import config
from qnx_hw.keys import KeyStore, Kme
from qnx_hw.node.ends import key_ends
from qnx_hw.node.key_service import TlsWire, delivering, receiving_peers


async def serve(file: Path, node: str) -> None:
    """Serve until killed; says `ready` when it listens."""
    network = config.load(file)
    with KeyStore(network.folder_of(node)) as store:
        kme = Kme(node, store.issued, key_ends(network, node))
        async with (
            delivering(network, kme, lambda *_: None),
            receiving_peers(network, kme),
            asyncio.TaskGroup() as tasks,
        ):
            for peer in kme.peers:
                section = network.nodes[peer].kme
                assert section is not None
                assert section.peers is not None
                tasks.create_task(TlsWire(network, kme, peer, section.peers).run())
            for peer in kme.peers:
                await kme.connected(peer)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while (await asyncio.to_thread(sys.stdin.readline)).strip() == "cpu":
                sys.stdout.write(f"{time.process_time()}\n")
                sys.stdout.flush()
            tasks.create_task(_leave())


async def _leave() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
    except* KeyboardInterrupt:
        pass
