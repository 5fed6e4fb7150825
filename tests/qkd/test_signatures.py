"""Signatures in place of tags: what was said, by whom, in which block, and nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.errors import AuthenticationError
from qnx_hw.qkd.authentication import SEAL_BYTES
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import LateSealer, Sealer
from qnx_hw.qkd.signatures import SIGNATURE_BYTES, SignatureSealer

PARTS = (b"both greetings", b"what alice said", b"what bob said")
KEYS = {role: MLDSA87PrivateKey.generate() for role in Role}


def sealer(role: Role, *, link: str = "alice-bob", peer: Role | None = None) -> SignatureSealer:
    known = KEYS[peer or role.peer].public_key()
    return SignatureSealer(role, link, KEYS[role], known, lacking=(8192, 8192))


def test_each_party_accepts_what_the_other_signed() -> None:
    alice, bob = sealer(Role.ALICE), sealer(Role.BOB)

    bob.check(1, PARTS, alice.seal(1, PARTS))
    alice.check(1, PARTS, bob.seal(1, PARTS))
    assert len(alice.seal(1, PARTS)) == SIGNATURE_BYTES


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10_000))
def test_every_flipped_bit_fails(part: int, place: int) -> None:
    alice, bob = sealer(Role.ALICE), sealer(Role.BOB)
    seal, octets = alice.seal(1, PARTS), bytearray(PARTS[part])
    octets[place // 8 % len(octets)] ^= 1 << place % 8
    changed = (*PARTS[:part], bytes(octets), *PARTS[part + 1 :])
    spoiled = bytearray(seal)
    spoiled[place % len(seal)] ^= 1 << place % 8

    for parts, given_seal in ((changed, seal), (PARTS, bytes(spoiled))):
        with pytest.raises(AuthenticationError):
            bob.check(1, parts, given_seal)


def test_a_signature_serves_no_other_block_link_session_or_direction() -> None:
    alice, bob = sealer(Role.ALICE), sealer(Role.BOB)
    seal = alice.seal(1, PARTS)

    for parts, block, who in (
        (PARTS, 2, bob),
        ((b"other greetings", *PARTS[1:]), 1, bob),
        ((PARTS[0], PARTS[1] + PARTS[2], b""), 1, bob),
        (PARTS, 1, sealer(Role.BOB, link="alice-charlie")),
        # What Alice signed, sent back to her, even if Bob's key were hers.
        (PARTS, 1, sealer(Role.ALICE, peer=Role.ALICE)),
    ):
        with pytest.raises(AuthenticationError):
            who.check(block, parts, seal)


def test_another_key_fails_and_so_does_a_seal_of_the_other_kind() -> None:
    bob = sealer(Role.BOB)
    mallory = SignatureSealer(
        Role.ALICE,
        "alice-bob",
        MLDSA87PrivateKey.generate(),
        KEYS[Role.BOB].public_key(),
        lacking=(0, 0),
    )

    for seal in (mallory.seal(1, PARTS), bytes(SEAL_BYTES), b"", bytes(SIGNATURE_BYTES)):
        with pytest.raises(AuthenticationError):
            bob.check(1, PARTS, seal)


def test_a_first_key_gives_both_ledgers_a_quarter_beside_what_is_kept() -> None:
    assert sealer(Role.ALICE).set_aside(1064) == (250, 250)
    assert sealer(Role.ALICE).set_aside(1 << 20) == (8192, 8192)
    assert sealer(Role.ALICE).first_key_bytes == 320


def test_the_kind_is_chosen_once_when_it_is_needed() -> None:
    asked: list[Sealer] = []

    def choose() -> Sealer:
        asked.append(sealer(Role.ALICE))
        return asked[-1]

    late = LateSealer(choose)
    assert asked == []
    sealer(Role.BOB).check(1, PARTS, late.seal(1, PARTS))
    assert late.first_key_bytes == 320
    assert len(asked) == 1
