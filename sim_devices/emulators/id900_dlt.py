"""The ID900's DataLinkTargetService: it fetches time stamps and passes them on.

Source: ID Quantique, example scripts for the ID900: command lines in, JSON out, streams on PAIR
sockets as arrays of little-endian 64-bit picoseconds, an empty message at the end. What goes to a
file is counted and not written: no source gives the bytes of the files.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim_devices.emulators.emulator import Output

STREAM_PORT = 2
LARGEST_STREAMS = 16
# A message is sent at the end of an acquisition or when it holds this many stamps.
LARGEST_MESSAGE = 4_000_000


@dataclass(slots=True)
class Stream:
    """One input's stamps on their way to a file or a PAIR socket."""

    channel: int
    tcp_port: int | None
    with_index: bool
    acquisitions: int = 0
    stamps: int = 0
    last_s: float = 0.0
    waiting: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def n_waiting(self) -> int:
        """How many stamps wait."""
        return sum(len(part) for part in self.waiting)

    def status(self, now_s: float) -> dict[str, object]:
        """Return what `status` shows."""
        return {
            "acquisitions_count": self.acquisitions,
            "errors": [],
            "inactivity": round(now_s - self.last_s, 3),
            "timestamps_count": self.stamps,
        }


class DataLink:
    """All streams of the service."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}
        self._next = 1

    def answer(self, request: str, now_s: float) -> tuple[str, list[Output]]:
        """Obey a command line; return the reply and what leaves on streams."""
        try:
            words = shlex.split(request)
        except ValueError:
            words = []
        options = _options(words[1:])
        command = words[0] if words else ""
        if command == "list":
            return json.dumps(list(self._streams)), []
        if command in {"start-save", "start-stream"}:
            return self._start(command, options, now_s), []
        if command in {"status", "stop"}:
            # The maker's own scripts leave `--id` out.
            bare = words[1] if len(words) == 2 else ""
            return self._look(command, options.get("id", bare), now_s)
        return _error(f"unknown command {command}"), []

    def take(self, channel: int, times_ps: NDArray[np.int64], now_s: float) -> list[Output]:
        """Give an input's new stamps (since the start of the acquisition) to its streams."""
        outputs = []
        for stream in self._of(channel):
            if len(times_ps):
                stream.waiting.append(times_ps)
                stream.last_s = now_s
            if stream.n_waiting >= LARGEST_MESSAGE:
                outputs += _flushed(stream)
        return outputs

    def end_acquisition(self, channel: int) -> list[Output]:
        """Send what waits of an input."""
        outputs = []
        for stream in self._of(channel):
            stream.acquisitions += 1
            outputs += _flushed(stream)
        return outputs

    def _of(self, channel: int) -> Iterable[Stream]:
        return [stream for stream in self._streams.values() if stream.channel == channel]

    def _start(self, command: str, options: dict[str, str], now_s: float) -> str:
        channel, tcp_port = options.get("channel", ""), options.get("stream-port", "")
        if channel not in {"1", "2", "3", "4"}:
            return _error("--channel must be 1 to 4")
        if "address" not in options:
            return _error("--address is missing")
        if len(self._streams) >= LARGEST_STREAMS:
            return _error("too many acquisitions")
        if command == "start-stream" and not (tcp_port.isdigit() and 0 < int(tcp_port) < 65536):
            return _error("--stream-port is missing")
        if command == "start-save" and "filename" not in options:
            return _error("--filename is missing")
        name = f"{self._next:08x}"
        self._next += 1
        port = int(tcp_port) if command == "start-stream" else None
        self._streams[name] = Stream(int(channel), port, "with-ref-index" in options, last_s=now_s)
        return json.dumps({"id": name})

    def _look(self, command: str, name: str, now_s: float) -> tuple[str, list[Output]]:
        if name not in self._streams:
            return _error(f"no acquisition {name}"), []
        stream = self._streams[name]
        if command == "status":
            return json.dumps(stream.status(now_s)), []
        outputs = _flushed(stream)
        if stream.tcp_port is not None:
            outputs.append(Output(STREAM_PORT, stream.tcp_port, b""))
        del self._streams[name]
        return json.dumps({"status": stream.status(now_s)}), outputs


def _flushed(stream: Stream) -> list[Output]:
    if not stream.waiting:
        return []
    times_ps = np.concatenate(stream.waiting)
    stream.waiting.clear()
    stream.stamps += len(times_ps)
    if stream.tcp_port is None:
        return []
    columns = [times_ps]
    if stream.with_index:
        columns.append(np.zeros_like(times_ps))
    payload = np.column_stack(columns).astype("<u8").tobytes()
    return [Output(STREAM_PORT, stream.tcp_port, payload, droppable=True)]


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, options[name] = word[2:].partition("=")
        elif name:
            options[name] = word
    return options


def _error(description: str) -> str:
    return json.dumps({"error": {"description": description}})
