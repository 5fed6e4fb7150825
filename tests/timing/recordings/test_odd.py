"""Files with odd content that their layouts allow, put together by hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings import SYNC_CHANNEL, Format, read

TURN = 1 << 54
"""Ticks after which S-Fifteen's clock begins anew."""


def a2(*words: tuple[int, int]) -> bytes:
    return "".join(f"{ticks % TURN << 10 | low:016x}\n" for ticks, low in words).encode()


def header_tag(name: str, kind: int, value: bytes, payload: bytes = b"", index: int = -1) -> bytes:
    return struct.pack("<32siI", name.encode(), index, kind) + value + payload


def whole(value: int) -> bytes:
    return struct.pack("<q", value)


def real(value: float) -> bytes:
    return struct.pack("<d", value)


NEEDED = {
    "record type": header_tag("TTResultFormat_TTTRRecType", 0x10000008, whole(0x00010206)),
    "clock": header_tag("MeasDesc_GlobalResolution", 0x20000008, real(25e-12)),
    "resolution": header_tag("MeasDesc_Resolution", 0x20000008, real(25e-12)),
    "count": header_tag("TTResult_NumberOfRecords", 0x10000008, whole(3)),
}
NAME = "Grüße, 東京\0".encode("utf-16-le").ljust(24, b"\0")
UNKNOWN = [
    header_tag("Fast_Load_End", 0xFFFF0008, whole(0)),
    header_tag("HW_ExternalDevices", 0x00000008, whole(1)),
    header_tag("UsrPowerDiode", 0x2001FFFF, whole(16), real(1.0) + real(2.0)),
    header_tag("CreatorSW_Name", 0x4002FFFF, whole(len(NAME)), NAME),
    header_tag("ImgHdr_Blob", 0xFFFFFFFF, whole(8), b"Header_E"),
    header_tag("UsrHeadName", 0x4001FFFF, whole(8), b"A\0\0\0\0\0\0\0", index=0),
    header_tag("UsrHeadName", 0x4001FFFF, whole(8), b"B\0\0\0\0\0\0\0", index=1),
    header_tag("File_CreatingTime", 0x21000008, real(45_000.5)),
    header_tag("Curve_Color", 0x12000008, whole(0xFFFFFF)),
    header_tag("HW_MarkersEnabled", 0x11000008, whole(15)),
    header_tag("X" * 32, 0x10000008, whole(-1)),
    header_tag("New_In_2031", 0x33000008, whole(-1)),
]
END = header_tag("Header_End", 0xFFFF0008, whole(0))
T2_WORDS = np.array([1 << 25 | 7, 1 << 31 | 63 << 25 | 3, 1 << 31 | 0 << 25 | 9], "<u4").tobytes()


def ptu(*tags: bytes, records: bytes = T2_WORDS) -> bytes:
    return b"PQTTTR\0\0" + b"1.0.99\0\0" + b"".join(tags) + END + records


@pytest.mark.parametrize(
    "tags",
    [
        list(NEEDED.values()),
        list(reversed(NEEDED.values())),
        [*UNKNOWN, *NEEDED.values()],
        [*NEEDED.values(), *reversed(UNKNOWN)],
    ],
)
def test_ptu_header_tags_come_in_any_order_and_company(tags: list[bytes]) -> None:
    recording = read(ptu(*tags))

    assert recording.times_ps.tolist() == [7 * 25, (3 * 2**25 + 9) * 25]
    assert recording.channels.tolist() == [1, SYNC_CHANNEL]
    assert (recording.records, recording.overflows, recording.resolution_ps) == (3, 1, 25.0)
    if UNKNOWN[3] in tags:
        assert recording.details["program"] == "Grüße, 東京"


def test_what_follows_the_announced_records_need_not_be_whole() -> None:
    assert read(ptu(*NEEDED.values(), records=T2_WORDS + b"\1\2\3")).records == 3


def test_a_ptu_clock_that_runs_for_years_is_refused() -> None:
    longest = np.full(9000, 1 << 31 | 63 << 25 | (1 << 25) - 1, "<u4")
    tags = [NEEDED[name] for name in ("record type", "clock", "resolution")]

    with pytest.raises(RecordingError, match="overflows add up to"):
        read(ptu(*tags, records=longest.tobytes()))


def test_sfifteen_words_may_be_unsorted_where_the_clock_turns() -> None:
    recording = read(a2((TURN - 300, 1), (TURN + 20, 2), (TURN - 40, 4), (TURN + 600, 8)))

    assert recording.channels.tolist() == [1, 3, 2, 4]
    assert np.diff(recording.times_ps).tolist() == [1015, 235, 2265]
    assert recording.backward_steps == 1


def test_the_first_word_may_be_the_one_after_the_turn() -> None:
    recording = read(a2((TURN + 20, 2), (TURN - 40, 4)))

    assert recording.channels.tolist() == [3, 2]
    assert recording.times_ps[0] >= 0


def test_a_clock_may_turn_many_times() -> None:
    a_third = TURN // 3
    recording = read(a2(*((n * a_third, 1) for n in range(40))))

    assert np.diff(recording.times_ps) == pytest.approx(np.full(39, a_third * 125 / 32), abs=1)


def test_several_inputs_of_one_word_are_as_many_tags() -> None:
    recording = read(a2((32, 0b1011), (64, 0b0000), (96, 0b10000)))

    assert recording.times_ps.tolist() == [125, 125, 125]
    assert recording.channels.tolist() == [1, 2, 4]
    assert (recording.records, recording.overflows) == (3, 1)


@pytest.mark.parametrize("is_legacy", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_word_order_of_a_few_words_is_found(n: int, is_legacy: bool) -> None:
    ticks = [0x2B_CDEF_0123_4567 + 123_456_789 * step for step in range(n)]
    words = [tick << 10 | 1 for tick in ticks]
    halves = [(w >> 32, w & 0xFFFFFFFF) if is_legacy else (w & 0xFFFFFFFF, w >> 32) for w in words]

    recording = read(b"".join(struct.pack("<II", *pair) for pair in halves))

    assert recording.times_ps.tolist() == [tick * 125 // 32 for tick in ticks]


def test_sfifteen_text_ends_its_lines_as_it_likes() -> None:
    lines = a2((32, 1), (64, 2)).decode()

    for content in (lines.upper(), lines.replace("\n", "\r\n"), lines.rstrip(), lines + "\n\n"):
        assert read(content.encode()).times_ps.tolist() == [125, 250]


@pytest.mark.parametrize("head", [bytes(40), bytes(range(40)), b"\xff" * 40])
def test_a_qutag_file_may_hold_nothing_or_one_tag(head: bytes) -> None:
    assert read(head).records == 0
    assert read(head, Format.QUTAG).times_ps.size == 0
    single = read(head + struct.pack("<QH", (1 << 63) - 1, 31))
    assert (single.times_ps.tolist(), single.channels.tolist()) == ([(1 << 63) - 1], [31])
