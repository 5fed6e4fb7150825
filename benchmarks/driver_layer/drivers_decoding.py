"""Decoding the words of a TDC1 beside the maker's own Python library, S15lib.

Both decode the same bytes on one core, in chunks as a stream brings them;
each figure is the median of some rounds. The peer runs in an environment of its own, made on demand
with pip; where it cannot be had, its column says so.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from drivers.tdc1_words import BlockAssembler, WordDecoder
from qnx_hw.commands import peers
from qnx_hw.commands.bench import Result

N_TAGS = 4_000_000
RATE_CPS = 4e6
UNITS_PER_S = 5e8
CHUNK_BYTES = 1 << 16
ROUNDS = 5
BLOCK_PS = 100_000_000_000
GOAL_PER_S = 20e6
PEER = "S15lib"
PEER_PROGRAM = """
import statistics, sys, time
from S15lib.instruments.usb_counter_fpga import TimeStampTDC1
words = open(sys.argv[1], "rb").read()
spans = []
for _ in range(int(sys.argv[2])):
    start = time.process_time()
    times, _ = TimeStampTDC1.read_timestamps_bin2(None, words, legacy=False)
    spans.append(time.process_time() - start)
print(len(times) / statistics.median(spans))
"""


def words() -> bytes:
    """Return a stream at the rate that the unit can give, one input per word."""
    random = np.random.default_rng(3)
    steps = random.exponential(UNITS_PER_S / RATE_CPS, N_TAGS)
    units = np.cumsum(steps).astype(np.uint64) % (1 << 27)
    patterns = 1 << random.integers(0, 4, N_TAGS, dtype=np.uint64)
    return ((units << np.uint64(5)) | patterns).astype("<u4").tobytes()


def decoding() -> Iterator[Result]:
    """Measure decoding alone, and decoding into sorted blocks."""
    stream = words()
    peer_per_s = _peer(stream)
    for name, decode in (("TDC1 words to tags", _decode), ("TDC1 words to blocks", _blocks)):
        spans = []
        for _ in range(ROUNDS):
            start = time.process_time()
            decode(stream)
            spans.append(time.process_time() - start)
        ours = N_TAGS / statistics.median(spans)
        yield Result(
            name=name,
            value=ours / 1e6,
            unit="Mtags/s",
            goal=GOAL_PER_S / 1e6,
            met=ours >= GOAL_PER_S,
            peer=PEER if peer_per_s else f"{PEER} cannot be had here",
            peer_value=peer_per_s / 1e6 if peer_per_s else None,
            ratio=ours / peer_per_s if peer_per_s else None,
        )


def _chunks(stream: bytes) -> Iterator[bytes]:
    for start in range(0, len(stream), CHUNK_BYTES):
        yield stream[start : start + CHUNK_BYTES]


def _decode(stream: bytes) -> None:
    decoder = WordDecoder()
    for chunk in _chunks(stream):
        decoder.feed(chunk)


def _blocks(stream: bytes) -> None:
    decoder, blocks = WordDecoder(), BlockAssembler(BLOCK_PS)
    for chunk in _chunks(stream):
        blocks.add(decoder.feed(chunk))
        while blocks.next_block() is not None:
            continue


def _peer(stream: bytes) -> float | None:
    """Return the tags per second of the maker's library, or None where it cannot be had."""
    with tempfile.NamedTemporaryFile() as recorded:
        recorded.write(stream)
        recorded.flush()
        arguments = (recorded.name, str(ROUNDS))
        return peers.number(PEER, (PEER, "setuptools<81"), PEER_PROGRAM, arguments)
