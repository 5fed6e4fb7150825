"""stunnel with a key of two key managers as its pre-shared key."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from containers import SCRIPTS, fetch, run
from free_ports import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("stunnel") is None, reason="stunnel is not installed"),
]


@contextmanager
def echoing() -> Iterator[int]:
    """Serve one port that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(connection.recv(100))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(120)


@contextmanager
def stunnel(folder: Path, name: str, port: int, *lines: str) -> Iterator[None]:
    file = folder / f"{name}.conf"
    head = ["foreground = yes", "pid =", "syslog = no", f"[{name}]", "ciphers = PSK"]
    file.write_text("\n".join([*head, f"accept = 127.0.0.1:{port}", *lines]) + "\n")
    process = subprocess.Popen(
        ["stunnel", str(file)], stderr=subprocess.PIPE, text=True, env=os.environ | {"TZ": "UTC"}
    )
    try:
        assert process.stderr is not None
        assert any("Configuration successful" in line for line in process.stderr)
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield
    finally:
        process.terminate()
        process.wait(120)
        drain.join(120)
        process.stderr.close()


def ask(port: int, words: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(words)
        try:
            return connection.recv(100)
        except ConnectionError:
            return b""


def test_a_fetched_key_opens_the_tunnel_and_another_does_not(tmp_path: Path) -> None:
    (ours, theirs), (wrong, other) = fetch(tmp_path, 2)
    other.unlink()
    given = {"client": ours, "server": theirs, "stranger": wrong}
    names = {
        end: run(SCRIPTS / "stunnel-psk", tmp_path / f"{end}.psk", container).strip()
        for end, container in given.items()
    }
    assert names["client"] == names["server"] != names["stranger"]
    assert not ours.exists()
    assert (tmp_path / "client.psk").stat().st_mode & 0o077 == 0
    # The stranger knows the name, and has another key.
    stolen = (tmp_path / "stranger.psk").read_text().replace(names["stranger"], names["client"])
    (tmp_path / "stranger.psk").write_text(stolen)

    with ExitStack() as stack:
        target = stack.enter_context(echoing())
        server = free_port()
        stack.enter_context(
            stunnel(
                tmp_path,
                "server",
                server,
                f"PSKsecrets = {tmp_path / 'server.psk'}",
                f"connect = 127.0.0.1:{target}",
            )
        )
        answers = {}
        for end in ("client", "stranger"):
            port = free_port()
            lines = (
                "client = yes",
                f"PSKsecrets = {tmp_path / f'{end}.psk'}",
                f"PSKidentity = {names['client']}",
                f"connect = 127.0.0.1:{server}",
            )
            with stunnel(tmp_path, end, port, *lines):
                answers[end] = ask(port, b"hello")

    assert answers == {"client": b"hello", "stranger": b""}
