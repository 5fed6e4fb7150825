"""Both ends authenticate from their own ledgers, and no pad serves twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qnx_hw.errors import AuthenticationError
from qnx_hw.keys import KeyStore, initial
from qnx_hw.node.pads import SKIP_LIMIT_BYTES, LedgerPads
from qnx_hw.qkd.authentication import PAD_BYTES, Authenticator
from qnx_hw.qkd.roles import Role

LINK = "alice-bob"
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


@pytest.mark.parametrize("address", [(1 << 64) - 1, 1 << 63, SKIP_LIMIT_BYTES + PAD_BYTES])
def test_a_forged_address_does_not_empty_the_ledger(
    stores: dict[Role, KeyStore], address: int
) -> None:
    alice, bob = (authenticator(stores, role) for role in Role)

    with pytest.raises(AuthenticationError):
        bob.check(1, SAID, address.to_bytes(8, "big") + bytes(16))

    bob.check(1, SAID, alice.seal(1, SAID))
