"""What a cut connection leaves behind is settled by the next session, alike at both ends."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.parameters import PendingBlock, ReleasedBlock, Resumption, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import BlockStarted, KeyDropped, KeyPending, KeyReady, Session
from qnx_hw.secret import Secret

Streams = tuple[list[TagBlock], list[TagBlock]]


@pytest.fixture(scope="module")
def tags(bench: ModuleType) -> Streams:
    return bench.Source(seconds=2.3).blocks()


def cut_at(role: Role, kind: type) -> Callable[[Role, bytes], list[bytes]]:
    """Return a channel that breaks where this message should pass."""
    is_broken = False

    def tamper(sender: Role, octets: bytes) -> list[bytes]:
        nonlocal is_broken
        message = decode(octets)
        is_broken = is_broken or (sender is role and isinstance(message, kind))
        return [] if is_broken else [octets]

    return tamper


def memories(pair: Any) -> dict[Role, Resumption]:
    """What both callers kept."""
    released = [o.released for o in pair.of(Role.ALICE, KeyReady)]
    held = [o.pending for o in pair.of(Role.BOB, KeyPending)]
    done = set(pair.keys(Role.BOB))
    pending = [block for block in held if block.block not in done]
    first = {role: [o.block for o in pair.of(role, BlockStarted)] for role in Role}
    return {
        Role.ALICE: Resumption(
            next_block=max(first[Role.ALICE]) + 1, released=released[-1] if released else None
        ),
        Role.BOB: Resumption(
            next_block=max(first[Role.BOB]) + 1, pending=pending[-1] if pending else None
        ),
    }


def test_a_lost_release_is_made_good(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    cut = bench.Pair(small)
    cut.tamper = cut_at(Role.ALICE, messages.Release)
    cut.start().feed(*tags)

    again = bench.Pair(small, resumption=memories(cut), authenticators=cut.authenticators, seed=9)
    again.start()

    assert cut.keys(Role.BOB) == {}
    assert again.keys(Role.BOB) == cut.keys(Role.ALICE) != {}
    assert again.of(Role.BOB, KeyReady)[0].provenance is None


def test_a_lost_seal_costs_the_block_at_both_ends(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    cut = bench.Pair(small)
    cut.tamper = cut_at(Role.BOB, messages.Seal)
    cut.start().feed(*tags)

    again = bench.Pair(small, resumption=memories(cut), authenticators=cut.authenticators, seed=9)
    again.start()
    assert again.of(Role.BOB, KeyDropped) == []
    again.feed(*tags)

    assert cut.keys(Role.ALICE) == {}
    assert [o.block for o in again.of(Role.BOB, KeyDropped)] == [1]
    assert again.keys(Role.ALICE) == again.keys(Role.BOB) != {}
    assert 1 not in again.keys(Role.ALICE)


def test_block_numbers_never_come_back(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    memory = {Role.ALICE: Resumption(next_block=5), Role.BOB: Resumption(next_block=11)}
    pair = bench.Pair(small, resumption=memory).start().feed(*tags)

    started = [o.block for o in pair.of(Role.ALICE, BlockStarted)]
    assert started == [o.block for o in pair.of(Role.BOB, BlockStarted)]
    assert started[0] == 11


def pending_bob(
    bench: ModuleType, small: SessionParameters, tamper: Callable[[Role, bytes], list[bytes]]
) -> Any:
    memory = {
        Role.ALICE: Resumption(next_block=2),
        Role.BOB: Resumption(
            next_block=2, pending=PendingBlock(1, Secret(b"t" * 16), Secret(b"k" * 32))
        ),
    }
    pair = bench.Pair(small, resumption=memory)
    pair.tamper = tamper
    return pair.start()


def test_a_forged_greeting_neither_releases_nor_drops_a_pending_key(
    bench: ModuleType, small: SessionParameters
) -> None:
    def forge(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if role is Role.ALICE and isinstance(message, messages.Hello):
            forged = msgspec.structs.replace(
                message, released_block=1, released_token=b"guessed by eve.."
            )
            return [encode(forged)]
        return [octets]

    pair = pending_bob(bench, small, forge)

    assert pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, KeyDropped) == []


def test_a_memory_that_a_role_cannot_have_is_refused(
    bench: ModuleType, small: SessionParameters
) -> None:
    token = Secret(bytes(16))
    for role, memory in (
        (Role.ALICE, Resumption(pending=PendingBlock(1, token, token))),
        (Role.BOB, Resumption(released=ReleasedBlock(1, token))),
    ):
        with pytest.raises(ValueError, match="keeps no"):
            Session(
                role,
                small,
                bench.authenticators()[role],
                bench.SeededRandomness(1),
                resumption=memory,
            )
