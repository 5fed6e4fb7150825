from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import AuthenticationError, Conflict, KeyExhausted
from qnx_hw.qkd.authentication import (
    HANDSHAKE,
    PAD_BYTES,
    SEAL_BYTES,
    SECRET_BITS_PER_BLOCK,
    TAGS_PER_HASH,
    Authenticator,
    Pad,
    PadSource,
    forgery_probability,
)
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

HASH_KEYS = bytes(range(1, 33))
PARTS = (b"both greetings", b"what alice said", b"what bob said")
P1305 = 2**130 - 5
CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


@dataclass
class Ledgers(PadSource):
    """A party's two ledgers in memory: its own direction and the peer's."""

    own: bytes
    peers: bytes
    next_own: int = 0
    next_peer: int = 0
    spent: list[int] = field(default_factory=list)

    def take_pad(self) -> Pad:
        address = self.next_own
        if address + PAD_BYTES > len(self.own):
            raise KeyExhausted("no pads are left")
        self.next_own += PAD_BYTES
        self.spent.append(address)
        return Pad(address, Secret(self.own[address : address + PAD_BYTES]))

    def take_peer_pad(self, address: int) -> Secret:
        if address < self.next_peer:
            raise Conflict("spent")
        if address + PAD_BYTES > len(self.peers):
            raise KeyExhausted("no such pad")
        self.next_peer = address + PAD_BYTES
        return Secret(self.peers[address : address + PAD_BYTES])

    def lacking(self) -> Aside:
        return self.next_own, self.next_peer


def pads(seed: int, count: int = 8) -> bytes:
    return bytes((seed + 37 * i * i) % 256 for i in range(count * PAD_BYTES))


def pair(link: str = "alice-bob", other: str = "alice-bob") -> tuple[Authenticator, Authenticator]:
    from_alice, from_bob = pads(1), pads(91)
    return (
        Authenticator(Role.ALICE, link, Secret(HASH_KEYS), Ledgers(from_alice, from_bob)),
        Authenticator(Role.BOB, other, Secret(HASH_KEYS), Ledgers(from_bob, from_alice)),
    )


def poly1305(message: bytes, key: bytes) -> bytes:
    """Compute the tag as RFC 8439, section 2.5.1, writes it."""
    r, s = int.from_bytes(key[:16], "little") & CLAMP, int.from_bytes(key[16:], "little")
    value = 0
    for start in range(0, len(message), 16):
        value = (value + int.from_bytes(message[start : start + 16] + b"\1", "little")) * r % P1305
    return ((value + s) % 2**128).to_bytes(16, "little")


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 2**63))
def test_each_party_accepts_what_the_other_sealed(parts: list[bytes], block: int) -> None:
    alice, bob = pair()

    bob.check(block, parts, alice.seal(block, parts))
    alice.check(block, parts, bob.seal(block, parts))

    for said in ([*parts, b""], [b"\0", *parts]):
        with pytest.raises(AuthenticationError):
            bob.check(block, said, alice.seal(block, parts))


def test_a_seal_is_a_padded_polynomial_of_everything_bound() -> None:
    alice, _ = pair()

    seal = alice.seal(7, PARTS)

    where = (0).to_bytes(8, "big") + (16).to_bytes(8, "big")
    text = b"qnx-auth-3\x01" + (7).to_bytes(8, "big")
    for part in (b"alice-bob", where, *PARTS):
        text += len(part).to_bytes(8, "big") + part
    r = bytes(first ^ fresh for first, fresh in zip(HASH_KEYS, pads(1)[:16], strict=False))
    assert seal == where + poly1305(text, r + pads(1)[16:32])


@given(st.data())
def test_any_flipped_bit_of_the_transcript_fails(data: st.DataObject) -> None:
    alice, bob = pair()
    seal = alice.seal(1, PARTS)
    which = data.draw(st.integers(0, len(PARTS) - 1))
    bit = data.draw(st.integers(0, 8 * len(PARTS[which]) - 1))
    changed = bytearray(PARTS[which])
    changed[bit // 8] ^= 1 << bit % 8
    parts = [bytes(changed) if i == which else part for i, part in enumerate(PARTS)]

    with pytest.raises(AuthenticationError):
        bob.check(1, parts, seal)


@given(st.integers(0, 8 * SEAL_BYTES - 1))
def test_any_flipped_bit_of_the_seal_fails(bit: int) -> None:
    alice, bob = pair()
    seal = bytearray(alice.seal(1, PARTS))
    seal[bit // 8] ^= 1 << bit % 8

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, bytes(seal))


@pytest.mark.parametrize(
    "parts",
    [
        PARTS[::-1],
        PARTS[:2],
        (*PARTS, PARTS[2]),
        (*PARTS, b""),
        (PARTS[0] + PARTS[1], PARTS[2]),
        (PARTS[0] + PARTS[1][:1], PARTS[1][1:], PARTS[2]),
        (b"".join(PARTS),),
    ],
    ids=["reordered", "dropped", "repeated", "added", "joined", "shifted border", "one"],
)
def test_another_row_of_messages_fails(parts: tuple[bytes, ...]) -> None:
    alice, bob = pair()
    seal = alice.seal(1, PARTS)

    with pytest.raises(AuthenticationError):
        bob.check(1, parts, seal)


def test_a_replayed_seal_fails() -> None:
    alice, bob = pair()
    seal = alice.seal(1, PARTS)
    bob.check(1, PARTS, seal)

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, seal)


def test_a_seal_of_another_block_fails() -> None:
    alice, bob = pair()
    seal = alice.seal(1, PARTS)

    with pytest.raises(AuthenticationError):
        bob.check(2, PARTS, seal)


def test_a_reflected_seal_fails() -> None:
    alice, _ = pair()
    seal = alice.seal(HANDSHAKE, PARTS)

    with pytest.raises(AuthenticationError):
        alice.check(HANDSHAKE, PARTS, seal)


def test_reflection_fails_even_where_both_directions_share_their_secrets() -> None:
    shared = pads(5)
    keys = HASH_KEYS[:16] * 2
    alice = Authenticator(Role.ALICE, "loop", Secret(keys), Ledgers(shared, shared))
    seal = alice.seal(1, PARTS)

    with pytest.raises(AuthenticationError):
        alice.check(1, PARTS, seal)


def test_a_seal_of_another_link_fails() -> None:
    alice, bob = pair(other="alice-charlie")

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, alice.seal(1, PARTS))


def test_parties_stay_in_step_where_seals_are_lost() -> None:
    alice, bob = pair()
    late = alice.seal(1, PARTS)
    alice.seal(2, PARTS)

    bob.check(3, PARTS, alice.seal(3, PARTS))

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, late)


def test_every_seal_takes_a_fresh_pad_before_it_is_made() -> None:
    ledgers = Ledgers(pads(1, 4), b"")
    alice = Authenticator(Role.ALICE, "link", Secret(HASH_KEYS), ledgers)

    seals = {alice.seal(1, PARTS) for _ in range(3)}

    assert len(seals) == 3
    assert ledgers.spent == [0, 16, 32, 48]  # the first is the hash's
    with pytest.raises(KeyExhausted):
        alice.seal(1, PARTS)


def test_the_hash_is_replaced_on_schedule_and_both_ends_follow() -> None:
    count = 2 * TAGS_PER_HASH + 3
    from_alice = np.random.default_rng(1).bytes((count + 3) * PAD_BYTES)
    alice = Authenticator(Role.ALICE, "link", Secret(HASH_KEYS), Ledgers(from_alice, b""))
    bob = Authenticator(Role.BOB, "link", Secret(HASH_KEYS), Ledgers(b"", from_alice))

    seals = [alice.seal(block, PARTS) for block in range(count)]
    for block, seal in enumerate(seals):
        bob.check(block, PARTS, seal)

    hashes = [seal[:8] for seal in seals]
    assert len(set(hashes)) == 3
    assert max(hashes.count(each) for each in hashes) == TAGS_PER_HASH


def test_a_new_session_takes_a_new_hash() -> None:
    ledgers = Ledgers(pads(1), b"")
    first, second = (
        Authenticator(Role.ALICE, "link", Secret(HASH_KEYS), ledgers) for _ in range(2)
    )

    assert first.seal(1, PARTS)[:8] != second.seal(2, PARTS)[:8]


def test_a_seal_whose_hash_is_its_pad_fails() -> None:
    _, bob = pair()

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, bytes(8) + bytes(8) + bytes(16))


def test_a_failed_check_spends_its_pad() -> None:
    alice, bob = pair()
    seal = alice.seal(1, PARTS)
    forged = seal[:-1] + bytes([seal[-1] ^ 1])
    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, forged)

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, seal)


@pytest.mark.parametrize("seal", [b"", bytes(SEAL_BYTES - 1), bytes(SEAL_BYTES + 1)])
def test_a_seal_of_another_size_fails_and_costs_nothing(seal: bytes) -> None:
    ledgers = Ledgers(b"", pads(1))
    bob = Authenticator(Role.BOB, "link", Secret(HASH_KEYS), ledgers)

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, seal)

    assert ledgers.next_peer == 0


def test_a_seal_that_names_pads_not_held_fails() -> None:
    _, bob = pair()

    with pytest.raises(AuthenticationError):
        bob.check(1, PARTS, b"\xff" * SEAL_BYTES)


def test_failures_and_parties_show_no_secret() -> None:
    alice, bob = pair()
    with pytest.raises(AuthenticationError) as caught:
        bob.check(1, (b"other",), alice.seal(1, PARTS))

    shown = f"{caught.value} {caught.value!r} {alice!r} {vars(alice)!r} {Pad(0, Secret(b'xyzw'))!r}"
    for secret in (repr(HASH_KEYS[:4])[2:-1], HASH_KEYS[:4].hex(), "xyzw"):
        assert secret not in shown


def test_hash_keys_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="hash keys"):
        Authenticator(Role.ALICE, "link", Secret(b"short"), Ledgers(b"", b""))


def test_a_block_costs_256_bits_and_forgery_is_hopeless() -> None:
    assert SECRET_BITS_PER_BLOCK == 256
    assert forgery_probability(12_500_000) < 2**-80
