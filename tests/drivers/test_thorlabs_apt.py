"""APT messages: the manual's examples, any chunking, stray bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import thorlabs_apt as apt
from drivers.thorlabs_kdc101 import Kdc101
from drivers.thorlabs_mpc320 import Mpc320
from sim_devices.emulators.emulator import Emulator, Output
from sim_devices.emulators.kinesis import Kdc101Emulator
from sim_devices.emulators.mpc320 import Mpc320Emulator

Serve = Callable[..., list[str]]
LONG_S = 120.0


def test_the_sheets_requests_are_written_to_the_byte() -> None:
    assert apt.short(apt.Id.HW_REQ_INFO).hex(" ") == "05 00 00 00 50 01"
    assert apt.short(apt.Id.MOD_SET_CHANENABLESTATE, 7, 1).hex(" ") == "10 02 07 01 50 01"
    move = apt.long(apt.Id.MOT_MOVE_ABSOLUTE, struct.pack("<Hi", 2, 685))
    assert move.hex(" ") == "53 04 06 00 d0 01 02 00 ad 02 00 00"


def test_the_sheets_status_is_read() -> None:
    frame = bytes.fromhex("91 04 0E 00 81 50 02 00 2C 01 00 00 32 00 78 00 10 05 00 B0")

    status = apt.motor_status(apt.decode(frame))

    assert (status.ident, status.position) == (2, 300)
    assert status.status & apt.IN_MOTION == apt.Status.MOVING_FORWARD
    assert status.status & apt.Status.ENABLED


def test_the_identity_is_read() -> None:
    frame = bytes.fromhex("06 00 54 00 81 50 81 D5 43 02") + b"MPC320\0\0" + bytes(70)

    identity = apt.hardware_identity(apt.decode(frame.ljust(90, b"\0")))

    assert (identity.model, identity.serial) == ("MPC320", "38000001")


FRAME = st.one_of(
    st.binary(max_size=60).map(
        lambda data: struct.pack("<HHBB", 0x491, len(data), 0x81, 0x50) + data
    ),
    st.tuples(st.integers(0, 255), st.integers(0, 255)).map(
        lambda p: struct.pack("<HBBBB", 0x464, *p, 0x01, 0x50)
    ),
)


@given(st.lists(FRAME), st.integers(1, 9))
def test_messages_survive_any_chunking(frames: list[bytes], chunk: int) -> None:
    stream = b"".join(frames)
    framer = apt.AptFramer()

    received = [
        frame
        for start in range(0, len(stream), chunk)
        for frame in framer.feed(stream[start : start + chunk])
    ]

    assert received == frames
    assert framer.stray_bytes == 0


@given(st.binary(min_size=1, max_size=5).filter(lambda b: not set(b) & {0, 1, 0x80, 0x81}))
def test_stray_bytes_before_a_message_are_skipped(stray: bytes) -> None:
    frame = bytes.fromhex("64 04 02 00 01 50")
    framer = apt.AptFramer()

    received = list(framer.feed(stray + frame * 4))

    assert received[-1] == frame
    assert framer.stray_bytes >= len(stray)


@given(st.binary(max_size=300))
def test_rubbish_is_never_more_than_its_bytes(rubbish: bytes) -> None:
    framer = apt.AptFramer()

    frames = list(framer.feed(rubbish))

    assert sum(map(len, frames)) + framer.stray_bytes + framer.reset() == len(rubbish)


class Sluggish(Emulator):
    """Begins to search for its zero when it was asked how it is for the third time."""

    HOME, ASK = bytes.fromhex("43 04 01 00 50 01"), bytes.fromhex("90 04 01 00 50 01")

    def __init__(self, inner: Emulator) -> None:
        self._inner = inner
        self.ports, self.default_listen = inner.ports, inner.default_listen
        self.looks = 0
        self._has_heard = False

    def connected(self, port: int, client: int) -> bytes:
        return self._inner.connected(port, client)

    def disconnected(self, port: int, client: int) -> None:
        self._inner.disconnected(port, client)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        if self.HOME in received:
            self._has_heard = True
            received = received.replace(self.HOME, b"")
        elif self._has_heard and self.ASK in received:
            self.looks += 1
            received = (self.HOME if self.looks == 3 else b"") + received
        return self._inner.feed(port, client, received, now_s)

    def tick(self, now_s: float) -> list[Output]:
        return self._inner.tick(now_s)


@pytest.mark.parametrize(("driver", "unit"), [(Kdc101, Kdc101Emulator), (Mpc320, Mpc320Emulator)])
def test_a_counter_at_zero_is_no_zero_that_was_found(
    serve: Serve, driver: type[Kdc101 | Mpc320], unit: Callable[[], Emulator]
) -> None:
    device = Sluggish(unit())
    (url,) = serve(device)

    with driver(url) as controller:
        controller.home(1, timeout_s=LONG_S)

    assert device.looks >= 3
