"""`qnx emulate` as scripts use it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qnx_hw.cli import main


@contextmanager
def emulate(*words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    command = [sys.executable, "-m", "qnx_hw", "emulate", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60.0)
        assert ready, "no first line"
        try:
            yield process, process.stdout.readline().split()
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_endpoints_serves_them_and_ends_well(number: signal.Signals) -> None:
    with emulate("tdc1", "--listen", "pty", "--listen", "tcp://127.0.0.1:0") as (process, places):
        path, address = places
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(b"*idn?\n")
            assert connection.recv(100).startswith(b"TDC1")
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.close(terminal)

        process.send_signal(number)

        assert process.wait(timeout=120) == 0


@pytest.mark.slow
def test_one_address_gives_every_port_of_the_instrument() -> None:
    with emulate("websq", "--listen", "tcp://127.0.0.1:0") as (_, places):
        assert len(places) == 2
        assert len(set(places)) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["teapot"],
        ["tdc1", "--listen", "carrier-pigeon"],
        ["tdc1", "--fault", "explode@3"],
        ["tdc1", "--option", "rate_cps=many"],
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["emulate", *words])

    captured = capsys.readouterr()
    assert status == 1
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
