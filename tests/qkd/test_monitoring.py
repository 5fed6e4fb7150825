"""What a station watches of itself, against counts that chance and attackers bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qnx_hw.errors import BlockAborted, Tampering
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd.monitoring import Watch
from qnx_hw.qkd.parameters import SessionParameters, StationInputs
from qnx_hw.qkd.sifting import RANDOM, EventFinder

SECOND_PS = 10**12
PARAMETERS = SessionParameters(link="test", coincidence_window_ps=2000)


def watched(
    rates_cps: tuple[float, ...] = (5e4,) * 4,
    *,
    forced_gap_ps: int = 0,
    parameters: SessionParameters = PARAMETERS,
    seconds: float = 4.0,
) -> Watch:
    """Watch independent clicks, or clicks that are forced one at a time."""
    random = np.random.default_rng(11)
    counts = random.poisson(np.array(rates_cps) * seconds)
    times = random.integers(0, round(seconds * SECOND_PS), counts.sum())
    inputs = tuple(range(1, len(rates_cps) + 1))
    channels = np.repeat(np.array(inputs, dtype=np.uint8), counts)
    order = np.argsort(times)
    times, channels = times[order], channels[order]
    if forced_gap_ps:
        kept = np.diff(times, prepend=-forced_gap_ps - 1) > forced_gap_ps
        times, channels = times[kept], channels[kept]
    finder = EventFinder(
        StationInputs(channels=inputs),
        window_ps=parameters.coincidence_window_ps,
        dead_time_ps=parameters.dead_time_ps,
    )
    events = finder.find(TagBlock(times, channels, 0, round(seconds * SECOND_PS)))
    decided = events.outcomes.copy()
    decided[decided == RANDOM] = 0
    watch = Watch(parameters)
    watch.add(replace(events, outcomes=decided))
    return watch


def test_independent_detectors_click_together_as_often_as_chance_has_it() -> None:
    watch = watched()

    found = watch.cross_clicks + watch.double_clicks
    assert abs(found - watch.expected_multi_clicks) < 5 * watch.expected_multi_clicks**0.5
    assert watch.double_clicks == pytest.approx(watch.expected_multi_clicks / 3, rel=0.3)
    watch.check()


def test_a_dead_time_scales_what_chance_brings() -> None:
    parameters = SessionParameters(link="test", coincidence_window_ps=2000, dead_time_ps=2_000_000)
    watch = watched(parameters=parameters)

    found = watch.cross_clicks + watch.double_clicks
    assert watch.unused > 0.2 * watch.events
    assert abs(found - watch.expected_multi_clicks) < 5 * watch.expected_multi_clicks**0.5


def test_clicks_one_at_a_time_are_an_alarm() -> None:
    with pytest.raises(Tampering, match="blinded"):
        watched(forced_gap_ps=20_000).check()


def test_the_alarm_can_be_switched_off_for_slow_taggers() -> None:
    parameters = SessionParameters(
        link="test", coincidence_window_ps=2000, watch_multi_clicks=False
    )
    watch = watched(forced_gap_ps=20_000, parameters=parameters)

    watch.check()

    assert watch.expected_multi_clicks > 100
    assert watch.cross_clicks + watch.double_clicks == 0


def test_few_clicks_raise_no_alarm() -> None:
    watch = watched((1000.0,) * 4, forced_gap_ps=20_000)

    watch.check()

    assert watch.events > 10_000
    assert watch.expected_multi_clicks < 1 > watch.cross_clicks + watch.double_clicks


def test_a_detector_that_answers_too_seldom_is_an_alarm() -> None:
    watched((5e4, 4e4, 5e4, 5e4)).check()
    with pytest.raises(Tampering, match="basis Z answer"):
        watched((5e4, 2e4, 5e4, 5e4)).check()


def test_too_many_clicks_in_several_bases_end_a_block_without_an_alarm() -> None:
    watch = watched()
    watch.cross_clicks = watch.events

    with pytest.raises(BlockAborted) as caught:
        watch.check()
    assert not isinstance(caught.value, Tampering)


def test_a_basis_that_answers_too_often_is_an_alarm() -> None:
    even = SessionParameters(link="test", coincidence_window_ps=2000, z_share=0.5)
    watched(parameters=even).check()

    with pytest.raises(Tampering, match="in Z, where it should be 50%"):
        watched((7e4, 7e4, 4e4, 4e4), parameters=even).check()
    watched((7e4, 7e4, 4e4, 4e4)).check()


def test_e91s_further_detectors_are_watched_like_the_others() -> None:
    watched((5e4,) * 5 + (4e4, 5e4, 5e4)).check()

    with pytest.raises(Tampering, match=r"basis 22\.5° answer"):
        watched((5e4,) * 5 + (2e4, 5e4, 5e4)).check()
    with pytest.raises(Tampering, match=r"basis 67\.5° answer"):
        watched((5e4,) * 6 + (2e4, 5e4)).check()


def test_a_setting_of_e91_that_answers_too_often_is_an_alarm() -> None:
    half = SessionParameters(link="test", coincidence_window_ps=2000, bell_share=0.5)
    watched((5e4,) * 8, parameters=half).check()
    watched(parameters=half).check()  # Alice's station has no such settings

    with pytest.raises(Tampering, match=r"35% of the events .* at 67\.5°, where it should be 25%"):
        watched((5e4,) * 6 + (8e4, 8e4), parameters=half).check()
