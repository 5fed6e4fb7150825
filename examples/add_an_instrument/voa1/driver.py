"""Driver of the VOA-1, an optical attenuator that exists only as an example.

Its manual would say: lines end with LF both ways. `ID?` is answered by `VOA-1 SERIAL`, `ATT?` by
`ATT 12.50`, and `ATT 12.5` by `OK` once the filter stands, or by `ERR` and a reason.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from threading import Event

from qnx_hw import errors
from qnx_hw.instruments.discovery import Discovery, UsbMark
from qnx_hw.instruments.families import Attenuator
from qnx_hw.instruments.values import Identity, InstrumentState, InstrumentStatus
from qnx_hw.transports import Fence, Lines, Link, LinkTraits, Recorder, make_wire

RANGE_DB = (0.0, 60.0)
REPLY_TIMEOUT_S = 2.0
# Its answer is nobody else's: asked after a lost reply, it holds back whatever comes late.
TRAITS = LinkTraits(fence=Fence(b"ID?\n", lambda line: line.startswith(b"VOA-1")))
Setting = float | int | str | bool


def read_identity(received: bytes) -> Identity | None:
    """Return who answers `ID?`, once the line is complete."""
    line, end, _ = received.partition(b"\n")
    words = line.decode("latin-1").split()
    return Identity("Example", *words) if end and len(words) == 2 and "VOA-1" in words else None


DISCOVERY = Discovery(b"ID?\n", read_identity, (UsbMark(product="VOA-1"),))


class Voa1(Attenuator):
    """An attenuator at `serial:///dev/ttyUSB0` or `tcp://host:port`; it holds where it is left."""

    def __init__(self, url: str, *, name: str = "voa1", recorder: Recorder | None = None) -> None:
        self.name = name
        self._url = url
        self._recorder = recorder
        self._operation = threading.RLock()
        self._link: Link | None = None

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        self.close()
        wire = make_wire(self._url)
        link = Link(wire, Lines(), name=self.name, traits=TRAITS, recorder=self._recorder)
        link.open(timeout_s=timeout_s)
        self._link = link
        try:
            link.drain()
            line = link.query(b"ID?\n", lambda line: b"VOA-1" in line, timeout_s=timeout_s)
        except errors.InstrumentError:
            self.close()
            raise
        identity = read_identity(line + b"\n")
        if identity is None:
            self.close()
            raise errors.ProtocolError(f"'{self.name}' says {line!r} to ID?", line)
        return identity

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def status(self) -> InstrumentStatus:
        link = self._link
        if link is None or link.error is not None:
            return InstrumentStatus(InstrumentState.DISCONNECTED, str(link.error if link else ""))
        return InstrumentStatus(InstrumentState.READY, counters=link.counters.as_mapping())

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        reply = self._ask(b"ATT?\n", b"ATT ", timeout_s)
        try:
            return {"attenuation_db": float(reply.removeprefix(b"ATT "))}
        except ValueError as error:
            raise errors.ProtocolError(f"'{self.name}' says {reply!r} to ATT?", reply) from error

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        for key in settings:
            if key != "attenuation_db":
                raise errors.Unsupported(f"'{self.name}' has no setting {key}")
        for value in settings.values():
            self.set_attenuation_db(float(value), timeout_s=timeout_s)
        return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: the filter arrives at once."""

    def set_attenuation_db(
        self, attenuation_db: float, *, timeout_s: float | None = None, cancel: Event | None = None
    ) -> float:
        low, high = RANGE_DB
        if not low <= attenuation_db <= high:
            raise errors.RangeError(
                f"'{self.name}' takes {low:g} to {high:g} dB, not {attenuation_db:g}"
            )
        with self._operation:
            reply = self._ask(b"ATT %.2f\n" % attenuation_db, (b"OK", b"ERR"), timeout_s)
            if reply != b"OK":
                raise errors.InstrumentRefused(f"'{self.name}' refused: {reply.decode('latin-1')}")
            return float(self.settings(timeout_s=timeout_s)["attenuation_db"])

    def _ask(
        self, question: bytes, answers: bytes | tuple[bytes, ...], timeout_s: float | None
    ) -> bytes:
        link = self._link
        if link is None:
            raise errors.NotConnected(f"'{self.name}' is not connected")
        wait_s = timeout_s or REPLY_TIMEOUT_S
        return link.query(question, lambda line: line.startswith(answers), timeout_s=wait_s)
