"""A device at the far end of a wire: a function from what was received to what is sent back."""

from __future__ import annotations

import os
import pty
import selectors
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[bytes], bytes]


@contextmanager
def pipe_device(answer: Answer) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Serve `answer` at the far end of an in-process pipe; yields both ends."""
    near, far = socket.socketpair()
    thread = threading.Thread(target=_serve_socket, args=(far, answer), daemon=True)
    thread.start()
    try:
        yield near, far
    finally:
        with suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        thread.join()
        far.close()
        near.close()


class TcpDevice:
    """Serve `answer` to one client after the other on a port of its own."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._has_client = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def drop(self) -> None:
        """Cut the client off, once it is in; the next one gets in."""
        assert self._has_client.wait(120)
        self._has_client.clear()
        self._cut()

    def close(self) -> None:
        """Cut the client off and leave the port."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._cut()
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> TcpDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut(self) -> None:
        if self._client is not None:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._client = client
                self._has_client.set()
                _serve_socket(client, self._answer)


@contextmanager
def pty_device(answer: Answer) -> Iterator[str]:
    """Serve `answer` on a pseudo terminal and yield its path."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    stop_read, stop_write = os.pipe()

    def serve() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(master, selectors.EVENT_READ)
            selector.register(stop_read, selectors.EVENT_READ)
            while True:
                ready = [key.fd for key, _ in selector.select()]
                if stop_read in ready:
                    return
                os.write(master, answer(os.read(master, 65_536)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        os.write(stop_write, b"x")
        thread.join()
        for descriptor in (master, slave, stop_read, stop_write):
            os.close(descriptor)


def _serve_socket(connection: socket.socket, answer: Answer) -> None:
    with suppress(OSError):
        while received := connection.recv(65_536):
            if reply := answer(received):
                connection.sendall(reply)
