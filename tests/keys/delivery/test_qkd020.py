"""Key managers speak over TLS in the form of ETSI GS QKD 020, each known by its certificate."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from key_pairs import Pair, joined

from qnx_hw.config import NetworkFile
from qnx_hw.errors import ChannelError, KeyNotFound
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.keys.delivery.peer020 import TlsPeer
from qnx_hw.keys.delivery.qkd004 import Streams
from qnx_hw.keys.delivery.values004 import Qos
from qnx_hw.keys.kme import consumer_at
from qnx_hw.node.key_service import TlsWire, receiving_peers, registry


def unheard(*_: object) -> None:
    """Take what is told and keep none of it."""


@asynccontextmanager
async def on_tls(network: NetworkFile, folder: Path) -> AsyncIterator[tuple[Pair, dict[str, int]]]:
    async with (
        joined(folder, is_attended=False) as pair,
        receiving_peers(network, pair.alice, unheard) as ours,
        receiving_peers(network, pair.bob, unheard) as theirs,
        asyncio.TaskGroup() as tasks,
    ):
        wires = [
            tasks.create_task(TlsWire(network, pair.alice, "bob", theirs).run()),
            tasks.create_task(TlsWire(network, pair.bob, "alice", ours).run()),
        ]
        await pair.alice.connected("bob")
        await pair.bob.connected("alice")
        try:
            yield pair, {"alice": int(ours.split(":")[1]), "bob": int(theirs.split(":")[1])}
        finally:
            for wire in wires:
                wire.cancel()


def test_a_stream_is_joined_over_tls(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), on_tls(network, tmp_path) as (pair, _):
            ours, theirs = (
                Streams(kme, registry(network), network.keys) for kme in (pair.alice, pair.bob)
            )
            ends, qos = ("sae-a", "sae-b"), Qos(Timeout=0)
            made = await ours.open_connect("sae-a", *ends, qos)
            assert made.stream is not None
            assert (await theirs.open_connect("sae-b", *ends, qos, made.stream)).status == 0
            first = await ours.get_key("sae-a", made.stream)
            second = await theirs.get_key("sae-b", made.stream)

            assert first.key is not None
            assert second.key is not None
            assert first.key.equals(second.key)

    asyncio.run(scenario())


def test_a_peer_that_closes_is_noticed_before_anybody_asks(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(120),
            joined(tmp_path, is_attended=False) as pair,
            asyncio.TaskGroup() as tasks,
        ):
            async with receiving_peers(network, pair.bob, unheard) as theirs:
                wire = tasks.create_task(TlsWire(network, pair.alice, "bob", theirs).run())
                await pair.alice.connected("bob")
            while pair.alice.is_connected("bob"):  # noqa: ASYNC110 - nothing else is said
                await asyncio.sleep(0.01)
            wire.cancel()
            assert not pair.alice.is_connected("bob")

    asyncio.run(scenario())


def post(
    network: NetworkFile, port: int, files: pki.Files, path: str, body: object = None
) -> tuple[int, Any]:
    authority = pki.authority(network.certificates, pki.KME_AUTHORITY).certificate
    tls = identity.client_side(files.certificate, files.key, authority)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=tls)
    try:
        method, text = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, path, body=text)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_keys_and_pads_pass_both_ways(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_tls(network, tmp_path) as (pair, _):
            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(pair.alice.get("bob", 256, 3)) for _ in range(8)]
            for task in asking:
                names = [name for name, _ in task.result()]
                fetched = await pair.bob.get_by_id("alice", names)
                assert all(a.equals(b) for a, (_, b) in zip(fetched, task.result(), strict=True))
            offset, pad = await pair.bob.take_pad("alice", 64)
            assert (await pair.alice.take_pad_at("bob", offset, 64)).equals(pad)

    asyncio.run(scenario())


def test_versions_and_void_are_answered(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_tls(network, tmp_path) as (pair, ports):
            alice = pki.of_peer(network.certificates, "alice")

            async def ask(path: str, body: object = None) -> tuple[int, Any]:
                return await asyncio.to_thread(post, network, ports["bob"], alice, path, body)

            assert (await ask("/kmapi/versions"))[1]["versions"] == ["v1"]
            ((name, _),) = await pair.alice.get("bob", 256)
            body = {
                "key_ids": [name],
                "initiator_sae_id": consumer_at("alice"),
                "target_sae_ids": [consumer_at("bob")],
            }
            for status in ("voided", "key not present"):
                _, acks = await ask("/kmapi/v1/ext_keys/void", body)
                assert [ack["ack_status"] for ack in acks] == [status]
            with pytest.raises(KeyNotFound):
                await pair.bob.get_by_id("alice", [name])

            foreign = {"keys": [], "initiator_sae_id": "a", "target_sae_ids": ["b"]}
            assert (await ask("/kmapi/v1/ext_keys", foreign))[0] == 503
            assert (await ask("/kmapi/v1/ext_keys", []))[0] == 400
            assert (await ask("/kmapi/v1/ext_keys", {**foreign, "keys": [{}]}))[0] == 400
            assert (await ask("/kmapi/v2/ext_keys", {}))[0] == 404
            assert (await ask("/kmapi/v1/ext_keys"))[0] == 405

    asyncio.run(scenario())


def test_a_certificate_of_the_other_authority_opens_nothing(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with on_tls(network, tmp_path) as (_, ports):
            sae = pki.of_sae(network.certificates, "sae-a")
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await asyncio.to_thread(post, network, ports["bob"], sae, "/kmapi/versions")

    asyncio.run(scenario())


def test_another_key_manager_than_expected_is_not_asked(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with on_tls(network, tmp_path) as (_, ports):
            files = pki.of_peer(network.certificates, "alice")
            authority = pki.authority(network.certificates, pki.KME_AUTHORITY).certificate
            tls = identity.client_side(files.certificate, files.key, authority)
            with pytest.raises(ChannelError, match="not that of 'carol'"):
                await TlsPeer.open("127.0.0.1", ports["bob"], tls, "carol")

    asyncio.run(scenario())
