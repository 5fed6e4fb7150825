"""Links share threads, and none waits for what another link does."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.node.cores import Cores

DEADLINE_S = 120.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(), max_size=9))
def test_every_piece_is_done_once_and_in_its_place(count: int, numbers: list[int]) -> None:
    cores = Cores(count)
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return number * 2

    assert cores.side_by_side([partial(work, each) for each in numbers]) == [
        2 * each for each in numbers
    ]
    assert sorted(done) == sorted(numbers)
    cores.close()


def test_two_pieces_run_at_the_same_time() -> None:
    cores = Cores(1)
    both = threading.Barrier(2)

    places = cores.side_by_side([lambda: both.wait(DEADLINE_S)] * 2)

    assert sorted(places) == [0, 1]
    cores.close()


def test_a_link_is_not_held_up_by_anothers_long_work() -> None:
    cores = Cores(1)
    is_free, is_busy = threading.Event(), threading.Event()

    def long_work() -> bool:
        is_busy.set()
        return is_free.wait(DEADLINE_S)

    other = threading.Thread(target=cores.side_by_side, args=([long_work, long_work],))
    other.start()
    assert is_busy.wait(DEADLINE_S)

    assert cores.side_by_side([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
    assert other.is_alive()

    is_free.set()
    other.join(DEADLINE_S)
    cores.close()


def test_an_error_in_any_piece_is_raised() -> None:
    cores = Cores(1)

    with pytest.raises(ValueError, match="seven"):
        cores.side_by_side([lambda: 1, lambda: int("seven")])
    cores.close()
