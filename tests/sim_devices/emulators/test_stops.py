"""Light follows a motor to the place where a stop catches it, and that is the place reported."""

from __future__ import annotations

import struct
from importlib.metadata import entry_points

import pytest

from sim_devices.emulators.emulator import Emulator
from sim_devices.emulators.station import RandomStation

STOP = bytes.fromhex("650401015001")
STATUS = bytes.fromhex("900401005001")


class Plates(RandomStation):
    """Remembers how the plates stand."""

    def __init__(self) -> None:
        super().__init__((0.0,) * 4, 0)
        self.angles_deg: dict[int, float] = {}

    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        self.angles_deg[paddle] = angle_deg


def apt_deg(reply: bytes, counts_per_deg: float) -> float:
    position: int = struct.unpack_from("<i", reply, 8)[0]
    return position / counts_per_deg


def elliptec_deg(reply: bytes) -> float:
    return int(reply[3:11], 16) * 360 / 143_360


def made(kind: str, plates: Plates) -> Emulator:
    (point,) = entry_points(group="qnx_hw.emulators", name=kind)
    device: Emulator = point.load()(plates, {})
    return device


def said(device: Emulator, sent: bytes, now_s: float) -> bytes:
    return b"".join(output.payload for output in device.feed(0, 1, sent, now_s))


@pytest.mark.parametrize(
    ("kind", "counts_per_deg", "move"),
    [
        ("mpc320", 1370 / 170, "100207015001 53040600D00101002A050000"),
        ("kdc101", 1919.6418578623391, "53040600D001010000400D03"),
        ("k10cr1", 136533.333, "53040600D001010000400D03"),
    ],
)
def test_a_stopped_motor_stands_where_it_says(kind: str, counts_per_deg: float, move: str) -> None:
    plates = Plates()
    device = made(kind, plates)
    said(device, bytes.fromhex(move), 0.0)
    device.tick(0.2)

    said(device, STOP, 0.203)

    shown_deg = apt_deg(said(device, STATUS, 0.3), counts_per_deg)
    assert shown_deg > 0.1
    assert plates.angles_deg[1] == pytest.approx(shown_deg, abs=1 / counts_per_deg)


def test_a_mount_that_turns_on_and_on_stands_where_it_says() -> None:
    plates = Plates()
    device = made("ell14", plates)
    said(device, b"0sj000000000fw", 0.0)
    device.tick(0.2)

    said(device, b"0st", 0.203)

    device.tick(0.21)
    assert plates.angles_deg[1] == pytest.approx(430 * 0.203, abs=0.01)
    assert elliptec_deg(said(device, b"0gp", 0.3)) == pytest.approx(430 * 0.203, abs=0.01)
