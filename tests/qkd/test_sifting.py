import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.qkd.parameters import StationInputs
from qnx_hw.qkd.sifting import (
    RANDOM,
    SWAP_GUARD_PS,
    Bits,
    EventFinder,
    Events,
    round_to_slots,
    slot_limit,
    slot_times,
)

H, V, D, A = 1, 2, 3, 4


def block(
    clicks: list[tuple[int, int]], start: int = 0, end: int = 100_000, lost: int = 0
) -> TagBlock:
    ordered = sorted(clicks)
    return TagBlock(
        np.array([time for time, _ in ordered], dtype=np.int64),
        np.array([channel for _, channel in ordered], dtype=np.uint8),
        start,
        end,
        lost,
    )


def finder(*, dead: int = 0, inputs: StationInputs | None = None) -> EventFinder:
    return EventFinder(inputs or StationInputs(), window_ps=1000, dead_time_ps=dead)


def rows(events: Events) -> list[tuple[int, int, int]]:
    return list(
        zip(events.times_ps.tolist(), events.bases.tolist(), events.outcomes.tolist(), strict=True)
    )


def test_each_detector_has_its_basis_and_outcome() -> None:
    clicks = [(10_000, H), (20_000, V), (30_000, D), (40_000, A), (50_000, 9)]

    events = finder().find(block(clicks))

    assert rows(events) == [(10_000, 0, 0), (20_000, 0, 1), (30_000, 1, 0), (40_000, 1, 1)]
    assert events.clicks == (1, 1, 1, 1)


def test_both_detectors_of_a_basis_give_a_random_bit_and_are_kept() -> None:
    events = finder().find(block([(10_000, H), (10_400, V), (20_000, A), (21_000, D)]))

    assert rows(events) == [(10_000, 0, RANDOM), (20_000, 1, RANDOM)]


def test_clicks_in_both_bases_are_counted_and_not_used() -> None:
    events = finder().find(block([(10_000, H), (10_400, D), (20_000, A)]))

    assert rows(events) == [(20_000, 1, 1)]
    assert events.cross_clicks == 1


def test_a_station_that_is_partly_blind_is_not_used() -> None:
    clicks = [(10_000, H), (14_000, D), (18_000, V), (30_000, A)]

    events = finder(dead=5_000).find(block(clicks))

    assert rows(events) == [(10_000, 0, 0), (30_000, 1, 1)]


def test_the_dead_time_rule_does_not_see_the_outcome() -> None:
    random = np.random.default_rng(4)
    times = np.sort(random.integers(0, 10_000_000, size=2000))
    kept = []
    for _ in range(2):
        channels = random.integers(0, 2, size=times.size) + 2 * (np.arange(times.size) % 2) + 1
        clicks = list(zip(times.tolist(), channels.tolist(), strict=True))
        events = finder(dead=3_000).find(block(clicks, end=10_000_000))
        kept.append(events.times_ps.tolist())

    assert kept[0] == kept[1]


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, 4)), max_size=40),
    st.sets(st.integers(1, 49_999), max_size=4),
    st.sampled_from([(0, 0, 0, 0), (0, 700, -300, 200)]),
)
def test_events_do_not_depend_on_how_the_tags_are_cut(
    clicks: list[tuple[int, int]], cuts: set[int], delays: tuple[int, int, int, int]
) -> None:
    inputs = StationInputs(delays_ps=delays)
    whole = rows(finder(dead=2_000, inputs=inputs).find(block(clicks, end=200_000)))
    bounds = [0, *sorted(cuts), 200_000]
    parts = finder(dead=2_000, inputs=inputs)

    found = [
        parts.find(block([c for c in clicks if start <= c[0] < end], start, end))
        for start, end in itertools.pairwise(bounds)
    ]

    assert [row for events in found for row in rows(events)] == whole
    assert all(a.end_ps == b.start_ps for a, b in itertools.pairwise(found))
    assert all(e.start_ps <= t < e.end_ps for e in found for t in e.times_ps.tolist())


def test_a_detectors_delay_is_taken_off() -> None:
    inputs = StationInputs(delays_ps=(0, 5_000, 0, 0))

    events = finder(inputs=inputs).find(block([(10_000, H), (14_900, V), (25_000, V)]))

    assert rows(events) == [(9_900, 0, RANDOM), (20_000, 0, 1)]


@pytest.mark.parametrize("lost", [1, UNKNOWN_LOSS])
def test_a_span_with_losses_is_cut_out(lost: int) -> None:
    parts = finder(dead=5_000)
    first = parts.find(block([(99_800, H)]))
    second = parts.find(block([(150_000, V)], 100_000, 200_000, lost))
    third = parts.find(block([(203_000, D), (210_000, A)], 200_000, 300_000))

    assert rows(first) == rows(second) == []
    assert second.lost_ps >= 100_000
    assert rows(third) == [(210_000, 1, 1)]


def test_a_gap_between_blocks_is_a_loss() -> None:
    parts = finder()
    parts.find(block([]))

    events = parts.find(block([(250_000, H)], 200_000, 300_000))

    assert rows(events) == []
    assert events.lost_ps == 200_000


def test_time_that_goes_back_is_refused() -> None:
    parts = finder()
    parts.find(block([]))

    with pytest.raises(ValueError, match="were read"):
        parts.find(block([], 50_000, 150_000))


@given(
    st.lists(st.integers(-30_000, 30_000), max_size=30),
    st.integers(10, 3_000),
    st.integers(-40_000, -30_000),
)
def test_published_times_differ_from_true_ones_by_half_a_window(
    times: list[int], window: int, start: int
) -> None:
    none = np.zeros(len(times), dtype=np.uint8)
    events = Events(np.array(sorted(times), dtype=np.int64), none, none, start, 40_000)

    slots = round_to_slots(events, window)

    assert (slots >= 0).all()
    assert (slots < slot_limit(start, 40_000, window)).all()
    published = slot_times(slots, start, window)
    assert (np.abs(published - events.times_ps) <= (window + 1) // 2).all()
    assert ((published - window // 2) % window == 0).all()


def swapping(efficiencies: tuple[float, float], seed: int = 3) -> tuple[TagBlock, Bits]:
    """Return tags of unequal H and V detectors behind a random switch, and the true outcomes."""
    random = np.random.default_rng(seed)
    times = np.sort(random.choice(100_000, 40_000, replace=False)).astype(np.int64) * 10_000_000
    starts = np.arange(0, 10**12, 10**10)
    states = random.integers(0, 2, starts.size).astype(np.uint8)
    swapped = states[np.searchsorted(starts, times, side="right") - 1]
    outcomes = random.integers(0, 2, times.size).astype(np.uint8)
    detectors = outcomes ^ swapped
    seen = random.random(times.size) < np.array(efficiencies)[detectors]
    seen &= (times % 10**10 > SWAP_GUARD_PS) & (times % 10**10 < 10**10 - SWAP_GUARD_PS)
    tags = np.concatenate((starts, times[seen]))
    channels = np.concatenate((np.where(states, 9, 10), 1 + detectors[seen])).astype(np.uint8)
    order = np.argsort(tags, kind="stable")
    return TagBlock(tags[order], channels[order], 0, 10**12), outcomes[seen]


def test_swapped_detectors_give_the_true_outcomes_and_their_differences_cancel() -> None:
    inputs = StationInputs(swap_channels=(9, 10))
    tags, outcomes = swapping((0.9, 0.45))

    events = finder(inputs=inputs).find(tags)

    # What ends the block may still be joined by a later click.
    assert events.outcomes.tolist() == outcomes[: len(events)].tolist()
    assert len(events) >= outcomes.size - 1
    assert abs(outcomes.mean() - 0.5) < 0.02
    plus, minus = events.clicks[:2]
    assert plus > 1.8 * minus


def test_without_a_mark_nobody_knows_which_detector_is_which() -> None:
    inputs = StationInputs(swap_channels=(9, 10))
    marked, _ = swapping((0.9, 0.9))
    clicks = marked.channels < 9
    times, channels, span = marked.times_ps[clicks], marked.channels[clicks], 10**12
    find = finder(inputs=inputs)

    assert len(find.find(TagBlock(times, channels, 0, span))) == 0
    known = TagBlock(marked.times_ps + span, marked.channels, span, 2 * span)
    assert len(find.find(known)) > 1000
    lost = TagBlock(times[:0], channels[:0], 2 * span, 3 * span, lost=1)
    assert len(find.find(lost)) == 0
    assert len(find.find(TagBlock(times + 3 * span, channels, 3 * span, 4 * span))) == 0
