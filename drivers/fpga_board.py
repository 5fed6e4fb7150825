"""What boards that speak docs/reference/fpga-boards.md have in common: requests and settings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping

from drivers.fpga_frames import REPLY, Frame, Frames, Kind, encode, read
from drivers.operation import Operation
from qnx_hw.errors import (
    InstrumentError,
    InstrumentRefused,
    NotConnected,
    ProtocolError,
    Unsupported,
)
from qnx_hw.instruments.values import Identity, InstrumentState, InstrumentStatus
from qnx_hw.transports import Fence, Link, LinkTraits, Priority, Recorder, make_wire, together

REPLY_TIMEOUT_S = 2.0
# Number 0 is the fence's and the stop's; requests count from 1 to 255 and over again.
TRAITS = LinkTraits(
    fence=Fence(
        encode(Kind.IDENTIFY, 0), lambda message: message[2:4] == bytes([Kind.IDENTIFY | REPLY, 0])
    )
)
Setting = float | int | str | bool


class Board:
    """One board at `tcp://host:port` or `serial:///dev/ttyX`; safe to use from any thread."""

    def __init__(
        self,
        url: str,
        name: str,
        role: str,
        *,
        recorder: Recorder | None,
        unsolicited: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.operation = Operation(name)
        self.facts: Mapping[str, Setting] = {}
        """What the board said of itself."""
        self._url = url
        self._role = role
        self._recorder = recorder
        self._unsolicited = unsolicited
        self._numbers = itertools.cycle(range(1, 256))
        self._link: Link | None = None

    def open(self, *, timeout_s: float) -> Identity:
        """Open the wire, end what runs, and ask who is there."""
        self.close()
        link = Link(
            make_wire(self._url),
            Frames(),
            name=self.name,
            traits=TRAITS,
            recorder=self._recorder,
            unsolicited=lambda message: self._unsolicited(read(message)),
        )
        with together(timeout_s):
            link.open(timeout_s=timeout_s)
            self._link = link
            try:
                self.ask(Kind.STOP)
                self.facts = self._object(self.ask(Kind.IDENTIFY))
                if self.facts.get("role") != self._role:
                    raise ProtocolError(f"'{self.name}' is no {self._role}: {self.facts}", b"")
            except InstrumentError:
                self.close()
                raise
        said = [str(self.facts.get(key, "")) for key in ("maker", "model", "serial", "firmware")]
        return Identity(*said)

    def close(self) -> None:
        """Stop the board where it still answers, and let go of the wire."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            link.send(encode(Kind.STOP, 0), priority=Priority.STOP)
        except InstrumentError:
            return  # it is gone, and with it all that could run
        finally:
            link.close()

    def status(self, state: InstrumentState, counters: Mapping[str, int]) -> InstrumentStatus:
        """Return how the board is, without asking it; `state` while the wire holds."""
        link = self._link
        if link is None or link.error is not None:
            error = "" if link is None else str(link.error)
            return InstrumentStatus(InstrumentState.DISCONNECTED, error)
        return InstrumentStatus(state, counters={**link.counters.as_mapping(), **counters})

    def stop(self) -> None:
        """Stop now, ahead of anything queued."""
        self._open_link().send(encode(Kind.STOP, 0), priority=Priority.STOP)

    def check(self) -> None:
        """Raise `NotConnected` where the wire is gone."""
        link = self._open_link()
        if link.error is not None:
            raise NotConnected(f"'{self.name}' was lost: {link.error}")

    def ask(self, kind: Kind, payload: bytes = b"", *, timeout_s: float | None = None) -> bytes:
        """Send a request and return the reply's payload, or raise `InstrumentRefused`."""
        with self.operation.within(timeout_s):
            number = next(self._numbers)
            reply = read(
                self._open_link().query(
                    encode(kind, number, payload),
                    lambda message: (
                        message[3] == number and message[2] in (kind | REPLY, Kind.REFUSED)
                    ),
                    timeout_s=timeout_s or REPLY_TIMEOUT_S,
                )
            )
        if reply.kind == Kind.REFUSED:
            words = reply.payload.decode("utf-8", "replace")[:200]
            raise InstrumentRefused(f"'{self.name}' refused to {kind.name.lower()}: {words}")
        return reply.payload

    def settings(self, timeout_s: float | None) -> Mapping[str, Setting]:
        """Read back all settings."""
        return self._object(self.ask(Kind.READ, timeout_s=timeout_s))

    def configure(
        self, wanted: Mapping[str, Setting], timeout_s: float | None
    ) -> Mapping[str, Setting]:
        """Write settings, all or none, and return what the board holds."""
        with self.operation.within(timeout_s):
            unknown = set(wanted) - set(self.settings(timeout_s))
            if unknown:
                raise Unsupported(f"'{self.name}' has no setting {', '.join(sorted(unknown))}")
            payload = json.dumps(dict(wanted)).encode()
            return self._object(self.ask(Kind.WRITE, payload, timeout_s=timeout_s))

    def _open_link(self) -> Link:
        if self._link is None:
            raise NotConnected(f"'{self.name}' is not connected")
        return self._link

    def _object(self, payload: bytes) -> dict[str, Setting]:
        try:
            found = json.loads(payload)
        except ValueError as error:
            raise ProtocolError(f"'{self.name}' sent no JSON", payload[:64]) from error
        if not isinstance(found, dict) or not all(
            isinstance(value, float | int | str) for value in found.values()
        ):
            raise ProtocolError(f"'{self.name}' sent no object of settings", payload[:64])
        return found
