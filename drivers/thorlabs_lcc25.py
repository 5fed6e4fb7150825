"""Thorlabs LCC25: one liquid-crystal retarder, driven by 0 to 25 V rms.

Source: Thorlabs "LCC25 User Guide", serial commands. A command ends with CR; the unit echoes it,
says the value of a query or what was wrong, and prompts with `> ` without line end.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from drivers.held_link import HeldLink
from drivers.knobs import Setting, number_within
from drivers.operation import Operation, all_or_none
from qnx_hw.errors import (
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
from qnx_hw.transports import Lines, LinkTraits, Recorder

BAUD = 115_200
PROMPT = b"> "
LARGEST_V = 25.0
FREQUENCY_RANGE_HZ = (5.0, 150.0)
STEADY = 1
"""The mode that puts voltage 1 out; 0 modulates between two voltages, 2 puts out the second."""
TOLERANCE_V = 0.0015
REPLY_TIMEOUT_S = 2.0
ERRORS = frozenset({"CMD_NOT_DEFINED", "CMD_ARG_INVALID"})

CAPABILITIES = PolarizationCapabilities(
    (AxisRange(AxisKind.RETARDANCE_VOLTAGE, "V", 0.0, LARGEST_V, 0.001),),
    settle_s=0.05,  # the crystal falls slower than it rises, 10 to 50 ms
    update_rate_hz=20.0,
    can_abort=True,
    has_home=False,
)


class Lcc25(PolarizationController):
    """A retarder at `serial:///dev/ttyUSB0` or at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "lcc25", recorder: Recorder | None = None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=LinkTraits(), baud=BAUD)
        self._operation = Operation(name)
        self._is_driven = False

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """One voltage from 0 to 25 V, in steps of 1 mV."""
        return CAPABILITIES

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and ask who is there; the output stays as it is."""
        with self._operation.within(timeout_s):
            with self._held.opening(Lines(PROMPT), timeout_s=timeout_s, greeting=b"\r"):
                answer = self._ask("*idn?", timeout_s)
                if "LCC25" not in answer:
                    raise ProtocolError(f"'{self.name}' is no LCC25: {answer!r}", answer.encode())
            self._is_driven = False
            return Identity("Thorlabs", "LCC25", firmware=answer.split("ver")[-1].strip())

    def close(self) -> None:
        """Switch the output off and let go of the port."""
        with self._operation.within():
            self._held.close(b"enable=0\r")

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        return self._held.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `enabled`, `modulating`, `frequency_hz` (of the modulation) and `voltage_2_v`."""
        with self._operation.within(timeout_s):
            return {
                "enabled": self._read("enable", timeout_s) != 0,
                "modulating": self._read("mode", timeout_s) == 0,
                "frequency_hz": self._read("freq", timeout_s),
                "voltage_2_v": self._read("volt2", timeout_s),
            }

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; all are checked before one is sent."""
        commands = [self._command(key, value) for key, value in settings.items()]
        with self._operation.within(timeout_s):
            self._is_driven = False
            before = [self._command(key, held) for key, held in self.settings().items()]
            with all_or_none(lambda: self._set_all(before)):
                self._set_all(commands)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """End a modulation now and hold voltage 1."""
        self._held.halt(f"mode={STEADY}\r".encode())

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return voltage 1 in volt, also where the output is off."""
        return (self._read("volt1", timeout_s),)

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Drive the retarder with a voltage and return what the unit holds."""
        if axis != 1:
            raise RangeError(f"'{self.name}' has one retarder, not {axis}")
        if not 0.0 <= value <= LARGEST_V:
            raise RangeError(f"'{self.name}' refused {value:g} V: the range is 0 to 25 V")
        with self._operation.within(timeout_s):
            held_v = self._set("volt1", f"{value:.3f}", TOLERANCE_V, timeout_s)
            if not self._is_driven:
                self._set("mode", str(STEADY), 0.0, timeout_s)
                self._set("enable", "1", 0.0, timeout_s)
                self._is_driven = True
            return held_v

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Drive the only retarder."""
        if len(values) != 1:
            raise RangeError(f"'{self.name}' has one retarder, not {len(values)}")
        return (self.move(1, values[0], timeout_s=timeout_s, cancel=cancel),)

    def home(
        self,
        axis: int,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Refuse: a voltage needs no search for its zero."""
        raise Unsupported(f"'{self.name}' has no home; set a voltage of 0 V")

    def _command(self, key: str, value: Setting) -> tuple[str, str, float]:
        """Return name, value and tolerance of one setting, or refuse it."""
        if key == "enabled" and isinstance(value, bool):
            return "enable", str(int(value)), 0.0
        if key == "modulating" and isinstance(value, bool):
            return "mode", "0" if value else str(STEADY), 0.0
        if key in {"enabled", "modulating"}:
            raise RangeError(f"'{self.name}' cannot set {key} to {value!r}")
        ranges = {"frequency_hz": FREQUENCY_RANGE_HZ, "voltage_2_v": (0.0, LARGEST_V)}
        if key not in ranges:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        number = number_within(self.name, key, value, *ranges[key])
        if key == "frequency_hz":
            return "freq", f"{number:g}", 0.5
        return "volt2", f"{number:.3f}", TOLERANCE_V

    def _set_all(self, commands: list[tuple[str, str, float]]) -> None:
        for name, value, tolerance in commands:
            self._set(name, value, tolerance, None)

    def _set(self, name: str, value: str, tolerance: float, timeout_s: float | None) -> float:
        self._ask(f"{name}={value}", timeout_s)
        held = self._read(name, timeout_s)
        if abs(held - float(value)) > tolerance:
            raise InstrumentRefused(f"'{self.name}' holds {name} = {held:g}, not {value}")
        return held

    def _read(self, name: str, timeout_s: float | None) -> float:
        answer = self._ask(f"{name}?", timeout_s)
        try:
            return float(answer)
        except ValueError as error:
            received = answer.encode("latin-1")
            raise ProtocolError(
                f"'{self.name}' answered {name}? by {answer!r}", received
            ) from error

    def _ask(self, command: str, timeout_s: float | None) -> str:
        """Return what follows the echo; what the unit does not like raises."""
        echo = command.encode("ascii")
        reply = self._held.link().query(
            echo + b"\r",
            lambda reply: reply.split(b"\r")[0].endswith(echo),
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
        )
        answer = reply.partition(b"\r")[2].decode("latin-1").strip()
        if answer in ERRORS:
            raise InstrumentRefused(f"'{self.name}' refused {command}: {answer}", answer)
        return answer
