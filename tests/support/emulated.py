"""Every installed driver with the emulator of the same name, served for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points

from free_ports import free_row

from qnx_hw.instruments import registry
from qnx_hw.instruments.conformance import Sabotage, Saboteur
from qnx_hw.instruments.families import Instrument
from qnx_hw.transports import Recorder
from sim_devices.emulators.emulator import Emulator, PortKind
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.server import serving

# What a driver's address says beyond where the instrument is.
OPTIONS = {"id120": "max_bias_v=160", "s15spd": "max_bias_v=190&safe_on_close=1"}
# How the address names the second port.
OTHER_PORTS = {
    "id900": "dlt=127.0.0.1:{port}&stream_port={streams}&stream_at=127.0.0.1:{streams}-{last}"
}
STREAMS = 4
"""Ports of an ID900's inputs, side by side."""
# What has to be configured before it works, or works quickly.
SETTINGS: dict[str, dict[str, float | int | str | bool]] = {
    "pax1000": {"mode": 9, "rotation_on": True},
    "s15spd": {"integration_ms": 20, "temperature_loop": True},
}
DEVICE_FAULTS = {
    Sabotage.LOST_COMPLETION: FaultKind.LOST_COMPLETED,
    Sabotage.OVERFLOW: FaultKind.OVERFLOW,
    Sabotage.DEVICE_ERROR: FaultKind.DEVICE_ERROR,
}


def drivers() -> list[str]:
    """Return the drivers that have an emulator."""
    return sorted(
        {entry.name for entry in entry_points(group=registry.GROUP)}
        & {entry.name for entry in entry_points(group="qnx_hw.emulators")}
    )


def _named(option: str, port: str) -> str:
    streams = free_row(STREAMS) if "{streams}" in option else range(1)
    return option.format(port=port, streams=streams[0], last=streams[-1])


@dataclass(frozen=True)
class Place:
    """An emulated instrument: where it is, and what goes wrong with it."""

    driver: str
    url: str
    faults: Faults

    def make(self, url: str, recorder: Recorder | None) -> Instrument:
        """Return the driver for a URL."""
        return registry.make(self.driver, url, self.driver, recorder=recorder)


@contextmanager
def emulated(driver: str, *listen: str) -> Iterator[Place]:
    """Serve the emulator of a driver."""
    (point,) = entry_points(group="qnx_hw.emulators", name=driver)
    faults = Faults()
    emulator: Emulator = point.load()(None, {"faults": faults})
    with serving(emulator, *listen, faults=faults) as places:
        first, *others = [place.address for place in places]
        scheme = "zmq" if PortKind.REPLY in emulator.ports else "tcp"
        where = f"{scheme}://{first}" if ":" in first else f"serial://{first}"
        option = OTHER_PORTS.get(driver, "counts_port={port}")
        options = [_named(option, other.rpartition(":")[2]) for other in others]
        options += [OPTIONS[driver]] if driver in OPTIONS else []
        yield Place(driver, "?".join([where, "&".join(options)]).rstrip("?"), faults)


class Inside(Saboteur):
    """Has an emulator misbehave from within, as no wire can."""

    def __init__(self, place: Place) -> None:
        self._faults = place.faults
        # A broken port of a switch is broken until it is repaired; other errors come once.
        self._lasts = place.driver == "polatis"

    @property
    def skills(self) -> frozenset[Sabotage]:
        return frozenset(DEVICE_FAULTS)

    def strike(self, sabotage: Sabotage) -> None:
        lasts_s = 3600.0 if self._lasts else None
        self._faults.add(Fault(DEVICE_FAULTS[sabotage], 0.0, lasts_s))

    def heal(self) -> None:
        self._faults.clear()
