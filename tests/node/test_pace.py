"""A link that goes on without a block says so, once, until the next block."""

from qnx_hw.node.pace import DISTILLING_S, Pace

BLOCK_S = 30.0
LONGEST_S = 2 * BLOCK_S + DISTILLING_S


def test_an_overdue_block_is_told_once() -> None:
    pace = Pace(BLOCK_S, now_s=1000.0)

    assert pace.look(0, 1000.0 + LONGEST_S - 1.0) == ""
    assert "no block has ended for 2 min" in pace.look(0, 1000.0 + LONGEST_S)
    assert pace.look(0, 1000.0 + 2 * LONGEST_S) == ""


def test_every_block_that_ends_gives_the_next_its_whole_time() -> None:
    pace = Pace(BLOCK_S, now_s=0.0)

    for number in range(1, 6):
        assert pace.look(number, number * (LONGEST_S - 1.0)) == ""

    assert pace.look(5, 6 * LONGEST_S) != ""
    assert pace.look(6, 6 * LONGEST_S + 1.0) == ""
    assert pace.look(6, 7 * LONGEST_S + 1.0) != ""
