"""Several blocks are distilled while their messages travel; keys come one after the other."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

import msgspec
import pytest

from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended, KeyPending, KeyReady, Progress, Send

pytestmark = pytest.mark.slow

STEP_PS = 10_000_000_000
STEPS_PER_WAY = 4
"""Messages take so many steps of the light: 40 ms."""
DISTILLED = (messages.Pairs, messages.Test, messages.Question, messages.Answer)


def far_apart(bench: ModuleType, parameters: SessionParameters, seconds: float) -> Any:
    """Return a pair whose messages took their time, and the names of their blocks as sent."""
    pair = bench.Pair(parameters, round_trip_s=lambda: 0.08)
    for role in Role:
        pair._act(role, pair.sessions[role].start())
    travelling: list[list[tuple[Role, bytes]]] = [[] for _ in range(STEPS_PER_WAY)]
    for alice, bob in zip(*bench.Source(seconds=seconds).blocks(STEP_PS), strict=True):
        for role, message in travelling.pop(0):
            pair._act(role, pair.sessions[role].receive(message))
        pair._act(Role.ALICE, pair.sessions[Role.ALICE].detections(alice))
        pair._act(Role.BOB, pair.sessions[Role.BOB].detections(bob))
        travelling.append(list(pair._queue))
        pair._queue.clear()
    return pair


@pytest.fixture(name="brief", scope="module")
def _brief(small: SessionParameters) -> SessionParameters:
    return msgspec.structs.replace(small, block_sifted_bits=7_000, epsilon_secrecy=1e-5)


def test_blocks_overlap_and_keys_keep_their_order(
    bench: ModuleType, brief: SessionParameters
) -> None:
    pair = far_apart(bench, brief, 4.2)

    spoken = [(role, decode(octets)) for role, octets in pair.said]
    blocks = [message.block for _, message in spoken if isinstance(message, DISTILLED)]
    returns = [after < before for before, after in pairwise(blocks)]
    assert sum(returns) >= 2  # a later block spoke before an earlier one had finished
    for role in Role:
        judged = [told.metrics.judged_block for told in pair.of(role, Progress)]
        assert judged == sorted(judged)  # and yet nobody was shown the earlier one twice

    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    assert len(bob) >= 2
    assert all(alice[block] == key for block, key in bob.items())
    # In one of some hundred strings so short the decoder finds another word; verification sees it.
    given_up = pair.of(Role.BOB, Aborted)
    assert not pair.of(Role.BOB, Ended)
    assert len(given_up) <= 1
    assert all("strings still differ" in each.reason for each in given_up)

    order = [
        (type(output), output.block)
        for output in pair.outputs[Role.BOB]
        if isinstance(output, KeyPending | KeyReady)
    ]
    numbers = sorted(bob)
    expected = [(kind, block) for block in numbers for kind in (KeyPending, KeyReady)]
    assert order[: len(expected)] == expected


def test_a_key_message_for_a_later_block_while_one_is_pending_ends_the_session(
    bench: ModuleType, brief: SessionParameters
) -> None:
    pair = bench.Pair(brief)
    held: list[bytes] = []

    def tamper(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if isinstance(message, messages.Release) and not held:
            held.append(octets)
            return []
        return [octets]

    pair.tamper = tamper
    pair.start().feed(*bench.Source(seconds=2.4).blocks())

    assert held
    assert pair.of(Role.BOB, Ended)[0].reason == "the peer went on without releasing a block"
    assert not pair.keys(Role.BOB)
    assert len(pair.of(Role.BOB, KeyPending)) == 1


def test_blocks_that_nobody_answers_do_not_pile_up(
    bench: ModuleType, small: SessionParameters
) -> None:
    brief = msgspec.structs.replace(small, block_sifted_bits=400)
    pair = bench.Pair(brief)
    pair.tamper = lambda _, octets: [] if isinstance(decode(octets), messages.Pairs) else [octets]
    pair.start().feed(*bench.Source(seconds=2.4).blocks())

    begun = [m for _, octets in pair.said if isinstance(m := decode(octets), messages.Plan)]
    asked = [m for m in pair.of(Role.ALICE, Send) if isinstance(decode(m.message), messages.Pairs)]
    assert len(asked) == brief.blocks_under_way
    assert len(begun) == brief.blocks_under_way + 1
