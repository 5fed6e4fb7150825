"""Both ends of a link take the same window, and never one beyond their own limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.node.meeting import Marks, agreed_window_ps

windows = st.integers(10, 1000)
limits = st.none() | st.tuples(windows, windows).map(lambda pair: (min(pair), max(pair)))
marks = st.builds(
    lambda window_ps, windows_ps: Marks(used={}, window_ps=window_ps, windows_ps=windows_ps),
    windows,
    limits,
)


@given(marks, marks)
def test_a_window_is_the_own_one_or_within_the_own_limits(alice: Marks, bob: Marks) -> None:
    agreed = agreed_window_ps(alice, bob)

    if agreed is None:
        assert alice.window_ps != bob.window_ps
    for end in (alice, bob) if agreed is not None else ():
        low, high = end.windows_ps or (0, -1)
        assert agreed == end.window_ps or low <= agreed <= high


def test_bob_follows_alice_and_she_goes_back_to_what_he_keeps() -> None:
    alice = Marks(used={}, window_ps=500, windows_ps=(100, 5000))
    willing = Marks(used={}, window_ps=2000, windows_ps=(100, 5000))
    narrow = Marks(used={}, window_ps=2000, windows_ps=(1000, 5000))
    fixed = Marks(used={}, window_ps=20_000, windows_ps=None)

    assert agreed_window_ps(alice, willing) == 500
    assert agreed_window_ps(alice, narrow) == 2000
    assert agreed_window_ps(alice, fixed) is None
