"""Keys that wait together leave one by one: whoever takes which, each holder gets each key once."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.errors import Conflict, KeyNotFound, NotEntitled
from qnx_hw.keys import KeyStore
from qnx_hw.keys.ledger import Order
from qnx_hw.keys.names import fresh, packed, unpacked
from qnx_hw.keys.waiting import GENERATION_SHIFT, ROW_KEYS
from qnx_hw.secret import Secret

LINK = "alice-bob"
HOLDERS = ("sae-b", "sae-c")
NAMES = unpacked(
    b"".join((place << 64 | 7919 * place).to_bytes(16, "big") for place in range(1, ROW_KEYS + 8))
)
COMING = Order(NAMES, (), 64, "sae-a", HOLDERS, expires_s=2e12)


def key(name: str) -> bytes:
    return packed([name])[-8:][::-1]


async def filled(store: KeyStore, order: Order = COMING) -> None:
    await store.issued.keep(LINK, order, Secret(b"".join(key(name) for name in order.key_ids)))


# Who (a holder, or the master who takes keys back) asks for which keys.
Step = tuple[str, list[str]]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from((*HOLDERS, "void")),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=ROW_KEYS, unique=True),
    ),
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(STEPS)
def test_each_holder_gets_each_key_once_in_any_order(steps: list[Step]) -> None:
    async def scenario(folder: Path) -> None:
        with KeyStore(folder) as store:
            await filled(store)
            left = {holder: set(NAMES) for holder in HOLDERS}
            for who, names in steps:
                if who == "void":
                    gone = await store.issued.void(LINK, "sae-a", names)
                    assert gone == set(names) & (left["sae-b"] | left["sae-c"])
                    left = {holder: kept - set(names) for holder, kept in left.items()}
                elif set(names) <= left[who]:
                    keys = await store.issued.take(who, "sae-a", names)
                    assert [each.reveal() for each in keys] == [key(name) for name in names]
                    left[who] -= set(names)
                else:
                    with pytest.raises(KeyNotFound):
                        await store.issued.take(who, "sae-a", names)
            waiting = sum(len(kept) for kept in left.values())
            assert (await store.issued.stats(LINK)).waiting_keys == waiting

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))


def test_names_are_free_again_when_all_have_their_keys_and_not_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        with KeyStore(tmp_path) as store:
            await filled(store)
            await store.issued.take("sae-b", "sae-a", NAMES)
            with pytest.raises(Conflict):
                await filled(store)
            with pytest.raises(NotEntitled):
                await store.issued.take("sae-x", "sae-a", NAMES[:1])
            await store.issued.take("sae-c", "sae-a", NAMES)
            await filled(store)

            assert (await store.issued.stats(LINK)).waiting_keys == 2 * len(NAMES)

    asyncio.run(scenario())


def test_a_key_named_twice_is_given_to_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        with KeyStore(tmp_path) as store:
            await filled(store)
            with pytest.raises(KeyNotFound):
                await store.issued.take("sae-b", "sae-a", [NAMES[0], NAMES[0]])

            (found,) = await store.issued.take("sae-b", "sae-a", [NAMES[0]])
            assert found.reveal() == key(NAMES[0])

    asyncio.run(scenario())


def test_a_name_that_came_twice_long_apart_is_given_to_nobody(tmp_path: Path) -> None:
    others = Order(fresh(1 << GENERATION_SHIFT), (), 64, "sae-a", ("sae-c",), expires_s=2e12)

    async def scenario() -> None:
        with KeyStore(tmp_path) as store:
            for order in (COMING, others):
                await filled(store, order)
            await filled(store, replace(COMING, key_ids=NAMES[:1]))

            with pytest.raises(KeyNotFound):
                await store.issued.take("sae-b", "sae-a", NAMES[:1])
            (found,) = await store.issued.take("sae-b", "sae-a", NAMES[1:2])
            assert found.reveal() == key(NAMES[1])

    asyncio.run(scenario())
