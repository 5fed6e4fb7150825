"""KDC101 and K10CR1 by the examples of the APT document."""

from __future__ import annotations

import struct

import pytest

from sim_devices.emulators.kinesis import K10cr1Emulator, Kdc101Emulator, KinesisEmulator

MOVE_45_DEG = "53 04 06 00 D0 01 01 00 70 51 01 00"


def talk(device: KinesisEmulator, sent: str, now_s: float = 0.0) -> str:
    outputs = device.feed(0, 1, bytes.fromhex(sent), now_s)
    return b"".join(output.payload for output in outputs).hex(" ").upper()


def let_pass(device: KinesisEmulator, from_s: float, until_s: float) -> str:
    ticks = range(round(from_s * 20), round(until_s * 20))
    sent = b"".join(out.payload for tick in ticks for out in device.tick(tick / 20))
    return sent.hex(" ").upper()


def test_a_move_ends_with_the_status_of_the_motor() -> None:
    device = Kdc101Emulator()
    talk(device, "43 04 01 00 50 01")
    assert let_pass(device, 0.0, 1.0) == "44 04 01 00 01 50"

    talk(device, MOVE_45_DEG, 1.0)

    # 45 degrees at 10 deg/s, and a second to get there.
    assert let_pass(device, 1.0, 5.0) == ""
    report = "64 04 0E 00 81 50 01 00 70 51 01 00 00 00 00 00 00 05 00 90"
    assert let_pass(device, 5.0, 8.0) == report


def test_relative_moves_go_both_ways() -> None:
    device = Kdc101Emulator()
    talk(device, "48 04 06 00 D0 01 01 00 48 57 FF FF")
    let_pass(device, 0.0, 10.0)

    reply = bytes.fromhex(talk(device, "11 04 01 00 50 01", 10.0))

    assert int.from_bytes(reply[8:], "little", signed=True) == -43192


def test_velocity_parameters_are_kept() -> None:
    device = Kdc101Emulator()
    parameters = "01 00 00 00 00 00 93 00 00 00 69 8D 06 00"

    assert talk(device, f"13 04 0E 00 D0 01 {parameters}") == ""
    assert talk(device, "14 04 01 00 50 01") == f"15 04 0E 00 81 50 {parameters}"


@pytest.mark.parametrize(
    ("request_id", "size"),
    [
        ("14 04", 14),
        ("17 04", 22),
        ("41 04", 14),
        ("3B 04", 6),
        ("24 04", 16),
        ("24 05", 22),
        ("27 05", 34),
    ],
)
def test_stored_settings_have_the_lengths_of_the_document(request_id: str, size: int) -> None:
    reply = bytes.fromhex(talk(Kdc101Emulator(), f"{request_id} 01 00 50 01"))

    assert len(reply) == 6 + size
    assert int.from_bytes(reply[2:4], "little") == size


def test_moves_without_data_go_where_the_stored_ones_say() -> None:
    device = Kdc101Emulator()
    talk(device, "50 04 06 00 D0 01 01 00 00 10 00 00 45 04 06 00 D0 01 01 00 00 F0 FF FF")
    assert talk(device, "51 04 01 00 50 01") == "52 04 06 00 81 50 01 00 00 10 00 00"

    talk(device, "53 04 01 00 50 01")
    assert let_pass(device, 0.0, 5.0)[18:35] == "01 00 00 10 00 00"
    talk(device, "48 04 01 00 50 01", 5.0)
    assert let_pass(device, 5.0, 10.0)[18:35] == "01 00 00 00 00 00"


def test_hosts_may_leave_the_reserved_bytes_out() -> None:
    device = Kdc101Emulator()

    talk(device, "23 05 0A 00 D0 01 01 00 0B 00 01 00 0C 00 01 00")

    reply = talk(device, "24 05 01 00 50 01")
    assert reply == "25 05 16 00 81 50 01 00 0B 00 01 00 0C 00 01 00" + 12 * " 00"


def test_updates_come_each_100_ms_while_the_host_lives() -> None:
    device = Kdc101Emulator()
    talk(device, "11 00 0A 00 50 01")

    assert 9 <= let_pass(device, 0.0, 1.0).count("91 04 0E 00 81 50") <= 11


def test_updates_end_without_a_sign_of_life() -> None:
    device = Kdc101Emulator()
    talk(device, "11 00 0A 00 50 01")
    updates = let_pass(device, 0.0, 4.0)
    talk(device, "05 00 00 00 50 01", 4.0)
    updates += let_pass(device, 4.0, 20.0)

    assert updates.count("91 04 0E 00 81 50") == 50


def test_a_k10cr1_crawls_home_until_it_is_told_a_speed() -> None:
    device = K10cr1Emulator()
    talk(device, "53 04 06 00 D0 01 01 00 55 15 02 00")  # 1 degree
    let_pass(device, 0.0, 1.0)
    talk(device, "43 04 01 00 50 01", 1.0)
    assert let_pass(device, 1.0, 5.0) == ""

    ten_deg_s = (10 * 7329109).to_bytes(4, "little").hex()
    talk(device, f"40 04 0E 00 D0 01 01 00 02 00 01 00 {ten_deg_s} 00 00 00 00", 5.0)
    talk(device, "43 04 01 00 50 01", 5.0)
    assert let_pass(device, 5.0, 7.0) == "44 04 01 00 01 50"


def test_stop_answers_with_the_status() -> None:
    device = Kdc101Emulator()
    talk(device, MOVE_45_DEG)

    assert talk(device, "65 04 01 02 50 01", 1.0).startswith("66 04 0E 00 81 50 01 00")
    assert let_pass(device, 1.0, 10.0) == ""


def test_a_k10cr1_says_who_it_is_and_has_the_long_status() -> None:
    device = K10cr1Emulator()

    info = bytes.fromhex(talk(device, "05 00 00 00 50 01"))
    status = bytes.fromhex(talk(device, "80 04 01 00 50 01"))

    assert str(int.from_bytes(info[6:10], "little")).startswith("55")
    assert info[10:18] == b"K10CR1\0\0"
    assert (status[:2], len(status)) == (b"\x81\x04", 6 + 28)


def test_a_jog_has_a_speed_and_a_mode_of_its_own() -> None:
    device = Kdc101Emulator()
    # 20 deg/s where moves go at 10 deg/s; steps of 20 degrees.
    jogs = "01 00 02 00 F9 95 00 00 00 00 00 00 93 00 00 00 D2 1A 0D 00 02 00"
    talk(device, f"16 04 16 00 D0 01 {jogs}")
    talk(device, "6A 04 01 01 50 01")
    # 20 degrees and 1 second, and as long again to get to speed.
    assert let_pass(device, 0.0, 2.0) == ""
    assert let_pass(device, 2.0, 2.2).startswith("64 04 0E 00 81 50 01 00 F9 95 00 00")

    talk(device, f"16 04 16 00 D0 01 {jogs.replace('02 00 F9', '01 00 F9')}", 3.0)
    talk(device, "6A 04 01 02 50 01", 3.0)
    assert let_pass(device, 3.0, 30.0) == ""
    stopped = bytes.fromhex(talk(device, "65 04 01 01 50 01", 30.0))
    assert struct.unpack_from("<i", stopped, 8)[0] < -300 * 1919
