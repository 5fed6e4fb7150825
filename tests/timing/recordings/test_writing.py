"""What is exported reads back as it was."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import RecordingError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.timing.archive import ArchiveWriter, Origin
from qnx_hw.timing.recordings import SYNC_CHANNEL, Format, detect, read, to_csv, to_ptu

tags = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 2**26), st.integers(0, 2**58)),
        st.one_of(st.integers(0, 62), st.just(SYNC_CHANNEL)),
    ),
    max_size=40,
).map(lambda pairs: sorted(pairs, key=lambda pair: pair[0]))


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    times = np.array([time for time, _ in pairs], np.int64)
    return times, np.array([channel for _, channel in pairs], np.uint8)


@given(tags)
def test_a_ptu_file_reads_back(pairs: list[tuple[int, int]]) -> None:
    content = to_ptu(*arrays(pairs))

    recording = read(content)

    assert detect(content) is Format.PTU
    assert recording.format.endswith("HydraHarp v2 T2")
    again = zip(recording.times_ps.tolist(), recording.channels.tolist(), strict=True)
    assert list(again) == pairs


def test_what_a_ptu_file_cannot_hold_is_refused() -> None:
    for times, channels in (([5, 4], [1, 1]), ([-1], [1]), ([1], [63])):
        with pytest.raises(RecordingError):
            to_ptu(np.array(times, np.int64), np.array(channels, np.uint8))


def test_csv_has_a_heading_and_whole_picoseconds() -> None:
    lines = list(to_csv(*arrays([(7, 1), (2**58, 4)])))

    assert lines == ["time_ps,channel\n", "7,1\n", f"{2**58},4\n"]


def test_our_own_archive_is_a_recording_like_any() -> None:
    sink = io.BytesIO()
    writer = ArchiveWriter(sink, Origin(node="bob", instrument="tagger", resolution_ps=81))
    writer.write(TagBlock(np.array([5, 9], np.int64), np.array([1, 2], np.uint8), 0, 10, lost=4))
    writer.close()

    recording = read(sink.getvalue())

    assert recording.times_ps.tolist() == [5, 9]
    assert recording.channels.tolist() == [1, 2]
    assert recording.resolution_ps == 81.0
    assert recording.details["gaps"] == "1"
