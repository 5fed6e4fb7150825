"""VISA resources as wires: sockets and serial ports by pyvisa-py, message resources by the book."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import pyvisa
from answering import TcpDevice, pty_device

from qnx_hw.errors import ConfigError, InstrumentTimeout, NotConnected
from qnx_hw.transports import Lines, Link, Wire, make_wire
from qnx_hw.transports.visa import VisaWire

LONG_S = 120.0


def echo_lines() -> Callable[[bytes], bytes]:
    lines = Lines()
    return lambda received: b"".join(b"=" + line + b"\n" for line in lines.feed(received))


@contextmanager
def opened(wire: Wire) -> Iterator[Link]:
    link = Link(wire, Lines(), name="device")
    link.open(timeout_s=LONG_S)
    try:
        yield link
    finally:
        link.close()


def ask(link: Link, text: str, timeout_s: float = LONG_S) -> str:
    expected = b"=" + text.encode()
    return link.query(
        text.encode() + b"\n", lambda line: line == expected, timeout_s=timeout_s
    ).decode()


@contextmanager
def socket_resource() -> Iterator[tuple[TcpDevice, str]]:
    with TcpDevice(echo_lines()) as device:
        yield device, f"visa://TCPIP0::127.0.0.1::{device.port}::SOCKET"


def test_many_threads_get_their_own_replies() -> None:
    with (
        socket_resource() as (_, url),
        opened(make_wire(url)) as link,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(lambda n: ask(link, str(n)), range(100)))

    assert replies == [f"={n}" for n in range(100)]


def test_bytes_without_line_ends_pass_through() -> None:
    noise = bytes(range(256)) * 300
    with (
        TcpDevice(lambda received: noise) as device,
        opened(make_wire(f"TCPIP0::127.0.0.1::{device.port}::SOCKET")) as link,
    ):
        stream = link.start_stream()
        link.send(b"go")
        received = b""
        while len(received) < len(noise):
            received += stream.read(LONG_S)[0]

    assert received == noise


def test_a_serial_resource_is_a_wire() -> None:
    with pty_device(echo_lines()) as path, opened(make_wire(f"visa://ASRL{path}::INSTR")) as link:
        assert ask(link, "7") == "=7"


def test_a_dropped_socket_ends_the_link() -> None:
    with socket_resource() as (device, url), opened(make_wire(url)) as link:
        ask(link, "1")
        device.drop()

        with pytest.raises(NotConnected):
            ask(link, "2")


def test_nobody_there_is_said() -> None:
    with TcpDevice(lambda _: b"") as device:
        port = device.port
    link = Link(make_wire(f"visa://TCPIP0::127.0.0.1::{port}::SOCKET"), Lines(), name="device")

    with pytest.raises(NotConnected, match="cannot be opened"):
        link.open(timeout_s=LONG_S)


@pytest.mark.parametrize("url", ["visa://", "visa://lab", "visa://ASRL1::INSTR?baud=fast"])
def test_what_names_no_resource_is_explained(url: str) -> None:
    with pytest.raises(ConfigError, match=r"VISA resource|baud"):
        make_wire(url)


@dataclass
class Usbtmc:
    """A message resource as pyvisa gives it: reading what was not asked for is an error."""

    written: list[bytes] = field(default_factory=list)
    timeout: float = 0.0
    is_closed: bool = False
    unpromised: int = 0
    _replies: list[bytes] = field(default_factory=list)

    def write_raw(self, line: bytes) -> int:
        self.written.append(line)
        if b"?" in line and b"deaf" not in line and b"SNDT" not in line:
            self._replies.append(b"=" + line)
        return len(line)

    def read_raw(self) -> bytes:
        if not self._replies:
            self.unpromised += 1
            raise pyvisa.VisaIOError(pyvisa.constants.StatusCode.error_timeout)
        return self._replies.pop(0)

    def close(self) -> None:
        self.is_closed = True


def test_a_message_resource_is_read_where_a_question_was_asked() -> None:
    device = Usbtmc()
    wire = VisaWire("USB0::0x1313::0x8078::P1::INSTR", opener=lambda *_: device)
    with opened(wire) as link:
        link.send(b"*CLS\nSENS:CORR:WAV 1550\n")
        with pytest.raises(InstrumentTimeout):
            ask(link, "deaf?", timeout_s=0.01)
        assert ask(link, "MEAS:POW?") == "=MEAS:POW?"

    assert device.written == [b"*CLS\n", b"SENS:CORR:WAV 1550\n", b"deaf?\n", b"MEAS:POW?\n"]
    assert device.is_closed


def test_a_question_that_is_passed_on_is_not_read_for() -> None:
    device = Usbtmc()
    wire = VisaWire("GPIB0::2::INSTR", opener=lambda *_: device)
    with opened(wire) as link:
        link.send(b'SNDT 1,"VOLT?"\n')
        assert ask(link, "GETN? 1,128") == "=GETN? 1,128"

    assert device.unpromised == 0
