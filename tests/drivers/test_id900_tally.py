"""Time stamps find their acquisitions, however messages and reports interleave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import id900_replies as replies
from drivers.id900_replies import StreamStatus
from drivers.id900_tally import Tally
from qnx_hw.errors import InstrumentRefused, ProtocolError
from qnx_hw.instruments.tags import UNKNOWN_LOSS

ACQUISITION_PS = 200_000_000_000

acquisitions = st.lists(
    st.lists(st.integers(0, ACQUISITION_PS - 1), max_size=20).map(sorted), max_size=6
)


def payload(times: list[int]) -> bytes:
    return np.array(times, "<u8").tobytes()


@given(acquisitions, st.booleans(), st.integers(1, 5))
def test_every_stamp_comes_back_in_its_acquisition(
    recorded: list[list[int]], is_absolute: bool, largest: int
) -> None:
    tally, sent = Tally(ACQUISITION_PS), 0
    if is_absolute:  # as the first acquisition cannot tell, nor can a stamp right behind it
        recorded = [[t for t in times if t > ACQUISITION_PS // 50] for times in recorded]

    for index, times in enumerate(recorded):
        shift = index * ACQUISITION_PS if is_absolute else 0
        for start in range(0, len(times), largest):
            tally.add(payload([t + shift for t in times[start : start + largest]]))
        sent += len(times)
        tally.report(StreamStatus(index + 1, sent, has_errors=False))

    for index, times in enumerate(recorded):
        span = tally.next_span()
        assert (span.times_ps - index * ACQUISITION_PS).tolist() == times
        assert span.lost == 0
    assert not tally.has_span


@given(acquisitions)
def test_a_report_that_overtakes_its_messages_waits_for_them(recorded: list[list[int]]) -> None:
    tally, sent = Tally(ACQUISITION_PS), 0

    for index, times in enumerate(recorded):
        sent += len(times)
        tally.report(StreamStatus(index + 1, sent, has_errors=False))
        assert tally.has_span == (not times)
        if times:
            assert tally.missing == len(times)
            tally.add(payload(times))
            tally.report(StreamStatus(index + 1, sent, has_errors=False))
        span = tally.next_span()
        assert (span.times_ps - index * ACQUISITION_PS).tolist() == times


@given(acquisitions.filter(lambda recorded: len(recorded) > 1))
def test_what_cannot_be_told_apart_is_lost_and_never_misplaced(recorded: list[list[int]]) -> None:
    tally = Tally(ACQUISITION_PS)
    full = [times for times in recorded if times]
    for times in full:
        tally.add(payload(times))

    tally.report(StreamStatus(len(recorded), sum(map(len, full)), has_errors=False))

    spans = [tally.next_span() for _ in recorded]
    if len(full) in {0, len(recorded)}:
        for index, (span, times) in enumerate(zip(spans, recorded, strict=True)):
            assert (span.times_ps - index * ACQUISITION_PS).tolist() == times
    else:
        assert all(span.lost == UNKNOWN_LOSS and not span.times_ps.size for span in spans)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_damaged_bytes_never_pass_as_sound_stamps_elsewhere(noise: bytes, index: int) -> None:
    tally = Tally(ACQUISITION_PS)
    for ended in range(index):
        tally.report(StreamStatus(ended + 1, 0, has_errors=False))
        tally.next_span()
    tally.add(noise)

    tally.report(StreamStatus(index + 1, len(noise) // 8, has_errors=False))

    span = tally.next_span()
    start_ps = index * ACQUISITION_PS
    assert np.all((span.times_ps >= start_ps) & (span.times_ps < start_ps + 1.01 * ACQUISITION_PS))
    assert span.lost == UNKNOWN_LOSS or len(span.times_ps) * 8 == len(noise)


def test_a_message_without_room_is_counted() -> None:
    tally = Tally(ACQUISITION_PS)
    tally.add(payload([1, 2]))
    tally.skip(24)

    tally.report(StreamStatus(1, 5, has_errors=False))

    span = tally.next_span()
    assert span.times_ps.tolist() == [1, 2]
    assert span.lost == 3


def test_stamps_of_the_acquisition_that_runs_are_kept_for_it() -> None:
    tally = Tally(ACQUISITION_PS)
    tally.add(payload([1, 2]))
    tally.add(payload([7]))

    tally.report(StreamStatus(1, 2, has_errors=False))
    tally.report(StreamStatus(2, 3, has_errors=False))

    assert tally.next_span().times_ps.tolist() == [1, 2]
    assert tally.next_span().times_ps.tolist() == [ACQUISITION_PS + 7]


def test_errors_of_the_service_make_the_acquisition_doubtful() -> None:
    tally = Tally(ACQUISITION_PS)
    tally.add(payload([1]))

    tally.report(StreamStatus(1, 1, has_errors=True))

    assert tally.next_span().lost == UNKNOWN_LOSS


@pytest.mark.parametrize(
    "reply", [b"SCPI_ERR_INVALID_CMD", b"SCPI_ERR_PARAM_TYPE", b"No connection"]
)
def test_what_the_controller_complains_of_is_raised(reply: bytes) -> None:
    with pytest.raises(InstrumentRefused, match="THRE"):
        replies.checked("tagger", "INPU1:THRE 9V", reply)


@given(st.integers(-(10**12), 10**12))
def test_times_and_levels_are_read(value: int) -> None:
    assert replies.quantity(f"{value}TB", "TB") == value
    assert replies.quantity(f"{value}", "TB") == value
    with pytest.raises(ProtocolError):
        replies.quantity(f"{value}V", "TB")


def test_the_service_explains_itself() -> None:
    with pytest.raises(InstrumentRefused, match="too many"):
        replies.stream_id("tagger", b'{"error":{"description":"too many acquisitions"}}')
    with pytest.raises(ProtocolError):
        replies.stream_status("tagger", b"<html>")
    status = replies.stream_status(
        "tagger",
        b'{"acquisitions_count":3,"errors":[],"inactivity":0.1,"timestamps_count":70}',
    )
    assert status == StreamStatus(3, 70, has_errors=False)
