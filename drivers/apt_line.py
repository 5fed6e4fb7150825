"""A Thorlabs controller on the wire: who it is, its replies, and the faults it reports itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from drivers import thorlabs_apt as apt
from drivers.held_link import HeldLink
from drivers.operation import Operation
from drivers.thorlabs_apt import Id
from qnx_hw.errors import InstrumentRefused, ProtocolError
from qnx_hw.instruments.values import Identity, InstrumentState, InstrumentStatus
from qnx_hw.transports import KeepAlive, LinkTraits, Recorder, left_s

REPLY_TIMEOUT_S = 2.0
# A unit stops its updates when it hears nothing for about a second on USB.
KEEP_ALIVE = KeepAlive(apt.short(Id.MOT_ACK_USTATUSUPDATE), 0.5)
STALE_S = 0.25


class AptLine:
    """Requests to one controller, at least `gap_s` after the reply to the one before."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        recorder: Recorder | None,
        quiet_s: float,
        gap_s: float = 0.0,
    ) -> None:
        self.name = name
        self._turn = Operation(name)
        self._gap_s = gap_s
        self._next_s = 0.0
        self._fault = ""
        self._homings = 0
        self._framer = apt.AptFramer()
        self._held = HeldLink(
            url,
            name,
            recorder=recorder,
            traits=LinkTraits(quiet_s=quiet_s, stale_s=STALE_S, keep_alive=KEEP_ALIVE),
            has_flow_control=True,
        )

    def connect(self, models: Collection[str], *, timeout_s: float) -> Identity:
        """Open the port and ask for model and serial number; another model is refused."""
        self._framer = apt.AptFramer()
        self._fault = ""
        with self._held.opening(self._framer, timeout_s=timeout_s, unsolicited=self._notice):
            reply = self.ask(
                apt.short(Id.HW_REQ_INFO), lambda m: m.number == Id.HW_GET_INFO, timeout_s
            )
            identity = apt.hardware_identity(reply)
            if identity.model not in models:
                raise ProtocolError(
                    f"'{self.name}' is no {' or '.join(models)} but {identity.model!r}"
                )
        return identity

    def close(self, halt: bytes) -> None:
        """Halt the unit, say goodbye and let go; a lost unit ends its last motion by itself."""
        self._held.close(halt + apt.short(Id.HW_DISCONNECT))

    def status(self, state: InstrumentState) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        return self._held.status(state, self._fault, {"resyncs": self._framer.stray_bytes})

    def send(self, command: bytes) -> None:
        """Send what is not answered."""
        self._held.link().send(command)

    def halt(self, command: bytes) -> None:
        """Send a stop now, ahead of anything queued."""
        self._held.halt(command)

    def halt_quietly(self, command: bytes) -> None:
        """Send a stop after a failure that is already on its way to the caller."""
        self._held.halt_quietly(command)

    def ask(
        self, request: bytes, accepts: Callable[[apt.Message], bool], timeout_s: float | None
    ) -> apt.Message:
        """Send a request and return the message that `accepts` takes."""
        with self._turn.within(timeout_s):
            link = self._held.link()
            threading.Event().wait(left_s(max(self._next_s - time.monotonic(), 0.0)))
            try:
                frame = link.query(
                    request,
                    lambda frame: accepts(apt.decode(frame)),
                    timeout_s=timeout_s or REPLY_TIMEOUT_S,
                )
            finally:
                self._next_s = time.monotonic() + self._gap_s
        return apt.decode(frame)

    @property
    def homings(self) -> int:
        """How often the unit has said that it found a zero."""
        return self._homings

    def forget_fault(self) -> None:
        """Begin a motion without the fault of an earlier one."""
        self._fault = ""

    def check(self, bits: apt.Status) -> None:
        """Raise the fault that the status bits show, or that the unit reported by itself."""
        if bits & apt.IN_FAULT or self._fault:
            self._fault = self._fault or str(bits & apt.IN_FAULT)
            raise InstrumentRefused(f"'{self.name}' reports a fault: {self._fault}", int(bits))

    def _notice(self, frame: bytes) -> None:
        """Note an error or a zero that the unit reports by itself; the rest says nothing new."""
        message = apt.decode(frame)
        if message.number == Id.MOT_MOVE_HOMED:
            self._homings += 1
        elif message.number == Id.HW_RESPONSE:
            self._fault = "HW_RESPONSE"
        elif message.number == Id.HW_RICHRESPONSE and len(message.data) >= 4:
            code, text = apt.rich_response(message)
            self._fault = f"{text} (code {code})"
