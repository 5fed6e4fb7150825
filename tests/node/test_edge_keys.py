"""The edge on real key managers: keys and pads of two stores protect what users send."""

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from edge_net import connect, edge_net, exchange
from key_pairs import joined

from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import KeyNotFound
from qnx_hw.node.edge_keys import KmeSource

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
PAD = replace(ECHO, mode=Mode.OTP, mix_kem=False)


@pytest.mark.parametrize("traffic", [ECHO, PAD], ids=["aes", "otp"])
def test_users_data_are_protected_by_the_keys_of_both_stores(
    tmp_path: Path, traffic: Traffic
) -> None:
    octets = secrets.token_bytes(1500)

    async def scene() -> None:
        async with asyncio.timeout(120), joined(tmp_path) as pair:
            sources = {kme.node: KmeSource(kme, 1_000_000) for kme in (pair.alice, pair.bob)}
            before = await pair.alice.stock_bits("bob")
            async with edge_net([("alice", "bob")], [traffic], dict(sources)) as net:
                user, _ = await connect(net.edges["alice"], traffic)
                assert await exchange(user, octets) == octets
            spent = before - await pair.alice.stock_bits("bob")
            assert spent == 256 if traffic is ECHO else spent > 8 * len(octets)

    asyncio.run(scene())


def test_there_is_no_key_with_a_node_without_a_link(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asyncio.timeout(120), joined(tmp_path) as pair:
            source = KmeSource(pair.alice, 1_000_000)
            assert source.stock("carol").bits == 0
            with pytest.raises(KeyNotFound):
                await source.fresh("carol")

    asyncio.run(scene())
