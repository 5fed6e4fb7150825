"""Emulators served on pseudo-terminals and TCP ports."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.mpc320 import Mpc320Emulator
from sim_devices.emulators.server import SteadyClock, serving
from sim_devices.emulators.tdc1 import Tdc1Emulator
from sim_devices.emulators.websq import WebSqEmulator
from sim_devices.endpoints import STREAM_BUFFER_BYTES, Wire, spread

PATIENCE_S = 120.0


@contextmanager
def client(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        yield connection


def client_when_back(address: str) -> AbstractContextManager[socket.socket]:
    host, _, port = address.rpartition(":")
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline_s, "it never came back"


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        piece = connection.recv(4096)
        assert piece, "the emulator hung up"
        received += piece
    return received


def read_terminal(path: str, sent: bytes, end: bytes) -> bytes:
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(terminal, sent)
        received = b""
        while not received.endswith(end):
            received += os.read(terminal, 4096)
        return received
    finally:
        os.close(terminal)


def test_one_device_answers_on_tcp_and_on_a_terminal() -> None:
    with serving(Tdc1Emulator(), "pty", "tcp://127.0.0.1:0") as (terminal, tcp):
        with client(tcp.address) as connection:
            connection.sendall(b"time 321;*idn?\n")
            assert read_until(connection, b"\r\n").startswith(b"TDC1")

        assert read_terminal(terminal.address, b"time?\r\n", b"\r\n") == b"321\r\n"


def test_a_terminal_outlives_its_clients_and_carries_every_byte() -> None:
    info = bytes.fromhex("050000005001")
    with serving(Mpc320Emulator(), "pty") as (terminal,):
        replies = [read_terminal(terminal.address, info, b"\x03\x00") for _ in range(3)]

    assert {len(reply) for reply in replies} == {90}


def test_a_link_names_the_terminal(tmp_path: Path) -> None:
    link = tmp_path / "tagger"
    with serving(Tdc1Emulator(), f"pty:{link}") as (terminal,):
        assert terminal.address == str(link)
        assert read_terminal(str(link), b"mode?;", b"\r\n") == b"0\r\n"

    assert not link.is_symlink()


def test_replies_go_to_who_asked_and_changes_to_all() -> None:
    with (
        serving(WebSqEmulator()) as (control, counts),
        client(control.address) as first,
        client(control.address) as second,
        client(counts.address) as reader,
    ):
        second.sendall(b'{"request": "StartAutoIV"}')
        asked = read_until(second, b"\x17")
        first.sendall(b'{"command": "DetectorEnable", "value": false}')

        assert asked == b'{"label": "StartAutoIV", "value": false}\x17'
        assert read_until(first, b"\x17") == read_until(second, b"\x17")
        assert read_until(reader, b"\n").count(b",") == 4


def test_unplugging_cuts_clients_off_and_the_address_comes_back() -> None:
    faults = Faults()
    with serving(Tdc1Emulator(), faults=faults) as (tcp,):
        with client(tcp.address) as connection:
            connection.sendall(b"mode?;")
            assert read_until(connection, b"\r\n") == b"0\r\n"
            faults.add(Fault(FaultKind.UNPLUG, 0.0))
            assert connection.recv(10) == b""
        with client_when_back(tcp.address) as connection:
            connection.sendall(b"mode?;")
            assert read_until(connection, b"\r\n") == b"0\r\n"


def test_a_reader_that_sleeps_loses_whole_payloads_and_costs_no_memory() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours.fileno())
        payload = b"\x21\0\0\0" * 1024

        for _ in range(1000):
            wire.send(payload, droppable=True)

        waiting = 1000 * len(payload) - wire.lost_bytes
        assert wire.lost_bytes % len(payload) == 0
        assert waiting < 2 * STREAM_BUFFER_BYTES
        received = bytearray()
        while len(received) < waiting:
            received += theirs.recv(1 << 16)
            wire.flush()
        assert bytes(received) == payload * (waiting // len(payload))


def test_the_clock_slips_instead_of_jumping() -> None:
    times = iter([0.0, 0.05, 5.0, 5.01])
    clock = SteadyClock(lambda: next(times))

    shown = [clock.advance() for _ in range(3)]

    assert shown == pytest.approx([0.05, 0.15, 0.16])
    assert clock.slipped_s == pytest.approx(4.85)


def test_addresses_are_spread_over_the_ports() -> None:
    free = "tcp://127.0.0.1:0"
    defaults = ("tcp://127.0.0.1:12000", "tcp://127.0.0.1:12345")

    assert spread((), defaults) == [(0, defaults[0]), (1, defaults[1])]
    assert spread((free,), defaults) == [(0, free), (1, free)]
    assert spread(("tcp://h:50",), defaults) == [(0, "tcp://h:50"), (1, "tcp://h:51")]
    assert spread((free, "pty"), (free,)) == [(0, free), (0, "pty")]
    assert spread(("pty", free), defaults) == [(0, "pty"), (0, free), (1, free)]
    with pytest.raises(ValueError, match="2 ports"):
        spread((free,) * 3, defaults)
