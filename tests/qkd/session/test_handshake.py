from itertools import product

import pytest

from qnx_hw.qkd.parameters import ReleasedBlock, Resumption, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session.handshake import Agreed, Refused, answer, greet
from qnx_hw.secret import Secret

PARAMETERS = SessionParameters(link="test")
GREETINGS = [
    greet(role, parameters, Resumption(next_block=block), bytes([nonce]) * 16)
    for role, parameters, block, nonce in product(
        Role,
        (PARAMETERS, SessionParameters(link="test", qber_limit=0.05), SessionParameters(link="b")),
        (1, 9),
        (1, 2),
    )
]


def test_both_ends_reach_the_same_result_from_any_two_greetings() -> None:
    for ours, theirs in product(GREETINGS, GREETINGS):
        assert answer(ours, theirs) == answer(theirs, ours)


def test_ends_that_fit_agree_on_the_larger_block_number() -> None:
    alice = greet(Role.ALICE, PARAMETERS, Resumption(next_block=4), bytes(16))
    bob = greet(Role.BOB, PARAMETERS, Resumption(next_block=7), bytes([1]) * 16)

    agreed = answer(alice, bob)

    assert isinstance(agreed, Agreed)
    assert agreed.first_block == 7


def test_each_session_has_a_name_of_its_own() -> None:
    names = {
        agreed.session
        for ours, theirs in product(GREETINGS, GREETINGS)
        if ours.role is Role.ALICE and isinstance(agreed := answer(ours, theirs), Agreed)
    }

    assert len(names) == 3 * 2 * 2 * 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"qber_limit": 0.07}, "settings"), ({"link": "other"}, "links"), ({}, "nonce")],
)
def test_what_differs_is_named(changes: dict[str, object], word: str) -> None:
    other = SessionParameters(**{"link": "test", **changes})
    alice = greet(Role.ALICE, PARAMETERS, Resumption(), bytes(16))
    bob = greet(Role.BOB, other, Resumption(), bytes(16))

    refused = answer(alice, bob)

    assert isinstance(refused, Refused)
    assert word in refused.reason


def test_bob_cannot_claim_to_have_released_a_block() -> None:
    memory = Resumption(released=ReleasedBlock(3, Secret(bytes(16))))
    alice = greet(Role.ALICE, PARAMETERS, Resumption(), bytes(16))
    bob = greet(Role.BOB, PARAMETERS, memory, bytes([1]) * 16)

    assert isinstance(answer(alice, bob), Refused)
