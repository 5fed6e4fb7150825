"""Thorlabs MPC320 and MPC220: three or two motorised fibre paddles (quarter, half, quarter wave).

Source: Thorlabs "Host-Controller Communications Protocol" Issue 28 (messages), with the length of
POL_SET_PARAMS from its worked example, and behaviour seen by others. The unit gives a paddle's
number as a bit mask: 1, 2, 4. Toggling the enable state quickly hangs it until power is cut, so
all paddles are enabled once. MOVE_COMPLETED may come early or not at all, so a paddle has arrived
when no motion bit is set and it stands within two counts of its target.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

from drivers import thorlabs_apt as apt
from drivers.apt_line import AptLine
from drivers.knobs import Setting, number_within
from drivers.motion import Motion
from drivers.thorlabs_apt import Id
from qnx_hw.errors import (
    InstrumentError,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import PolarizationController
from qnx_hw.instruments.values import (
    AxisKind,
    AxisRange,
    Identity,
    InstrumentStatus,
    PolarizationCapabilities,
)
from qnx_hw.transports import Recorder, together

# Manual, MPC320 section: 1370 counts are 170 degrees.
COUNTS_PER_DEG = 1370 / 170
RANGE_DEG = 170.0
FULL_SPEED_DEG_PER_S = 400.0
ARRIVED_COUNTS = 2
# Requests closer than 10 ms break replies (seen by the QMI authors).
GAP_S = 0.01
POLL_S = 0.02
MOVE_TIMEOUT_S = 10.0
QUIET_S = 0.1
STOP_IMMEDIATELY = 1
ENABLE = 1
# The answer to an enable message has no form; other drivers wait so long before they go on.
ENABLE_TIMEOUT_S = 2.0
_N_PADDLES = {"MPC320": 3, "MPC220": 2}


class Mpc320(PolarizationController):
    """A paddle controller at `serial:///dev/ttyUSB0` or at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "mpc320", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = AptLine(url, name, recorder=recorder, quiet_s=QUIET_S, gap_s=GAP_S)
        self._motion = Motion(name, poll_s=POLL_S)
        self._n_paddles = 3
        self._is_enabled = False

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """Paddles from 0 to 170 degrees; their speed is common and at most 400 deg/s."""
        paddle = AxisRange(
            AxisKind.PADDLE_ANGLE,
            "deg",
            0.0,
            RANGE_DEG,
            1 / COUNTS_PER_DEG,
            speed_per_s=FULL_SPEED_DEG_PER_S,
        )
        return PolarizationCapabilities(
            (paddle,) * self._n_paddles,
            settle_s=0.05,
            update_rate_hz=5.0,
            can_abort=True,
            has_home=True,
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and ask for model and serial number; nothing moves."""
        identity = self._line.connect(_N_PADDLES, timeout_s=timeout_s)
        self._n_paddles = _N_PADDLES[identity.model]
        self._is_enabled = False
        return identity

    def close(self) -> None:
        """Halt all paddles and let go of the port."""
        self._line.close(self._halt())

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        return self._line.status(self._motion.state)

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `speed_percent`, `home_deg` and the three `jog_N_deg`."""
        _, velocity, home, *jogs = self._parameters(timeout_s)
        held: dict[str, Setting] = {"speed_percent": velocity, "home_deg": _degrees(home)}
        for paddle, jog in enumerate(jogs[: self._n_paddles], start=1):
            held[f"jog_{paddle}_deg"] = _degrees(jog)
        return held

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply `speed_percent` (10 to 100), `home_deg`, `jog_1_deg`, ...; all in one message."""
        places = {"speed_percent": 1, "home_deg": 2}
        places |= {f"jog_{paddle}_deg": 2 + paddle for paddle in range(1, self._n_paddles + 1)}
        wanted: dict[int, int] = {}
        for key, value in settings.items():
            if key not in places:
                raise Unsupported(f"'{self.name}' has no setting {key}")
            low, high = (10.0, 100.0) if key == "speed_percent" else (0.0, RANGE_DEG)
            number = number_within(self.name, key, value, low, high)
            wanted[places[key]] = round(number) if key == "speed_percent" else _counts(number)
        with self._motion.within(timeout_s):
            held = self._parameters(timeout_s)
            asked = [wanted.get(place, value) for place, value in enumerate(held)]
            self._line.send(apt.long(Id.POL_SET_PARAMS, struct.pack("<6H", *asked)))
            held = self._parameters(timeout_s)
            if any(held[place] != value for place, value in wanted.items()):
                raise InstrumentRefused(f"'{self.name}' holds {held}, not {tuple(asked)}")
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Halt all paddles now; a running move raises `Cancelled`."""
        self._motion.give_up()
        self._line.halt(self._halt())

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the angle of each paddle in degrees."""
        axes = range(1, self._n_paddles + 1)
        with together(timeout_s):
            return tuple(_degrees(self._look(axis, timeout_s).position) for axis in axes)

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Turn one paddle to an angle in degrees and return where it stands."""
        return self._move({axis: value}, timeout_s, cancel)[0]

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Turn all paddles at once and return where they stand, in degrees."""
        if len(values) != self._n_paddles:
            raise RangeError(f"'{self.name}' has {self._n_paddles} paddles, not {len(values)}")
        return self._move(dict(enumerate(values, start=1)), timeout_s, cancel)

    def home(
        self,
        axis: int,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Send one paddle to its home position, the zero other software may have shifted."""
        self._check_axis(axis)
        with self._motion.within(timeout_s):
            home = self._parameters(timeout_s)[2]
            self._enable()
            command = apt.short(Id.MOT_MOVE_HOME, _mask(axis))
            return self._travel({axis: home}, command, timeout_s, cancel, is_homing=True)[0]

    def _move(
        self,
        targets_deg: Mapping[int, float],
        timeout_s: float | None,
        cancel: threading.Event | None,
    ) -> tuple[float, ...]:
        for axis, value in targets_deg.items():
            self._check_axis(axis)
            if not 0.0 <= value <= RANGE_DEG:
                raise RangeError(
                    f"paddle {axis} of '{self.name}' refused {value:g}°: the range is 0 to 170°"
                )
        targets = {axis: _counts(value) for axis, value in targets_deg.items()}
        with self._motion.within(timeout_s):
            self._enable()
            command = b"".join(
                apt.long(Id.MOT_MOVE_ABSOLUTE, struct.pack("<Hi", _mask(axis), target))
                for axis, target in targets.items()
            )
            return self._travel(targets, command, timeout_s, cancel)

    def _travel(
        self,
        targets: Mapping[int, int],
        command: bytes,
        timeout_s: float | None,
        cancel: threading.Event | None,
        *,
        is_homing: bool = False,
    ) -> tuple[float, ...]:
        """Start a motion and watch it until every paddle stands at its target.

        A counter says anything before the first homing: what the unit says of its zero ends that.
        """
        with self._motion.running(timeout_s or MOVE_TIMEOUT_S, cancel) as watch:
            self._line.forget_fault()
            homings = self._line.homings
            try:
                self._line.send(command)
                while True:
                    seen = {axis: self._look(axis, None) for axis in targets}
                    has_zero = self._line.homings > homings or all(
                        status.status & apt.Status.HOMED for status in seen.values()
                    )
                    if (has_zero or not is_homing) and all(
                        _has_arrived(seen[axis], target) for axis, target in targets.items()
                    ):
                        return tuple(_degrees(status.position) for status in seen.values())
                    self._line.check(reduce(or_, (status.status for status in seen.values())))
                    watch.wait(lambda: _places(seen))  # noqa: B023 - called at once
            except InstrumentError:
                self._line.halt_quietly(self._halt())
                raise

    def _enable(self) -> None:
        """Enable all paddles, once: enabling one disables the others, toggling hangs the unit."""
        if self._is_enabled:
            return
        everything = (1 << self._n_paddles) - 1
        self._line.send(apt.short(Id.MOD_SET_CHANENABLESTATE, everything, ENABLE))
        deadline_s = time.monotonic() + ENABLE_TIMEOUT_S
        pause = threading.Event()
        while not all(
            self._look(axis, None).status & apt.Status.ENABLED
            for axis in range(1, self._n_paddles + 1)
        ):
            if time.monotonic() >= deadline_s:
                raise InstrumentRefused(f"'{self.name}' did not enable its paddles")
            pause.wait(POLL_S)
        self._is_enabled = True

    def _look(self, axis: int, timeout_s: float | None) -> apt.MotorStatus:
        mask = _mask(axis)
        reply = self._line.ask(
            apt.short(Id.MOT_REQ_USTATUSUPDATE, mask),
            lambda m: m.number == Id.MOT_GET_USTATUSUPDATE and m.data[:2] == bytes((mask, 0)),
            timeout_s,
        )
        return apt.motor_status(reply)

    def _parameters(self, timeout_s: float | None) -> tuple[int, ...]:
        reply = self._line.ask(
            apt.short(Id.POL_REQ_PARAMS, 1), lambda m: m.number == Id.POL_GET_PARAMS, timeout_s
        )
        if len(reply.data) != 12:
            raise ProtocolError(f"'{self.name}' sent parameters of a wrong length", reply.data)
        return struct.unpack("<6H", reply.data)

    def _halt(self) -> bytes:
        masks = (_mask(axis) for axis in range(1, self._n_paddles + 1))
        return b"".join(apt.short(Id.MOT_MOVE_STOP, mask, STOP_IMMEDIATELY) for mask in masks)

    def _check_axis(self, axis: int) -> None:
        if not 1 <= axis <= self._n_paddles:
            raise RangeError(f"'{self.name}' has paddles 1 to {self._n_paddles}, not {axis}")


def _mask(axis: int) -> int:
    return 1 << (axis - 1)


def _counts(angle_deg: float) -> int:
    return round(angle_deg * COUNTS_PER_DEG)


def _degrees(counts: int) -> float:
    return counts / COUNTS_PER_DEG


def _has_arrived(status: apt.MotorStatus, target: int) -> bool:
    is_moving = bool(status.status & apt.IN_MOTION)
    return not is_moving and abs(status.position - target) <= ARRIVED_COUNTS


def _places(seen: Mapping[int, apt.MotorStatus]) -> str:
    return ", ".join(f"paddle {axis} at {_degrees(s.position):.1f}°" for axis, s in seen.items())
