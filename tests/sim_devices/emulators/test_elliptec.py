"""ELL14 mounts on their bus, by the examples of the protocol manual."""

from __future__ import annotations

from sim_devices.emulators.elliptec import Ell14Emulator, EllBusEmulator
from sim_devices.emulators.faults import Fault, FaultKind, Faults


def talk(bus: EllBusEmulator, sent: bytes, now_s: float = 0.0) -> bytes:
    return b"".join(out.payload for out in bus.feed(0, 1, sent, now_s))


def let_pass(bus: EllBusEmulator, from_s: float, until_s: float) -> bytes:
    ticks = range(round(from_s * 100), round(until_s * 100))
    return b"".join(out.payload for tick in ticks for out in bus.tick(tick / 100))


def test_info_shows_pulses_and_travel() -> None:
    assert talk(Ell14Emulator(), b"0in") == b"0IN0E1140010020231701016800023000\r\n"


def test_any_terminator_or_none_will_do() -> None:
    assert talk(Ell14Emulator(), b"0gs0gs\r0gs\r\n") == 3 * b"0GS00\r\n"


def test_absent_addresses_stay_silent() -> None:
    bus = EllBusEmulator()

    answers = [talk(bus, f"{address:X}gs".encode()) for address in range(16)]

    assert [answer for answer in answers if answer] == [b"0GS00\r\n", b"3GS00\r\n", b"AGS00\r\n"]


def test_moves_answer_at_their_end() -> None:
    device = Ell14Emulator()

    assert talk(device, b"0ma00004600") == b""
    assert talk(device, b"0gs", 0.05) == b"0GS09\r\n"
    # 45 degrees at 430 deg/s and 50 ms: 0.155 s.
    assert let_pass(device, 0.0, 0.15) == b""
    assert let_pass(device, 0.15, 0.17) == b"0PO00004600\r\n"
    talk(device, b"0mrFFFFF072", 0.2)
    assert let_pass(device, 0.2, 0.4) == b"0PO00003672\r\n"
    assert talk(device, b"0gp", 0.4) == b"0PO00003672\r\n"


def test_moves_of_several_units_overlap() -> None:
    bus = EllBusEmulator()
    talk(bus, b"0ma00004600")
    talk(bus, b"Ama00000100")

    assert let_pass(bus, 0.0, 0.5) == b"APO00000100\r\n0PO00004600\r\n"


def test_negative_positions_come_back_as_twos_complement() -> None:
    device = Ell14Emulator()
    talk(device, b"0mrFFFFFFFF")

    assert let_pass(device, 0.0, 0.2) == b"0POFFFFFFFF\r\n"


def test_moves_beyond_a_turn_are_refused_and_the_error_is_read_once() -> None:
    device = Ell14Emulator()

    assert talk(device, b"0ma00100000") == b"0GS0C\r\n"
    assert talk(device, b"0gs0gs") == b"0GS0C\r\n0GS00\r\n"


def test_velocity_and_jog_step_are_kept() -> None:
    device = Ell14Emulator()

    assert talk(device, b"0sv320gv") == b"0GS00\r\n0GV32\r\n"
    assert talk(device, b"0sv65") == b"0GS04\r\n"
    assert talk(device, b"0sj000010000gj") == b"0GS00\r\n0GJ00001000\r\n"
    talk(device, b"0fw")
    assert let_pass(device, 0.0, 0.5) == b"0PO00001000\r\n"


def test_unknown_commands_are_errors() -> None:
    assert talk(Ell14Emulator(), b"0i3\r\n") == b"0GS03\r\n"


def test_the_new_address_answers() -> None:
    device = Ell14Emulator()

    assert talk(device, b"0ca3") == b"3GS00\r\n"
    assert talk(device, b"0gs3gs") == b"3GS00\r\n"


def test_grouped_units_move_together_once() -> None:
    bus = EllBusEmulator()

    assert talk(bus, b"0gaA") == b"AGS00\r\n"
    assert talk(bus, b"0gs") == b"0GS00\r\n"
    talk(bus, b"Ama00000100")
    assert sorted(let_pass(bus, 0.0, 0.3).split()) == [b"0PO00000100", b"APO00000100"]
    talk(bus, b"Ama00000000", 0.5)
    assert let_pass(bus, 0.5, 0.8) == b"APO00000000\r\n"


def test_a_gap_inside_a_packet_discards_it() -> None:
    device = Ell14Emulator()
    talk(device, b"0ma0000")

    assert talk(device, b"0gs", 3.0) == b"0GS01\r\n"


def test_continuous_motion_goes_on_until_stopped() -> None:
    device = Ell14Emulator()
    talk(device, b"0sj000000000fw")

    assert let_pass(device, 0.0, 1.0) == b""
    assert talk(device, b"0gs", 1.0) == b"0GS09\r\n"
    assert talk(device, b"0st", 1.0) == b"0GS00\r\n"
    assert talk(device, b"0gs", 1.0) == b"0GS00\r\n"


def test_motor_periods_are_kept_and_the_usual_ones_come_back() -> None:
    bus = Ell14Emulator()

    assert talk(bus, b"0f180C00b200B00i10i2") == (
        b"0GS00\r\n0GS00\r\n0I11104B2FFFFFFFF00C000AA\r\n0I21104B2FFFFFFFF00BD00B0\r\n"
    )
    assert talk(bus, b"0f18FFF0i1")[7:] == b"0I11104B2FFFFFFFF00BD00AA\r\n"


def test_the_current_curve_has_522_bytes() -> None:
    device = Ell14Emulator()

    assert talk(device, b"0c1") == b"0GS00\r\n"
    assert len(let_pass(device, 0.0, 3.0)) == 3 + 522 + 2


def test_a_stuck_motor_reports_a_mechanical_time_out() -> None:
    device = Ell14Emulator(options={"faults": Faults([Fault(FaultKind.DEVICE_ERROR, 0.0)])})
    talk(device, b"0ma00004600")

    assert let_pass(device, 0.0, 1.0) == b"0GS02\r\n"


def test_faults_of_one_unit_are_chosen_by_options() -> None:
    faults = Faults([Fault(FaultKind.UNASKED, 0.0), Fault(FaultKind.DEVICE_ERROR, 0.1)])
    device = Ell14Emulator(options={"faults": faults, "error": 8})
    asked_for_nothing = b"".join(out.payload for out in device.tick(0.0))
    device.feed(0, 1, b"0ma00011800", 0.05)

    moving = b"".join(out.payload for out in device.tick(0.12))

    assert asked_for_nothing == b"0BO00000000\r\n"
    assert moving == b"0GS08\r\n"


def test_backlash_leaves_a_move_short_of_its_target() -> None:
    device = Ell14Emulator(options={"backlash": 3})
    device.feed(0, 1, b"0ma00004600", 0.0)

    arrived = b"".join(out.payload for out in device.tick(2.0))

    assert arrived == b"0PO000045FD\r\n"
