"""Words become tags: the maker's examples, any chunking, roll-overs, slips and rubbish."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.tdc1_words import PERIOD, UNIT_PS, BlockAssembler, WordDecoder
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock


def words_of(units: NDArray[np.int64], patterns: NDArray[np.int64]) -> bytes:
    """Write words as the sheet says; pattern 16 is a marker."""
    return (((units % PERIOD) << 5) | patterns).astype("<u4").tobytes()


def tags_of(decoder: WordDecoder, stream: bytes) -> list[tuple[int, int]]:
    decoded = decoder.feed(stream)
    return list(zip(decoded.units.tolist(), decoded.channels.tolist(), strict=True))


@pytest.mark.parametrize(
    ("word", "tags"),
    [
        ("21 00 00 00", [(1, 1)]),
        ("05 24 F4 00", [(500_000, 1), (500_000, 3)]),
        ("E2 FF FF FF", [(PERIOD - 1, 2)]),
        ("F0 FF FF FF", []),
    ],
)
def test_the_sheets_words_are_read(word: str, tags: list[tuple[int, int]]) -> None:
    assert tags_of(WordDecoder(), bytes.fromhex(word)) == tags


STEPS = st.lists(
    st.tuples(st.integers(0, PERIOD // 2), st.integers(1, 16)), min_size=1, max_size=60
)


@given(STEPS, st.integers(1, 11))
def test_unwrapped_tags_survive_any_chunking(steps: list[tuple[int, int]], chunk: int) -> None:
    units = np.cumsum([step for step, _ in steps])
    patterns = np.array([pattern for _, pattern in steps])
    stream = words_of(units, patterns)
    offset = units[0] - units[0] % PERIOD
    # Equal markers in a row mean a silent period each; keep them apart for this comparison.
    is_twin = (np.diff(units) == 0) & (patterns[1:] == 16) & (patterns[:-1] == 16)
    expected = [
        (int(unit - offset), bit + 1)
        for unit, pattern in zip(units, patterns, strict=True)
        for bit in range(4)
        if pattern >> bit & 1
    ]
    decoder = WordDecoder()

    tags = [
        tag
        for start in range(0, len(stream), chunk)
        for tag in tags_of(decoder, stream[start : start + chunk])
    ]

    if not is_twin.any():
        assert tags == expected


def test_a_marker_seen_twice_is_a_silent_period() -> None:
    marker = bytes.fromhex("F0 FF FF FF")

    assert tags_of(WordDecoder(), marker * 3 + bytes.fromhex("21 00 00 00")) == [
        (3 * PERIOD + 1, 1)
    ]


@given(st.binary(max_size=400), st.integers(1, 50))
def test_rubbish_never_breaks_the_contract(rubbish: bytes, chunk: int) -> None:
    decoder, blocks = WordDecoder(), BlockAssembler(50_000_000_000)
    got: list[TagBlock] = []
    for start in range(0, len(rubbish), chunk):
        blocks.add(decoder.feed(rubbish[start : start + chunk]))
        while (block := blocks.next_block()) is not None:
            got.append(block)
    for block in got:
        assert np.all(np.diff(block.times_ps) >= 0)
    for before, after in pairwise(got):
        assert before.end_ps == after.start_ps


def dense_units(n: int, seed: int = 3) -> NDArray[np.int64]:
    """Return 100 kHz of tags, as steps of 5000 units in the mean."""
    return np.cumsum(np.random.default_rng(seed).exponential(5000, n).astype(np.int64) + 1)


@pytest.mark.parametrize("chunk", [997, 100_000])
def test_a_slip_by_two_bytes_is_found_counted_and_reported(chunk: int) -> None:
    units = dense_units(60_000)
    stream = words_of(units, np.full(units.size, 4))
    cut = 4 * 20_000
    slipped = stream[:cut] + stream[cut + 2 :]
    decoder, assembler = WordDecoder(), BlockAssembler(20_000_000_000)

    blocks = []
    for start in range(0, len(slipped), chunk):
        assembler.add(decoder.feed(slipped[start : start + chunk]))
        while (block := assembler.next_block()) is not None:
            blocks.append(block)

    assert decoder.resyncs == 1
    tags = np.concatenate([block.times_ps for block in blocks]) // UNIT_PS
    assert np.isin(tags, units).mean() > 0.9999
    damaged = [block for block in blocks if block.lost == UNKNOWN_LOSS]
    assert len(damaged) == 1
    assert damaged[0].start_ps <= units[20_000] * UNIT_PS <= damaged[0].end_ps


def test_a_sparse_stream_is_not_taken_for_a_slipped_one() -> None:
    units = np.cumsum(np.random.default_rng(4).integers(1, PERIOD // 2, 2000))
    decoder = WordDecoder()

    tags = decoder.feed(words_of(units, np.full(units.size, 1)))

    assert decoder.resyncs == 0
    assert np.array_equal(np.diff(tags.units), np.diff(units))


def test_words_out_of_order_are_sorted() -> None:
    units = dense_units(40_000)
    jittered = units + np.random.default_rng(5).integers(-200_000, 200_000, units.size)
    jittered -= jittered.min()
    decoder, assembler = WordDecoder(), BlockAssembler(10_000_000_000)
    assembler.add(decoder.feed(words_of(jittered, np.full(units.size, 1))))

    blocks = []
    while (block := assembler.next_block()) is not None:
        blocks.append(block)

    tags = np.concatenate([block.times_ps for block in blocks]) // UNIT_PS
    end = blocks[-1].end_ps // UNIT_PS
    start = blocks[0].start_ps // UNIT_PS
    expected = np.sort(jittered[(jittered >= start) & (jittered < end)])
    assert np.array_equal(tags, expected)


def test_missing_bytes_are_reported_and_the_alignment_kept() -> None:
    units = dense_units(60_000)
    stream = words_of(units, np.full(units.size, 2))
    decoder, assembler = WordDecoder(), BlockAssembler(20_000_000_000)
    assembler.add(decoder.feed(stream[:80_003]))
    decoder.gap(1010)
    assembler.overflow()
    assembler.add(decoder.feed(stream[81_013:]))

    blocks = []
    while (block := assembler.next_block()) is not None:
        blocks.append(block)

    assert [block.overflow for block in blocks[:2]] == [True, False]
    tags = np.concatenate([block.times_ps for block in blocks]) // UNIT_PS
    assert np.isin(tags, units).all()
