"""Faults of the wire, in front of any emulator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.emulators.faults import Fault, FaultKind, Faults, FaultyWire, parse_fault
from sim_devices.emulators.tdc1 import Tdc1Emulator


def device(kind: FaultKind, lasting_s: float | None = None) -> FaultyWire:
    faults = Faults([Fault(kind, 1.0, lasting_s)])
    return FaultyWire(Tdc1Emulator(options={"rate_cps": 0.0}), faults)


def ask(wire: FaultyWire, now_s: float, question: bytes = b"mode?;") -> list[bytes]:
    return [output.payload for output in wire.feed(0, 1, question, now_s)]


def later(wire: FaultyWire, now_s: float) -> list[bytes]:
    return [output.payload for output in wire.tick(now_s)]


@pytest.mark.parametrize("kind", FaultKind)
def test_before_its_time_nothing_is_wrong(kind: FaultKind) -> None:
    assert ask(device(kind, 1.0), 0.5) == [b"0\r\n"]


def test_a_silent_device_still_obeys() -> None:
    wire = device(FaultKind.SILENT, 1.0)

    assert ask(wire, 1.5, b"pairs;mode?;") == []
    assert ask(wire, 2.5) == [b"1\r\n"]


def test_a_stray_byte_comes_once() -> None:
    wire = device(FaultKind.GARBAGE)

    assert ask(wire, 1.5) == [b"\x9e0\r\n"]
    assert ask(wire, 1.6) == [b"0\r\n"]


def test_split_messages_come_in_two_pieces() -> None:
    wire = device(FaultKind.SPLIT, 1.0)

    assert ask(wire, 1.5) == [b"0"]
    assert later(wire, 1.51) == []
    assert later(wire, 1.53) == [b"\r\n"]


def test_merged_messages_come_in_one_piece() -> None:
    wire = device(FaultKind.MERGE, 1.0)

    assert ask(wire, 1.5) == []
    assert ask(wire, 1.51, b"level?;") == []
    assert later(wire, 1.56) == [b"0\r\n-0.5 V\r\n"]


def test_a_late_reply_holds_up_the_next_one() -> None:
    wire = device(FaultKind.LATE_REPLY)

    assert ask(wire, 1.5) == []
    assert ask(wire, 3.0, b"level?;") == []
    assert later(wire, 4.4) == []
    assert later(wire, 4.6) == [b"0\r\n-0.5 V\r\n"]


@given(
    st.sampled_from([FaultKind.SPLIT, FaultKind.SLOW, FaultKind.MERGE, FaultKind.LATE_REPLY]),
    st.lists(st.sampled_from([b"mode?;", b"level?;", b"time?;"]), min_size=2, max_size=12),
    st.integers(1, 60),
)
def test_no_fault_reorders_bytes(kind: FaultKind, questions: list[bytes], step_ms: int) -> None:
    healthy = device(FaultKind.SLIP)
    expected = b"".join(reply for question in questions for reply in ask(healthy, 0.0, question))
    wire = device(kind, 0.2)

    received = b""
    for number, question in enumerate(questions):
        now_s = 0.95 + number * step_ms / 1000
        received += b"".join(later(wire, now_s) + ask(wire, now_s, question))
    received += b"".join(later(wire, 60.0))

    assert received == expected


def test_a_slow_device_answers_half_a_second_later() -> None:
    wire = device(FaultKind.SLOW, 1.0)

    assert ask(wire, 1.5) == []
    assert later(wire, 1.9) == []
    assert later(wire, 2.01) == [b"0\r\n"]


@given(
    st.sampled_from(FaultKind),
    st.floats(0, 1e4).map(lambda value: round(value, 3)),
    st.none() | st.floats(0, 100).map(lambda value: round(value, 3)),
)
def test_faults_read_as_they_are_written(
    kind: FaultKind, at_s: float, lasting_s: float | None
) -> None:
    text = f"{kind}@{at_s}" + ("" if lasting_s is None else f"+{lasting_s}")

    fault = parse_fault(text)

    assert (fault.kind, fault.at_s) == (kind, at_s)
    assert lasting_s is None or fault.lasting_s == lasting_s


@pytest.mark.parametrize("text", ["", "explode@3", "unplug@soon", "unplug@1+long"])
def test_unknown_faults_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME@SECONDS"):
        parse_fault(text)
