"""A link whose ends know each other's public keys and share no secret."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from stored_links import LINK, SECTION, StoredLink, Streams, folders_of, keepers, stores

from qnx_hw.errors import AuthenticationError
from qnx_hw.keys import TAGS, signing
from qnx_hw.node.keeping import NO_MARKS
from qnx_hw.node.pads import FULL_BYTES
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session.machine import FIRST_KEY
from qnx_hw.secret import Secret

pytestmark = pytest.mark.slow


@pytest.fixture(name="streams", scope="module")
def _streams(bench: ModuleType) -> Any:
    return bench.Source(seconds=2.4, visibility=0.99).blocks()


def test_the_first_key_ends_the_signed_session_and_pays_for_all_later_tags(
    tmp_path: Path, streams: Streams
) -> None:
    with stores(tmp_path, signed=True) as held:
        first = StoredLink(keepers(held, SECTION, tmp_path))
        first.run(streams)

        assert [each.block for each in first.keys] == [1, 1]
        assert first.reasons[Role.ALICE] == FIRST_KEY
        kept = [(store.hash_keys(LINK), store.channel_key(LINK)) for store in held.values()]
        assert all(ours.equals(theirs) for ours, theirs in zip(*kept, strict=True))
        key = first.keys[0].key.reveal()
        assert kept[0][0].reveal() + kept[0][1].reveal() == key[:64]
        spent_bits = [store.stock_bits(LINK, *TAGS) for store in held.values()]
        assert spent_bits[0] == spent_bits[1] == 8 * sum(first.keys[0].aside)
        assert min(first.keys[0].aside) == min(FULL_BYTES, (len(key) - 64) // 4)

        second = StoredLink(keepers(held, SECTION, tmp_path))
        second.run(streams)

        assert len(second.keys) >= 2
        assert min(each.block for each in second.keys) > 1
        salt = Secret(b"test")
        alice, bob = (held[role].digests(LINK, salt) for role in Role)
        assert alice == bob != {}
        # What was signed is over: no key that could sign is left at either end.
        assert all(signing.load(each, LINK) is None for each in folders_of(tmp_path).values())
        assert not list(tmp_path.rglob("*.pem"))


def test_who_holds_a_first_key_hears_no_signature_any_more(
    tmp_path: Path, streams: Streams
) -> None:
    with stores(tmp_path, signed=True) as held:
        StoredLink(keepers(held, SECTION, tmp_path)).run(streams)
        StoredLink(keepers(held, SECTION, tmp_path)).run(streams)

        # An attacker who has broken Bob's signature by now plays him as he was at first: without
        # pads, and with signatures that Alice has nothing left to check by.
        alice = keepers(held, SECTION)[Role.ALICE]
        with pytest.raises(AuthenticationError):
            alice.meet(NO_MARKS)


def test_ends_that_trust_somebody_else_make_no_key(tmp_path: Path, streams: Streams) -> None:
    with stores(tmp_path, signed=True) as held:
        stranger = signing.make_own(tmp_path / "stranger", LINK)
        signing.trust(folders_of(tmp_path)[Role.ALICE], LINK, stranger)
        link = StoredLink(keepers(held, SECTION, tmp_path))
        link.run(streams)

        assert link.keys == []
        assert "did not sign block 1" in link.reasons[Role.ALICE]
        assert not any(store.initial_identity(LINK) for store in held.values())
