"""Thorlabs ELL14, ELL16, ELL18, ELL21: wave plates in rotation mounts on one Elliptec bus.

Source: Thorlabs "ELLx modules protocol manual" Issue 10, and behaviour seen by others. One port
carries up to 16 units; each is an axis here. A unit answers a move only at its end, while others
speak in between, so moves are sent without waiting and every unit is asked until none is busy. A
move cannot be aborted: `st` ends continuous motion only. The pulses of a turn come from the unit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from drivers import elliptec
from drivers.elliptec import Code, Module, Reply
from drivers.held_link import HeldLink
from drivers.knobs import Setting, number_within
from drivers.motion import Motion, Watch
from drivers.operation import all_or_none
from qnx_hw.errors import (
    Busy,
    ConfigError,
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
from qnx_hw.transports import Fence, Lines, LinkTraits, Recorder, option, together

BAUD = 9600
FULL_TURN_DEG = 360.0
FULL_SPEED_DEG_PER_S = 430.0
USUAL_PULSES = 262_144
# Below about a quarter of its speed a unit may stall.
SPEED_RANGE_PERCENT = (25.0, 100.0)
# Eleven characters take 11.5 ms one way; faster polling fills the bus.
POLL_S = 0.05
REPLY_TIMEOUT_S = 1.0
MOVE_TIMEOUT_S = 3.0
HOME_TIMEOUT_S = 10.0
# The mount repeats to 0.05 degrees; a unit that lost its way is off by far more.
ARRIVED_DEG = 0.5
CLOCKWISE = 0


class Ell14(PolarizationController):
    """Mounts at `serial:///dev/ttyUSB0?addresses=012`, axis 1 at the first address."""

    def __init__(self, url: str, *, name: str = "ell14", recorder: Recorder | None = None) -> None:
        self.name = name
        self._addresses = option(url, "addresses", "0").upper()
        is_known = set(self._addresses) <= set(elliptec.ADDRESSES)
        if not is_known or len(set(self._addresses)) != len(self._addresses):
            raise ConfigError(f"'{url}': addresses are different digits 0 to F, such as 012")
        first = self._addresses[0]
        fence = Fence(
            elliptec.request(first, "in"), lambda line: line.startswith(f"{first}IN".encode())
        )
        self._held = HeldLink(
            url, name, recorder=recorder, traits=LinkTraits(fence=fence), baud=BAUD
        )
        self._motion = Motion(name, poll_s=POLL_S)
        self._modules: tuple[Module, ...] = ()
        self._errors: dict[str, int] = {}

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """One wave plate per address; it turns through any angle and cannot be halted."""
        pulses = [module.pulses for module in self._modules] or [USUAL_PULSES] * self._n_axes
        axes = tuple(
            AxisRange(
                AxisKind.WAVE_PLATE_ANGLE,
                "deg",
                0.0,
                FULL_TURN_DEG,
                FULL_TURN_DEG / turn,
                periodic=True,
                speed_per_s=FULL_SPEED_DEG_PER_S,
            )
            for turn in pulses
        )
        return PolarizationCapabilities(
            axes, settle_s=0.05, update_rate_hz=3.0, can_abort=False, has_home=True
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the bus and ask every unit who it is; nothing moves."""
        opening = self._held.opening(
            Lines(), timeout_s=timeout_s, greeting=b"\r", unsolicited=self._notice
        )
        with opening:
            modules = tuple(self._identify(address, timeout_s) for address in self._addresses)
        self._modules = modules
        names = [elliptec.ROTATION_MOUNTS[module.kind] for module in modules]
        serials = ",".join(module.serial for module in modules)
        return Identity("Thorlabs", ",".join(names), serials, modules[0].firmware)

    def close(self) -> None:
        """End continuous motion and let go of the bus; a move under way ends at its target."""
        self._held.close(self._halt())

    def status(self) -> InstrumentStatus:
        """Return how the bus is, without asking it."""
        faults = (f"unit {unit}: {elliptec.code_name(code)}" for unit, code in self._errors.items())
        return self._held.status(self._motion.state, ", ".join(faults))

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `speed_N_percent` of every axis."""
        with together(timeout_s):
            return {
                _speed(axis): elliptec.velocity(self._ask(axis, "gv", ("GV",), timeout_s))
                for axis in self._axes
            }

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply `speed_N_percent` (25 to 100); all are checked before one is sent."""
        places = {_speed(axis): axis for axis in self._axes}
        low, high = SPEED_RANGE_PERCENT
        wanted: dict[int, int] = {}
        for key, value in settings.items():
            if key not in places:
                raise Unsupported(f"'{self.name}' has no setting {key}")
            wanted[places[key]] = round(number_within(self.name, key, value, low, high))
        with self._motion.within(timeout_s):
            before = {axis: int(self.settings()[_speed(axis)]) for axis in wanted}
            with all_or_none(lambda: self._set_speeds(before)):
                self._set_speeds(wanted)
            held = self.settings(timeout_s=timeout_s)
        if any(held[_speed(axis)] != percent for axis, percent in wanted.items()):
            raise InstrumentRefused(f"'{self.name}' holds {dict(held)}")
        return held

    def stop(self) -> None:
        """End continuous motion; a running move raises `Cancelled` while its plate turns on."""
        self._motion.give_up()
        self._held.halt(self._halt())

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the angle of each plate in degrees."""
        with together(timeout_s):
            return tuple(self._position_deg(axis, timeout_s) for axis in self._axes)

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Turn one plate to an angle in degrees and return where it stands."""
        return self._move({axis: value}, timeout_s, cancel)[0]

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Turn all plates at once and return where they stand, in degrees."""
        if len(values) != self._n_axes:
            raise RangeError(f"'{self.name}' has {self._n_axes} plates, not {len(values)}")
        return self._move(dict(enumerate(values, start=1)), timeout_s, cancel)

    def home(
        self,
        axis: int,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Send one plate to its zero, clockwise; needed after power-up."""
        self._check_axis(axis)
        command = elliptec.request(self._addresses[axis - 1], "ho", CLOCKWISE, 1)
        return self._travel({axis: 0.0}, command, timeout_s or HOME_TIMEOUT_S, cancel)[0]

    @property
    def _n_axes(self) -> int:
        return len(self._addresses)

    @property
    def _axes(self) -> range:
        return range(1, self._n_axes + 1)

    def _set_speeds(self, percents: Mapping[int, int]) -> None:
        for axis, percent in percents.items():
            reply = self._ask(axis, "sv", ("GS",), None, percent, 2)
            self._check(axis, elliptec.status(reply))

    def _identify(self, address: str, timeout_s: float) -> Module:
        axis = self._addresses.index(address) + 1
        module = elliptec.module(self._ask(axis, "in", ("IN",), timeout_s))
        if module.kind not in elliptec.ROTATION_MOUNTS:
            raise ProtocolError(
                f"unit {address} of '{self.name}' is no rotation mount: type {module.kind:02X}"
            )
        return module

    def _move(
        self,
        targets_deg: Mapping[int, float],
        timeout_s: float | None,
        cancel: threading.Event | None,
    ) -> tuple[float, ...]:
        for axis, value in targets_deg.items():
            self._check_axis(axis)
            if not math.isfinite(value):
                raise RangeError(f"plate {axis} of '{self.name}' cannot turn to {value}°")
        self._held.link()
        # A unit refuses what is outside one turn, and a plate looks the same after one.
        targets = {axis: value % FULL_TURN_DEG for axis, value in targets_deg.items()}
        command = b"".join(
            elliptec.request(
                self._addresses[axis - 1],
                "ma",
                round(target * self._modules[axis - 1].pulses / FULL_TURN_DEG),
                8,
            )
            for axis, target in targets.items()
        )
        return self._travel(targets, command, timeout_s or MOVE_TIMEOUT_S, cancel)

    def _travel(
        self,
        targets: Mapping[int, float],
        command: bytes,
        timeout_s: float,
        cancel: threading.Event | None,
    ) -> tuple[float, ...]:
        """Start a motion once all stand still, wait for its end, and check where they stand."""
        with self._motion.running(timeout_s, cancel) as watch:
            # Asking clears the error of an earlier motion, which was raised then.
            self._settle(targets, watch)
            self._errors.clear()
            self._held.link().send(command)
            found = self._settle(targets, watch)
            for axis in targets:
                said = self._errors.get(self._addresses[axis - 1], Code.OK)
                self._check(axis, found.get(axis, said))
            stand = tuple(self._position_deg(axis, None) for axis in targets)
        for (axis, target), stands in zip(targets.items(), stand, strict=True):
            if abs(math.remainder(stands - target, FULL_TURN_DEG)) > ARRIVED_DEG:
                raise InstrumentRefused(
                    f"plate {axis} of '{self.name}' stands at {stands:.2f}°, not {target:.2f}°"
                )
        return stand

    def _settle(self, axes: Mapping[int, float], watch: Watch) -> Mapping[int, int]:
        """Ask the units until none of them is busy; return the codes other than busy and ok."""
        errors: dict[int, int] = {}
        while True:
            codes = {axis: elliptec.status(self._ask(axis, "gs", ("GS",), None)) for axis in axes}
            errors |= {
                axis: code for axis, code in codes.items() if code not in {Code.OK, Code.BUSY}
            }
            if Code.BUSY not in codes.values():
                return errors
            watch.wait(lambda: "it still turns")

    def _position_deg(self, axis: int, timeout_s: float | None) -> float:
        reply = self._ask(axis, "gp", ("PO", "GS"), timeout_s)
        if reply.mnemonic == "GS":
            self._check(axis, elliptec.status(reply))
            raise ProtocolError(f"unit {reply.address} of '{self.name}' does not say where it is")
        return elliptec.position(reply) * FULL_TURN_DEG / self._modules[axis - 1].pulses

    def _check(self, axis: int, code: int) -> None:
        address = self._addresses[axis - 1]
        if code == Code.OK:
            return
        if code == Code.BUSY:
            raise Busy(f"unit {address} of '{self.name}' is busy")
        self._errors[address] = code
        raise InstrumentRefused(
            f"unit {address} of '{self.name}' reports {elliptec.code_name(code)}", code
        )

    def _ask(
        self,
        axis: int,
        command: str,
        mnemonics: tuple[str, ...],
        timeout_s: float | None,
        value: int | None = None,
        digits: int = 0,
    ) -> Reply:
        address = self._addresses[axis - 1]
        heads = tuple(f"{address}{mnemonic}".encode() for mnemonic in mnemonics)
        line = self._held.link().query(
            elliptec.request(address, command, value, digits),
            lambda line: line.startswith(heads),
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
        )
        reply = elliptec.decode(line)
        if reply is None:
            raise ProtocolError(f"'{self.name}' sent {line!r}", line)
        return reply

    def _notice(self, line: bytes) -> None:
        """Note an error that a unit reports by itself; other unasked lines say nothing new."""
        reply = elliptec.decode(line)
        if reply is None or reply.mnemonic != "GS" or len(reply.fields) != 2:
            return
        try:
            code = elliptec.status(reply)
        except ProtocolError:
            return  # half a line
        if code not in {Code.OK, Code.BUSY}:
            self._errors[reply.address] = code

    def _halt(self) -> bytes:
        return b"".join(elliptec.request(address, "st") for address in self._addresses)

    def _check_axis(self, axis: int) -> None:
        if axis not in self._axes:
            raise RangeError(f"'{self.name}' has plates 1 to {self._n_axes}, not {axis}")


def _speed(axis: int) -> str:
    return f"speed_{axis}_percent"
