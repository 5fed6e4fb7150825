"""Thorlabs OSW12 and OSW22 MEMS fibre switches.

Source: Thorlabs, "OSW Series Operating Manual", serial commands. `S 1` and `S 2` are silent; `S?`
shows the position. An OSW12 connects input 1 to output 1 or 2. An OSW22 connects both: position 1
is taken for straight through, 2 for crossed.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.knobs import Setting
from drivers.text_line import TextLine
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import OpticalSwitch
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Fence, Recorder

ONE_BY_TWO = {1: {1: 1}, 2: {1: 2}}
TWO_BY_TWO = {1: {1: 1, 2: 2}, 2: {1: 2, 2: 1}}
FENCE = Fence(b"I?\n", lambda line: b"OSW" in line.upper())


class Osw(OpticalSwitch):
    """A switch at `serial:///dev/ttyUSB0`; its path stands without us."""

    def __init__(self, url: str, *, name: str = "osw", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = TextLine(url, name, recorder=recorder, fence=FENCE)
        self._paths = ONE_BY_TWO

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and ask who is there; the path stays."""
        with self._line.opening(timeout_s=timeout_s):
            board = self._line.ask("I?", timeout_s)
            self._paths = paths_of(board)
        return Identity("Thorlabs", board)

    def close(self) -> None:
        """Let go of the port; the path stands as it is, which harms nothing."""
        self._line.close()

    def status(self) -> InstrumentStatus:
        """Return how the switch is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Return nothing: there is nothing to set but the path."""
        self._line.link()
        return {}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Refuse every setting."""
        for key in settings:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: the mirror moves for a millisecond and cannot be halted."""

    def connections(self, *, timeout_s: float | None = None) -> Mapping[int, int]:
        """Return which input is connected to which output."""
        return dict(self._paths[self._position(timeout_s)])

    def apply(
        self, connections: Mapping[int, int], *, timeout_s: float | None = None
    ) -> Mapping[int, int]:
        """Go to the position that makes these connections."""
        self._line.link()
        wanted = [place for place, path in self._paths.items() if path == connections]
        if not wanted:
            known = " or ".join(str(path) for path in self._paths.values())
            raise RangeError(f"'{self.name}' connects {known}, not {dict(connections)}")
        with self._line.operation.within(timeout_s):
            if self._position(timeout_s) != wanted[0]:
                self._line.tell(f"S {wanted[0]}")
            stands = self._position(timeout_s)
        if stands != wanted[0]:
            raise InstrumentRefused(f"'{self.name}' stands at {stands}, not {wanted[0]}")
        return dict(connections)

    def _position(self, timeout_s: float | None) -> int:
        reply = self._line.ask("S?", timeout_s)
        if reply not in {"1", "2"}:
            raise ProtocolError(f"'{self.name}' reports position {reply!r}", reply.encode())
        return int(reply)


def paths_of(board: str) -> dict[int, dict[int, int]]:
    """Return what each position connects, by the name of the board."""
    if "OSW22" in board.upper():
        return TWO_BY_TWO
    if "OSW12" in board.upper():
        return ONE_BY_TWO
    raise ProtocolError(f"{board!r} is no OSW12 or OSW22", board.encode())
