"""Thorlabs KDC101 (with a PRM1-Z8 rotation mount) and K10CR1, one wave plate each, on APT.

Source: Thorlabs, "Host-Controller Communications Protocol", Issue 28. Their end-of-move and
stopped messages carry the motor's status (20 bytes); the K10CR1 has a status message of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from sim_devices.emulators.apt import (
    SERVER_ALIVE,
    UPDATES_WITHOUT_HOST,
    AptDecoder,
    AptMessage,
    Status,
    hardware_info,
    long,
    short,
)
from sim_devices.emulators.emulator import Emulator, Output, PortKind, number_option
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.station import RandomStation, Station

UPDATE_S = 0.1
START_S = 0.05
CHANNEL = 1
CONTINUOUS = 1
"""Of the modes of a jog; 2 is one step."""


@dataclass(frozen=True, slots=True)
class Model:
    """What tells the two apart; velocity and acceleration units per deg/s and deg/s^2."""

    name: str
    kind: int
    serial: int
    counts_per_deg: float
    velocity_unit: float
    acceleration_unit: float
    fastest_deg_s: float
    home_deg_s: float
    """Of the search for the zero, until the host sets it."""
    has_stepper_status: bool


KDC101 = Model("KDC101", 16, 27_000_001, 1919.6418578623391, 42941.66, 14.66, 25.0, 10.0, False)
# It crawls home where the host does not set a speed, as some units were seen to do.
K10CR1 = Model("K10CR1", 16, 55_000_001, 136533.333, 7329109.0, 1502.0, 10.0, 0.1, True)


class KinesisEmulator(Emulator):
    """Options: `serial`, `axis` (1..3, which retarder of the station), `faults`."""

    ports = (PortKind.STREAM,)
    default_listen = ("tcp://127.0.0.1:0",)
    model = KDC101

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        self._station = RandomStation((0.0,) * 4, 0) if station is None else station
        self._axis = int(number_option(options, "axis", 1))
        self._serial = int(number_option(options, "serial", self.model.serial))
        self._faults = faults_option(options)
        self._decoders: dict[int, AptDecoder] = {}
        self._settings = _usual_settings(self.model)
        self._position = self._origin = self._target = self._followed = 0.0
        self._zero = 0
        self._began_s = 0.0
        self._ends_s: float | None = None
        self._is_enabled = True
        self._is_homed = False
        self._is_homing = False
        self._updates_left = 0
        self._next_update_s: float | None = None

    def connected(self, port: int, client: int) -> bytes:
        """Start reading frames of a new client."""
        self._decoders[client] = AptDecoder()
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget what the client left unfinished."""
        self._decoders.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the messages that are complete now."""
        decoder = self._decoders.setdefault(client, AptDecoder())
        replies = b""
        for message in decoder.feed(received, now_s):
            self._turn(now_s)
            if message.payload is None:
                replies += self._obey(message, now_s)
            else:
                self._obey_long(message.ident, message.payload, now_s)
            self._turn_plate()
        return [Output(0, client, replies)] if replies else []

    def tick(self, now_s: float) -> list[Output]:
        """Turn, report what is over, send status updates."""
        sent = b""
        self._turn(now_s)
        if self._ends_s is not None and now_s >= self._ends_s:
            sent += self._arrive(now_s)
        self._turn_plate()
        is_due = self._next_update_s is not None and now_s >= self._next_update_s
        if is_due and self._updates_left > 0:
            self._next_update_s = now_s + UPDATE_S
            self._updates_left -= 1
            sent += self._update()
        return [Output(0, None, sent)] if sent else []

    def _turn_plate(self) -> None:
        """Have the plate follow the motor, to the place where a stop caught it, too."""
        if self._position != self._followed:
            self._followed = self._position
            self._station.set_paddle(self._axis, self._position / self.model.counts_per_deg)

    def _arrive(self, now_s: float) -> bytes:
        self._ends_s = None
        if self._is_homing:
            self._is_homing, self._is_homed, self._zero = False, True, 0
            report = short(0x0444, CHANNEL)
        else:
            report = long(0x0464, self._status())
        return b"" if self._faults.strikes(FaultKind.LOST_COMPLETED, now_s) else report

    def _obey(self, message: AptMessage, now_s: float) -> bytes:
        match message.ident:
            case 0x0210:
                self._is_enabled = message.p2 == 1
            case 0x0011:
                self._next_update_s = now_s
                self._updates_left = UPDATES_WITHOUT_HOST
            case 0x0012:
                self._next_update_s = None
            case _ if message.ident == SERVER_ALIVE:
                self._updates_left = UPDATES_WITHOUT_HOST
            case 0x0443:
                self._start(0.0, self._home_velocity(), now_s)
                self._is_homing = self._ends_s is not None
                self._is_homed = self._is_homed and not self._is_homing
            case 0x046A:
                self._jog(1 if message.p2 == 1 else -1, now_s)
            case 0x0448:
                self._start(self._position + self._stored(0x0445), 0.0, now_s)
            case 0x0453:
                self._start(self._stored(0x0450) + self._zero, 0.0, now_s)
            case 0x0457:
                self._start(self._endless(1 if message.p2 == 1 else -1), 0.0, now_s)
            case 0x0465:
                self._ends_s = None
                self._is_homing = False
                return long(0x0466, self._status())
        return self._answer(message)

    def _answer(self, message: AptMessage) -> bytes:
        ident = message.ident
        if ident == 0x0005:
            return hardware_info(self._serial, self.model.name, self.model.kind, 1)
        if ident == 0x0211:
            return short(0x0212, CHANNEL, 1 if self._is_enabled else 2)
        payloads = {
            0x0411: struct.pack("<Hi", CHANNEL, self._counter()),
            0x040A: struct.pack("<Hi", CHANNEL, self._counter()),
            0x0429: struct.pack("<HI", CHANNEL, int(self._bits())),
            0x0490: self._status(),
            0x0480: self._stepper_status(),
        }
        payload = payloads.get(ident, self._settings.get(ident - 1))
        return b"" if payload is None else long(ident + 1, payload)

    def _obey_long(self, ident: int, payload: bytes, now_s: float) -> None:
        if ident in {0x0453, 0x0448, 0x0410} and len(payload) == 6:
            _, counts = struct.unpack("<Hi", payload)
            if ident == 0x0410:
                self._zero = round(self._position) - counts
            elif ident == 0x0453:
                self._start(counts + self._zero, 0.0, now_s)
            else:
                self._start(self._position + counts, 0.0, now_s)
        elif ident in self._settings and len(payload) == len(self._settings[ident]):
            self._settings[ident] = payload
        elif ident in _SHORTER and len(payload) == _SHORTER[ident]:
            # Hosts leave the reserved bytes at the end out.
            self._settings[ident] = payload + self._settings[ident][len(payload) :]

    def _start(self, target: float, velocity_deg_s: float, now_s: float) -> None:
        if not self._is_enabled:
            return
        _, _, acceleration, velocity = struct.unpack("<Hiii", self._settings[0x0413])
        speed = velocity_deg_s or velocity / self.model.velocity_unit
        speed = min(max(speed, 0.01), self.model.fastest_deg_s)
        rise_s = speed / max(acceleration / self.model.acceleration_unit, 0.1)
        self._origin, self._target, self._began_s = self._position, target, now_s
        angle_deg = abs(target - self._origin) / self.model.counts_per_deg
        self._is_homing = False
        self._ends_s = now_s + START_S + angle_deg / speed + min(rise_s, (angle_deg / speed))

    def _jog(self, way: int, now_s: float) -> None:
        """Go one step at the jogs' own speed, or on and on where that is their mode."""
        _, mode, step, _, _, velocity, _ = struct.unpack("<HHiiiiH", self._settings[0x0416])
        target = self._endless(way) if mode == CONTINUOUS else self._position + way * step
        self._start(target, velocity / self.model.velocity_unit, now_s)

    def _endless(self, way: int) -> float:
        return self._position + way * 1e4 * 360 * self.model.counts_per_deg

    def _stored(self, ident: int) -> int:
        """Return the counts of a stored move: where a move without data goes."""
        counts: int = struct.unpack("<Hi", self._settings[ident])[1]
        return counts

    def _home_velocity(self) -> float:
        velocity: int = struct.unpack("<HHHii", self._settings[0x0440])[3]
        return velocity / self.model.velocity_unit

    def _turn(self, now_s: float) -> None:
        if self._ends_s is not None:
            done = min((now_s - self._began_s) / (self._ends_s - self._began_s), 1.0)
            self._position = self._origin + done * (self._target - self._origin)

    def _counter(self) -> int:
        # 32-bit counter, as in the unit.
        return ((round(self._position) - self._zero + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)

    def _bits(self) -> Status:
        bits = Status.CONNECTED | Status.POWER_OK
        bits |= Status.ENABLED if self._is_enabled else Status(0)
        bits |= Status.HOMED if self._is_homed else Status(0)
        if self._ends_s is None:
            return bits
        bits |= Status.HOMING if self._is_homing else Status(0)
        return bits | (Status.FORWARD if self._target >= self._origin else Status.REVERSE)

    def _status(self) -> bytes:
        velocity = 0 if self._ends_s is None else 2048
        return struct.pack("<HiHHI", CHANNEL, self._counter(), velocity, 0, int(self._bits()))

    def _stepper_status(self) -> bytes:
        fields = (CHANNEL, self._counter(), self._counter(), int(self._bits()))
        return struct.pack("<HiiI", *fields) + bytes(14)

    def _update(self) -> bytes:
        if self.model.has_stepper_status:
            return long(0x0481, self._stepper_status())
        return long(0x0491, self._status())


class Kdc101Emulator(KinesisEmulator):
    """A KDC101 with a PRM1-Z8."""

    model = KDC101


class K10cr1Emulator(KinesisEmulator):
    """A K10CR1."""

    model = K10CR1


# Bytes that mean something in messages that end with reserved ones.
_SHORTER = {0x0520: 28, 0x0523: 10}


def _usual_settings(model: Model) -> dict[int, bytes]:
    """Return the stored settings by the number of the message that sets them."""
    velocity = round(10.0 * model.velocity_unit)
    home_velocity = round(model.home_deg_s * model.velocity_unit)
    acceleration = round(10.0 * model.acceleration_unit)
    step = round(5.0 * model.counts_per_deg)
    return {
        0x0413: struct.pack("<Hiii", CHANNEL, 0, acceleration, velocity),
        0x0416: struct.pack("<HHiiiiH", CHANNEL, 2, step, 0, acceleration, velocity, 2),
        0x0440: struct.pack("<HHHii", CHANNEL, 2, 1, home_velocity, 0),
        0x043A: struct.pack("<Hi", CHANNEL, 0),
        0x0445: struct.pack("<Hi", CHANNEL, step),
        0x0450: struct.pack("<Hi", CHANNEL, 0),
        0x0423: struct.pack("<HHHIIH", CHANNEL, 1, 1, 0, 0, 1),
        0x0520: struct.pack("<HHiiHiiHHH", CHANNEL, 1, velocity, acceleration, 1, 0, 0, 50, 1, 5)
        + bytes(6),
        0x0523: struct.pack("<5H", CHANNEL, 0, 1, 0, 1) + bytes(12),
        0x0526: struct.pack("<H8i", CHANNEL, 0, step, 1, 0, step, 1, 50_000, 1),
    }
