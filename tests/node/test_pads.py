"""Both ends authenticate from their own ledgers, and no pad serves twice."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from qnx_hw.errors import AuthenticationError
from qnx_hw.keys import TAGS, KeyStore, Provenance, initial
from qnx_hw.keys.split import split
from qnx_hw.node.pads import FULL_BYTES, SKIP_LIMIT_BYTES, LedgerPads
from qnx_hw.qkd.authentication import PAD_BYTES, Authenticator
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

LINK = "alice-bob"
MADE = Provenance(is_simulated=True, made_s=1.0)
SAID = [b"hello", b"times"]


@pytest.fixture(name="stores")
def _stores(tmp_path: Path) -> Iterator[dict[Role, KeyStore]]:
    folders = {role: tmp_path / role.value for role in Role}
    initial.make(LINK, (folders[Role.ALICE], folders[Role.BOB]))
    stores = {role: KeyStore(folder) for role, folder in folders.items()}
    for role, store in stores.items():
        initial.adopt(store, folders[role], LINK)
    yield stores
    for store in stores.values():
        store.close()


def authenticator(stores: dict[Role, KeyStore], role: Role) -> Authenticator:
    store = stores[role]
    return Authenticator(role, LINK, store.hash_keys(LINK), LedgerPads(store, LINK, role))


@pytest.mark.parametrize("author", Role)
def test_each_direction_is_accepted_once(stores: dict[Role, KeyStore], author: Role) -> None:
    seal = authenticator(stores, author).seal(1, SAID)
    peer = authenticator(stores, author.peer)

    peer.check(1, SAID, seal)

    with pytest.raises(AuthenticationError, match="spent"):
        peer.check(1, SAID, seal)


def test_lost_tags_leave_both_ends_in_step(stores: dict[Role, KeyStore]) -> None:
    alice, bob = (authenticator(stores, role) for role in Role)
    for block in range(1, 20):
        alice.seal(block, SAID)

    bob.check(20, SAID, alice.seal(20, SAID))

    alices, bobs = (stores[role].stock_bits(LINK, *TAGS) for role in Role)
    assert alices == bobs


@pytest.mark.parametrize("address", [(1 << 64) - 1, 1 << 63, SKIP_LIMIT_BYTES + PAD_BYTES])
def test_a_forged_address_does_not_empty_the_ledger(
    stores: dict[Role, KeyStore], address: int
) -> None:
    alice, bob = (authenticator(stores, role) for role in Role)

    with pytest.raises(AuthenticationError):
        bob.check(1, SAID, address.to_bytes(8, "big") + bytes(16))

    bob.check(1, SAID, alice.seal(1, SAID))


def test_a_steady_link_spends_256_bits_a_block_and_its_ledgers_stay_full(
    stores: dict[Role, KeyStore],
) -> None:
    alice, bob = (authenticator(stores, role) for role in Role)
    blocks, spent_bits = 24, 0
    for block in range(1, blocks + 1):
        key = secrets.token_bytes(1000)
        aside = alice.set_aside(len(key))
        before = stores[Role.ALICE].stock_bits(LINK, *TAGS)
        bob.check(block, SAID, alice.seal(block, SAID))
        alice.check(block, SAID, bob.seal(block, SAID))
        spent_bits += before - stores[Role.ALICE].stock_bits(LINK, *TAGS)
        for store in stores.values():
            store.ingest(LINK, block, split(block, Secret(key), aside), MADE)

    # Both directions' hashes were made once, from 128 bits each.
    assert spent_bits == 256 * blocks + 256
    for store in stores.values():
        for each in TAGS:
            left_bytes = store.stock_bits(LINK, each) // 8
            assert FULL_BYTES - 2 * PAD_BYTES <= left_bytes <= FULL_BYTES
