"""Wires on sockets: TCP, and a pipe inside this process."""

from __future__ import annotations

import socket

from qnx_hw.errors import NotConnected
from qnx_hw.transports.wire import Wire

READ_BYTES = 1 << 18
# Keeps a stream of tags flowing while this process is busy elsewhere for a while.
RECEIVE_BUFFER_BYTES = 1 << 22


class SocketWire(Wire):
    """Bytes over a connected stream socket, as one end of `socket.socketpair()` is."""

    def __init__(self, connection: socket.socket | None, place: str = "a pipe") -> None:
        self._socket = connection
        self._place = place
        if connection is not None:
            connection.setblocking(False)

    def open(self, *, timeout_s: float) -> None:
        """Check that the socket is there; it was connected by whoever made it."""
        self._connected()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._connected().fileno()

    def read(self) -> bytes:
        """Return what has arrived."""
        try:
            received = self._connected().recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            raise NotConnected(f"{self._place} broke: {error}") from error
        if not received:
            raise NotConnected(f"{self._place} was closed by the other side")
        return received

    def write(self, payload: bytes) -> int:
        """Send what fits."""
        try:
            return self._connected().send(payload)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise NotConnected(f"{self._place} broke: {error}") from error

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise NotConnected(f"{self._place} is closed")
        return self._socket


class TcpWire(SocketWire):
    """Bytes over TCP, without delay for small messages."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(None, f"tcp://{host}:{port}")
        self._address = (host, port)

    def open(self, *, timeout_s: float) -> None:
        """Connect."""
        try:
            connection = socket.create_connection(self._address, timeout_s)
        except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
            raise NotConnected(f"nothing answers at {self._place}: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.setblocking(False)
        self._socket = connection
