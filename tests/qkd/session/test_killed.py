"""A party that is killed at any message: both ledgers hold the same, and the link goes on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from stored_links import LINK, SECTION, Killed, StoredLink, Streams, keepers, stores

from qnx_hw.keys import TAGS
from qnx_hw.qkd import messages
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

pytestmark = pytest.mark.slow


@pytest.fixture(name="streams", scope="module")
def _streams(bench: ModuleType) -> Any:
    return bench.Source(seconds=2.4, visibility=0.99).blocks()


@pytest.mark.parametrize("signed", [False, True], ids=["tags", "signatures"])
@pytest.mark.parametrize(
    "victim",
    [
        (Role.ALICE, messages.Pairs),
        (Role.BOB, messages.Corrected),
        (Role.ALICE, messages.Amplify),
        (Role.ALICE, messages.Seal),
        (Role.BOB, messages.Seal),
        (Role.ALICE, messages.Release),
    ],
    ids=lambda victim: f"{victim[0]}-{victim[1].__name__}",
)
def test_ledgers_agree_after_a_death(
    tmp_path: Path, streams: Streams, victim: tuple[Role, type], signed: bool
) -> None:
    folder = tmp_path if signed else None
    with stores(tmp_path, signed=signed) as held:
        with pytest.raises(Killed):
            StoredLink(keepers(held, SECTION, folder), victim).run(streams)
        StoredLink(keepers(held, SECTION, folder)).run(streams)

        salt = Secret(b"test")
        alice, bob = (held[role].digests(LINK, salt) for role in Role)
        assert alice == bob
        assert len(alice) >= 1
        # A block that Alice had stored before she died is Bob's as well, by its token.
        is_stored = victim == (Role.ALICE, messages.Release)
        assert (min(alice) == 1) is is_stored
        assert all(store.memory(LINK).pending is None for store in held.values())
        tags = [[store.stock_bits(LINK, each) for each in TAGS] for store in held.values()]
        assert tags[0] == tags[1]
