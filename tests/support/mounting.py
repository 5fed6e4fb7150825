"""Emulated instruments that a node has mounted, over their own wires."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qnx_hw.config import InstrumentSection
from qnx_hw.node.bank import Mounted
from sim_devices.emulators.emulator import Emulator
from sim_devices.emulators.server import Server, SteadyClock


@contextmanager
def mounted(
    node: str,
    emulators: Sequence[tuple[str, Emulator]],
    *,
    listen: Sequence[str] = (),
    query: str = "",
    pace: float = 1.0,
) -> Iterator[list[Mounted]]:
    """Serve emulators and mount their drivers; `query` says what an address does not.

    The instruments' time passes `pace` times as fast as ours.
    """
    server = Server(SteadyClock(lambda: pace * time.monotonic()))
    try:
        parts = []
        for number, (driver, emulator) in enumerate(emulators):
            url = server.add(f"{driver} {number}", emulator, tuple(listen))[0].url
            section = InstrumentSection(driver=driver, url=url + query)
            parts.append(Mounted(node, f"part{number}", section, True, None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        for part in parts:
            part.start()
        yield parts
        for part in parts:
            part.close()
        server.stop()
        thread.join()
    finally:
        server.close()
