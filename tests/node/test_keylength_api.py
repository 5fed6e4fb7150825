"""Key lengths over the API are those of the command line, and nonsense is refused."""

from __future__ import annotations

import pytest
from served_api import served

from qnx_hw.api.keylength import BlockCounts
from qnx_hw.qkd.finite_key import EpsilonBudget, bbm92_key_length


def test_the_api_counts_like_the_library() -> None:
    counts = BlockCounts(n=90_000, k=10_000, errors=200, leak=14_767)
    ours = bbm92_key_length(90_000, 10_000, 200, 14_767, budget=EpsilonBudget(1e-10, 1e-15))

    with served() as api:
        length = api.client().key_length(counts)

    assert length.bits == ours.bits > 40_000
    assert length.phase_error_bound == pytest.approx(ours.phase_error_bound)


@pytest.mark.parametrize("query", ["n=1&k=1&errors=2&leak=0", "n=-1&k=1&errors=0&leak=0", "n=9"])
def test_counts_that_cannot_be_are_refused(query: str) -> None:
    with served() as api:
        status, answer, _ = api.ask("GET", f"/api/v1/keylength?{query}")

    assert status == 400
    assert answer["error"]
