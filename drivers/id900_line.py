"""Requests to an ID900: settings, which it echoes, and readings."""

from __future__ import annotations

from contextlib import AbstractContextManager

from drivers import id900_replies as replies
from drivers.held_link import HeldLink
from qnx_hw.errors import InstrumentRefused, ProtocolError
from qnx_hw.instruments.values import InstrumentState, InstrumentStatus
from qnx_hw.transports import Fence, LinkTraits, Messages, Priority, Recorder, message

REPLY_TIMEOUT_S = 3.0
# The level is made in steps of 0.488 mV.
THRESHOLD_STEP_V = 0.000489
THRESHOLD_TOLERANCE_V = 0.001
TRAITS = LinkTraits(
    fence=Fence(message(b"*IDN?"), lambda reply: reply.count(b",") == 3 and b"ID" in reply)
)


class Id900Line:
    """One controller's request socket."""

    def __init__(self, url: str, name: str, *, recorder: Recorder | None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS)

    def opening(self, timeout_s: float) -> AbstractContextManager[None]:
        """Open the wire anew and let the block see who is there; what it raises closes again."""
        return self._held.opening(Messages(), timeout_s=timeout_s)

    def close(self, farewell: str) -> None:
        """Send a last command, if somebody is there, and let go of the wire."""
        self._held.close(message(farewell.encode()))

    def check(self) -> None:
        """Raise `NotConnected` where there is no wire."""
        self._held.link()

    def status(self, state: InstrumentState, fault: str, more: dict[str, int]) -> InstrumentStatus:
        """Return how the wire is, without using it."""
        return self._held.status(state, fault, more)

    def ask(
        self,
        command: str,
        timeout_s: float | None = None,
        *,
        priority: Priority = Priority.COMMAND,
    ) -> str:
        """Send a request and return its reply; what the controller complains of raises."""
        reply = self._held.link().query(
            message(command.encode()),
            lambda _: True,
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
            priority=priority,
        )
        return replies.checked(self.name, command, reply)

    def number(self, question: str, unit: str = "") -> float:
        """Read a number, with or without its unit."""
        return replies.quantity(self.ask(question), unit)

    def word(self, header: str, choices: tuple[str, ...]) -> str:
        """Read a setting that is one of a few words."""
        reply = self.ask(f"{header}?")
        if reply.upper() not in choices:
            raise ProtocolError(f"'{self.name}' reports {header} as {reply!r}", reply.encode())
        return reply.lower()

    def put(self, header: str, argument: str) -> None:
        """Set one value and check the echo: what the controller took."""
        if header.endswith(":THRE"):
            self.put_threshold(int(header[4]), replies.quantity(argument, "V"))
            return
        held = self.ask(f"{header} {argument}")
        if not replies.is_echo(held, argument):
            raise InstrumentRefused(f"'{self.name}' holds {header} {held}, not {argument}")

    def put_threshold(self, channel: int, threshold_v: float) -> float:
        """Set the level of an input and return what it holds."""
        header = f"INPU{channel}:THRE"
        held_v = self.number(f"{header}?", "V")
        if abs(held_v - threshold_v) <= THRESHOLD_STEP_V:
            return held_v  # setting what is held would go one step down
        held_v = self.number(f"{header} {threshold_v:g}V", "V")
        if abs(held_v - threshold_v) > THRESHOLD_TOLERANCE_V:
            raise InstrumentRefused(
                f"'{self.name}' holds a threshold of {held_v:g} V, not {threshold_v:g} V"
            )
        return held_v

    def is_enabled(self, channel: int) -> bool:
        """Whether an input is on."""
        return self.word(f"INPU{channel}:ENAB", ("ON", "OFF")) == "on"

    def delay_ps(self, channel: int) -> int:
        """Return by how much an input is delayed, by the delay block of its number."""
        if self.ask(f"DELA{channel}:LINK?").upper() != f"INPU{channel}":
            return 0
        return round(self.number(f"DELA{channel}:VALU?", "TB"))
