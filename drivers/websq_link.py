"""Both connections to a WebSQ unit: what is asked, and what has to be said before it counts.

No reply belongs to a request: the unit broadcasts labels to all. What is asked for is there once
its label was said again, and a setting holds once that was said with the new value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from drivers.held_link import HeldLink
from drivers.websq_labels import Json, Labels
from qnx_hw.errors import InstrumentError, NotConnected
from qnx_hw.instruments.values import InstrumentState, InstrumentStatus
from qnx_hw.transports import Lines, LinkTraits, Priority, Recorder, of_wire, other_wire

END_OF_MESSAGE = b"\x17"
REPLY_TIMEOUT_S = 2.0
# Counts and labels come unasked all the time, so there is no quiet line to wait for.
TRAITS = LinkTraits(quiet_s=0.0)


class WebSqLink:
    """The control and the counts connection of one unit, and its labels."""

    def __init__(self, url: str, counts_url: str, name: str, recorder: Recorder | None) -> None:
        self.name = name
        self.labels = Labels(name)
        self._control = HeldLink(url, f"{name} control", recorder=recorder, traits=TRAITS)
        self._counts = HeldLink(
            other_wire(url, "counts", counts_url),
            f"{name} counts",
            recorder=of_wire(recorder, "counts", is_endless=True),
            traits=TRAITS,
        )

    @contextmanager
    def opening(self, timeout_s: float) -> Iterator[Labels]:
        """Open both connections anew and let the block see who is there."""
        self.close()
        labels = self.labels = Labels(self.name)
        labels.is_lost = self.error
        control = self._control.opening(
            Lines(END_OF_MESSAGE), timeout_s=timeout_s, unsolicited=labels.take_message
        )
        counts = self._counts.opening(Lines(), timeout_s=timeout_s, unsolicited=labels.take_counts)
        try:
            with control, counts:
                yield labels
        except InstrumentError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of both."""
        self._control.close()
        self._counts.close()

    def error(self) -> InstrumentError | None:
        """Return why one of the connections is over, or None while both live."""
        return self._control.link().error or self._counts.link().error

    def check(self) -> None:
        """Raise `NotConnected` unless both connections live."""
        if (error := self.error()) is not None:
            raise NotConnected(f"'{self.name}' was lost: {error}")

    def status(self) -> InstrumentStatus:
        """Return how both connections are, without using them."""
        control = self._control.status(more={"count_lines": self.labels.counts.number})
        counts = self._counts.status()
        is_counting = counts.state is InstrumentState.READY
        return control if is_counting or control.error else counts

    def send(self, **content: Json) -> None:
        """Send a message."""
        self._control.link().send(message(**content))

    def halt(self, command: bytes) -> None:
        """Send a command now, ahead of anything queued."""
        self._control.link().send(command, priority=Priority.STOP)

    def read_back(self, wanted: Sequence[str]) -> None:
        """Ask for all labels and wait until those wanted were said again."""
        labels = self.labels
        labels.forget_errors()
        before = {label: labels.version(label) for label in wanted}
        self.check()
        self.send(request="labelProps", value="None")
        labels.wait(
            lambda: all(labels.version(label) > said for label, said in before.items()),
            ", ".join(wanted),
            REPLY_TIMEOUT_S,
        )

    def put(self, command: bytes, label: str, holds: Callable[[Json], bool]) -> None:
        """Send a command and wait until the unit says that it holds."""
        labels = self.labels
        labels.forget_errors()
        before = labels.version(label)
        self.check()
        self._control.link().send(command)
        # A value that stays the same may not be broadcast: ask for it, too.
        self.send(request="labelProps", value="None")
        labels.wait(
            lambda: labels.version(label) > before and holds(labels.get(label)),
            label,
            REPLY_TIMEOUT_S,
        )


def message(**content: Json) -> bytes:
    """Return what travels; the unit takes objects without a delimiter."""
    return json.dumps(content).encode("ascii")


def command(label: str, value: Json) -> bytes:
    """Return a command that is named as its label is."""
    return message(command=label, label=label, value=value)
