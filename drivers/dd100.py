"""OZ Optics DD-100-MC and DA-100 motor-driven attenuators.

Source: OZ Optics' command list for the DD-100-MC. Commands end with CR; a reply is a few lines, the
last of them `Done` or `Error...`. A move is answered once it is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from drivers.knobs import Setting
from drivers.text_line import SerialLine, TextLine, number
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import Attenuator
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Fence, Framer, Lines, Recorder
from qnx_hw.transports.request import Cancel

BAUD = 9600
MOVE_TIMEOUT_S = 5.0  # a move takes 2 s at most
HOME_TIMEOUT_S = 60.0  # finding the zero takes up to 40 s
# Lines of one reply; a configuration has about a dozen.
MOST_LINES = 100
# What only the replies to these commands hold.
_MARKS = {
    "A": re.compile(rb"^Pos:", re.IGNORECASE),
    "D": re.compile(rb"^DPos:", re.IGNORECASE),
    "CD": re.compile(rb"^MAX ATTEN:", re.IGNORECASE | re.MULTILINE),
}
FENCE = Fence(b"D\r", lambda reply: b"dpos:" in reply.lower())


class Dd100(Attenuator):
    """An attenuator at `serial:///dev/ttyUSB0`; after power-up `home` it once."""

    def __init__(self, url: str, *, name: str = "dd100", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = TextLine(
            url, name, recorder=recorder, serial=SerialLine(BAUD), end=b"\r", fence=FENCE
        )
        self._limits_db = (0.0, 0.0)

    @property
    def limits_db(self) -> tuple[float, float]:
        """Insertion loss and largest attenuation, known once connected."""
        return self._limits_db

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and read the limits; nothing moves."""
        with self._line.opening(Replies(), timeout_s=timeout_s):
            fields = self._ask("CD", timeout_s)
            self._limits_db = _decibels(fields, "IL"), _decibels(fields, "MAX ATTEN")
        return Identity("OZ Optics", fields.get("", "DD-100-MC"))

    def close(self) -> None:
        """Let go of the port; the filter ends its move and stays, which harms nothing."""
        self._line.close()

    def status(self) -> InstrumentStatus:
        """Return how the attenuator is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `attenuation_db`."""
        return {"attenuation_db": self.attenuation_db(timeout_s=timeout_s)}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Set `attenuation_db`."""
        for key in settings:
            if key != "attenuation_db":
                raise Unsupported(f"'{self.name}' has no setting {key}")
        with self._line.operation.within(timeout_s):
            for value in settings.values():
                try:
                    wanted_db = float(value)
                except ValueError as error:
                    raise RangeError(f"attenuation_db must be a number, not {value!r}") from error
                self.set_attenuation_db(wanted_db, timeout_s=timeout_s)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: the unit knows no halt and ends its move within two seconds."""

    def attenuation_db(self, *, timeout_s: float | None = None) -> float:
        """Return the attenuation that the unit reports."""
        return _decibels(self._ask("D", timeout_s), "ATTEN")

    def set_attenuation_db(
        self, attenuation_db: float, *, timeout_s: float | None = None, cancel: Cancel | None = None
    ) -> float:
        """Move to an attenuation, insertion loss included; a cancelled move still ends."""
        self._line.link()
        low, high = self._limits_db
        if not low <= attenuation_db <= high:
            raise RangeError(
                f"'{self.name}' attenuates by {low:.2f} to {high:.2f} dB, not {attenuation_db:g} dB"
            )
        with self._line.operation.within(timeout_s):
            self._ask(f"A{attenuation_db:.2f}", timeout_s or MOVE_TIMEOUT_S, cancel)
            return self.attenuation_db(timeout_s=timeout_s)

    def home(self, *, timeout_s: float | None = None, cancel: Cancel | None = None) -> float:
        """Find the motor's zero and return the attenuation afterwards."""
        with self._line.operation.within(timeout_s):
            self._ask("H", timeout_s or HOME_TIMEOUT_S, cancel)
            return self.attenuation_db()

    def _ask(
        self, command: str, timeout_s: float | None, cancel: Cancel | None = None
    ) -> dict[str, str]:
        reply = self._line.ask(command, timeout_s, cancel=cancel, accepts=_accepts(command))
        last = reply.splitlines()[-1]
        if last.lower().startswith("error"):
            raise InstrumentRefused(f"'{self.name}' refused '{command}': {last}", last)
        return fields_of(reply)


def _accepts(command: str) -> Callable[[bytes], bool]:
    """Return what refuses a late reply that is plainly to another command."""
    others = [mark for name, mark in _MARKS.items() if not command.startswith(name)]
    return lambda reply: not any(mark.search(reply) for mark in others)


class Replies(Framer):
    """Messages of several lines, joined by line feeds; the last is `Done` or `Error...`."""

    def __init__(self) -> None:
        self._lines = Lines(limit=1024)
        self._pending: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each reply that is complete now; empty lines carry nothing."""
        for line in self._lines.feed(received):
            if not line.strip():
                continue
            self._pending.append(line.strip())
            is_last = self._pending[-1].lower().startswith((b"done", b"error"))
            if is_last or len(self._pending) >= MOST_LINES:
                reply = b"\n".join(self._pending)
                self._pending.clear()
                yield reply

    def reset(self) -> int:
        """Forget a reply that is not complete."""
        size = self._lines.reset() + sum(map(len, self._pending))
        self._pending.clear()
        return size


def fields_of(reply: str) -> dict[str, str]:
    """Return what stands behind each name; the first line without a name has the name ''."""
    fields: dict[str, str] = {}
    for line in reply.splitlines()[:-1]:
        name, colon, value = line.partition(":")
        fields.setdefault(name.strip().upper() if colon else "", (value if colon else name).strip())
    return fields


def _decibels(fields: Mapping[str, str], name: str) -> float:
    if name not in fields:
        raise ProtocolError(f"a reply without {name}: {dict(fields)}")
    return number(fields[name].upper().removesuffix("DB").strip())
