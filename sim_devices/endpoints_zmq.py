"""ZeroMQ ports of emulated instruments."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from itertools import count

import zmq

from sim_devices.endpoints import MessageEndpoint

log = logging.getLogger(__name__)

# Messages that a slow or absent reader may leave waiting.
QUEUED_MESSAGES = 1000
LINGER_MS = 200
LARGEST_REQUEST = 1 << 20


class ReplyEndpoint(MessageEndpoint):
    """Answers REQ sockets.

    It is a ROUTER socket inside: one request without a reply must not stop all other clients,
    as it would with a REP socket. Each request is a client of its own, so that a reply that is
    late goes out in the envelope of its request.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._socket: zmq.Socket[bytes] | None = None
        self._numbers = count(1)
        self._envelopes: dict[int, list[bytes]] = {}

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"tcp://{self.address}"

    def open(self) -> None:
        """Bind the socket."""
        opened: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        opened.linger = LINGER_MS
        opened.sndhwm = QUEUED_MESSAGES
        opened.maxmsgsize = LARGEST_REQUEST
        try:
            opened.bind(f"tcp://{self._host}:{self._port or '*'}")
        except zmq.ZMQError as error:
            opened.close()
            raise OSError(f"{self.address} is not free: {error}") from error
        self._port = int(opened.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        self._socket = opened

    def listener(self) -> int | None:
        """Return the descriptor that shows when something may have arrived."""
        return None if self._socket is None else int(self._socket.getsockopt(zmq.FD))

    def messages(self) -> list[tuple[int, bytes]]:
        """Return the requests that have arrived."""
        received = []
        while self._socket is not None and self._socket.poll(0):
            *envelope, message = self._socket.recv_multipart(zmq.NOBLOCK)
            if not envelope:
                continue
            number = next(self._numbers)
            self._envelopes[number] = envelope
            self._envelopes.pop(number - QUEUED_MESSAGES, None)
            received.append((number, message))
        return received

    def send(self, client: int, payload: bytes) -> None:
        """Reply to a client."""
        if self._socket is None or client not in self._envelopes:
            return
        try:
            self._socket.send_multipart([*self._envelopes.pop(client), payload], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("a reply at %s was lost: %s", self.address, error)

    def close(self) -> None:
        """Free the address."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class PairEndpoint(MessageEndpoint):
    """PAIR sockets that the instrument opens itself; a client's number is its TCP port.

    An empty message ends a stream and closes its socket. What is sent before the client has found
    the port waits for it.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._sockets: dict[int, zmq.Socket[bytes]] = {}
        self._waiting: dict[int, deque[bytes]] = {}

    @property
    def address(self) -> str:
        """The host; ports come and go."""
        return self._host

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"tcp://{self._host}"

    def open(self) -> None:
        """Nothing is open until a stream starts."""

    def listener(self) -> int | None:
        """Nothing is received here."""
        return None

    def messages(self) -> list[tuple[int, bytes]]:
        """Nothing is received here; it is the moment to send what waits."""
        for port in self._sockets:
            self._flush(port)
        return []

    def send(self, client: int, payload: bytes) -> None:
        """Send a part of the stream at this TCP port, or its end."""
        if client not in self._sockets and not self._open(client):
            return
        if len(self._waiting[client]) >= QUEUED_MESSAGES:
            log.warning("stream data at port %s are lost: nobody reads them", client)
            self._waiting[client].clear()
        self._waiting[client].append(payload)
        self._flush(client)
        if not payload:
            self._sockets.pop(client).close()
            del self._waiting[client]

    def _flush(self, port: int) -> None:
        waiting = self._waiting[port]
        with suppress(zmq.ZMQError):
            while waiting:
                self._sockets[port].send(waiting[0], zmq.NOBLOCK)
                waiting.popleft()

    def close(self) -> None:
        """End all streams."""
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
        self._waiting.clear()

    def _open(self, port: int) -> bool:
        opened: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
        opened.linger = LINGER_MS
        opened.sndhwm = QUEUED_MESSAGES
        try:
            opened.bind(f"tcp://{self._host}:{port}")
        except zmq.ZMQError as error:
            opened.close()
            log.warning("a stream cannot use port %s: %s", port, error)
            return False
        self._sockets[port] = opened
        self._waiting[port] = deque()
        return True
