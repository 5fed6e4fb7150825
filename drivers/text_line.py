"""A wire on which commands are lines and a reply is one line, and the errors that SCPI reports."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass

from drivers.held_link import HeldLink
from drivers.operation import Operation
from qnx_hw.errors import InstrumentRefused, ProtocolError
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Fence, Framer, Lines, Link, LinkTraits, Matcher, Recorder
from qnx_hw.transports.request import Cancel, Priority

REPLY_TIMEOUT_S = 2.0
# More errors than any queue holds (SCPI 1999, section 21.8, asks for two at least).
LONGEST_ERROR_QUEUE = 64
_ERROR = re.compile(r'([+-]?\d+)\s*,\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How a serial port is used where the URL names one."""

    baud: int = 115_200
    has_flow_control: bool = False


class TextLine:
    """Commands and replies of one instrument; `operation` keeps what belongs together together."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        recorder: Recorder | None,
        serial: SerialLine = SerialLine(),
        end: bytes = b"\n",
        fence: Fence | None = None,
    ) -> None:
        self.name = name
        self.operation = Operation(name)
        self._end = end
        self._held = HeldLink(
            url,
            name,
            recorder=recorder,
            traits=LinkTraits(fence=fence),
            baud=serial.baud,
            has_flow_control=serial.has_flow_control,
        )

    def opening(
        self, framer: Framer | None = None, *, timeout_s: float
    ) -> AbstractContextManager[None]:
        """Open the wire anew and let the block see who is there; what it raises closes again."""
        return self._held.opening(framer or Lines(), timeout_s=timeout_s)

    def close(self, farewell: str = "") -> None:
        """Send what makes the instrument safe, if it is still there, and let go of the wire."""
        self._held.close(farewell.encode("ascii") + self._end if farewell else b"")

    def status(self) -> InstrumentStatus:
        """Return how the wire is, without using it."""
        return self._held.status()

    def link(self) -> Link:
        """Return the open link or raise `NotConnected`."""
        return self._held.link()

    def identity(self, timeout_s: float) -> Identity:
        """Ask a SCPI instrument who it is, and have it forget old errors."""
        identity = scpi_identity(self.ask("*IDN?", timeout_s))
        self.tell("*CLS")
        return identity

    def ask(
        self,
        command: str,
        timeout_s: float | None = None,
        *,
        cancel: Cancel | None = None,
        accepts: Matcher = bool,
    ) -> str:
        """Send a command and return the reply that it `accepts`, without the line's end."""
        reply = self.link().query(
            command.encode("ascii") + self._end,
            lambda line: bool(line.strip()) and accepts(line),
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
            cancel=cancel,
        )
        return reply.decode("latin-1").strip()

    def tell(self, command: str, *, priority: Priority = Priority.COMMAND) -> None:
        """Send a command that is not answered."""
        self.link().send(command.encode("ascii") + self._end, priority=priority)

    def tell_checked(self, command: str, timeout_s: float | None = None) -> None:
        """Send a silent SCPI setting, empty the error queue, and raise what it held."""
        with self.operation.within(timeout_s):
            self.tell(command)
            found: list[tuple[int, str]] = []
            for _ in range(LONGEST_ERROR_QUEUE):
                errors = scpi_errors(self.ask("SYST:ERR?", timeout_s))
                if not errors:
                    break
                found += errors
            raise_refusal(self.name, command, found)


def raise_refusal(name: str, command: str, errors: list[tuple[int, str]]) -> None:
    """Raise `InstrumentRefused` if there are errors."""
    if errors:
        said = ", ".join(f"{code} {text}" for code, text in errors)
        raise InstrumentRefused(f"'{name}' refused '{command}': {said}", errors[0][0])


def scpi_errors(reply: str) -> list[tuple[int, str]]:
    """Read one entry or a list of the error queue (SCPI 1999, 21.8); 0 is no error."""
    entries = _ERROR.findall(reply)
    if not entries:
        raise ProtocolError(f"{reply!r} is no answer to a question for errors", reply.encode())
    return [(int(code), text) for code, text in entries if int(code)]


def scpi_identity(reply: str) -> Identity:
    """Read maker, model, serial number and firmware (IEEE 488.2, 10.14)."""
    words = [word.strip() for word in reply.split(",")]
    if len(words) != 4:
        raise ProtocolError(f"{reply!r} is no answer to *IDN?", reply.encode())
    return Identity(*words)


def number(reply: str) -> float:
    """Read a number or raise `ProtocolError`."""
    try:
        return float(reply)
    except ValueError as error:
        raise ProtocolError(f"{reply!r} is no number", reply.encode()) from error


# Nothing else that these instruments say begins with a letter and has three commas.
IDENTITY_FENCE = Fence(b"*IDN?\n", lambda line: line.count(b",") == 3 and line[:1].isalpha())
