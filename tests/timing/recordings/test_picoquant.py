"""PTU files, made here record by record after the published layouts."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings import SYNC_CHANNEL, Format, detect, read
from qnx_hw.timing.recordings.picoquant import KINDS

INTEGER, FLOAT, TEXT, EMPTY = 0x10000008, 0x20000008, 0x4001FFFF, 0xFFFF0008


def tag(name: str, kind: int, value: float | str) -> bytes:
    head = struct.pack("<32siI", name.encode(), -1, kind)
    if kind == TEXT:
        text = str(value).encode("latin-1").ljust(16, b"\0")
        return head + struct.pack("<q", len(text)) + text
    return head + struct.pack("<d" if kind == FLOAT else "<q", value)


def ptu(
    kind: int, words: list[int], *, clock_s: float = 1e-12, announced: int | None = None
) -> bytes:
    header = b"PQTTTR\0\0" + b"1.0.00\0\0"
    header += tag("HW_Type", TEXT, "Gerät")
    header += tag("TTResultFormat_TTTRRecType", INTEGER, kind)
    header += tag("MeasDesc_GlobalResolution", FLOAT, clock_s)
    header += tag("MeasDesc_Resolution", FLOAT, 16e-12)
    header += tag(
        "TTResult_NumberOfRecords", INTEGER, len(words) if announced is None else announced
    )
    header += tag("Header_End", EMPTY, 0)
    return header + np.array(words, "<u4").tobytes()


def t2(channel: int, clock: int, *, special: bool = False) -> int:
    return special << 31 | channel << 25 | clock


def t3(channel: int, delay: int, pulse: int, *, special: bool = False) -> int:
    return special << 31 | channel << 25 | delay << 10 | pulse


def test_a_t2_overflow_that_counts_adds_all_its_periods() -> None:
    recording = read(ptu(0x01010204, [t2(3, 5), t2(63, 2, special=True), t2(4, 7)]))

    assert recording.times_ps.tolist() == [5, 2 * 2**25 + 7]
    assert recording.channels.tolist() == [3, 4]
    assert recording.overflows == 1


@pytest.mark.parametrize(("announced", "read_records"), [(2, 2), (3, 3), (0, 3)])
def test_what_lies_behind_the_announced_records_is_none(announced: int, read_records: int) -> None:
    recording = read(ptu(0x01010204, [t2(0, 1), t2(1, 2), t2(0, 3)], announced=announced))

    assert recording.records == read_records


def test_a_first_version_t2_overflow_adds_one_shorter_period() -> None:
    recording = read(ptu(0x00010204, [t2(63, 9, special=True), t2(1, 7)]))

    assert recording.times_ps.tolist() == [33_552_000 + 7]


def test_a_t2_sync_click_is_a_tag_and_a_marker_is_none() -> None:
    recording = read(ptu(0x00010207, [t2(0, 5, special=True), t2(2, 6, special=True), t2(0, 7)]))

    assert recording.counts() == {0: 1, SYNC_CHANNEL: 1}
    assert recording.markers == 1


def test_a_t3_tag_stands_at_its_pulse_plus_its_delay() -> None:
    words = [t3(0, 3, 1), t3(63, 0, 2, special=True), t3(1, 5, 10)]

    recording = read(ptu(0x01010304, words, clock_s=12.5e-9))

    assert recording.times_ps.tolist() == [12_500 + 48, (2048 + 10) * 12_500 + 80]
    assert recording.sync is not None
    assert recording.sync.rate_hz == pytest.approx(80e6)
    assert recording.sync.pulses.tolist() == [1, 2058]


def test_an_overflow_without_count_in_a_t3_file_adds_one_period() -> None:
    recording = read(ptu(0x00010305, [t3(63, 0, 0, special=True), t3(1, 0, 1)], clock_s=1e-9))

    assert recording.times_ps.tolist() == [1025 * 1000]


def test_picoharp_overflows_are_told_from_markers() -> None:
    words = [15 << 28, 15 << 28 | 3, 1 << 28 | 4]

    recording = read(ptu(0x00010203, words, clock_s=4e-12))

    assert recording.times_ps.tolist() == [(210_698_240 + 4) * 4]
    assert (recording.overflows, recording.markers) == (1, 1)


def test_picoseconds_survive_a_long_recording() -> None:
    hours = [t3(63, 0, 1000, special=True)] * 300_000 + [t3(1, 0, 1)]
    period_s = 1 / 79_919_520

    recording = read(ptu(0x01010304, hours, clock_s=period_s))

    pulses = 300_000 * 1000 * 1024 + 1
    assert abs(int(recording.times_ps[0]) - pulses * 10**12 // 79_919_520) <= 1_000


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=400))
def test_any_records_of_a_known_kind_decode_in_order_of_time(kind: int, noise: bytes) -> None:
    words = np.frombuffer(noise[: len(noise) // 4 * 4], "<u4").tolist()

    recording = read(ptu(kind, words, clock_s=1e-9))

    assert np.all(np.diff(recording.times_ps) >= 0)
    assert len(recording.times_ps) + recording.overflows + recording.markers == len(words)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ptu(0x0BAD0204, []), "record type 0x0BAD0204"),
        (ptu(0x01010204, [1, 2, 3])[:-2], "cut short"),
        (ptu(0x01010204, [1, 2, 3], announced=9), "announces 9 records, it holds 3"),
        (ptu(0x01010204, [])[:200], "header breaks off"),
        (ptu(0x01010204, [], clock_s=0.0), "MeasDesc_GlobalResolution"),
    ],
)
def test_a_damaged_or_unknown_file_is_refused_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(RecordingError, match=reason):
        read(content)


@given(st.data())
def test_a_damaged_file_never_ends_in_anything_but_a_recording_or_a_refusal(
    data: st.DataObject,
) -> None:
    content = bytearray(ptu(0x01010304, [t3(1, 2, 3)] * 10, clock_s=1e-8))
    position = data.draw(st.integers(8, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(RecordingError):
        recording = read(bytes(content[: data.draw(st.integers(8, len(content)))]), Format.PTU)
        assert recording.records <= 10


def test_a_ptu_file_is_known_by_its_magic() -> None:
    assert detect(ptu(0x01010304, [])) is Format.PTU
