"""History keeps what was sampled and thins what nobody could see."""

from __future__ import annotations

import msgspec
import pytest

from qnx_hw.api.schema import BlockStage, LinkPhase, LinkView
from qnx_hw.api.value import Estimate
from qnx_hw.node.history import MOST_POINTS, QUANTITIES, History

LINK = LinkView(
    name="alice-bob",
    alice="alice",
    bob="bob",
    protocol="bbm92",
    phase=LinkPhase.GENERATING,
    stage=BlockStage.COLLECTING,
)


def test_samples_come_back_with_their_times() -> None:
    history = History()
    for second, qber in enumerate((0.01, None, 0.03)):
        view = msgspec.structs.replace(LINK, qber=Estimate(value=qber))
        history.sample(view, 100.0 + second)

    series = history.series("alice-bob", "qber", since_s=101.0)

    assert series.times_s == (101.0, 102.0)
    assert series.values == (None, 0.03)


def test_a_long_past_is_thinned_and_keeps_its_newest_point() -> None:
    history = History()
    for second in range(3 * MOST_POINTS):
        history.sample(LINK, float(second))

    series = history.series("alice-bob", "pool_bits", since_s=0.0)

    assert len(series.times_s) <= MOST_POINTS
    assert series.times_s[-1] == 3 * MOST_POINTS - 1


@pytest.mark.parametrize("name", QUANTITIES["link"])
def test_an_unknown_link_has_an_empty_past(name: str) -> None:
    assert History().series("nowhere", name, since_s=0.0).values == ()
