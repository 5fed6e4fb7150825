"""SRS DG645 digital delay generator.

Source: SRS, "DG645 User Manual", remote programming. Settings are silent: after each, `LERR?` is
read until it says 0. Delays come in steps of 5 ps.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from drivers.knobs import Knob, Panel, Setting
from drivers.text_line import (
    IDENTITY_FENCE,
    LONGEST_ERROR_QUEUE,
    SerialLine,
    TextLine,
    raise_refusal,
)
from qnx_hw.errors import ProtocolError, RangeError
from qnx_hw.instruments.families import DelayGenerator
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Recorder
from qnx_hw.transports.request import Priority

SERIAL_BAUD = 9600
# Edges by number (manual, DLAY). T0 is where a cycle begins, T1 where it ends.
EDGES = {name: number for number, name in enumerate("ABCDEFGH", start=2)}
REFERENCES = {"T0": 0, "T1": 1, **EDGES}
LONGEST_DELAY_PS = 2000 * 10**12
END_PULSES = "TSRC 5"
TRIGGERS = (
    "internal",
    "external_rising",
    "external_falling",
    "single_external_rising",
    "single_external_falling",
    "single_shot",
    "line",
)
OUTPUTS = ("t0", "ab", "cd", "ef", "gh")
POLARITIES = ("negative", "positive")
KNOBS = {
    "trigger_rate_hz": Knob("TRAT", 1e-4, 1e7),
    "trigger_level_v": Knob("TLVL", -3.5, 3.5),
    "holdoff_s": Knob("HOLD", 0.0, 10.0),
    "burst_count": Knob("BURC", 1, 2**32 - 1, kind=int),
    "burst_period_s": Knob("BURP", 1e-7, 42.9),
    "burst_delay_s": Knob("BURD", 0.0, 2000.0),
    "burst_on": Knob("BURM", kind=bool),
    **{
        f"amplitude_{output}_v": Knob("LAMP", 0.5, 5.0, index=str(place))
        for place, output in enumerate(OUTPUTS)
    },
    **{
        f"offset_{output}_v": Knob("LOFF", -2.0, 2.0, index=str(place))
        for place, output in enumerate(OUTPUTS)
    },
    **{
        f"polarity_{output}": Knob("LPOL", choices=POLARITIES, index=str(place))
        for place, output in enumerate(OUTPUTS)
    },
    "inhibit": Knob("INHB", 0, 5, kind=int),
    "prescale": Knob("PRES", 1, 2**32 - 1, kind=int),
    "trigger_source": Knob("TSRC", choices=TRIGGERS),
}


class Dg645(DelayGenerator):
    """A generator at `tcp://host:5025`; leaving it ends its pulses."""

    def __init__(self, url: str, *, name: str = "dg645", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = TextLine(
            url,
            name,
            recorder=recorder,
            serial=SerialLine(SERIAL_BAUD, has_flow_control=True),
            fence=IDENTITY_FENCE,
        )
        self._panel = Panel(self._line, KNOBS, self._tell)

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Ask who is there and forget old errors; the pulses stay as they are."""
        with self._line.opening(timeout_s=timeout_s):
            return self._line.identity(timeout_s)

    def close(self) -> None:
        """End the pulses, by waiting for a single shot that nobody asks for; let go."""
        self._line.close(END_PULSES)

    def status(self) -> InstrumentStatus:
        """Return how the generator is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read trigger, burst, and amplitude, offset and polarity of each output."""
        return self._panel.settings(timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; the source of the trigger comes last."""
        return self._panel.configure(settings, timeout_s)

    def stop(self) -> None:
        """End the pulses now; `trigger_source` says single_shot afterwards."""
        self._line.tell(END_PULSES, priority=Priority.STOP)

    def delay_ps(self, channel: str, *, timeout_s: float | None = None) -> int:
        """Return the delay of an edge, A to H, against what it refers to."""
        return decode_delay(self._line.ask(f"DLAY?{self._edge(channel)}", timeout_s))[1]

    def set_delay_ps(
        self,
        channel: str,
        delay_ps: int,
        *,
        reference: str = "T0",
        timeout_s: float | None = None,
    ) -> int:
        """Set the delay of an edge, A to H, against another; the unit rounds to 5 ps."""
        edge, other = self._edge(channel), self._reference(channel, reference)
        command = encode_delay(edge, delay_ps, self.name, other)
        with self._line.operation.within(timeout_s):
            self._tell(command, timeout_s)
            return self.delay_ps(channel, timeout_s=timeout_s)

    def link(self, channel: str, reference: str, *, timeout_s: float | None = None) -> str:
        """Let an edge refer to another, its time unchanged; return what it refers to."""
        edge, other = self._edge(channel), self._reference(channel, reference)
        with self._line.operation.within(timeout_s):
            self._tell(f"LINK {edge},{other}", timeout_s)
            held = decode_delay(self._line.ask(f"DLAY?{edge}", timeout_s))[0]
        names = {number: name for name, number in REFERENCES.items()}
        if held not in names:
            raise ProtocolError(f"'{self.name}' says edge {channel} refers to edge {held}")
        return names[held]

    def trigger(self, *, timeout_s: float | None = None) -> None:
        """Start one cycle, where `trigger_source` is single_shot."""
        self._tell("*TRG", timeout_s)

    def _tell(self, command: str, timeout_s: float | None) -> None:
        self._line.tell(command)
        errors: list[tuple[int, str]] = []
        for _ in range(LONGEST_ERROR_QUEUE):
            reply = self._line.ask("LERR?", timeout_s)
            if not reply.isdecimal():
                raise ProtocolError(f"'{self.name}' says {reply!r} to LERR?", reply.encode())
            if not int(reply):
                break
            errors.append((int(reply), "(see the manual, error codes)"))
        raise_refusal(self.name, command, errors)

    def _edge(self, channel: str) -> int:
        if channel not in EDGES:
            raise RangeError(f"'{self.name}' delays the edges A to H, not {channel!r}")
        return EDGES[channel]

    def _reference(self, channel: str, reference: str) -> int:
        if reference not in REFERENCES or reference == channel:
            raise RangeError(
                f"edge {channel} of '{self.name}' refers to T0, T1 or another edge A to H,"
                f" not to {reference!r}"
            )
        return REFERENCES[reference]


def encode_delay(edge: int, delay_ps: int, name: str, reference: int = 0) -> str:
    """Return the command that sets an edge against another, T0 where none is named."""
    if not 0 <= delay_ps <= LONGEST_DELAY_PS:
        raise RangeError(f"'{name}' delays by 0 to {LONGEST_DELAY_PS} ps, not {delay_ps} ps")
    seconds, rest_ps = divmod(delay_ps, 10**12)
    return f"DLAY {edge},{reference},{seconds}.{rest_ps:012d}"


def decode_delay(reply: str) -> tuple[int, int]:
    """Return the edge that a delay refers to, and the delay in picoseconds, exactly."""
    edge, _, delay_s = reply.partition(",")
    try:
        return int(edge), round(Decimal(delay_s.strip()).scaleb(12))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ProtocolError(f"{reply!r} is no delay", reply.encode()) from error
