"""The policy decides, keeps what is good enough, answers cuts and says why."""

import numpy as np
import pytest

from qnx_hw.network.objectives import Objective
from qnx_hw.network.policy import Policy, Situation
from qnx_hw.network.topology import Topology


def triangle() -> Topology:
    ends = np.array([(0, 1), (0, 2), (2, 1), (1, 0), (2, 0), (1, 2)])
    return Topology(("a", "b", "c"), ends[:, 0], ends[:, 1], np.full(6, 100.0), np.ones(6))


def situation(amount: float, closed: frozenset[int] = frozenset(), steps: int = 12) -> Situation:
    """Demand from a to b alone."""
    matrices = np.zeros((steps, 3, 3))
    matrices[:, 0, 1] = amount
    return Situation(matrices, triangle().demands(matrices[-1]), closed)


def direct_share(policy: Policy) -> float:
    assert policy.current is not None
    return dict(policy.current.ways(0)).get(("a", "b"), 0.0)


def test_the_first_plan_is_new_and_the_same_again_is_not() -> None:
    policy = Policy(triangle())

    first, second = policy.decide(situation(80.0)), policy.decide(situation(80.0))

    assert first.is_new
    assert first.reason == "the first plan"
    assert not second.is_new
    assert second.splits is first.splits


def test_a_change_that_pays_is_made_and_its_gain_is_told() -> None:
    policy = Policy(triangle())
    matrices = situation(10.0).matrices.copy()
    matrices[:, 0, 2] = matrices[:, 2, 1] = 90.0
    policy.decide(Situation(matrices, policy.topology.demands(matrices[-1])))

    decision = policy.decide(situation(120.0))
    for _ in range(5):
        decision = policy.decide(situation(120.0))

    assert decision.loads.max() < 0.65
    assert direct_share(policy) == pytest.approx(0.5, abs=0.06)


def test_a_cut_link_is_left_at_once_and_taken_again_when_it_is_back() -> None:
    policy = Policy(triangle())
    policy.decide(situation(50.0))

    cut = policy.decide(situation(50.0, closed=frozenset({0})))
    assert cut.is_new
    assert "a-b closed" in cut.reason
    assert direct_share(policy) == 0.0
    assert cut.loads[0] == 0.0

    back = policy.decide(situation(50.0))
    assert "a-b open again" in back.reason
    assert direct_share(policy) > 0.3


def test_a_node_that_nothing_reaches_is_explained_and_harms_nobody() -> None:
    policy = Policy(triangle())
    policy.decide(situation(50.0))

    decision = policy.decide(situation(50.0, closed=frozenset({0, 2})))

    assert "nothing joins a to b" in decision.explain(0)
    assert np.isfinite(decision.splits).all()


def test_a_pair_that_sends_nothing_is_told_so() -> None:
    policy = Policy(triangle())

    decision = policy.decide(situation(0.0))

    assert decision.explain(0).startswith("nothing is expected to be sent; what comes goes over a-")


def test_more_than_fits_is_limited_at_the_source_by_fairness() -> None:
    policy = Policy(triangle(), objective=Objective.FAIR)

    decision = policy.decide(situation(500.0))

    assert decision.rates[0] == pytest.approx(190.0, rel=1e-3)
    assert np.isinf(decision.rates[1:]).all()
    assert "limited from 500 Mbit/s" in decision.explain(0)


@pytest.mark.parametrize("objective", list(Objective))
def test_what_if_changes_nothing(objective: Objective) -> None:
    policy = Policy(triangle())
    policy.decide(situation(50.0))
    before = policy.current

    supposed = policy.suppose(situation(50.0, closed=frozenset({0})), objective, factor=1.5)

    assert supposed.expected[0] == 75.0
    assert supposed.ways(0)[0][0] == ("a", "c", "b")
    assert policy.current is before
    assert not policy.decide(situation(50.0)).is_new


def test_the_reason_names_the_link_that_would_fill() -> None:
    policy = Policy(triangle())
    for _ in range(6):
        decision = policy.decide(situation(150.0))

    assert "a-b would be 150% full" in decision.explain(0)


@pytest.mark.parametrize(
    ("mbps", "words"),
    [(2500.0, "2.5 Gbit/s"), (150.0, "150 Mbit/s"), (0.0042, "4.2 kbit/s"), (1e-7, "0.1 bit/s")],
)
def test_a_reason_says_rates_in_units_of_their_size(mbps: float, words: str) -> None:
    policy = Policy(triangle())

    assert policy.decide(situation(mbps)).explain(0).startswith(f"{words} over a-")


def test_a_link_short_of_key_is_spared_and_used_again_when_key_is_back() -> None:
    policy = Policy(triangle())
    policy.decide(situation(50.0))
    short = np.array([10.0, 100.0, 100.0, 100.0, 100.0, 100.0])
    plenty = situation(50.0)

    for _ in range(4):
        policy.decide(Situation(plenty.matrices, plenty.expected, capacities=short))
    assert direct_share(policy) < 0.15

    for _ in range(4):
        policy.decide(plenty)
    assert direct_share(policy) > 0.4
