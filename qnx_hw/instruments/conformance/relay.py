"""A relay between a driver and its instrument that breaks the wire on request.

It listens on a local TCP port and passes bytes to and from the instrument's own wire, so it works
with emulators and with real instruments alike. Bytes keep their order: nothing overtakes.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from qnx_hw.errors import ConfigError, NotConnected
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.transports import Wire, make_wire

SLOW_S = 0.04
SPLIT_GAP_S = 0.02
MERGE_S = 0.05
STRAY_BYTE = b"\x9e"
OPEN_TIMEOUT_S = 2.0
READ_BYTES = 1 << 16
# A late reply comes with the driver's next request, or so long after healing where none is sent.
LATEST_S = 0.3
BYTE_STREAMS = ("tcp", "socket", "serial", "usb-serial")
HOST = "127.0.0.1"
# Options of a URL that name another port of the same instrument.
PORT_OPTION = "_port"

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
        parts = urlsplit(url)
        if parts.scheme not in BYTE_STREAMS:
            raise ConfigError(
                f"a relay passes on bytes, and '{url}' is no byte stream: "
                f"it begins with none of {', '.join(BYTE_STREAMS)}"
            )
        options = parse_qsl(parts.query)
        self._selector = selectors.DefaultSelector()
        self._closing = False
        self._calls: deque[tuple[str, Sabotage | None]] = deque()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._lines = [_Line(url, self._selector)]
        for place, (name, value) in enumerate(options):
            if name.endswith(PORT_OPTION):
                line = _Line(f"tcp://{parts.hostname}:{value}", self._selector)
                options[place] = (name, str(line.port))
                self._lines.append(line)
        here = f"{HOST}:{self._lines[0].port}"
        self.url = urlunsplit(("tcp", here, "", urlencode(options, safe=","), ""))
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
                elif isinstance(key.data, _Line):
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


class _Line:
    """One port: a listener, its one client, and the wire behind; used by the relay's thread."""

    def __init__(self, url: str, selector: selectors.BaseSelector) -> None:
        self._url = url
        self._selector = selector
        # Bound but never listening: it keeps the port ours while the line is unplugged.
        self._keeper = _bound(0)
        self.port = int(self._keeper.getsockname()[1])
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._wire: Wire | None = None
        self._sabotage: Sabotage | None = None
        self._pending: deque[tuple[float, bytes]] = deque()
        self._held = bytearray()
        self._late_by_s: float | None = None
        self._plug()

    @property
    def due_s(self) -> float | None:
        """When the next bytes for the driver are due."""
        first_s = self._pending[0][0] if self._pending else None
        known = [moment for moment in (first_s, self._late_by_s) if moment is not None]
        return min(known) if known else None

    def strike(self, sabotage: Sabotage) -> None:
        """Misbehave."""
        self._sabotage = sabotage
        if sabotage is Sabotage.UNPLUG:
            self._drop()
            self._unplug()

    def heal(self) -> None:
        """Behave, but keep what is held back until the driver sends something, or `LATEST_S`."""
        self._sabotage = None
        self._late_by_s = time.monotonic() + LATEST_S if self._held else None
        if self._listener is None:
            self._plug()

    def close(self) -> None:
        """End all."""
        self._drop()
        self._unplug()
        self._keeper.close()

    def serve(self, ready: object) -> None:
        """Take what arrived at one of the line's sockets."""
        if ready is self._listener:
            self._accept()
        elif ready is self._client:
            self._from_driver()
        elif self._wire is not None:
            self._from_instrument()

    def deliver(self, now_s: float) -> None:
        """Send the driver what is due."""
        if self._late_by_s is not None and self._late_by_s <= now_s:
            self._release()
        while self._pending and self._pending[0][0] <= now_s:
            self._to_driver(self._pending.popleft()[1])

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self._drop()
        wire = make_wire(self._url)
        try:
            wire.open(timeout_s=OPEN_TIMEOUT_S)
        except NotConnected:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Blocking sends: tests move little, and a driver that reads nothing is cut off.
        client.settimeout(OPEN_TIMEOUT_S)
        self._client, self._wire = client, wire
        self._selector.register(client, selectors.EVENT_READ, self)
        self._selector.register(wire.fileno(), selectors.EVENT_READ, self)

    def _from_driver(self) -> None:
        assert self._client is not None
        assert self._wire is not None
        try:
            sent = self._client.recv(READ_BYTES)
            if not sent:
                self._drop()
                return
            if self._late_by_s is not None:
                self._release()
            while sent and self._wire is not None:
                sent = sent[self._wire.write(sent) :]
        except OSError:
            self._drop()

    def _from_instrument(self) -> None:
        assert self._wire is not None
        try:
            received = self._wire.read()
        except NotConnected:
            self._drop()
            return
        if not received:
            return
        now_s = time.monotonic()
        if self._held or self._sabotage is Sabotage.LATE_REPLY:
            self._held += received
            return
        match self._sabotage:
            case Sabotage.SILENCE:
                return
            case Sabotage.GARBAGE:
                self._sabotage = None
                self._put(now_s, STRAY_BYTE + received)
            case Sabotage.SLIP if len(received) > 2:
                self._sabotage = None
                self._put(now_s, received[:-2])
            case Sabotage.SLOW:
                self._put(now_s + SLOW_S, received)
            case Sabotage.MERGE:
                self._merge(now_s, received)
            case Sabotage.SPLIT:
                self._put(now_s, received[:1])
                self._put(now_s + SPLIT_GAP_S, received[1:])
            case _:
                self._put(now_s, received)

    def _put(self, due_s: float, received: bytes) -> None:
        last_s = self._pending[-1][0] if self._pending else 0.0
        self._pending.append((max(due_s, last_s), received))
        self.deliver(time.monotonic())

    def _merge(self, now_s: float, received: bytes) -> None:
        if self._pending:
            due_s, before = self._pending.pop()
            self._pending.append((due_s, before + received))
        else:
            self._pending.append((now_s + MERGE_S, received))

    def _to_driver(self, received: bytes) -> None:
        if self._client is None or not received:
            return
        try:
            self._client.sendall(received)
        except OSError:
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        wire, self._wire = self._wire, None
        if wire is not None:
            self._selector.unregister(wire.fileno())
            wire.close()
        if client is not None:
            self._selector.unregister(client)
            client.close()
        self._pending.clear()
        self._held.clear()
        self._late_by_s = None

    def _release(self) -> None:
        late, self._held, self._late_by_s = bytes(self._held), bytearray(), None
        self._to_driver(late)

    def _plug(self) -> None:
        self._listener = _bound(self.port)
        self._listener.listen()
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self)

    def _unplug(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
        self._listener = None


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
