"""Thorlabs KDC101 with a PRM1-Z8, and K10CR1: one wave plate each, on APT.

Source: Thorlabs "Host-Controller Communications Protocol" Issue 28. Both tell position and motion
in the same bits; the K10CR1 has a status message of its own. It keeps no sane velocity for homing,
so that is set before each search. Angles count from where the unit was switched on until homed.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers import thorlabs_apt as apt
from drivers.apt_line import AptLine
from drivers.knobs import Setting, number_within
from drivers.motion import Motion
from drivers.thorlabs_apt import Id, Status
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
from qnx_hw.transports import Recorder

MOT_SET_VELPARAMS, MOT_REQ_VELPARAMS, MOT_GET_VELPARAMS = 0x0413, 0x0414, 0x0415
MOT_SET_HOMEPARAMS = 0x0440
MOT_REQ_STATUSUPDATE, MOT_GET_STATUSUPDATE = 0x0480, 0x0481
CHANNEL = 1
ENABLE = 1
STOP_IMMEDIATELY = 1
REVERSE, REVERSE_SWITCH = 2, 1
FULL_TURN_DEG = 360.0
ARRIVED_DEG = 0.05
POLL_S = 0.05
HOME_TIMEOUT_S = 60.0
# Beyond the time that the angle takes at the held speed.
MOVE_MARGIN_S = 5.0
HOME_SPEED_DEG_PER_S = 5.0
SLOWEST_DEG_PER_S = 0.1
QUIET_S = 0.15
# The unit may keep a velocity in steps of its own, which no document gives.
VELOCITY_ROUNDING = 1e-3
HALT = apt.short(Id.MOT_MOVE_STOP, CHANNEL, STOP_IMMEDIATELY)


@dataclass(frozen=True, slots=True)
class Model:
    """Counts per degree, and what the unit calls 1 deg/s (manual, "Conversion of units")."""

    counts_per_deg: float
    velocity_unit: float
    fastest_deg_per_s: float
    status_request: int
    status_reply: int


KDC101 = Model(
    1919.6418578623391, 42941.66, 25.0, Id.MOT_REQ_USTATUSUPDATE, Id.MOT_GET_USTATUSUPDATE
)
K10CR1 = Model(409600 * 120 / 360, 7329109.0, 10.0, MOT_REQ_STATUSUPDATE, MOT_GET_STATUSUPDATE)
MODELS = {"KDC101": KDC101, "K10CR1": K10CR1}


class Kdc101(PolarizationController):
    """A KDC101 or K10CR1 at `serial:///dev/ttyUSB0` or at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "kdc101", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = AptLine(url, name, recorder=recorder, quiet_s=QUIET_S)
        self._motion = Motion(name, poll_s=POLL_S)
        self._model = KDC101

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """One wave plate that turns through any angle."""
        plate = AxisRange(
            AxisKind.WAVE_PLATE_ANGLE,
            "deg",
            0.0,
            FULL_TURN_DEG,
            1 / self._model.counts_per_deg,
            periodic=True,
            speed_per_s=self._model.fastest_deg_per_s,
        )
        return PolarizationCapabilities(
            (plate,), settle_s=0.05, update_rate_hz=1.0, can_abort=True, has_home=True
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and ask for model and serial number; nothing moves."""
        identity = self._line.connect(MODELS, timeout_s=timeout_s)
        self._model = MODELS[identity.model]
        return identity

    def close(self) -> None:
        """Halt the plate and let go of the port."""
        self._line.close(HALT)

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        return self._line.status(self._motion.state)

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `speed_deg_per_s`."""
        velocity = self._velocity(timeout_s)[2]
        return {"speed_deg_per_s": velocity / self._model.velocity_unit}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply `speed_deg_per_s`; the acceleration stays."""
        unknown = set(settings) - {"speed_deg_per_s"}
        if unknown:
            raise Unsupported(f"'{self.name}' has no setting {', '.join(sorted(unknown))}")
        if not settings:
            return self.settings(timeout_s=timeout_s)
        key, fastest = "speed_deg_per_s", self._model.fastest_deg_per_s
        speed = number_within(self.name, key, settings[key], SLOWEST_DEG_PER_S, fastest)
        wanted = round(speed * self._model.velocity_unit)
        with self._motion.within(timeout_s):
            slowest, acceleration, _ = self._velocity(timeout_s)
            fields = struct.pack("<Hiii", CHANNEL, slowest, acceleration, wanted)
            self._line.send(apt.long(MOT_SET_VELPARAMS, fields))
            held = self._velocity(timeout_s)[2]
        if abs(held - wanted) > VELOCITY_ROUNDING * wanted:
            raise InstrumentRefused(f"'{self.name}' holds a velocity of {held}, not {wanted}")
        return {"speed_deg_per_s": held / self._model.velocity_unit}

    def stop(self) -> None:
        """Halt the plate now; a running move raises `Cancelled`."""
        self._motion.give_up()
        self._line.halt(HALT)

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the angle of the plate in degrees, turns included."""
        return (self._look(timeout_s)[0] / self._model.counts_per_deg,)

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Turn the plate to an angle within its first turn and return where it stands."""
        self._check_axis(axis)
        if not math.isfinite(value):
            raise RangeError(f"'{self.name}' cannot turn to {value}°")
        # A plate looks the same after a turn, and turns would add up to the counter's end.
        target = round(value % FULL_TURN_DEG * self._model.counts_per_deg)
        with self._motion.within(timeout_s):
            if timeout_s is None:
                speed = float(self.settings()["speed_deg_per_s"])
                timeout_s = abs(target / self._model.counts_per_deg - self.positions()[0])
                timeout_s = timeout_s / max(speed, SLOWEST_DEG_PER_S) + MOVE_MARGIN_S
            command = apt.long(Id.MOT_MOVE_ABSOLUTE, struct.pack("<Hi", CHANNEL, target))
            return self._travel(target, command, timeout_s, cancel)

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Turn the only plate."""
        if len(values) != 1:
            raise RangeError(f"'{self.name}' has one plate, not {len(values)}")
        return (self.move(1, values[0], timeout_s=timeout_s, cancel=cancel),)

    def home(
        self,
        axis: int,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Search the plate's zero; needed once after power-up."""
        self._check_axis(axis)
        velocity = round(HOME_SPEED_DEG_PER_S * self._model.velocity_unit)
        fields = struct.pack("<HHHii", CHANNEL, REVERSE, REVERSE_SWITCH, velocity, 0)
        command = apt.long(MOT_SET_HOMEPARAMS, fields) + apt.short(Id.MOT_MOVE_HOME, CHANNEL)
        with self._motion.within(timeout_s):
            return self._travel(0, command, timeout_s or HOME_TIMEOUT_S, cancel, is_homing=True)

    def _travel(
        self,
        target: int,
        command: bytes,
        timeout_s: float,
        cancel: threading.Event | None,
        *,
        is_homing: bool = False,
    ) -> float:
        """Start a motion and watch it until the plate stands at its target.

        Before the first homing the counter says 0 wherever the plate is: only what the unit says
        of its zero ends that.
        """
        enable = apt.short(Id.MOD_SET_CHANENABLESTATE, CHANNEL, ENABLE)
        with self._motion.running(timeout_s, cancel) as watch:
            self._line.forget_fault()
            homings = self._line.homings
            try:
                self._line.send(enable + command)
                while True:
                    position, bits = self._look(None)
                    stands_deg = position / self._model.counts_per_deg
                    is_near = abs(position - target) <= ARRIVED_DEG * self._model.counts_per_deg
                    has_zero = bool(bits & Status.HOMED) or self._line.homings > homings
                    if is_near and not bits & apt.IN_MOTION and (has_zero or not is_homing):
                        return stands_deg
                    self._line.check(bits)
                    watch.wait(lambda: f"it is at {stands_deg:.2f}°")  # noqa: B023 - called at once
            except InstrumentError:
                self._line.halt_quietly(HALT)
                raise

    def _look(self, timeout_s: float | None) -> tuple[int, Status]:
        """Return position in counts and status bits."""
        model = self._model
        reply = self._line.ask(
            apt.short(model.status_request, CHANNEL),
            lambda m: m.number == model.status_reply,
            timeout_s,
        )
        if model is KDC101:
            status = apt.motor_status(reply)
            return status.position, status.status
        if len(reply.data) < 14:
            raise ProtocolError(f"the status of '{self.name}' is cut short", reply.data)
        _, position, _, bits = struct.unpack_from("<HiiI", reply.data)
        return position, Status(bits)

    def _velocity(self, timeout_s: float | None) -> tuple[int, int, int]:
        reply = self._line.ask(
            apt.short(MOT_REQ_VELPARAMS, CHANNEL),
            lambda m: m.number == MOT_GET_VELPARAMS,
            timeout_s,
        )
        if len(reply.data) != 14:
            raise ProtocolError(f"'{self.name}' sent a velocity of wrong length", reply.data)
        _, slowest, acceleration, fastest = struct.unpack("<Hiii", reply.data)
        return slowest, acceleration, fastest

    def _check_axis(self, axis: int) -> None:
        if axis != 1:
            raise RangeError(f"'{self.name}' has one plate, not {axis}")
