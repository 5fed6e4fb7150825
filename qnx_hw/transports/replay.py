"""A transcript as a wire: the instrument's part of a recording, played to whoever asks the same.

`transcript://FILE` checks that exactly the recorded bytes are sent, in their order, and answers
with the bytes recorded behind them. Time does not matter: what the instrument said between two
requests comes as soon as the first was sent. The first line may be a header with `ignore`: bytes
in hex that may be sent at any time (keep-alives) and are not looked at.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from qnx_hw.errors import ConfigError, NotConnected
from qnx_hw.transports.sockets import SocketWire
from qnx_hw.transports.transcript import Direction

SCHEME = "transcript://"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A transcript's content."""

    steps: tuple[tuple[Direction, bytes], ...]
    ignored: frozenset[bytes] = frozenset()


def read_transcript(path: Path) -> Exchange:
    """Read a file of JSON lines; raise `ConfigError` naming the line that makes no sense."""
    steps: list[tuple[Direction, bytes]] = []
    ignored: set[bytes] = set()
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the transcript {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if "hex" in entry:
                steps.append((Direction(entry["dir"]), bytes.fromhex(entry["hex"])))
            else:
                ignored.update(map(bytes.fromhex, entry.get("ignore", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number} is no step of a transcript: {error}"
            ) from error
    return Exchange(tuple(steps), frozenset(ignored))


class ReplayWire(SocketWire):
    """Plays one exchange; a byte that was not recorded breaks the wire with a sentence."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        super().__init__(None, f"the transcript {name}")
        self._exchange = exchange
        self._name = name
        self._steps: deque[tuple[Direction, bytes]] = deque()
        self._wanted = bytearray()
        self._far: socket.socket | None = None

    @property
    def left(self) -> int:
        """How many requests of the transcript were not sent yet."""
        return sum(way is Direction.SENT for way, _ in self._steps) + bool(self._wanted)

    def open(self, *, timeout_s: float) -> None:
        """Begin anew."""
        near, self._far = socket.socketpair()
        near.setblocking(False)
        self._socket = near
        self._steps = deque(self._exchange.steps)
        self._wanted.clear()
        self._play()

    def write(self, payload: bytes) -> int:
        """Compare with what was recorded, and play what came then."""
        if payload in self._exchange.ignored:
            return len(payload)
        rest = payload
        while rest:
            if not self._wanted:
                if not self._steps:
                    raise NotConnected(f"the transcript {self._name} ends before {payload!r}")
                self._wanted += self._steps.popleft()[1]
            size = min(len(rest), len(self._wanted))
            if rest[:size] != self._wanted[:size]:
                wanted = bytes(self._wanted)
                raise NotConnected(
                    f"the transcript {self._name} has {wanted!r} where {rest!r} was sent"
                )
            rest = rest[size:]
            del self._wanted[:size]
            if not self._wanted:
                self._play()
        return len(payload)

    def close(self) -> None:
        """End."""
        super().close()
        if self._far is not None:
            self._far.close()
        self._far = None

    def _play(self) -> None:
        while self._steps and self._steps[0][0] is Direction.RECEIVED:
            assert self._far is not None
            self._far.sendall(self._steps.popleft()[1])


def replay_wire(url: str) -> ReplayWire:
    """Return the closed wire of `transcript://FILE`."""
    path = Path(unquote(url.removeprefix(SCHEME).partition("?")[0]))
    return ReplayWire(read_transcript(path), path.name)
