"""Where emulated instruments are reached: pseudo-terminals and TCP ports.

An endpoint makes wires, one for each client (a pseudo-terminal has one for good). What a client
reads too slowly waits in a bounded buffer; stream data beyond it are lost and counted, as a real
device loses them, and replies beyond it end the connection.
"""

from __future__ import annotations

import os
import socket
import tty
from abc import abstractmethod
from collections import deque
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

STREAM_BUFFER_BYTES = 1 << 20
REPLY_BUFFER_BYTES = 4 << 20
SOCKET_BUFFER_BYTES = 1 << 18
READ_BYTES = 1 << 16


class WireClosed(ConnectionError):
    """The client is gone."""


class Wire:
    """One client's bytes; never blocks."""

    def __init__(self, descriptor: int, holder: socket.socket | None = None) -> None:
        self.descriptor = descriptor
        self.lost_bytes = 0
        self._holder = holder
        self._queue: deque[memoryview] = deque()
        self._queued_bytes = 0
        os.set_blocking(descriptor, False)

    @property
    def is_blocked(self) -> bool:
        """Whether bytes wait for the client to read."""
        return bool(self._queue)

    def read(self) -> bytes:
        """Return what has arrived, nothing if there is nothing; raise WireClosed at the end."""
        try:
            received = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise WireClosed("the client hung up") from error
        if not received:
            raise WireClosed("the client hung up")
        return received

    def send(self, payload: bytes, *, droppable: bool) -> None:
        """Send now what fits and queue the rest; a droppable payload is lost if the queue is full.

        A payload goes out whole or not at all, so that words and lines stay intact.
        """
        if droppable and self._queued_bytes + len(payload) > STREAM_BUFFER_BYTES and self._queue:
            self.lost_bytes += len(payload)
            return
        if self._queued_bytes > REPLY_BUFFER_BYTES:
            if self._holder is None:
                # A terminal has nobody to cut off, and its next client wants to find it alive.
                self.lost_bytes += len(payload)
                return
            raise WireClosed("the client reads nothing")
        self._queue.append(memoryview(payload))
        self._queued_bytes += len(payload)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        while self._queue:
            try:
                sent = os.write(self.descriptor, self._queue[0])
            except BlockingIOError:
                return
            except OSError as error:
                raise WireClosed("the client hung up") from error
            self._queued_bytes -= sent
            if sent == len(self._queue[0]):
                self._queue.popleft()
            else:
                self._queue[0] = self._queue[0][sent:]

    def close(self) -> None:
        """Cut the client off."""
        if self._holder is not None:
            self._holder.close()


class Endpoint(Protocol):
    """A place where clients find one port of an instrument."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Path of the terminal, or HOST:PORT."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The same as a driver's configuration has it."""

    @abstractmethod
    def open(self) -> Wire | None:
        """Appear (again, under the same address where possible); return the wire, if there is one.

        Raises OSError where the address is taken.
        """

    @abstractmethod
    def listener(self) -> int | None:
        """Return the descriptor that becomes readable when a client comes."""

    @abstractmethod
    def accept(self) -> Wire | None:
        """Let the next client in."""

    @abstractmethod
    def close(self) -> None:
        """Disappear."""


class MessageEndpoint(Endpoint):
    """An endpoint that carries whole messages and looks after its clients itself."""

    @abstractmethod
    def messages(self) -> list[tuple[int, bytes]]:
        """Return what has arrived, as client and message."""

    @abstractmethod
    def send(self, client: int, payload: bytes) -> None:
        """Send a message to a client; it is lost if the client is gone or does not read."""

    def accept(self) -> Wire | None:
        """Nobody has to be let in."""
        return None


class TcpEndpoint(Endpoint):
    """A listening TCP port for any number of clients."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, with the number that was found for port 0."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"tcp://{self.address}"

    def open(self) -> None:
        """Listen."""
        listening = socket.create_server((self._host, self._port), backlog=16)
        listening.setblocking(False)
        self._port = listening.getsockname()[1]
        self._socket = listening

    def listener(self) -> int | None:
        """Return the listening socket's descriptor."""
        return None if self._socket is None else self._socket.fileno()

    def accept(self) -> Wire | None:
        """Take the next client, unless it has gone already."""
        if self._socket is None:
            return None
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return None
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        return Wire(client.fileno(), client)

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class PtyEndpoint(Endpoint):
    """A pseudo-terminal in raw mode; our own hold on its slave lets clients come and go.

    Given a link, that path always points at the terminal, also after it was plugged in anew.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = -1
        self._slave = -1
        self._path = ""

    @property
    def address(self) -> str:
        """The path to open."""
        return self._path if self._link is None else str(self._link)

    @property
    def url(self) -> str:
        """The path as a URL."""
        return f"serial://{self.address}"

    def open(self) -> Wire:
        """Make the terminal."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._path = os.ttyname(self._slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._path)
        return Wire(self._master)

    def listener(self) -> int | None:
        """Nobody has to be let in."""
        return None

    def accept(self) -> Wire | None:
        """Nobody has to be let in."""
        return None

    def close(self) -> None:
        """Remove the terminal; clients see a hang-up."""
        if self._master < 0:
            return
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)


def endpoint(listen: str) -> Endpoint:
    """Make the endpoint for `pty`, `pty:LINK` or `tcp://HOST:PORT`; raise ValueError for others."""
    if listen == "pty":
        return PtyEndpoint()
    if listen.startswith("pty:"):
        return PtyEndpoint(Path(listen.removeprefix("pty:")))
    return TcpEndpoint(*host_and_port(listen))


def host_and_port(listen: str) -> tuple[str, int]:
    """Split `tcp://HOST:PORT`."""
    parts = urlsplit(listen)
    if parts.scheme != "tcp" or parts.hostname is None or parts.port is None:
        raise ValueError(f"cannot listen at {listen!r}: use pty, pty:LINK or tcp://HOST:PORT")
    return parts.hostname, parts.port


def spread(listen: tuple[str, ...], defaults: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return (port number of the instrument, address) for each endpoint to be served.

    With one address for each port, or several rounds of that, they are taken in order. One
    address alone serves all ports: free TCP ports where it says 0, else consecutive ones.
    A terminal beside TCP addresses is one more way to the first port.
    """
    n_ports = len(defaults)
    chosen = listen or defaults
    terminals = [where for where in chosen if where.startswith("pty")]
    if n_ports > 1 and 0 < len(terminals) < len(chosen):
        others = tuple(where for where in chosen if where not in terminals)
        return [*((0, where) for where in terminals), *spread(others, defaults)]
    if len(chosen) == 1 and n_ports > 1:
        if chosen[0].startswith("pty"):
            raise ValueError(f"this instrument has {n_ports} ports: say --listen {n_ports} times")
        host, first = host_and_port(chosen[0])
        chosen = tuple(
            f"tcp://{host}:{first + number if first else 0}" for number in range(n_ports)
        )
    if len(chosen) % n_ports:
        raise ValueError(f"this instrument has {n_ports} ports, not {len(chosen)}")
    return [(number % n_ports, where) for number, where in enumerate(chosen)]
