"""OZ Optics EPC-400: four fibre squeezers at 0, 45, 0 and 45 degrees, driven by voltages.

Source: the maker's command list, and behaviour seen by others. A command ends with CR LF. The
reply is an echo (on some units), a line of content that may be empty, and `Done`; or `Error!`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence

from drivers.held_link import HeldLink
from drivers.knobs import Setting, number_within
from drivers.operation import Operation, all_or_none
from qnx_hw.errors import (
    Busy,
    Cancelled,
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
    InstrumentState,
    InstrumentStatus,
    PolarizationCapabilities,
)
from qnx_hw.transports import Fence, Framer, Lines, LinkTraits, Recorder

BAUD = 9600
N_SQUEEZERS = 4
LARGEST_V = 5.0
LARGEST_HZ = 100
MILLI = 1e-3
# The unit may round to its own steps, which no document gives; more than this is a refusal.
ROUNDING_MV = 5
REPLY_TIMEOUT_S = 3.0
# A reply is an echo, a line and its end; what is longer is none.
LONGEST_REPLY_LINES = 16
DONE, ERROR = b"Done", b"Error!"
# However firmware writes them.
_ENDS = {end.lower(): end for end in (DONE, ERROR)}
HOLD = b"MDC\r\n"
"""Ends scrambling; the voltages stay."""
TRAITS = LinkTraits(
    quiet_s=0.1, fence=Fence(b"M?\r\n", lambda reply: b"operating mode" in reply.lower())
)
_VALUE = re.compile(r"CH([1-4])\s*([+-]?\d+)", re.IGNORECASE)
_MODE = re.compile(r"Operating Mode:\s*(DC|AC)", re.IGNORECASE)
_WAVEFORM = re.compile(r"AC Waveform:\s*(Sine|Triangle)", re.IGNORECASE)
_WAVEFORM_COMMANDS = {"sine": "WF1", "triangle": "WF2"}
_FREQUENCIES = {f"frequency_{axis}_hz": axis for axis in range(1, N_SQUEEZERS + 1)}

CAPABILITIES = PolarizationCapabilities(
    (AxisRange(AxisKind.SQUEEZER_VOLTAGE, "V", -LARGEST_V, LARGEST_V, MILLI),) * N_SQUEEZERS,
    settle_s=0.001,
    # One command costs about 30 ms on the wire, and a move is five of them.
    update_rate_hz=6.0,
    can_abort=True,
    has_home=False,
)


class ReplyFramer(Framer):
    """Cuts replies: all lines up to `Done` or `Error!`, that included."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._reply: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each reply that is complete now."""
        for line in self._lines.feed(received):
            self._reply.append(_ENDS.get(line.strip().lower(), line.strip()))
            if self._reply[-1] in {DONE, ERROR} or len(self._reply) >= LONGEST_REPLY_LINES:
                reply, self._reply = b"\n".join(self._reply), []
                yield reply

    def reset(self) -> int:
        """Forget a reply that is not complete."""
        size = sum(len(line) + 1 for line in self._reply) + self._lines.reset()
        self._reply = []
        return size


class Epc400(PolarizationController):
    """A squeezer controller at `serial:///dev/ttyUSB0` or at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "epc400", recorder: Recorder | None = None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS, baud=BAUD)
        self._operation = Operation(name)
        self._is_steady = False

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """Four voltages from -5 to 5 V, in steps of 1 mV."""
        return CAPABILITIES

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and see whether voltages are there; none is changed."""
        with self._operation.within(timeout_s):
            with self._held.opening(ReplyFramer(), timeout_s=timeout_s, greeting=b"\r\n"):
                self._voltages(timeout_s)
                self._is_steady = not self._scrambles(timeout_s)
            return Identity("OZ Optics", "EPC-400")

    def close(self) -> None:
        """End scrambling, leave the voltages as they are, and let go of the port."""
        with self._operation.within():
            self._held.close(HOLD)

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        return self._held.status(InstrumentState.READY if self._is_steady else InstrumentState.BUSY)

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `scrambling`, `waveform` (sine or triangle) and the four `frequency_N_hz`."""
        with self._operation.within(timeout_s):
            scrambles = self._scrambles(timeout_s)
            self._is_steady = not scrambles
            waveform = self._find(_WAVEFORM, "WF?", timeout_s).lower()
            held: dict[str, Setting] = {"scrambling": scrambles, "waveform": waveform}
            return held | dict(zip(_FREQUENCIES, self._channels("F?", timeout_s), strict=True))

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; all are checked before one is sent."""
        for key, value in settings.items():
            self._command(key, value)
        with self._operation.within(timeout_s):
            before = self.settings(timeout_s=timeout_s)
            with all_or_none(lambda: self._send_all(before)):
                self._send_all(settings)
            held = self.settings(timeout_s=timeout_s)
        for key, value in settings.items():
            if held[key] != (round(float(value)) if key in _FREQUENCIES else value):
                raise InstrumentRefused(f"'{self.name}' holds {key} = {held[key]}, not {value}")
        return held

    def stop(self) -> None:
        """End scrambling now; the voltages stay."""
        self._held.halt(HOLD)
        self._is_steady = True

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the voltage of each squeezer in volt."""
        return tuple(mv * MILLI for mv in self._voltages(timeout_s))

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Set the voltage of one squeezer and return what the unit holds."""
        return self._move({axis: value}, timeout_s, cancel)[axis - 1]

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Set all voltages, one after the other, and return what the unit holds."""
        if len(values) != N_SQUEEZERS:
            raise RangeError(f"'{self.name}' has {N_SQUEEZERS} squeezers, not {len(values)}")
        return self._move(dict(enumerate(values, start=1)), timeout_s, cancel)

    def home(
        self,
        axis: int,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Refuse: a voltage needs no search for its zero."""
        raise Unsupported(f"'{self.name}' has no home; set a voltage of 0 V")

    def _move(
        self,
        targets_v: Mapping[int, float],
        timeout_s: float | None,
        cancel: threading.Event | None,
    ) -> tuple[float, ...]:
        for axis, value in targets_v.items():
            if not 1 <= axis <= N_SQUEEZERS:
                raise RangeError(f"'{self.name}' has squeezers 1 to {N_SQUEEZERS}, not {axis}")
            if not -LARGEST_V <= value <= LARGEST_V:
                raise RangeError(
                    f"squeezer {axis} of '{self.name}' refused {value:g} V: the range is -5 to 5 V"
                )
        targets = {axis: round(value / MILLI) for axis, value in targets_v.items()}
        with self._operation.within(timeout_s):
            self._held.link()
            if not self._is_steady:
                raise Busy(f"'{self.name}' scrambles; configure scrambling = false first")
            for axis, mv in targets.items():
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"nobody waits for the voltages of '{self.name}' any more")
                self._ask(f"V{axis},{mv}", timeout_s)
            held = self._voltages(timeout_s)
        if any(abs(held[axis - 1] - mv) > ROUNDING_MV for axis, mv in targets.items()):
            raise InstrumentRefused(f"'{self.name}' holds {held} mV, not {targets}")
        return tuple(mv * MILLI for mv in held)

    def _send_all(self, settings: Mapping[str, Setting]) -> None:
        for key, value in settings.items():
            self._ask(self._command(key, value), None)

    def _command(self, key: str, value: Setting) -> str:
        """Return what sets one setting, or refuse it."""
        if key == "scrambling" and isinstance(value, bool):
            return "MAC" if value else "MDC"
        if key == "waveform" and value in _WAVEFORM_COMMANDS:
            return _WAVEFORM_COMMANDS[str(value)]
        if key in {"scrambling", "waveform"}:
            raise RangeError(f"'{self.name}' cannot set {key} to {value!r}")
        if key not in _FREQUENCIES:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        frequency_hz = number_within(self.name, key, value, 0, LARGEST_HZ)
        return f"F{_FREQUENCIES[key]},{round(frequency_hz)}"

    def _scrambles(self, timeout_s: float | None) -> bool:
        return self._find(_MODE, "M?", timeout_s).upper() == "AC"

    def _voltages(self, timeout_s: float | None) -> tuple[int, ...]:
        return self._channels("V?", timeout_s, "Voltage")

    def _channels(
        self, command: str, timeout_s: float | None, word: str = "Frequency"
    ) -> tuple[int, ...]:
        reply = self._ask(command, timeout_s, word)
        values = {int(number): int(value) for number, value in _VALUE.findall(reply)}
        if sorted(values) != list(range(1, N_SQUEEZERS + 1)):
            raise ProtocolError(f"'{self.name}' answered {command} by {reply!r}", reply.encode())
        return tuple(values[axis] for axis in sorted(values))

    def _find(self, pattern: re.Pattern[str], command: str, timeout_s: float | None) -> str:
        reply = self._ask(command, timeout_s, pattern.pattern.split(":")[0])
        found = pattern.search(reply)
        if found is None:
            raise ProtocolError(f"'{self.name}' answered {command} by {reply!r}", reply.encode())
        return found[1]

    def _ask(self, command: str, timeout_s: float | None, word: str = "") -> str:
        """Return the reply that holds `word`; what the unit does not like raises."""
        expected = word.lower().encode()
        reply = self._held.link().query(
            command.encode("ascii") + b"\r\n",
            lambda reply: (
                reply.endswith(ERROR) or (reply.endswith(DONE) and expected in reply.lower())
            ),
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
        )
        if reply.endswith(ERROR):
            raise InstrumentRefused(f"'{self.name}' refused {command}")
        return reply.decode("latin-1")
