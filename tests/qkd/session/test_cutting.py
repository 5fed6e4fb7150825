"""Blocks end when they are full or in the dark, at both ends alike, and make key still."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import KeyReady
from qnx_hw.qkd.session.cutting import FULL, Cut


def dimmed(blocks: list[TagBlock], part: float, seed: int) -> list[TagBlock]:
    """Leave a part of all tags, chosen at random."""
    random = np.random.default_rng(seed)
    left = []
    for block in blocks:
        kept = random.random(len(block)) < part
        left.append(
            TagBlock(block.times_ps[kept], block.channels[kept], block.start_ps, block.end_ps)
        )
    return left


def changing(bench: ModuleType, parts: tuple[float, float], at: int, seconds: float) -> Any:
    """Return both stations' tags, whose light changes at a block."""
    streams = bench.Source(seconds=seconds, visibility=0.99).blocks()
    return [
        dimmed(stream[:at], parts[0], side) + dimmed(stream[at:], parts[1], 10 + side)
        for side, stream in enumerate(streams)
    ]


def cuts(pair: Any) -> list[int]:
    """Return the blocks that Alice ended early."""
    heard = [decode(message) for role, message in pair.said if role is Role.ALICE]
    return [message.block for message in heard if isinstance(message, messages.Cut)]


@pytest.mark.slow
def test_a_block_that_was_planned_in_dim_light_ends_when_it_is_full(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(small, block_sifted_bits=12_000)
    pair = bench.Pair(parameters).start().feed(*changing(bench, (0.25, 1.0), 40, 4.0))

    assert 1 in cuts(pair)
    keys = pair.keys(Role.ALICE)
    assert keys == pair.keys(Role.BOB)
    assert 1 in keys
    made = {each.block: each.provenance for each in pair.of(Role.BOB, KeyReady)}
    # It would have been open for as many seconds as it got thousands of bits a second at first.
    assert 12_000 < made[1].sifted_bits < 20_000


@pytest.mark.slow
def test_a_block_whose_light_went_out_ends_with_what_it_has(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(small, block_sifted_bits=400_000)
    pair = bench.Pair(parameters).start().feed(*changing(bench, (1.0, 0.1), 50, 6.0))

    assert cuts(pair)[:1] == [1]
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB)
    made = {each.block: each.provenance for each in pair.of(Role.BOB, KeyReady)}
    assert 15_000 < made[1].sifted_bits < 60_000


@pytest.mark.slow
def test_a_forged_wish_to_end_costs_the_block(bench: ModuleType, small: SessionParameters) -> None:
    pair = bench.Pair(small)
    sent: list[int] = []

    def tamper(role: Role, octets: bytes) -> list[bytes]:
        if isinstance(decode(octets), messages.Plan) and not sent:
            sent.append(1)
            return [octets, encode(messages.Cut(1))]
        return [octets]

    pair.tamper = tamper
    pair.start().feed(*bench.Source(seconds=2.3).blocks())

    assert sent
    assert 1 not in pair.keys(Role.ALICE) | pair.keys(Role.BOB)


@given(st.floats(100.0, 1e6), st.floats(0.01, 1.0))
def test_steady_light_ends_no_block_before_it_is_full(rate_hz: float, span_s: float) -> None:
    cut = Cut(rate_hz, wanted_pairs=10 * rate_hz)
    pairs = round(rate_hz * span_s)

    spans = next(n for n in range(1, 2000) if cut.is_due(span_s, pairs))
    assert pairs * spans >= FULL * 10 * rate_hz


def test_the_dark_is_seen_after_two_seconds_or_fifty_missing_pairs() -> None:
    bright, faint = Cut(1000.0, 1e9), Cut(5.0, 1e9)

    assert [bright.is_due(0.5, 0) for _ in range(4)] == [False, False, False, True]
    assert [faint.is_due(1.0, 0) for _ in range(10)] == [False] * 9 + [True]
