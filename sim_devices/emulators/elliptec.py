"""Thorlabs ELL14 rotation mounts on an Elliptec bus: one alone, or several.

Source: Thorlabs, "ELLx modules protocol manual", Issue 10. Requests have no terminator: their
length follows from the command; CR clears what was begun. Replies end with CR LF. The first three
units turn the three retarders of their station.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.elliptec_unit import DATA_LENGTHS, Unit
from sim_devices.emulators.emulator import (
    Emulator,
    Output,
    PortKind,
    number_option,
    text_option,
)
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.station import RandomStation, Station

# A packet that stops in the middle is given up after this time (manual, "Communication").
GAP_S = 2.0
COMMUNICATION_TIMEOUT, MECHANICAL_TIMEOUT = 1, 2
ADDRESSES = b"0123456789ABCDEF"
LETTERS = bytes(range(ord("a"), ord("z") + 1))
N_RETARDERS = 3


class EllBusEmulator(Emulator):
    """Options: `addresses` (such as "03A"), `pulses` (per turn), `faults` (device-error, unasked).

    `error` is the code that device-error reports (2: mechanical time-out), `backlash` by how many
    pulses a move misses its target. `axis` (1 to 3) is the retarder of the station that the first
    unit turns; the next ones follow.
    """

    ports = (PortKind.STREAM,)
    default_listen = ("tcp://127.0.0.1:0",)
    usual_addresses = "03A"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        self._station = RandomStation((0.0,) * 4, 0) if station is None else station
        self._faults = faults_option(options)
        pulses = int(number_option(options, "pulses", 143_360))
        addresses = text_option(options, "addresses", self.usual_addresses)
        self._units = [
            Unit(address, 11_400_100 + number, pulses) for number, address in enumerate(addresses)
        ]
        self._error = int(number_option(options, "error", MECHANICAL_TIMEOUT))
        for unit in self._units:
            unit.backlash = int(number_option(options, "backlash", 0))
        self._axis = int(number_option(options, "axis", 1))
        self._followed_deg: dict[int, float] = {}
        self._pending = bytearray()
        self._last_s = 0.0

    def connected(self, port: int, client: int) -> bytes:
        """All hosts share the bus."""
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """All hosts share the bus."""

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the packets that are complete now; the bus answers everybody."""
        if self._pending and now_s - self._last_s > GAP_S:
            self._give_up()
        self._last_s = now_s
        replies = b""
        for byte in received:
            if byte in b"\r\n":
                self._pending.clear()
                continue
            self._pending.append(byte)
            packet = self._complete()
            if packet:
                replies += self._obey(packet, now_s)
        return [Output(0, client, replies)] if replies else []

    def tick(self, now_s: float) -> list[Output]:
        """Move the units and report what is over."""
        sent = b""
        for axis, unit in enumerate(self._units, self._axis):
            sent += unit.elapse(now_s)
            # Also where a command stopped it on its way.
            if unit.angle_deg != self._followed_deg.get(axis, 0.0) and axis <= N_RETARDERS:
                self._followed_deg[axis] = unit.angle_deg
                self._station.set_paddle(axis, unit.angle_deg)
            if unit.is_moving and self._faults.strikes(FaultKind.DEVICE_ERROR, now_s):
                sent += unit.fail(self._error)
            if self._faults.strikes(FaultKind.UNASKED, now_s):
                sent += unit.pressed_button()
        return [Output(0, None, sent)] if sent else []

    def _complete(self) -> str:
        """Return the packet at the front, if it is complete; drop bytes that begin none."""
        pending = self._pending
        while pending:
            is_begun = pending[0] in ADDRESSES and (len(pending) < 2 or pending[1] in LETTERS)
            if not is_begun:
                del pending[0]
                continue
            if len(pending) < 3:
                return ""
            size = 3 + DATA_LENGTHS.get(pending[1:3].decode("latin-1"), 0)
            if len(pending) < size:
                return ""
            packet = pending[:size].decode("latin-1")
            del pending[:size]
            return packet
        return ""

    def _obey(self, packet: str, now_s: float) -> bytes:
        heard = [unit for unit in self._units if unit.listens_to(packet[0])]
        return b"".join(unit.obey(packet[1:3], packet[3:], now_s) for unit in heard)

    def _give_up(self) -> None:
        for unit in self._units:
            if self._pending[:1] == unit.address.encode():
                unit.error = COMMUNICATION_TIMEOUT
        self._pending.clear()


class Ell14Emulator(EllBusEmulator):
    """One unit alone, at address 0."""

    usual_addresses = "0"
