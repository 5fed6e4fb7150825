"""The link that a driver holds between `connect` and `close`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from qnx_hw.errors import InstrumentError, NotConnected
from qnx_hw.instruments.values import InstrumentState, InstrumentStatus
from qnx_hw.transports import Framer, Link, LinkTraits, Priority, Recorder, make_wire, together


class HeldLink:
    """Where a driver's instrument is reached, and the link to it while there is one.

    `baud` and `has_flow_control` count where the URL names a serial port. `unsolicited` sees the
    messages that nobody waits for, on the link's own thread.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        recorder: Recorder | None,
        traits: LinkTraits,
        baud: int = 115_200,
        has_flow_control: bool = False,
    ) -> None:
        self.name = name
        self._url = url
        self._recorder = recorder
        self._traits = traits
        self._baud = baud
        self._has_flow_control = has_flow_control
        self._link: Link | None = None

    @contextmanager
    def opening(
        self,
        framer: Framer,
        *,
        timeout_s: float,
        greeting: bytes = b"",
        unsolicited: Callable[[bytes], None] | None = None,
    ) -> Iterator[None]:
        """Open the wire anew, drop what still arrives on it, and let the block see who is there.

        All of that ends after `timeout_s`; what the block raises closes the wire again.
        """
        self.close()
        wire = make_wire(
            self._url, default_baud=self._baud, has_flow_control=self._has_flow_control
        )
        link = Link(
            wire,
            framer,
            name=self.name,
            traits=self._traits,
            unsolicited=unsolicited,
            recorder=self._recorder,
        )
        with together(timeout_s):
            link.open(timeout_s=timeout_s)
            self._link = link
            try:
                if greeting:
                    link.send(greeting)
                link.drain()
                yield
            except InstrumentError:
                self.close()
                raise

    def close(self, farewell: bytes = b"") -> None:
        """Send what makes the instrument safe, if it is still there, and let go of the wire."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            if farewell:
                link.send(farewell, priority=Priority.STOP)
        except InstrumentError:
            return  # it is gone; nothing more can be done from here
        finally:
            link.close()

    def link(self) -> Link:
        """Return the open link or raise `NotConnected`."""
        link = self._link
        if link is None:
            raise NotConnected(f"'{self.name}' is not connected")
        return link

    def halt(self, command: bytes) -> None:
        """Send a stop now, ahead of anything queued."""
        self.link().send(command, priority=Priority.STOP)

    def halt_quietly(self, command: bytes) -> None:
        """Send a stop after a failure that is already on its way to the caller."""
        try:
            self.halt(command)
        except InstrumentError:
            return

    def status(
        self,
        state: InstrumentState = InstrumentState.READY,
        fault: str = "",
        more: Mapping[str, int] | None = None,
    ) -> InstrumentStatus:
        """Return how the wire is, without using it; what the driver knows counts while it lives."""
        link = self._link
        if link is None or link.error is not None:
            error = "" if link is None else str(link.error)
            return InstrumentStatus(InstrumentState.DISCONNECTED, error)
        return InstrumentStatus(state, fault, link.counters.as_mapping() | dict(more or {}))
