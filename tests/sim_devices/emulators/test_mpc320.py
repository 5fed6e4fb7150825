"""The MPC320's emulator against the examples of the APT document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.mpc320 import Mpc320Emulator
from sim_devices.emulators.station import RandomStation

INFO = "05 00 00 00 50 01"
ENABLE_ALL = "10 02 07 01 50 01"
PARAMS = "30 05 0C 00 D0 01 00 00 64 00 00 00 19 00 19 00 19 00"
MOVE_2_TO_85_DEG = "53 04 06 00 D0 01 02 00 AD 02 00 00"
MESSAGES = [
    INFO,
    ENABLE_ALL,
    PARAMS,
    "31 05 01 00 50 01",
    "11 02 02 00 50 01",
    "90 04 04 00 50 01",
    "11 04 01 00 50 01",
    "23 02 00 00 50 01",
    "92 04 00 00 50 01",
    "65 04 04 01 50 01",
    MOVE_2_TO_85_DEG,
]


def talk(device: Mpc320Emulator, sent: str | bytes, now_s: float = 0.0) -> str:
    raw = bytes.fromhex(sent) if isinstance(sent, str) else sent
    return shown(b"".join(output.payload for output in device.feed(0, 1, raw, now_s)))


def let_pass(device: Mpc320Emulator, from_s: float, until_s: float) -> str:
    ticks = range(round(from_s * 100), round(until_s * 100))
    return shown(b"".join(out.payload for tick in ticks for out in device.tick(tick / 100)))


def shown(received: bytes) -> str:
    return received.hex(" ").upper()


@pytest.fixture
def device() -> Mpc320Emulator:
    ready = Mpc320Emulator()
    talk(ready, ENABLE_ALL)
    return ready


@given(st.lists(st.sampled_from(MESSAGES)), st.integers(1, 11))
def test_messages_are_obeyed_however_they_are_cut(messages: list[str], chunk: int) -> None:
    sent = bytes.fromhex(" ".join(messages))
    whole = talk(Mpc320Emulator(), sent)
    device = Mpc320Emulator()

    pieces = [talk(device, sent[at : at + chunk]) for at in range(0, len(sent), chunk)]

    assert " ".join(piece for piece in pieces if piece) == whole


@given(st.binary(max_size=300))
def test_noise_is_over_after_a_silence(noise: bytes) -> None:
    device = Mpc320Emulator()
    talk(device, noise)
    let_pass(device, 0.0, 0.3)

    talk(device, "12 00 00 00 50 01", 1.0)

    assert talk(device, INFO, 1.0).startswith("06 00 54 00 81 50")


def test_info_has_serial_model_and_channels(device: Mpc320Emulator) -> None:
    reply = talk(device, INFO)

    assert reply.startswith("06 00 54 00 81 50 81 D5 43 02 4D 50 43 33 32 30 00 00")
    assert reply.endswith("03 00")
    assert len(bytes.fromhex(reply)) == 90


def test_parameters_have_twelve_bytes(device: Mpc320Emulator) -> None:
    assert talk(device, PARAMS) == ""
    expected = "32 05 0C 00 81 50 00 00 64 00 00 00 19 00 19 00 19 00"
    assert talk(device, "31 05 01 00 50 01") == expected


def test_a_move_ends_after_its_time_with_a_bare_header(device: Mpc320Emulator) -> None:
    talk(device, MOVE_2_TO_85_DEG)

    # 0.05 s, and 85 degrees at 400 deg/s: 0.2625 s.
    assert let_pass(device, 0.0, 0.26) == ""
    assert let_pass(device, 0.26, 0.30) == "64 04 02 00 01 50"
    assert talk(device, "11 04 02 00 50 01", 0.3) == "12 04 06 00 81 50 02 00 AD 02 00 00"


def test_status_while_moving_forward(device: Mpc320Emulator) -> None:
    talk(device, "43 04 02 00 50 01")
    let_pass(device, 0.0, 0.1)
    talk(device, MOVE_2_TO_85_DEG, 0.1)

    reply = talk(device, "90 04 02 00 50 01", 0.1 + 0.2625 * 300 / 685)

    assert reply == "91 04 0E 00 81 50 02 00 2C 01 00 00 32 00 78 00 10 05 00 B0"


def test_homing_reports_homed(device: Mpc320Emulator) -> None:
    talk(device, "43 04 04 00 50 01")

    assert let_pass(device, 0.0, 0.1) == "44 04 04 00 01 50"


def test_stop_answers_and_keeps_the_place(device: Mpc320Emulator) -> None:
    talk(device, "53 04 06 00 D0 01 04 00 AD 02 00 00")

    assert talk(device, "65 04 04 01 50 01", 0.1) == "66 04 04 00 01 50"
    position = talk(device, "11 04 04 00 50 01", 0.1)
    assert let_pass(device, 0.1, 1.0) == ""
    assert talk(device, "11 04 04 00 50 01", 1.0) == position


def test_enabling_one_paddle_disables_the_others(device: Mpc320Emulator) -> None:
    talk(device, "10 02 01 01 50 01", 1.0)

    states = [talk(device, f"11 02 0{mask} 00 50 01", 1.0)[6:11] for mask in (1, 2, 4)]
    talk(device, MOVE_2_TO_85_DEG, 1.0)

    assert states == ["01 01", "02 02", "04 02"]
    assert let_pass(device, 1.0, 2.0) == ""


def test_moves_are_limited_to_the_range(device: Mpc320Emulator) -> None:
    talk(device, "53 04 06 00 D0 01 01 00 FF FF 00 00")
    let_pass(device, 0.0, 1.0)

    assert talk(device, "11 04 01 00 50 01", 1.0) == "12 04 06 00 81 50 01 00 5A 05 00 00"


def test_jogs_step_both_ways(device: Mpc320Emulator) -> None:
    talk(device, "6A 04 01 01 50 01")
    let_pass(device, 0.0, 0.2)
    talk(device, "6A 04 01 01 50 01", 0.2)
    let_pass(device, 0.2, 0.4)
    talk(device, "6A 04 01 02 50 01", 0.4)
    let_pass(device, 0.4, 0.6)

    assert talk(device, "11 04 01 00 50 01", 0.6).endswith("01 00 19 00 00 00")


def test_updates_stop_when_the_host_gives_no_sign_of_life(device: Mpc320Emulator) -> None:
    talk(device, "11 00 00 00 50 01")

    silent_host = let_pass(device, 0.0, 20.0)
    talk(device, "92 04 00 00 50 01", 20.0)

    assert silent_host.count("91 04 0E 00") == 150
    assert let_pass(device, 20.0, 20.5).count("91 04 0E 00") == 15


def test_a_question_is_no_sign_of_life(device: Mpc320Emulator) -> None:
    talk(device, "11 00 00 00 50 01")
    updates = let_pass(device, 0.0, 4.0)
    talk(device, INFO, 4.0)
    updates += let_pass(device, 4.0, 20.0)

    assert updates.count("91 04 0E 00") == 150


def test_a_lost_report_of_completion() -> None:
    device = Mpc320Emulator(options={"faults": Faults([Fault(FaultKind.LOST_COMPLETED, 0.0)])})
    talk(device, ENABLE_ALL)
    talk(device, MOVE_2_TO_85_DEG)

    assert let_pass(device, 0.0, 1.0) == ""
    assert "10 05" not in talk(device, "90 04 02 00 50 01", 1.0)


def test_over_current_is_reported_with_a_text() -> None:
    device = Mpc320Emulator(options={"faults": Faults([Fault(FaultKind.DEVICE_ERROR, 0.5)])})

    report = bytes.fromhex(let_pass(device, 0.0, 1.0))

    assert report[:6].hex(" ") == "81 00 44 00 81 50"
    assert report[10:].rstrip(b"\0") == b"Over-current"


def test_fast_toggling_hangs_it(device: Mpc320Emulator) -> None:
    talk(device, "10 02 07 02 50 01", 1.0)
    talk(device, ENABLE_ALL, 1.005)
    assert talk(device, INFO, 1.006) != ""
    talk(device, "10 02 07 02 50 01", 1.01)

    assert talk(device, INFO, 2.0) == ""


def test_paddles_turn_the_light_of_their_station() -> None:
    class Watched(RandomStation):
        angles_deg: tuple[float, ...] = (0.0, 0.0, 0.0)

        def set_paddle(self, paddle: int, angle_deg: float) -> None:
            angles = list(self.angles_deg)
            angles[paddle - 1] = angle_deg
            self.angles_deg = tuple(angles)

    station = Watched((0.0,) * 4, 0)
    device = Mpc320Emulator(station)
    talk(device, ENABLE_ALL)
    talk(device, MOVE_2_TO_85_DEG)
    let_pass(device, 0.0, 1.0)

    assert station.angles_deg == pytest.approx((0.0, 85.0, 0.0))
