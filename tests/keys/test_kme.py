"""Two key managers give the same keys to both ends, each once, whatever breaks between them."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from key_pairs import LINK, joined

from qnx_hw.errors import ChannelError, Conflict, KeyExhausted, KeyNotFound, NotEntitled
from qnx_hw.keys import KEYS, PADS, KeyStore
from qnx_hw.keys.kme import consumer_at
from qnx_hw.keys.ledger import Order, Run, Wish, address_of
from qnx_hw.keys.messages import Done, Refused, Reserve, decode_requests


def test_both_ends_get_the_same_keys_by_name_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            for ours, theirs in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
                keys = await ours.get(theirs.node, 256, 5)
                names = [name for name, _ in keys]
                fetched = await theirs.get_by_id(ours.node, names[::-1])

                assert [key.reveal() for key in fetched][::-1] == [key.reveal() for _, key in keys]
                assert len({key.reveal() for key in fetched}) == 5
                with pytest.raises(KeyNotFound):
                    await theirs.get_by_id(ours.node, names[:1])

    asyncio.run(scenario())


def test_one_unknown_name_leaves_all_keys_in_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            ((name, key),) = await pair.alice.get("bob", 256)
            for wrong in (str(uuid.uuid4()), name, "no-uuid"):
                with pytest.raises(KeyNotFound):
                    await pair.bob.get_by_id("alice", [name, wrong])

            assert (await pair.bob.get_by_id("alice", [name]))[0].equals(key)

    asyncio.run(scenario())


def test_a_key_is_kept_for_those_named_and_each_fetches_it_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            (key,) = await pair.alice.reserve(
                "bob", Wish(256), master="sae-a", holders=("sae-b", "sae-c")
            )
            name = [str(key.key_id)]
            with pytest.raises(NotEntitled):
                await pair.bob.take("sae-x", "sae-a", name)
            with pytest.raises(KeyNotFound):
                await pair.bob.take("sae-b", "sae-x", name)
            for holder in ("sae-b", "sae-c"):
                (fetched,) = await pair.bob.take(holder, "sae-a", name)
                assert fetched.equals(key.secret)
                with pytest.raises(KeyNotFound):
                    await pair.bob.take(holder, "sae-a", name)

    asyncio.run(scenario())


def test_thirty_two_who_race_for_one_key_get_it_once(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with joined(tmp_path) as pair:
            ((name, _),) = await pair.alice.get("bob", 256)

            async def fetch() -> int:
                try:
                    return len(await pair.bob.get_by_id("alice", [name]))
                except KeyNotFound:
                    return 0

            async with asyncio.TaskGroup() as tasks:
                racers = [tasks.create_task(fetch()) for _ in range(32)]
            return sum(racer.result() for racer in racers)

    assert asyncio.run(scenario()) == 1


def test_many_who_ask_at_once_share_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            before = pair.to_bob.calls
            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(pair.alice.get("bob", 256)) for _ in range(40)]
            names = [name for task in asking for name, _ in task.result()]

            assert pair.to_bob.calls - before < 40
            assert len(await pair.bob.get_by_id("alice", names)) == 40

    asyncio.run(scenario())


def test_a_lost_reply_costs_the_bits_and_gives_no_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            before = await pair.alice.stock_bits("bob")
            pair.to_bob.loses_replies = True
            with pytest.raises(ChannelError):
                await pair.alice.get("bob", 256, 3)
            assert await pair.alice.stock_bits("bob") == before - 3 * 256
            with pytest.raises(ChannelError, match="away"):
                await pair.alice.get("bob", 256)

            pair.to_bob.loses_replies = False
            await pair.alice.connected("bob")
            ((name, key),) = await pair.alice.get("bob", 256)

            assert (await pair.bob.get_by_id("alice", [name]))[0].equals(key)

    asyncio.run(scenario())


def test_what_must_be_left_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path, n_bytes=160) as pair:
            stock = await pair.alice.stock_bits("bob")
            wish = Wish(256, keep_bits=stock - 255)
            with pytest.raises(KeyExhausted, match="kept"):
                await pair.alice.reserve("bob", wish, master="a", holders=("b",))
            with pytest.raises(KeyExhausted):
                await pair.alice.get("bob", 256, stock // 256 + 1)

            assert await pair.alice.stock_bits("bob") == stock

    asyncio.run(scenario())


def test_pads_are_the_same_at_both_ends_in_any_order_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            pads = [await pair.alice.take_pad("bob", size) for size in (100, 3000, 16, 1500)]
            ends = [offset + len(pad) for offset, pad in pads]
            assert [offset for offset, _ in pads][1:] == ends[:-1]

            for offset, pad in (pads[2], pads[0], pads[3], pads[1]):
                found = await pair.bob.take_pad_at("alice", offset, len(pad))
                assert found.equals(pad)
                with pytest.raises(Conflict):
                    await pair.bob.take_pad_at("alice", offset, len(pad))
            with pytest.raises(KeyExhausted):
                await pair.bob.take_pad_at("alice", ends[-1] + 100_000, 16)

    asyncio.run(scenario())


def test_pads_never_confirmed_are_given_up_at_both_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            pair.to_bob.loses_replies = True
            with pytest.raises(ChannelError):
                await pair.alice.take_pad("bob", 100)
            pair.to_bob.loses_replies = False
            await pair.alice.connected("bob")

            offset, pad = await pair.alice.take_pad("bob", 200)

            assert offset >= 100
            assert (await pair.bob.take_pad_at("alice", offset, 200)).equals(pad)

    asyncio.run(scenario())


@pytest.mark.sqlite
def test_an_old_copy_of_a_store_gives_nothing_twice(tmp_path: Path) -> None:
    seen: set[bytes] = set()

    async def use() -> None:
        async with joined(tmp_path) as pair:
            keys = await pair.alice.get("bob", 256, 4)
            new = {key.reveal() for _, key in keys}
            for _ in range(3):
                new.add((await pair.alice.take_pad("bob", 32))[1].reveal())
            assert not new & seen
            seen.update(new)

    asyncio.run(use())
    shutil.copytree(tmp_path / "alice", tmp_path / "copy")
    asyncio.run(use())
    shutil.rmtree(tmp_path / "alice")
    shutil.move(tmp_path / "copy", tmp_path / "alice")
    with KeyStore(tmp_path / "alice") as alice, KeyStore(tmp_path / "bob") as bob:
        assert alice.high_water(LINK, KEYS[0]) < bob.high_water(LINK, KEYS[0])

    asyncio.run(use())

    with KeyStore(tmp_path / "alice") as alice, KeyStore(tmp_path / "bob") as bob:
        assert alice.high_water(LINK, KEYS[0]) == bob.high_water(LINK, KEYS[0])
        assert alice.high_water(LINK, PADS[0]) > 0


def test_keys_that_waited_in_an_old_copy_are_not_handed_out_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            keys = await pair.alice.get("bob", 256, 4)
            names = [name for name, _ in keys]
        shutil.copytree(tmp_path / "bob", tmp_path / "copy")
        async with joined(tmp_path) as pair:
            await pair.bob.get_by_id("alice", names)
            pair.to_alice.loses_replies = True
            with pytest.raises(ChannelError):
                await pair.bob.get("alice", 256)
            pair.to_alice.loses_replies = False
            await pair.bob.connected("alice")  # Alice knows now how many were fetched
        shutil.rmtree(tmp_path / "bob")
        shutil.move(tmp_path / "copy", tmp_path / "bob")

        async with joined(tmp_path) as pair:
            with pytest.raises(KeyNotFound):
                await pair.bob.get_by_id("alice", names)

    asyncio.run(scenario())


def test_keys_nobody_fetched_expire(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            (key,) = await pair.alice.reserve(
                "bob", Wish(256), master=consumer_at("alice"), holders=("b",), ttl_s=-1.0
            )
            with pytest.raises(KeyNotFound):
                await pair.bob.take("b", consumer_at("alice"), [str(key.key_id)])

            assert await pair.stores["bob"].issued.expire() == 1

    asyncio.run(scenario())


def test_an_order_that_comes_again_or_does_not_add_up_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            bits = await pair.bob.stock("alice")
            run = Run(address_of(2), 2)
            names = (str(uuid.uuid4()), str(uuid.uuid4()))
            order = Order(names, (run,), 256, "sae-a", ("sae-b",), 1e12)
            wrong = [
                replace(order, key_ids=names[:1]),
                replace(order, n_bits=0),
                replace(order, runs=(Run(address_of(9), 2),)),
                replace(order, runs=(Run(-1, 2),)),
                replace(order, runs=(Run(address_of(2), 1 << 40),)),
                replace(order, runs=(Run(address_of(2), 3), Run(address_of(2), -1))),
                replace(order, key_ids=(names[0], names[0])),
            ]
            for each in wrong:
                (reply,) = await pair.bob.answer("alice", [Reserve(LINK, each)])
                assert isinstance(reply, Refused)
            assert await pair.bob.stock("alice") == bits
            good, again = await pair.bob.answer("alice", [Reserve(LINK, order)] * 2)
            (other,) = await pair.bob.answer("alice", [Reserve("other", order)])

            assert isinstance(good, Done)
            assert isinstance(again, Refused)
            assert isinstance(other, Refused)
            assert len(await pair.bob.take("sae-b", "sae-a", [str(name) for name in names])) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"Meet","link":"l","marks":{"key-from-alice":9223372036854775808}}',
        '{"type":"Meet","link":"l","marks":{"key-from-alice":-1}}',
        '{"type":"SetAside","link":"l","offset":-1,"runs":[]}',
        '{"type":"SetAside","link":"l","offset":0,"runs":[{"address":0,"count":0}]}',
        '{"type":"Fetched","link":"l","count":1e3}',
        '{"type":"Unknown"}',
        "{",
    ],
)
def test_messages_out_of_range_are_not_read(message: str) -> None:
    with pytest.raises(ChannelError):
        decode_requests(f"[{message}]".encode())
