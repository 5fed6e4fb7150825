"""What is archived comes back bit by bit, gap by gap; what is damaged is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import RecordingError
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.timing.archive import Archive, ArchiveWriter, Origin, read_archive

ORIGIN = Origin(node="alice", instrument="tagger", model="TDC1", resolution_ps=2000)


@st.composite
def blocks(draw: st.DrawFn) -> TagBlock:
    start_ps = draw(st.integers(-(2**60), 2**60))
    gaps = draw(st.lists(st.integers(0, 2**40), max_size=20))
    times_ps = start_ps + np.cumsum(np.array(gaps, np.int64))
    channels = draw(st.lists(st.integers(1, 255), min_size=len(gaps), max_size=len(gaps)))
    return TagBlock(
        times_ps.astype(np.int64),
        np.array(channels, np.uint8),
        start_ps,
        start_ps + draw(st.integers(0, 2**50)),
        draw(st.sampled_from([0, 7, UNKNOWN_LOSS])),
        draw(st.booleans()),
    )


def archived(given_blocks: list[TagBlock]) -> bytes:
    sink = io.BytesIO()
    writer = ArchiveWriter(sink, ORIGIN)
    for block in given_blocks:
        writer.write(block)
    writer.close()
    return sink.getvalue()


def values(block: TagBlock) -> tuple[object, ...]:
    tags = (block.times_ps.tolist(), block.channels.tolist())
    return (*tags, block.start_ps, block.end_ps, block.lost, block.overflow)


@given(st.lists(blocks(), max_size=6))
def test_blocks_come_back_as_they_were(given_blocks: list[TagBlock]) -> None:
    archive = read_archive(archived(given_blocks))

    assert archive.origin == ORIGIN
    assert [values(block) for block in archive.blocks] == [values(block) for block in given_blocks]


@given(st.data())
def test_a_cut_archive_is_refused_in_words(data: st.DataObject) -> None:
    block = TagBlock(np.arange(5, dtype=np.int64), np.ones(5, np.uint8), 0, 10)
    content = archived([block])

    with pytest.raises(RecordingError, match="damaged or was never finished"):
        read_archive(content[: data.draw(st.integers(0, len(content) - 1))])


def test_a_parquet_file_of_somebody_else_is_refused() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), sink)

    with pytest.raises(RecordingError, match="no recording of qnx"):
        read_archive(sink.getvalue())


def test_losses_and_torn_places_are_gaps() -> None:
    def block(start_ps: int, end_ps: int, lost: int = 0) -> TagBlock:
        return TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), start_ps, end_ps, lost)

    assert Archive(ORIGIN, (block(0, 5), block(5, 9))).gaps == 0
    assert Archive(ORIGIN, (block(0, 5), block(6, 9), block(9, 10, lost=3))).gaps == 2
