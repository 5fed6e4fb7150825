"""The Thorlabs MPC320, three motorised fibre paddles on the APT protocol.

Source: Thorlabs, "Host-Controller Communications Protocol", Issue 28 (POL_PARAMS has 12 bytes of
data, as in its example). Channel idents are masks 1, 2, 4; enabling some paddles disables the
others; a disabled paddle does not move. Its end-of-move message is a bare header.
"""

from __future__ import annotations

import struct
from collections import deque
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

RANGE_DEG = 170.0
RANGE_COUNTS = 1370
FULL_SPEED_DEG_S = 400.0
START_S = 0.05
UPDATE_S = 0.1
# Switched three times within this time the real unit hangs until its power is cycled.
FAST_TOGGLE_S = 0.02
OVER_CURRENT_CODE = 0x8


@dataclass(slots=True)
class Paddle:
    """One paddle: where it is, in counts from its mechanical zero, and where it goes."""

    mask: int
    position: float = 0.0
    zero: int = 0
    jog: int = 25
    enabled: bool = False
    homed: bool = False
    homing: bool = False
    origin: float = 0.0
    target: float = 0.0
    began_s: float = 0.0
    ends_s: float | None = None

    def start(self, target: float, velocity: int, now_s: float, *, homing: bool = False) -> None:
        """Go to `target`, limited to the range."""
        self.origin, self.target = self.position, min(max(target, 0.0), float(RANGE_COUNTS))
        angle_deg = abs(self.target - self.origin) * RANGE_DEG / RANGE_COUNTS
        self.began_s = now_s
        self.ends_s = now_s + START_S + angle_deg / (FULL_SPEED_DEG_S * velocity / 100.0)
        self.homing = homing

    def turn(self, now_s: float) -> None:
        """Be where the motion is by now."""
        if self.ends_s is None:
            return
        done = min((now_s - self.began_s) / (self.ends_s - self.began_s), 1.0)
        self.position = self.origin + done * (self.target - self.origin)

    @property
    def counter(self) -> int:
        """The position as the unit reports it."""
        return round(self.position) - self.zero

    @property
    def status(self) -> Status:
        """The status bits."""
        bits = Status.CONNECTED | Status.POWER_OK
        bits |= Status.ENABLED if self.enabled else Status(0)
        bits |= Status.HOMED if self.homed else Status(0)
        if self.ends_s is None:
            return bits | Status.SETTLED
        bits |= Status.ACTIVE | (Status.HOMING if self.homing else Status(0))
        return bits | (Status.FORWARD if self.target >= self.origin else Status.REVERSE)


class Mpc320Emulator(Emulator):
    """Options: `serial`, `faults` (lost-completed, device-error)."""

    ports = (PortKind.STREAM,)
    default_listen = ("tcp://127.0.0.1:0",)

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        self._station = RandomStation((0.0,) * 4, 0) if station is None else station
        self._serial = int(number_option(options, "serial", 38_000_001))
        self._faults = faults_option(options)
        self._decoders: dict[int, AptDecoder] = {}
        self._paddles = [Paddle(1), Paddle(2), Paddle(4)]
        self._followed = [paddle.position for paddle in self._paddles]
        self._velocity = 100
        self._home = 0
        self._updates_left = 0
        self._next_update_s: float | None = None
        self._switched_s: deque[float] = deque(maxlen=3)
        self._hangs = False

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
            for paddle in self._paddles:
                paddle.turn(now_s)
            if not self._hangs:
                replies += self._obey(message, now_s)
            self._turn_light()
        return [Output(0, client, replies)] if replies else []

    def tick(self, now_s: float) -> list[Output]:
        """Turn the paddles, report what is over, send status updates."""
        sent = b""
        for paddle in self._paddles:
            paddle.turn(now_s)
            if paddle.ends_s is not None and now_s >= paddle.ends_s:
                sent += self._arrive(paddle, now_s)
        self._turn_light()
        if self._faults.strikes(FaultKind.DEVICE_ERROR, now_s):
            sent += self._over_current()
        sent += self._update(now_s)
        return [Output(0, None, sent)] if sent and not self._hangs else []

    def _turn_light(self) -> None:
        """Have the fibre follow the paddles, to the place where a stop caught them, too."""
        for number, paddle in enumerate(self._paddles):
            if paddle.position != self._followed[number]:
                self._followed[number] = paddle.position
                self._station.set_paddle(number + 1, paddle.position * RANGE_DEG / RANGE_COUNTS)

    def _arrive(self, paddle: Paddle, now_s: float) -> bytes:
        paddle.ends_s = None
        if paddle.homing:
            paddle.homing, paddle.homed, paddle.zero = False, True, 0
            report = short(0x0444, paddle.mask)
        else:
            report = short(0x0464, paddle.mask)
        return b"" if self._faults.strikes(FaultKind.LOST_COMPLETED, now_s) else report

    def _update(self, now_s: float) -> bytes:
        if self._next_update_s is None or now_s < self._next_update_s or self._updates_left <= 0:
            return b""
        self._next_update_s = now_s + UPDATE_S
        self._updates_left -= 1
        return b"".join(self._status(paddle) for paddle in self._paddles)

    def _over_current(self) -> bytes:
        for paddle in self._paddles:
            paddle.ends_s = None
        text = b"Over-current"
        return long(0x0081, struct.pack("<HH64s", 0, OVER_CURRENT_CODE, text))

    def _obey(self, message: AptMessage, now_s: float) -> bytes:
        if message.payload is not None:
            self._obey_long(message.ident, message.payload, now_s)
            return b""
        chosen = [paddle for paddle in self._paddles if paddle.mask & message.p1]
        match message.ident:
            case 0x0005:
                return hardware_info(self._serial, "MPC320", 44, len(self._paddles))
            case 0x0210:
                self._enable(message.p1, message.p2, now_s)
            case 0x0011:
                self._next_update_s = now_s
                self._updates_left = UPDATES_WITHOUT_HOST
            case 0x0012:
                self._next_update_s = None
            case _ if message.ident == SERVER_ALIVE:
                self._updates_left = UPDATES_WITHOUT_HOST
            case 0x0443 | 0x046A:
                for paddle in chosen:
                    self._travel(paddle, message, now_s)
            case 0x0465:
                for paddle in chosen:
                    paddle.ends_s = None
                return b"".join(short(0x0466, paddle.mask) for paddle in chosen)
        return self._answer(message, chosen)

    def _answer(self, message: AptMessage, chosen: list[Paddle]) -> bytes:
        match message.ident:
            case 0x0211 if chosen:
                on = all(paddle.enabled for paddle in chosen)
                return short(0x0212, message.p1, 1 if on else 2)
            case 0x0411:
                fields = [struct.pack("<Hi", paddle.mask, paddle.counter) for paddle in chosen]
                return b"".join(long(0x0412, field) for field in fields)
            case 0x0490:
                return b"".join(self._status(paddle) for paddle in chosen)
            case 0x0531:
                jogs = [paddle.jog for paddle in self._paddles]
                return long(0x0532, struct.pack("<6H", 0, self._velocity, self._home, *jogs))
        return b""

    def _obey_long(self, ident: int, payload: bytes, now_s: float) -> None:
        if ident == 0x0530 and len(payload) == 12:
            _, self._velocity, self._home, *jogs = struct.unpack("<6H", payload)
            self._velocity = min(max(self._velocity, 10), 100)
            for paddle, jog in zip(self._paddles, jogs, strict=True):
                paddle.jog = jog
        elif ident in {0x0453, 0x0410} and len(payload) == 6:
            mask, position = struct.unpack("<Hi", payload)
            for paddle in self._paddles:
                if not paddle.mask & mask:
                    continue
                if ident == 0x0410:
                    paddle.zero = round(paddle.position) - position
                elif paddle.enabled:
                    paddle.start(position + paddle.zero, self._velocity, now_s)

    def _travel(self, paddle: Paddle, message: AptMessage, now_s: float) -> None:
        if not paddle.enabled:
            return
        if message.ident == 0x0443:
            paddle.start(self._home, self._velocity, now_s, homing=True)
        elif message.p2 in {1, 2}:
            step = paddle.jog if message.p2 == 1 else -paddle.jog
            paddle.start(paddle.position + step, self._velocity, now_s)

    def _enable(self, mask: int, state: int, now_s: float) -> None:
        was_enabled = any(paddle.enabled for paddle in self._paddles)
        for paddle in self._paddles:
            if state == 1:
                paddle.enabled = bool(paddle.mask & mask)
            elif paddle.mask & mask:
                paddle.enabled = False
        is_enabled = any(paddle.enabled for paddle in self._paddles)
        if was_enabled != is_enabled:
            self._switched_s.append(now_s)
            self._hangs = len(self._switched_s) == 3 and now_s - self._switched_s[0] < FAST_TOGGLE_S

    def _status(self, paddle: Paddle) -> bytes:
        moving = paddle.ends_s is not None
        velocity, current_mA = (50, 120) if moving else (0, 0)
        fields = (paddle.mask, paddle.counter, velocity, current_mA, int(paddle.status))
        return long(0x0491, struct.pack("<HiHhI", *fields))
