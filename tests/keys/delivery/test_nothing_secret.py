"""No output holds a bit of a key: not the logs, not the errors, not the files but sealed."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import traceback
from pathlib import Path

import pytest
from key_pairs import LINK, MADE
from key_sites import served
from leaks import forms, found

from qnx_hw.config import NetworkFile
from qnx_hw.errors import QnxError
from qnx_hw.keys.split import split
from qnx_hw.node.pools import Pools
from qnx_hw.secret import Secret


@pytest.mark.parametrize(
    "shown",
    [
        lambda key: b"x" + key + b"x",
        lambda key: key.hex().upper().encode(),
        lambda key: base64.b64encode(b"a" + key + b"b"),
        lambda key: base64.urlsafe_b64encode(b"ab" + key),
        lambda key: repr([key[16:].hex()]).encode(),
    ],
)
def test_a_leak_is_found_in_every_form(shown) -> None:
    key = secrets.token_bytes(32)

    assert found([secrets.token_bytes(32), key], [b"", shown(key)])
    assert not found([secrets.token_bytes(32)], [shown(key)])
    assert len(set(forms(key))) > 5


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("keys.*")]


def test_no_output_of_a_run_holds_a_piece_of_a_key(
    network: NetworkFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    blocks = [secrets.token_bytes(2048) for _ in range(4)]
    outputs: list[bytes] = []

    async def scenario() -> None:
        async with served(network, tmp_path, 0) as sites:
            pair = sites.pair
            for number, key in enumerate(blocks, start=1):
                for store in pair.stores.values():
                    store.ingest(LINK, number, split(number, Secret(key)), MADE)
            given = await sites.enc("sae-a", "sae-b", {"number": 3})
            first, second, _ = given.keys
            await sites.dec("sae-b", "sae-a", first)
            refused = [
                await sites.dec("sae-b", "sae-a", first),
                await sites.dec("sae-c", "sae-a", second),
                await sites.enc("sae-a", "sae-b", {"number": 128, "size": 4096}),
                await sites.enc("sae-a", "sae-b", {"number": given.json["keys"][0]["key"]}),
                await sites.enc("sae-a", given.json["keys"][1]["key"]),
                await sites.ask("sae-a", "/api/v1/keys/sae-b/status"),
            ]
            outputs.extend(answer.body for answer in refused)
            keys = await pair.alice.get("bob", 256, 2)
            pad = await pair.alice.take_pad("bob", 64)
            pools = Pools(pair.alice, 10**6, 0)
            await pools.look("bob")
            shown = (keys, pad, pair, pools.views(), vars(pair.alice), pair.stores, given.status)
            outputs.append(f"{shown!r}".encode())
            for wrong in (
                pair.bob.get_by_id("alice", [keys[0][0], first]),
                pair.bob.take_pad_at("alice", 1 << 40, 16),
                pair.alice.take_pad("bob", 1 << 20),
            ):
                try:
                    await wrong
                except QnxError as error:
                    outputs.append("".join(traceback.format_exception(error)).encode())
            outputs.extend(await asyncio.to_thread(files, tmp_path))

    asyncio.run(scenario())

    outputs.append(caplog.text.encode())
    assert len(outputs) > 12
    assert found(blocks, outputs) == []
