"""Relayed keys: the same at both ends, once, whatever the nodes between do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from key_net import KeyNet, as_sent, key_net

from qnx_hw.errors import KeyExhausted, KeyNotFound, QnxError
from qnx_hw.keys.ledger import KEYS, Wish
from qnx_hw.keys.messages import Carry, Forward, Request, Reserve, decode_requests
from qnx_hw.keys.relay import RelaySettings

CHAIN = [("a", "b"), ("b", "c"), ("c", "d")]
RING = [("a", "b"), ("b", "c"), ("a", "d"), ("d", "c"), ("a", "e"), ("e", "c")]
SMALL = RelaySettings(low_bits=4096, high_bits=8192, batch_bits=4096)
Scene = Callable[[KeyNet], Awaitable[None]]


def play(
    folder: Path,
    links: list[tuple[str, str]],
    scene: Scene,
    settings: RelaySettings = SMALL,
    **given: bool | int,
) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), key_net(folder, links, settings, **given) as net:
            await scene(net)

    asyncio.run(scenario())


async def stocked(net: KeyNet, node: str, peer: str, n_bits: int) -> None:
    while await net.kmes[node].stock_bits(peer) < n_bits:  # noqa: ASYNC110 - a store tells nobody
        await asyncio.sleep(0.01)


async def agree(net: KeyNet, node: str, peer: str, number: int = 2) -> None:
    """Take keys at one end and fetch the same at the other, once."""
    keys = await net.kmes[node].get(peer, 256, number)
    names = [name for name, _ in keys]
    fetched = await net.kmes[peer].get_by_id(node, names)
    assert all(secret.equals(other) for (_, secret), other in zip(keys, fetched, strict=True))
    with pytest.raises(KeyNotFound):
        await net.kmes[peer].get_by_id(node, names)


def test_nodes_three_hops_apart_share_keys_and_pads_both_ways(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        for node, peer in (("a", "d"), ("d", "a"), ("a", "c")):
            await stocked(net, node, peer, 8192)
            await agree(net, node, peer)
        offset, pad = await net.kmes["a"].take_pad("d", 100)
        assert (await net.kmes["d"].take_pad_at("a", offset, 100)).equals(pad)

    play(tmp_path, CHAIN, scene)


def test_stock_is_made_anew_below_the_low_mark(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await stocked(net, "a", "d", 8192)
        end = net.kmes["a"].end("d")
        before = net.stores["a"].newest_block(end.link, end.side)
        await agree(net, "a", "d", 20)
        await stocked(net, "a", "d", 8192)
        assert net.stores["a"].newest_block(end.link, end.side) > before

    play(tmp_path, CHAIN, scene)


def test_each_hop_pays_with_its_own_links_key_once(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await net.kmes["a"].connected("d")
        before = [await net.kmes[one].stock(other) for one, other in CHAIN]
        await net.relays["a"].fill("d")
        after = [await net.kmes[one].stock(other) for one, other in CHAIN]
        cost = 8 * (4096 // 8 + 32 + 32)
        for old, new in zip(before, after, strict=True):
            assert sum(old.bits.values()) - sum(new.bits.values()) == cost
        assert await net.kmes["a"].stock_bits("d") == 4096

    play(tmp_path, CHAIN, scene, fills=False)


def test_the_key_is_the_sum_of_what_goes_over_paths_without_a_common_node(tmp_path: Path) -> None:
    seen: dict[str, list[bytes]] = {}

    async def scene(net: KeyNet) -> None:
        def listen(asker: str, answerer: str, request: Request) -> Request:
            if isinstance(request, Carry) and asker == "a":
                seen.setdefault(answerer, []).append(request.sealed)
            return request

        net.tamper = listen
        await net.kmes["a"].connected("c")
        await net.relays["a"].fill("c")
        await agree(net, "a", "c")

    play(tmp_path, RING, scene, RelaySettings(0, 0, 4096, paths=3), fills=False)
    assert sorted(seen) == ["b", "d", "e"]
    assert all(len(each) == 1 for each in seen.values())


def test_where_there_are_too_few_paths_no_key_is_made(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await net.kmes["a"].connected("d")
        with pytest.raises(QnxError, match="fewer than 2 ways"):
            await net.relays["a"].fill("d")

    play(tmp_path, CHAIN, scene, RelaySettings(0, 0, 4096, paths=2), fills=False)


def flip(carry: Carry) -> Carry:
    return msgspec.structs.replace(carry, sealed=bytes([carry.sealed[0] ^ 1]) + carry.sealed[1:])


def redirect(carry: Carry) -> Carry:
    parcel = msgspec.structs.replace(carry.parcel, block=carry.parcel.block + 2)
    return msgspec.structs.replace(carry, parcel=parcel)


@pytest.mark.parametrize("change", [flip, redirect, None], ids=["flip", "redirect", "drop"])
@pytest.mark.parametrize("at", ["b", "c", "d"])
def test_a_hop_that_changes_or_loses_key_costs_the_block_alone(
    tmp_path: Path, at: str, change: Callable[[Carry], Carry] | None
) -> None:
    async def scene(net: KeyNet) -> None:
        def once(asker: str, answerer: str, request: Request) -> Request | None:
            if isinstance(request, Carry) and answerer == at:
                net.tamper = as_sent
                return change(request) if change else None
            return request

        await net.kmes["a"].connected("d")
        net.tamper = once
        with pytest.raises(QnxError):
            await net.relays["a"].fill("d")
        assert await net.kmes["a"].stock_bits("d") == 0
        for one, other in CHAIN:
            await net.kmes[one].connected(other)
        await net.relays["a"].fill("d")
        await agree(net, "a", "d")

    play(tmp_path, CHAIN, scene, fills=False)


def test_a_replayed_message_is_refused(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        heard: list[Carry] = []

        def listen(asker: str, answerer: str, request: Request) -> Request:
            if isinstance(request, Carry) and answerer == "b":
                heard.append(request)
            return request

        net.tamper = listen
        await net.kmes["a"].connected("d")
        await net.relays["a"].fill("d")
        (reply,) = await net.kmes["b"].answer("a", heard)
        assert "used before" in str(reply)

    play(tmp_path, CHAIN, scene, fills=False)


def test_a_relay_that_puts_its_own_key_in_place_is_found_out(tmp_path: Path) -> None:
    """With several paths no single node knows the key; what it changes shows in the proof."""

    async def scene(net: KeyNet) -> None:
        honest = net.relays["b"]._send

        async def lying(parcel: object, octets: object) -> None:
            changed = bytearray(octets.reveal())
            changed[-1] ^= 1
            await honest(parcel, type(octets)(changed))

        net.relays["b"]._send = lying
        await net.kmes["a"].connected("c")
        with pytest.raises(QnxError, match="another key"):
            await net.relays["a"].fill("c")
        assert await net.kmes["a"].stock_bits("c") == 0

    play(tmp_path, RING, scene, RelaySettings(0, 0, 4096, paths=3), fills=False)


def test_a_lost_confirmation_keeps_the_key_from_the_maker(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await net.kmes["a"].connected("d")
        await net.kmes["d"].connected("a")

        def lose(asker: str, answerer: str, request: Request) -> Request | None:
            is_hit = isinstance(request, Forward) and b'"Arrived"' in request.content
            return None if is_hit else request

        net.tamper = lose
        with pytest.raises(QnxError, match="did not confirm"):
            await net.relays["a"].fill("d")
        end = net.kmes["a"].end("d")
        assert net.stores["d"].newest_block(end.link, end.side) > 0
        assert await net.kmes["a"].stock_bits("d") == 0
        net.tamper = as_sent
        for one, other in (*CHAIN, ("d", "a")):
            await net.kmes[one].connected(other)
        while not await net.kmes["a"].stock_bits("d"):
            with suppress(QnxError):  # a busy machine may take longer than this second again
                await net.relays["a"].fill("d")
        await agree(net, "a", "d")

    play(tmp_path, CHAIN, scene, replace(SMALL, arrival_deadline_s=1.0), fills=False)


def test_another_way_is_taken_where_a_hop_has_no_key(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await net.kmes["a"].connected("c")
        end = net.kmes["b"].end("c")
        net.stores["b"].advance(end.link, KEYS[end.side], 1 << 60)
        with pytest.raises(QnxError, match="no further than from 'b' to 'c'"):
            await net.relays["a"].fill("c")
        await net.relays["a"].fill("c")
        await agree(net, "a", "c")

    play(tmp_path, RING, scene, fills=False)


def test_keys_over_simulated_links_are_marked_so(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        await net.kmes["a"].connected("d")
        await net.relays["a"].fill("d")
        with pytest.raises(KeyExhausted, match="simulated"):
            await net.kmes["a"].reserve(
                "d", Wish(256, may_be_simulated=False), master="m", holders=("s",)
            )
        await agree(net, "a", "d")

    play(tmp_path, CHAIN, scene, fills=False, is_simulated=True)


def test_who_forges_an_order_of_keys_gives_no_bit_twice(tmp_path: Path) -> None:
    async def scene(net: KeyNet) -> None:
        orders: list[Reserve] = []
        await net.kmes["a"].connected("d")
        await net.relays["a"].fill("d")

        def listen(asker: str, answerer: str, request: Request) -> Request:
            if isinstance(request, Forward) and answerer == "d" and not request.is_answer:
                asked = decode_requests(request.content)
                orders.extend(each for each in asked if isinstance(each, Reserve))
            return request

        net.tamper = listen
        await agree(net, "a", "d")
        order = replace(orders[0].order, holders=("thief",))
        stolen = msgspec.structs.replace(orders[0], order=order)
        (reply,) = await net.kmes["d"].answer("a", [stolen])
        assert "used before" in str(reply)

    play(tmp_path, CHAIN, scene, fills=False)
