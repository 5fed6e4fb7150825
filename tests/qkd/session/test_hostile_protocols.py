"""E91 and decoy BB84 on a channel in the hands of an attacker: equal keys or none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import pulsed_link
import pytest
from bench_sessions import tag_blocks

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended, KeyPending

pytestmark = pytest.mark.slow

PULSED = [
    (Role.ALICE, messages.Training),
    (Role.BOB, messages.Times),
    (Role.ALICE, messages.Pairs),
    (Role.BOB, messages.Bases),
    (Role.BOB, messages.Disclosure),
    (Role.BOB, messages.Corrected),
    (Role.ALICE, messages.Seal),
]
ACTIONS = ("drop", "flip")


class Attack:
    """Does something to the first message of a kind."""

    def __init__(self, role: Role, kind: type, action: str) -> None:
        self._target, self._action = (role, kind), action
        self.is_done = False

    def __call__(self, role: Role, octets: bytes) -> list[bytes]:
        if self.is_done or (role, type(decode(octets))) != self._target:
            return [octets]
        self.is_done = True
        middle = 2 * len(octets) // 3
        if self._action == "drop":
            return []
        return [octets[:middle] + bytes([octets[middle] ^ 4]) + octets[middle + 1 :]]


def check(pair: Any) -> None:
    """No two keys of one block differ, and Bob is never ahead of Alice."""
    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    pending = {o.block: o.pending.key.reveal() for o in pair.of(Role.BOB, KeyPending)}
    assert all(alice[block] == key for block, key in bob.items())
    assert all(pending[block] == key for block, key in alice.items())


@pytest.fixture(name="pulsed", scope="module")
def _pulsed(bench: ModuleType) -> list[TagBlock]:
    """Bob's tags of a link whose seed is that of every pair in this module."""
    made = pulsed_link.bench()
    bench.Pair(parameters(), transmit=lambda asked: pulsed_link.play(made, asked)).start()
    return list(tag_blocks(made, "bob", 2.5))


def parameters() -> SessionParameters:
    return pulsed_link.parameters(block_sifted_bits=350_000, epsilon_secrecy=1e-6)


def test_the_untouched_link_makes_key(bench: ModuleType, pulsed: list[TagBlock]) -> None:
    pair = bench.Pair(parameters()).start()
    for block in pulsed:
        pair.feed_bob(block)

    check(pair)
    assert 1 in pair.keys(Role.BOB)


@pytest.mark.parametrize("target", PULSED, ids=lambda target: target[1].__name__)
def test_decoy_bb84_makes_no_key_from_a_touched_block(
    bench: ModuleType, pulsed: list[TagBlock], target: tuple[Role, type]
) -> None:
    attack = Attack(*target, "flip")
    pair = bench.Pair(parameters())
    pair.tamper = attack
    pair.start()
    for block in pulsed:
        pair.feed_bob(block)

    assert attack.is_done
    check(pair)
    assert 1 not in pair.keys(Role.ALICE) | pair.keys(Role.BOB)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", [(Role.BOB, messages.Bases), (Role.BOB, messages.Disclosure)])
def test_e91_makes_no_key_from_a_touched_block(
    bench: ModuleType, small: SessionParameters, kind: tuple[Role, type], action: str
) -> None:
    bell = msgspec.structs.replace(small, protocol=Protocol.E91, block_sifted_bits=10_000)
    pair = bench.Pair(bell)
    attack = pair.tamper = Attack(*kind, action)
    pair.start().feed(*bench.Source(bell=True, seconds=2.4, seed=12).blocks())

    assert attack.is_done
    check(pair)
    assert 1 not in pair.keys(Role.ALICE) | pair.keys(Role.BOB)
    assert (
        pair.of(Role.BOB, (Aborted, Ended))
        or pair.of(Role.ALICE, (Aborted, Ended))
        or (action == "drop")
    )
