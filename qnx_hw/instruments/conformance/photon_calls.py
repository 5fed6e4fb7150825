"""The blocking calls of what sees photons and of what writes down when it did."""

from __future__ import annotations

from itertools import pairwise

from qnx_hw.instruments.conformance.call import N_TURNS, Call, number_flaw, rates_flaw
from qnx_hw.instruments.families import PhotonDetector, TimeTagger
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import Edge, Reference

COUNT_S = 0.02
BLOCK_S = 0.02


def tagger_calls(tagger: TimeTagger) -> tuple[Call, ...]:
    """Return the calls of a time tagger."""
    n = tagger.capabilities.n_channels
    low_v, high_v = tagger.capabilities.threshold_range_v

    def threshold_v(turn: int) -> float:
        return round(low_v + (high_v - low_v) * (0.4 + 0.1 * (turn % N_TURNS)), 1)

    def stream(turn: int, timeout_s: float) -> list[TagBlock]:
        with tagger.start_stream(block_s=BLOCK_S, timeout_s=timeout_s) as opened:
            return [opened.read(timeout_s=timeout_s) for _ in range(3)]

    streams = (
        ()
        if tagger.capabilities.counts_only
        else (Call("stream", stream, stream_flaw, own_deadline_s=5.0),)
    )
    return (
        Call(
            "count_rates",
            lambda turn, s: tagger.count_rates(COUNT_S, timeout_s=s),
            lambda turn, rates: rates_flaw(rates, n),
        ),
        Call(
            "set_threshold_v",
            lambda turn, s: tagger.set_threshold_v(1, threshold_v(turn), Edge.RISING, timeout_s=s),
            lambda turn, held: number_flaw(held, threshold_v(turn), 0.05),
            True,
        ),
        Call(
            "set_reference",
            lambda turn, s: tagger.set_reference(Reference.INTERNAL, timeout_s=s),
            lambda turn, held: "" if held is Reference.INTERNAL else f"the clock is {held}",
            True,
        ),
        *streams,
    )


def stream_flaw(turn: int, blocks: object) -> str:
    """Say what is wrong with consecutive blocks of a stream."""
    assert isinstance(blocks, list)
    if any(a.end_ps != b.start_ps for a, b in pairwise(blocks)):
        return "blocks do not join"
    for block in blocks:
        times = block.times_ps
        if len(times) and (times[0] < block.start_ps or times[-1] >= block.end_ps):
            return "a block holds tags from outside"
        if (times[1:] < times[:-1]).any():
            return "tags are not sorted"
    return ""


def detector_calls(detector: PhotonDetector) -> tuple[Call, ...]:
    """Return the calls of a detector bank."""
    limits = detector.capabilities
    calls = [
        Call(
            "count_rates",
            lambda turn, s: detector.count_rates(timeout_s=s),
            lambda turn, rates: rates_flaw(rates, limits.n_channels),
        ),
        Call(
            "enable",
            lambda turn, s: detector.enable(False, timeout_s=s),
            lambda turn, held: "" if held is False else "the detectors are on",
            True,
        ),
    ]
    if limits.threshold_range_v is not None:
        low_v, high_v = limits.threshold_range_v
        calls.append(
            Call(
                "set_threshold_v",
                lambda turn, s: detector.set_threshold_v(
                    1, _within(low_v, high_v, turn), timeout_s=s
                ),
                lambda turn, held: number_flaw(held, _within(low_v, high_v, turn), 0.02),
                True,
            )
        )
    if limits.bias_unit:
        low, high = limits.bias_range
        step = (high - low) / 100
        calls.append(
            Call(
                "set_bias",
                lambda turn, s: detector.set_bias(1, low + step * (turn % N_TURNS), timeout_s=s),
                lambda turn, held: number_flaw(held, low + step * (turn % N_TURNS), step / 3),
                True,
            )
        )
    return tuple(calls)


def _within(low: float, high: float, turn: int) -> float:
    return round(low + (high - low) * (0.3 + 0.1 * (turn % N_TURNS)), 3)
