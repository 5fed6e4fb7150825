"""One port of a relayed instrument, and what a relay does to the bytes that pass."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable

from qnx_hw.errors import NotConnected, ProtocolError
from qnx_hw.instruments.conformance.pieces import Cutter, Piece
from qnx_hw.instruments.conformance.sabotage import Sabotage
from qnx_hw.transports import Wire, make_wire

SLOW_S = 0.04
SPLIT_GAP_S = 0.02
MERGE_S = 0.05
STRAY_BYTE = b"\x9e"
SLIPPED_BYTES = 2
OPEN_TIMEOUT_S = 2.0
# How often an instrument is tried that may not be there yet.
RETRY_S = 0.02
READ_BYTES = 1 << 16
# A late reply comes with the driver's next request, or so long after healing where none is sent.
LATEST_S = 0.3
HOST = "127.0.0.1"
# Consecutive ports are asked for so often before giving up.
TRIES = 100


class Line:
    """One port: a listener, its one client, and the wire behind; used by the relay's thread."""

    def __init__(
        self,
        url: str,
        selector: selectors.BaseSelector,
        cutter: Callable[[], Cutter],
        keeper: socket.socket,
    ) -> None:
        self._url = url
        self._selector = selector
        self._make_cutter = cutter
        self._cutter = cutter()
        # Bound but never listening: it keeps the port ours while the line is unplugged.
        self._keeper = keeper
        self.port = int(keeper.getsockname()[1])
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._waiting: tuple[socket.socket, float] | None = None
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
        again_s = time.monotonic() + RETRY_S if self._waiting else None
        known = [moment for moment in (first_s, self._late_by_s, again_s) if moment is not None]
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
        if self._waiting is not None:
            self._join()
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
        self._waiting = client, time.monotonic() + self._cutter.longest_absence_s
        self._join()

    def _join(self) -> None:
        """Reach the instrument for the client that waits for it; try again where it is not yet."""
        assert self._waiting is not None
        client, until_s = self._waiting
        self._waiting = None
        wire = make_wire(self._url)
        try:
            wire.open(timeout_s=OPEN_TIMEOUT_S)
        except NotConnected:
            if time.monotonic() < until_s:
                self._waiting = client, until_s
            else:
                client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Blocking sends: tests move little, and a driver that reads nothing is cut off.
        client.settimeout(OPEN_TIMEOUT_S)
        self._client, self._wire, self._cutter = client, wire, self._make_cutter()
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
        try:
            for piece in self._cutter.feed(received) if received else ():
                self._pass_on(piece)
        except ProtocolError:
            self._drop()

    def _pass_on(self, piece: Piece) -> None:
        now_s = time.monotonic()
        if self._held or (self._sabotage is Sabotage.LATE_REPLY and piece.is_content):
            self._held += piece.wire
            return
        match self._sabotage if piece.is_content else None:
            case Sabotage.SILENCE:
                return
            case Sabotage.GARBAGE:
                self._sabotage = None
                self._put(now_s, piece.stray(STRAY_BYTE).wire)
            case Sabotage.SLIP if len(piece.body) > SLIPPED_BYTES:
                self._sabotage = None
                self._put(now_s, piece.slipped(SLIPPED_BYTES).wire)
            case Sabotage.SLOW:
                self._put(now_s + SLOW_S, piece.wire)
            case Sabotage.MERGE:
                self._merge(now_s, piece.wire)
            case Sabotage.SPLIT:
                self._put(now_s, piece.wire[:1])
                self._put(now_s + SPLIT_GAP_S, piece.wire[1:])
            case _:
                self._put(now_s, piece.wire)

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
        if self._waiting is not None:
            self._waiting[0].close()
            self._waiting = None
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


def row_of_ports(count: int) -> list[socket.socket]:
    """Return sockets bound to as many neighbouring local ports that were free."""
    for _ in range(TRIES):
        row = [_bound(0)]
        first = int(row[0].getsockname()[1])
        try:
            for step in range(1, count):
                row.append(_bound(first + step))
        except OSError:
            for taken in row:
                taken.close()
            continue
        return row
    raise NotConnected(f"{count} neighbouring TCP ports of this computer are not free")


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound
