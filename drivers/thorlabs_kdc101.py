"""Thorlabs KDC101 with a PRM1-Z8, and K10CR1: one wave plate each, on APT.

Source: Thorlabs "Host-Controller Communications Protocol" Issue 28. Both tell position and motion
in the same bits; the K10CR1 has a status message of its own. It keeps no sane velocity for homing,
so that is set before each search. Angles count from where the unit was switched on until homed.
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers import thorlabs_apt as apt
from drivers.thorlabs_apt import Id, Status
from qnx_hw.errors import (
    Cancelled,
    InstrumentError,
    InstrumentRefused,
    InstrumentTimeout,
    NotConnected,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import PolarizationController
from qnx_hw.instruments.values import (
    AxisKind,
    AxisRange,
    Identity,
    InstrumentState,
    InstrumentStatus,
    PolarizationCapabilities,
)
from qnx_hw.transports import KeepAlive, Link, LinkTraits, Priority, Recorder, make_wire

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
REPLY_TIMEOUT_S = 1.0
HOME_TIMEOUT_S = 60.0
# Beyond the time that the angle takes at the held speed.
MOVE_MARGIN_S = 5.0
HOME_SPEED_DEG_PER_S = 5.0
TRAITS = LinkTraits(
    quiet_s=0.15,
    stale_s=0.25,
    keep_alive=KeepAlive(apt.short(Id.MOT_ACK_USTATUSUPDATE), 0.5),
)

Setting = float | int | str | bool


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
        self._url = url
        self._recorder = recorder
        self._link: Link | None = None
        self._motion = threading.RLock()
        self._model = KDC101
        self._stops = 0
        self._moving = False
        self._fault = ""

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
        self.close()
        self._fault = ""
        link = Link(
            make_wire(self._url, has_flow_control=True),
            apt.AptFramer(),
            name=self.name,
            traits=TRAITS,
            unsolicited=self._notice,
            recorder=self._recorder,
        )
        link.open(timeout_s=timeout_s)
        self._link = link
        try:
            link.drain()
            reply = self._ask(
                apt.short(Id.HW_REQ_INFO), lambda m: m.number == Id.HW_GET_INFO, timeout_s
            )
            identity = apt.hardware_identity(reply)
            if identity.model not in MODELS:
                raise ProtocolError(f"'{self.name}' is no KDC101 or K10CR1 but {identity.model!r}")
        except InstrumentError:
            self.close()
            raise
        self._model = MODELS[identity.model]
        return identity

    def close(self) -> None:
        """Halt the plate and let go of the port."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            _halt(link)
            link.send(apt.short(Id.HW_DISCONNECT), priority=Priority.STOP)
        except InstrumentError:
            return  # it is gone; a lost unit finishes its last motion by itself
        finally:
            link.close()

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        link = self._link
        if link is None or link.error is not None:
            error = "" if link is None else str(link.error)
            return InstrumentStatus(InstrumentState.DISCONNECTED, error)
        state = InstrumentState.BUSY if self._moving else InstrumentState.READY
        return InstrumentStatus(state, self._fault, link.counters.as_mapping())

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
        value = settings["speed_deg_per_s"]
        try:
            speed = float(value)
        except ValueError as error:
            raise RangeError(f"speed_deg_per_s must be a number, not {value!r}") from error
        if not 0.1 <= speed <= self._model.fastest_deg_per_s:
            raise RangeError(
                f"'{self.name}' turns at 0.1 to {self._model.fastest_deg_per_s:g} deg/s,"
                f" not {speed:g}"
            )
        wanted = round(speed * self._model.velocity_unit)
        with self._motion:
            slowest, acceleration, _ = self._velocity(timeout_s)
            fields = struct.pack("<Hiii", CHANNEL, slowest, acceleration, wanted)
            self._connected().send(apt.long(MOT_SET_VELPARAMS, fields))
            held = self._velocity(timeout_s)[2]
        if held != wanted:
            raise InstrumentRefused(f"'{self.name}' holds a velocity of {held}, not {wanted}")
        return {"speed_deg_per_s": held / self._model.velocity_unit}

    def stop(self) -> None:
        """Halt the plate now; a running move raises `Cancelled`."""
        self._stops += 1
        _halt(self._connected())

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
        with self._motion:
            if timeout_s is None:
                speed = float(self.settings()["speed_deg_per_s"])
                timeout_s = abs(target / self._model.counts_per_deg - self.positions()[0])
                timeout_s = timeout_s / max(speed, 0.1) + MOVE_MARGIN_S
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
        with self._motion:
            return self._travel(0, command, timeout_s or HOME_TIMEOUT_S, cancel)

    def _travel(
        self, target: int, command: bytes, timeout_s: float, cancel: threading.Event | None
    ) -> float:
        """Start a motion and watch it until the plate stands at its target."""
        deadline_s = time.monotonic() + timeout_s
        stops = self._stops
        cancel = cancel or threading.Event()
        self._fault = ""
        self._moving = True
        enable = apt.short(Id.MOD_SET_CHANENABLESTATE, CHANNEL, ENABLE)
        try:
            self._connected().send(enable + command)
            while True:
                position, bits = self._look(None)
                is_near = abs(position - target) <= ARRIVED_DEG * self._model.counts_per_deg
                if is_near and not bits & apt.IN_MOTION:
                    return position / self._model.counts_per_deg
                if bits & apt.IN_FAULT or self._fault:
                    self._fault = self._fault or str(bits & apt.IN_FAULT)
                    raise InstrumentRefused(
                        f"'{self.name}' reports a fault: {self._fault}", int(bits)
                    )
                if cancel.is_set() or self._stops != stops:
                    raise Cancelled(f"the motion of '{self.name}' was stopped")
                if time.monotonic() >= deadline_s:
                    stands = position / self._model.counts_per_deg
                    raise InstrumentTimeout(f"'{self.name}' did not arrive: it is at {stands:.2f}°")
                cancel.wait(POLL_S)
        except InstrumentError:
            self._halt_quietly()
            raise
        finally:
            self._moving = False

    def _look(self, timeout_s: float | None) -> tuple[int, Status]:
        """Return position in counts and status bits."""
        model = self._model
        reply = self._ask(
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
        reply = self._ask(
            apt.short(MOT_REQ_VELPARAMS, CHANNEL),
            lambda m: m.number == MOT_GET_VELPARAMS,
            timeout_s,
        )
        if len(reply.data) != 14:
            raise ProtocolError(f"'{self.name}' sent a velocity of wrong length", reply.data)
        _, slowest, acceleration, fastest = struct.unpack("<Hiii", reply.data)
        return slowest, acceleration, fastest

    def _ask(
        self, request: bytes, accepts: Callable[[apt.Message], bool], timeout_s: float | None
    ) -> apt.Message:
        frame = self._connected().query(
            request,
            lambda frame: accepts(apt.decode(frame)),
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
        )
        return apt.decode(frame)

    def _notice(self, frame: bytes) -> None:
        """Note an error that the unit reports by itself; other unasked messages say nothing new."""
        message = apt.decode(frame)
        if message.number == Id.HW_RESPONSE:
            self._fault = "HW_RESPONSE"
        elif message.number == Id.HW_RICHRESPONSE and len(message.data) >= 4:
            code, text = apt.rich_response(message)
            self._fault = f"{text} (code {code})"

    def _halt_quietly(self) -> None:
        """Halt after a failure that is already on its way to the caller."""
        try:
            _halt(self._connected())
        except InstrumentError:
            return

    def _connected(self) -> Link:
        link = self._link
        if link is None:
            raise NotConnected(f"'{self.name}' is not connected")
        return link

    def _check_axis(self, axis: int) -> None:
        if axis != 1:
            raise RangeError(f"'{self.name}' has one plate, not {axis}")


def _halt(link: Link) -> None:
    link.send(apt.short(Id.MOT_MOVE_STOP, CHANNEL, STOP_IMMEDIATELY), priority=Priority.STOP)
