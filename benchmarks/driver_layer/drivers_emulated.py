"""Instruments to measure drivers on: each driver's own emulator, served in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

from qnx_hw.instruments import registry
from sim_devices.emulators.emulator import Emulator, PortKind
from sim_devices.emulators.server import serving

EMULATORS = "qnx_hw.emulators"
# What an address says beyond where the instrument is: limits that the user has to know.
LIMITS = {"id120": "max_bias_v=160", "s15spd": "max_bias_v=190&safe_on_close=1"}
# How it names the second port; an ID900's streams need ports that a relay can lie before.
SECOND_PORT = "counts_port={port}"
DATA_LINK = "dlt=127.0.0.1:{port}&stream_port={first}&stream_at=127.0.0.1:{first}-{last}"
_STREAM_PORTS = itertools.count(32_100, 4)


def drivers() -> list[str]:
    """Return the drivers that have an emulator."""
    made = {entry.name for entry in entry_points(group=registry.GROUP)}
    return sorted(made & {entry.name for entry in entry_points(group=EMULATORS)})


@contextmanager
def emulated(driver: str, listen: str = "tcp://127.0.0.1:0") -> Iterator[str]:
    """Serve a driver's emulator and give its address."""
    (entry,) = entry_points(group=EMULATORS, name=driver)
    emulator: Emulator = entry.load()(None, {})
    is_zmq = PortKind.REPLY in emulator.ports
    with serving(emulator, *(listen for _ in emulator.default_listen)) as places:
        first, *others = [place.address for place in places]
        scheme = "zmq" if is_zmq else "tcp" if ":" in first else "serial"
        words = [_second(other.rpartition(":")[2], is_zmq=is_zmq) for other in others]
        words += [LIMITS[driver]] if driver in LIMITS else []
        yield "?".join([f"{scheme}://{first}", *filter(None, ["&".join(words)])])


def _second(port: str, *, is_zmq: bool) -> str:
    if not is_zmq:
        return SECOND_PORT.format(port=port)
    first = next(_STREAM_PORTS)
    return DATA_LINK.format(port=port, first=first, last=first + 3)
