"""What an emulated instrument is: a state machine between bytes and a clock.

An emulator opens nothing, waits for nothing and reads no clock. Whoever serves it says which bytes
arrived at which port from which client, and what time it is; it says which bytes go out. It keeps
running whatever it is sent, and every buffer in it is bounded.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import Protocol


class PortKind(StrEnum):
    """How the bytes of a port are carried."""

    STREAM = "stream"
    """A byte stream without message borders: serial line or TCP."""

    REPLY = "zmq-rep"
    """ZeroMQ REP: each `feed` holds one whole request, each output is one whole reply."""

    PAIR = "zmq-pair"
    """ZeroMQ PAIR sockets the device binds by itself; the client's number is the TCP port."""


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that leave a port, to one client or (None) to all that are connected there."""

    port: int
    client: int | None
    payload: bytes
    droppable: bool = False
    """Stream data: where the client reads too slowly they are lost, as in the real device."""


class Emulator(Protocol):
    """An instrument as seen from its wire; single-threaded, times in seconds since its start."""

    ports: tuple[PortKind, ...]
    default_listen: tuple[str, ...]
    """Where it is served when nothing else is said: one address for each port, or one for all."""

    @abstractmethod
    def connected(self, port: int, client: int) -> bytes:
        """Note a new client and return what it is greeted with (usually nothing)."""

    @abstractmethod
    def disconnected(self, port: int, client: int) -> None:
        """Forget a client that went away."""

    @abstractmethod
    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Take bytes as they happen to arrive and return what goes out at once."""

    @abstractmethod
    def tick(self, now_s: float) -> list[Output]:
        """Let time pass (called at least every 10 ms) and return what goes out now."""


class Outbox:
    """Outputs that leave later, in the order of their times."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Output]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, due_s: float, output: Output) -> None:
        """Keep `output` until `due_s`."""
        heapq.heappush(self._waiting, (due_s, next(self._numbers), output))

    def last_s(self, client: int) -> float | None:
        """Return when the last of what waits for this client leaves; None where nothing does."""
        waiting = [due_s for due_s, _, output in self._waiting if output.client == client]
        return max(waiting, default=None)

    def due(self, now_s: float) -> list[Output]:
        """Take out everything whose time has come."""
        ready = []
        while self._waiting and self._waiting[0][0] <= now_s:
            ready.append(heapq.heappop(self._waiting)[2])
        return ready

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()


class LineBuffer:
    """Cut one client's bytes into commands at any of the given ends; overlong ones are dropped."""

    def __init__(self, ends: bytes, limit: int = 4096) -> None:
        self._ends = ends
        self._limit = limit
        self._pending = bytearray()
        self._overlong = False

    def feed(self, received: bytes) -> list[bytes]:
        """Return each command that is complete now, without its end."""
        commands = []
        for byte in received:
            if byte in self._ends:
                if not self._overlong:
                    commands.append(bytes(self._pending))
                self._pending.clear()
                self._overlong = False
            elif len(self._pending) < self._limit:
                self._pending.append(byte)
            else:
                self._overlong = True
        return commands


def addressed(outputs: list[Output], client: int) -> list[Output]:
    """Send what has no addressee to `client`."""
    return [
        replace(output, client=client) if output.client is None else output for output in outputs
    ]


def number_option(options: Mapping[str, object], name: str, default: float) -> float:
    """Return a numeric option of an emulator; text, as typed on a command line, is converted."""
    value = options.get(name, default)
    if isinstance(value, int | float | str):
        return float(value)
    raise ValueError(f"option {name} must be a number, not {value!r}")


def text_option(options: Mapping[str, object], name: str, default: str) -> str:
    """Return a textual option of an emulator."""
    return str(options.get(name, default))
