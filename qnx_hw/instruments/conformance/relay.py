"""A relay between a driver and its instrument that breaks the wire on request.

It listens on a local TCP port and passes bytes to and from the instrument's own wire, so it works
with emulators and with real instruments alike. Bytes keep their order: nothing overtakes. Of a
ZeroMQ connection it knows the borders of the messages, so that it damages what the instrument says
and not the connection. A VISA resource is found as a VISA socket, whatever it is itself.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from qnx_hw.errors import ConfigError
from qnx_hw.instruments.conformance.pieces import Chunks, Cutter, ZmqMessages
from qnx_hw.instruments.conformance.relay_line import HOST, OPEN_TIMEOUT_S, Line, row_of_ports
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.transports import is_visa

BYTE_STREAMS = ("tcp", "socket", "serial", "usb-serial")
ZMQ = "zmq"
# Options of a URL that name another port of the same instrument, or another place.
PORT_OPTION = "_port"
# What a VISA socket has no use for.
VISA_OPTIONS = {"baud", "library"}
PLACE = re.compile(r"([\w.-]+):(\d+)(?:-(\d+))?")

WIRE_SABOTAGE = frozenset(
    {
        Sabotage.UNPLUG,
        Sabotage.SILENCE,
        Sabotage.SLOW,
        Sabotage.GARBAGE,
        Sabotage.SPLIT,
        Sabotage.MERGE,
        Sabotage.LATE_REPLY,
        Sabotage.SLIP,
    }
)


class Relay(Saboteur):
    """All ports of one instrument behind local TCP ports; a context manager."""

    def __init__(self, url: str) -> None:
        if not is_visa(url) and urlsplit(url).scheme not in (*BYTE_STREAMS, ZMQ):
            raise ConfigError(
                f"a relay cannot stand in for '{url}': "
                f"it begins with none of {', '.join((*BYTE_STREAMS, ZMQ))} and visa"
            )
        self._selector = selectors.DefaultSelector()
        self._closing = False
        self._calls: deque[tuple[str, Sabotage | None]] = deque()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._lines: list[Line] = []
        self.url = self._relayed(url)
        """Where the driver finds the instrument now."""
        self._thread = threading.Thread(target=self._run, name=f"relay {url}", daemon=True)
        self._thread.start()

    @property
    def skills(self) -> frozenset[Sabotage]:
        """What can go wrong on a wire."""
        return WIRE_SABOTAGE

    def strike(self, sabotage: Sabotage) -> None:
        """Let it happen; returns once it does."""
        self._call("strike", sabotage)

    def heal(self) -> None:
        """Pass everything on again; a reply held back comes when the driver sends next."""
        self._call("heal", None)

    def close(self) -> None:
        """Cut the driver off and let go of the instrument."""
        self._closing = True
        self._wake()
        self._thread.join()
        for line in self._lines:
            line.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _relayed(self, url: str) -> str:
        """Listen for all that a URL names and return the URL of that."""
        place, _, query = url.partition("?")
        options = parse_qsl(query)
        if is_visa(url):
            (port,) = self._listen([url], Chunks)
            options = [(name, value) for name, value in options if name not in VISA_OPTIONS]
            return _joined(f"visa://TCPIP0::{HOST}::{port}::SOCKET", options)
        parts = urlsplit(place)
        if parts.scheme == ZMQ:
            (port,) = self._listen([f"tcp://{parts.netloc}"], ZmqMessages)
            return _joined(
                f"{ZMQ}://{HOST}:{port}",
                [(name, self._moved(value)) for name, value in options],
            )
        (port,) = self._listen([url], Chunks)
        for index, (name, value) in enumerate(options):
            if name.endswith(PORT_OPTION):
                (other,) = self._listen([f"tcp://{parts.hostname}:{value}"], Chunks)
                options[index] = (name, str(other))
        return _joined(f"tcp://{HOST}:{port}", options)

    def _moved(self, value: str) -> str:
        """Return where another place of the instrument is found, or what is no place as it is."""
        named = PLACE.fullmatch(value)
        if named is None:
            return value
        host, first, last = named[1], int(named[2]), int(named[3] or named[2])
        ports = self._listen(
            [f"tcp://{host}:{port}" for port in range(first, last + 1)], ZmqMessages
        )
        return f"{HOST}:{ports[0]}" + (f"-{ports[-1]}" if named[3] else "")

    def _listen(self, urls: list[str], cutter: Callable[[], Cutter]) -> list[int]:
        """Stand in for these wires, on neighbouring ports."""
        lines = [
            Line(url, self._selector, cutter, keeper)
            for url, keeper in zip(urls, row_of_ports(len(urls)), strict=True)
        ]
        self._lines += lines
        return [line.port for line in lines]

    def _call(self, action: str, sabotage: Sabotage | None) -> None:
        done = threading.Event()
        self._done = done
        self._calls.append((action, sabotage))
        self._wake()
        done.wait(OPEN_TIMEOUT_S + 10.0)

    def _wake(self) -> None:
        self._waker.send(b"\0")

    def _run(self) -> None:
        while not self._closing:
            now_s = time.monotonic()
            for line in self._lines:
                line.deliver(now_s)
            due = [line.due_s for line in self._lines if line.due_s is not None]
            patience_s = max(min(due) - now_s, 0.0) if due else None
            for key, _ in self._selector.select(patience_s):
                if key.fileobj is self._woken:
                    self._woken.recv(4096)
                    self._obey()
                elif isinstance(key.data, Line):
                    key.data.serve(key.fileobj)

    def _obey(self) -> None:
        while self._calls:
            action, sabotage = self._calls.popleft()
            for line in self._lines:
                if action == "heal":
                    line.heal()
                elif sabotage is not None:
                    line.strike(sabotage)
            self._done.set()


def _joined(place: str, options: list[tuple[str, str]]) -> str:
    return f"{place}?{urlencode(options, safe=',:')}" if options else place
