"""A transcript as a wire: the instrument's part of a recording, played to whoever asks the same.

`transcript://FILE` checks that exactly the recorded bytes are sent, in their order, and answers
with the bytes recorded behind them; `transcript://FILE?wire=NAME` is another wire of the same
instrument. Time does not matter: what the instrument said between two requests comes as soon as
the first was sent. Who asks by the clock asks more often or less often than was recorded: a
question that was asked before is answered as it was then, and its further askings are passed over
with their answers.

Lines without bytes say something of the recording. `ignore`: bytes in hex that may be sent at any
time (keep-alives) and are not looked at. `endless`: wires on which the instrument talks unasked;
their part is played over and over, at the recorded pace.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from qnx_hw.errors import ConfigError, NotConnected
from qnx_hw.transports.bridge import BridgedWire
from qnx_hw.transports.sockets import SocketWire
from qnx_hw.transports.transcript import Direction

SCHEME = "transcript://"
WIRE = "wire="
# How soon the next message comes where a recording names no times, and at the soonest.
PACE_S = 0.05
SHORTEST_PACE_S = 0.002


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over one wire of a transcript; `times_s` has a moment for each step."""

    steps: tuple[tuple[Direction, bytes], ...]
    ignored: frozenset[bytes] = frozenset()
    times_s: tuple[float, ...] = ()
    is_endless: bool = False
    url: str = ""
    """Where the instrument was."""


def read_transcript(path: Path, wire: str = "") -> Exchange:
    """Read one wire of a file of JSON lines; raise `ConfigError` naming a line without sense."""
    steps: list[tuple[Direction, bytes]] = []
    times_s: list[float] = []
    ignored: set[bytes] = set()
    endless: set[str] = set()
    url = ""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the transcript {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if "hex" not in entry:
                ignored.update(map(bytes.fromhex, entry.get("ignore", ())))
                endless.update(map(str, entry.get("endless", ())))
                url = str(entry.get("url", url))
                continue
            step = (Direction(entry["dir"]), bytes.fromhex(entry["hex"]))
            if entry.get("wire", "") == wire:
                steps.append(step)
                times_s.append(float(entry.get("t", PACE_S * len(steps))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number} is no step of a transcript: {error}"
            ) from error
    return Exchange(tuple(steps), frozenset(ignored), tuple(times_s), wire in endless, url)


class ReplayWire(SocketWire):
    """Plays one exchange; a byte that was not recorded breaks the wire with a sentence."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        super().__init__(None, f"the transcript {name}")
        self._exchange = exchange
        self._name = name
        self._steps: deque[tuple[Direction, bytes]] = deque()
        self._wanted = bytearray()
        self._asked: dict[bytes, bytes] = {}
        self._coming = bytearray()
        self._far: socket.socket | None = None

    @property
    def left(self) -> int:
        """How many requests of the transcript were not sent yet."""
        return sum(way is Direction.SENT for way, _ in self._steps) + bool(self._wanted)

    def open(self, *, timeout_s: float) -> None:
        """Begin anew."""
        near, self._far = socket.socketpair()
        near.setblocking(False)
        self._far.setblocking(False)
        self._socket = near
        self._steps = deque(self._exchange.steps)
        self._wanted.clear()
        self._asked.clear()
        self._coming.clear()
        self._play(self._answer())

    def read(self) -> bytes:
        """Return what has come, and make room for the rest."""
        received = super().read()
        self._play(b"")
        return received

    def write(self, payload: bytes) -> int:
        """Compare with what was recorded, and play what came then."""
        if payload in self._exchange.ignored or self._is_repeated(payload):
            return len(payload)
        rest = payload
        while rest:
            if not self._wanted:
                if not self._steps:
                    raise NotConnected(f"the transcript {self._name} ends before {payload!r}")
                self._wanted += self._steps[0][1]
            size = min(len(rest), len(self._wanted))
            if rest[:size] != self._wanted[:size]:
                wanted = bytes(self._wanted)
                raise NotConnected(
                    f"the transcript {self._name} has {wanted!r} where {rest!r} was sent"
                )
            rest = rest[size:]
            del self._wanted[:size]
            if not self._wanted:
                _, asked = self._steps.popleft()
                self._asked[asked] = self._answer()
                self._play(self._asked[asked])
        return len(payload)

    def close(self) -> None:
        """End."""
        super().close()
        if self._far is not None:
            self._far.close()
        self._far = None

    def _is_repeated(self, payload: bytes) -> bool:
        """Pass over recorded askings that are left out now, or answer one more as before."""
        if self._wanted or self._is_next(payload):
            return False
        sent = [step for way, step in self._steps if way is Direction.SENT]
        left_out = sent[: sent.index(payload)] if payload in sent else []
        if left_out and all(self._asked.get(asking) for asking in left_out):
            while self._steps[0] != (Direction.SENT, payload):
                self._steps.popleft()
            return False
        answer = self._asked.get(payload, b"")
        self._play(answer)
        return bool(answer)

    def _is_next(self, payload: bytes) -> bool:
        """Whether this is what is to be sent next, or a part of it, or that and more."""
        due = bytearray()
        for way, step in self._steps:
            due += step if way is Direction.SENT else b""
            if len(due) >= len(payload):
                break
        return bool(due) and payload.startswith(bytes(due[: len(payload)]))

    def _answer(self) -> bytes:
        """Take out what was received before the next request."""
        said = bytearray()
        while self._steps and self._steps[0][0] is Direction.RECEIVED:
            said += self._steps.popleft()[1]
        return bytes(said)

    def _play(self, said: bytes) -> None:
        """Let this come, as far as the reader has room for it."""
        self._coming += said
        if self._far is None or not self._coming:
            return
        try:
            del self._coming[: self._far.send(self._coming)]
        except BlockingIOError:
            return  # the reader makes room


class EndlessWire(BridgedWire):
    """Plays what an instrument said unasked, over and over; what is sent to it does not matter."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        super().__init__(f"the transcript {name}")
        self._said = [said for way, said in exchange.steps if way is Direction.RECEIVED]
        gaps_s = [later_s - sooner_s for sooner_s, later_s in pairwise(exchange.times_s)]
        self._pace_s = max(min(gaps_s, default=PACE_S), SHORTEST_PACE_S)

    def _reach(self, timeout_s: float) -> None:
        if not self._said:
            raise NotConnected(f"{self._place} has nothing of this wire")

    def _serve(self, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(far, selectors.EVENT_READ)
            while True:
                for said in self._said:
                    if selector.select(self._pace_s) and not far.recv(1 << 16):
                        return
                    far.sendall(said)


def replay_wire(url: str) -> ReplayWire | EndlessWire:
    """Return the closed wire of `transcript://FILE?wire=NAME`."""
    path, options = _parts(url)
    names = [word.removeprefix(WIRE) for word in options.split("&") if word.startswith(WIRE)]
    wire = unquote(names[-1]) if names else ""
    exchange = read_transcript(path, wire)
    name = f"{path.name} ({wire})" if wire else path.name
    return EndlessWire(exchange, name) if exchange.is_endless else ReplayWire(exchange, name)


def recorded_at(url: str) -> str:
    """Return where the instrument of a transcript was; any other URL as it is."""
    return read_transcript(_parts(url)[0]).url if url.startswith(SCHEME) else url


def other_wire(url: str, wire: str, place: str) -> str:
    """Return where another wire of an instrument is: at `place`, or in the same transcript."""
    return f"{url.partition('?')[0]}?{WIRE}{wire}" if url.startswith(SCHEME) else place


def _parts(url: str) -> tuple[Path, str]:
    place, _, options = url.removeprefix(SCHEME).partition("?")
    return Path(unquote(place)), options
