"""What holds for the emulator of every kind."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_devices.emulators.emulator import Emulator, PortKind
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.fpga_board import frame

KINDS = sorted(point.name for point in entry_points(group="qnx_hw.emulators"))
LINES = {
    "agiltron": [b"\x01\x12\x00\x03", b"\x01\x11\x00\x00", b"\x07", b"\x01\x01"],
    "cc1": [b":ACKN OF\n", b"FIRM?\n", b":WIND 4\n", b"WIND?\n", b"what?\n", b":GATE:ON\n"],
    "dd100": [b"CD\r", b"D\r", b"Axy\r", b"FLY\r"],
    "dg645": [b"DLAY 2,0,1e-6\n", b"DLAY?2\n", b"LERR?\r\n", b"FLY\n", b"*IDN?;*ESR?\n"],
    "ell14": [b"0in", b"0gs\r", b"0sv32\r\n", b"0gv", b"0zz", b"Bgs", b"0sj00001000", b"0gj"],
    "ellbus": [b"3in", b"Ags\r", b"0sv32\r\n", b"Agp", b"3ga0"],
    "epc400": [b"V1,1500\r\n", b"V?\r", b"V7,100\r\n", b"MAC\r\n", b"M?\r\n"],
    "fpga-tagger": [frame(1, 3), frame(3, 4, b'{"threshold_1_v": 0.3}'), frame(9, 1), b"QB"],
    "fpga-transmitter": [frame(1, 3), frame(0x11, 4, b"\x00\x06"), frame(4, 5), frame(16, 1)],
    "id120": [b"BIAS:VOLTAGE 5\n", b"BIAS:VOLTAGE?\n", b"FLY\n", b"SYST:ERR?\n"],
    "kdc101": [bytes.fromhex("050000005001"), bytes.fromhex("140401005001")],
    "k10cr1": [bytes.fromhex("800401005001"), bytes.fromhex("290401005001")],
    "lcc25": [b"volt1=2.5\r", b"volt1?\r", b"volt1=99\r", b"fly?\r"],
    "mpc320": [bytes.fromhex("050000005001"), bytes.fromhex("310501005001")],
    "osw": [b"S 2\n", b"S?\n", b"T?\r\n", b"I?\n"],
    "pax1000": [b"SENS:CALC 9\n", b"SENSe:CALCulate?\n", b"FLY?\n", b"SYST:ERR?\n"],
    "pm100": [b"SENS:CORR:WAV 9\n", b"SYST:ERR?\n", b"*IDN?\n", b"FETC?\n"],
    "polatis": [b":oxc:swit:conn:add (@1),(@17)\n", b":oxc:swit:conn:stat?\n", b"fly\n"],
    "s15spd": [b"hvolt 190.5\r\n", b"hvolt?;", b"loop?\r\n", b"*idn?;", b"fly;"],
    "sim900": [b"*IDN?\n", b'SNDT 1,"VOLT?"\n', b"NINP? 1\r\n", b"GETN? 1,128\n", b"CTCR?\n"],
    "tdc1": [b"*idn?;", b"time 5\n", b"time?\r\n"],
    "websq": [b'{"request": "BiasCurrent"}', b'{"request": "x}{"}', b" "],
}

# What each answers whatever state it is in; a motor under way or a count may come first.
QUESTIONS = {
    "agiltron": b"\x01\x11\x00\x00",
    "dd100": b"\rD\r",
    "ell14": b"\r0in",
    "ellbus": b"\r0in",
    "epc400": b"\rV?\r",
    "fpga-tagger": frame(1, 3),
    "fpga-transmitter": frame(1, 3),
    "id900": b"*IDN?",
    "kdc101": bytes.fromhex("050000005001"),
    "k10cr1": bytes.fromhex("050000005001"),
    "lcc25": b"\rvolt1?\r",
    "mpc320": bytes.fromhex("050000005001"),
    "osw": b"\nS?\n",
    "tdc1": b"\nabort\n*idn?\n",
    "websq": b'{"command": "GetMeasurementPeriod"}',
}
LONGEST_WAIT_S = 70


def answers(emulator: Emulator, kind: str, now_s: float) -> bool:
    """Ask as somebody new and let time pass until something is said."""
    emulator.connected(0, 2)
    outputs = emulator.feed(0, 2, QUESTIONS.get(kind, b"\n*IDN?\nFIRM?\n"), now_s)
    for second in range(LONGEST_WAIT_S):
        if any(out.port == 0 and out.client in {None, 2} for out in outputs):
            return True
        outputs = emulator.tick(now_s + second)
    return False


def make(kind: str, **options: object) -> Emulator:
    (point,) = entry_points(group="qnx_hw.emulators", name=kind)
    emulator: Emulator = point.load()(None, options)
    emulator.connected(0, 1)
    return emulator


def heard(emulator: Emulator, sent: list[bytes], now_s: float = 0.0) -> bytes:
    return b"".join(out.payload for part in sent for out in emulator.feed(0, 1, part, now_s))


def test_every_stream_has_lines_here() -> None:
    streams = {kind for kind in KINDS if make(kind).ports[0] is PortKind.STREAM}

    assert streams == set(LINES)


@pytest.mark.parametrize("kind", sorted(LINES))
@settings(max_examples=15, deadline=None)
@given(picked=st.data())
def test_commands_are_obeyed_however_they_are_cut(kind: str, picked: st.DataObject) -> None:
    sent = b"".join(picked.draw(st.lists(st.sampled_from(LINES[kind]), max_size=8)))
    chunk = picked.draw(st.integers(1, 7))

    cut = heard(make(kind), [sent[at : at + chunk] for at in range(0, len(sent), chunk)])

    assert cut == heard(make(kind), [sent])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(noise=st.lists(st.binary(max_size=60), max_size=8))
def test_noise_never_kills_it_nor_fills_it(kind: str, noise: list[bytes]) -> None:
    emulator = make(kind)

    for number, part in enumerate(noise):
        for port in range(len(emulator.ports)):
            emulator.feed(port, 1, part, number * 0.01)
        emulator.tick(number * 0.01)
    emulator.disconnected(0, 1)

    assert answers(emulator, kind, 1.0)


@pytest.mark.parametrize("kind", sorted(LINES))
@settings(max_examples=15, deadline=None)
@given(picked=st.data())
def test_spoiled_commands_never_kill_it(kind: str, picked: st.DataObject) -> None:
    sent = bytearray(b"".join(picked.draw(st.lists(st.sampled_from(LINES[kind]), min_size=1))))
    for place in picked.draw(st.lists(st.integers(0, len(sent) - 1), max_size=4)):
        sent[place] = picked.draw(st.integers(0, 255))
    emulator = make(kind)

    heard(emulator, [bytes(sent)])

    assert answers(emulator, kind, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_a_kind_with_one_seed_do_the_same(kind: str) -> None:
    def life(emulator: Emulator) -> list[bytes]:
        sent = heard(emulator, LINES.get(kind, []))
        ticks = [out.payload for tick in range(100) for out in emulator.tick(tick / 50)]
        return [sent, *ticks]

    assert life(make(kind)) == life(make(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_can_be_set_on_every_kind(kind: str) -> None:
    faults = Faults([Fault(fault, 0.1) for fault in FaultKind])
    emulator = make(kind, faults=faults)

    for tick in range(100):
        emulator.tick(tick / 50)

    assert answers(emulator, kind, 2.0)
