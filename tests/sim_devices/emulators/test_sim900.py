"""The SIM900 mainframe: both ways of reading a module, and what the modules say."""

from __future__ import annotations

import pytest

from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.sim900 import Sim900Emulator


class Host:
    def __init__(self, faults: Faults | None = None) -> None:
        self.device = Sim900Emulator(options={"faults": faults or Faults()})
        self.now_s = 0.0

    def say(self, line: str) -> bytes:
        sent = line.encode() + b"\n"
        return b"".join(out.payload for out in self.device.feed(0, 1, sent, self.now_s))

    def ask(self, slot: int, text: str) -> bytes:
        assert self.say(f'SNDT {slot},"{text}"') == b""
        self.now_s += 0.5
        waiting = int(self.say(f"NINP? {slot}"))
        return self.say(f"RAWN? {slot},{waiting}")


@pytest.fixture
def host() -> Host:
    ready = Host()
    ready.say('SNDT 1,"TERM LF"')
    return ready


def test_the_mainframe_says_who_is_there(host: Host) -> None:
    assert host.say("*IDN?") == b"Stanford_Research_Systems,SIM900,s/n152741,ver3.6\r\n"
    assert host.say("CTCR?\r") == b"38\r\n"
    assert host.say("*OPC?;*ESR?;LCME?") == b"1\r\n0\r\n0\r\n"


def test_raw_bytes_have_no_terminator(host: Host) -> None:
    host.say('SNDT 1,"VOLT 1.25"')

    assert host.ask(1, "VOLT?") == b"+1.250\n"
    assert host.say("NINP? 1") == b"0\r\n"


def test_blocks_have_a_header_and_a_terminator(host: Host) -> None:
    host.say('SNDT 1,"VOLT 1.25"')
    host.say('SNDT 1,"VOLT?"')
    host.now_s += 0.1

    assert host.say("GETN? 1,128") == b"#3007+1.250\n\r\n"
    assert host.say("GETN? 1,128") == b"#3000\r\n"


def test_modules_take_time_to_answer(host: Host) -> None:
    host.say('SNDT 1,"VOLT?"')

    assert host.say("NINP? 1") == b"0\r\n"
    host.now_s += 0.05
    assert host.say("NINP? 1") == b"7\r\n"


def test_each_slot_has_its_own_queue_and_line_end(host: Host) -> None:
    host.say('SNDT 1,"VOLT -3"')
    host.say('SNDT 2,"VOLT 3"')

    assert host.ask(2, "VOLT?") == b"+3.000\r\n"
    assert host.ask(1, "VOLT?") == b"-3.000\n"


def test_wrong_values_are_kept_in_registers(host: Host) -> None:
    host.ask(1, "*ESR?")
    host.say('SNDT 1,"VOLT 21"')

    assert host.ask(1, "LEXE?") == b"1\n"
    assert host.ask(1, "*ESR?") == b"16\n"
    assert host.ask(1, "LEXE?") == b"0\n"
    assert host.ask(1, "VOLT?") == b"+0.000\n"


def test_unknown_commands_are_kept_too(host: Host) -> None:
    host.say('SNDT 1,"FLY"')

    assert host.ask(1, "LCME?") == b"1\n"


def test_the_output_is_switched(host: Host) -> None:
    host.say('SNDT 1,"OPON"')

    assert host.ask(1, "EXON?") == b"1\n"


def test_a_pass_through_ends_with_its_escape(host: Host) -> None:
    host.say('CONN 1,"xyz"')

    assert host.say("VOLT?") == b"+0.000\n"
    assert host.say("xyz") == b""
    assert host.say("NINP? 1") == b"0\r\n"


def test_the_escape_needs_no_line_end_and_the_rest_is_the_mainframes(host: Host) -> None:
    host.say('CONN 1,"xyz"')

    pieces = (b"VOLT 2\nVOLT?\nxy", b"z*IDN?;CTCR? 5;CTCR? 4\n")
    said = [out.payload for piece in pieces for out in host.device.feed(0, 1, piece, 0.0)]

    assert (
        b"".join(said) == b"+2.000\nStanford_Research_Systems,SIM900,s/n152741,ver3.6\r\n1\r\n0\r\n"
    )


def test_a_line_holds_several_commands_but_not_within_quotes(host: Host) -> None:
    assert host.say('SNDT 1,"OPON;EXON?";NINP? 1') == b"0\r\n"
    host.now_s += 0.1
    assert host.say("NINP? 1;GETN? 1,128") == b"2\r\n#30021\n\r\n"


def test_the_bias_module_counts_in_dac_units(host: Host) -> None:
    host.say('SNDT 5,"+B32768;"')

    assert host.ask(5, "+B?") == b"32768\r\n"
    assert host.ask(5, "+E?") == b"0\r\n"
    assert host.ask(5, "+H?;") == b"52428.0\r\n"
    assert host.ask(5, "+B7;+B?;+E?") == b"7\r\n0\r\n"


def test_a_latched_wire_shows_a_voltage_until_it_is_reset(host: Host) -> None:
    host.say('SNDT 5,"+C1;"')
    host.say('SNDT 5,"+B65535;"')
    latched = int(host.ask(5, "+C?"))
    host.say('SNDT 5,"+B32768;"')
    host.say('SNDT 5,"+F;"')

    assert latched > 20_000
    assert int(host.ask(5, "+C?")) < 200


@pytest.mark.parametrize(
    ("line", "register", "code"),
    [
        ("VOLTS 1", "LCME?", 1),
        ("FLYS", "LCME?", 2),
        ("FLYS?", "LCME?", 2),
        ("OPON?", "LCME?", 3),
        ("BATS 1", "LCME?", 4),
        ("VOLT", "LCME?", 5),
        ("VOLT 1,2", "LCME?", 6),
        ("VOLT high", "LCME?", 9),
        ("TERM TAB", "LCME?", 14),
        ("VOLT 21", "LEXE?", 1),
        ("EXON 2", "LEXE?", 2),
    ],
)
def test_a_source_says_once_what_it_could_not_do(
    host: Host, line: str, register: str, code: int
) -> None:
    host.ask(1, "*ESR?")
    host.say(f'SNDT 1,"{line}"')

    assert host.ask(1, register) == f"{code}\n".encode()
    assert host.ask(1, register) == b"0\n"
    assert host.ask(1, "*ESR?") == (b"32\n" if register == "LCME?" else b"16\n")


def test_a_battery_switchover_shows_in_the_status() -> None:
    host = Host(Faults([Fault(FaultKind.DEVICE_ERROR, 1.0)]))
    host.say('SNDT 1,"TERM LF"')
    assert host.ask(1, "OVSR?") == b"0\n"

    host.device.tick(1.5)

    assert host.ask(1, "OVSR?") == b"4\n"
    assert host.ask(1, "OVSR?") == b"0\n"


def test_a_reset_of_one_slot_leaves_what_the_others_said(host: Host) -> None:
    for slot in (1, 2):
        host.say(f'SNDT {slot},"VOLT?"')
    host.now_s += 0.1
    host.say("SRST 1")

    assert host.say("NINP? 1") == b"0\r\n"
    assert host.say("NINP? 2") != b"0\r\n"
