"""ETSI GS QKD 020 without waiting: accepted with 202, acknowledged by a call to who asked."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from key_pairs import LINK, Pair, joined

from qnx_hw.config import NetworkFile
from qnx_hw.errors import ChannelError, KeyNotFound
from qnx_hw.keys import KEYS, pki
from qnx_hw.keys.delivery import identity, values020
from qnx_hw.keys.delivery.acks020 import Acknowledgements
from qnx_hw.keys.delivery.callbacks020 import Callbacks
from qnx_hw.keys.delivery.http import Request, Response, Service, serving
from qnx_hw.keys.delivery.peer020 import CallBack, TlsPeer
from qnx_hw.keys.delivery.qkd020 import PeerDelivery, problem
from qnx_hw.keys.ledger import NamedKey, Order, Wish
from qnx_hw.keys.messages import Reserve

HOOK = "/kmapi/v1/ext_keys/ack"


@dataclass
class Sites:
    """Bob's key manager, and Alice's listener for what he posts to her."""

    network: NetworkFile
    pair: Pair
    bob: str = ""
    alice: str = ""
    heard: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    refusals: int = 0
    acks: Acknowledgements = field(default_factory=Acknowledgements)
    """What Alice's own questions wait for, in the tests in which she asks herself."""
    hears: Callable[[Request], Awaitable[Response]] | None = None

    @property
    def hook(self) -> str:
        return f"https://{self.alice}{HOOK}"

    async def hear(self, request: Request) -> Response:
        if self.hears is not None:
            return await self.hears(request)
        self.heard.put_nowait((request.client, request.path, json.loads(request.body)))
        self.refusals -= 1
        return Response(503 if self.refusals >= 0 else 200, b"{}")

    async def acknowledged(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(120):
            client, path, acks = await self.heard.get()
        assert (client, path) == ("bob", HOOK.encode())
        return list(acks)

    async def transfer(self, url: str) -> tuple[NamedKey, int, Any]:
        """Take a key at Alice's and have it accepted at Bob's; return the key and the answer."""
        cut = await self.pair.stores["alice"].issued.reserve(LINK, KEYS[0], Wish(256))
        (key,) = cut.keys
        expires_s = time.time() + 60
        order = Order((key.key_id,), cut.runs, 256, "sae-a", ("sae-b",), expires_s)
        body = json.loads(values020.transfer([Reserve(LINK, order)]))
        return key, *await self.post("/kmapi/v1/ext_keys", {**body, "ack_callback_url": url})

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        return await asyncio.to_thread(self._post, path, json.dumps(body))

    def tls(self, node: str, *, is_server: bool = False) -> ssl.SSLContext:
        own = pki.of_peer(self.network.certificates, node)
        authority = pki.authority(self.network.certificates, pki.KME_AUTHORITY).certificate
        side = identity.server_side if is_server else identity.client_side
        return side(own.certificate, own.key, authority)

    def _post(self, path: str, text: str) -> tuple[int, Any]:
        host, _, port = self.bob.rpartition(":")
        connection = http.client.HTTPSConnection(
            host, int(port), timeout=30, context=self.tls("alice")
        )
        try:
            connection.request("POST", path, body=text)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@asynccontextmanager
async def sites_of(
    network: NetworkFile, folder: Path, *, is_attended: bool = True
) -> AsyncIterator[Sites]:
    def refuse(status: int, _: str) -> Response:
        return problem(status, "missing-parameters")

    async with (
        asyncio.timeout(120),
        joined(folder, is_attended=is_attended) as pair,
        asyncio.TaskGroup() as tasks,
    ):
        sites = Sites(network, pair)
        hook = Service(sites.hear, identity.client_name, refuse)
        async with serving(hook, "127.0.0.1", 0, sites.tls("alice", is_server=True)) as alice:
            sites.alice = alice
            address = ("127.0.0.1", int(alice.rpartition(":")[2]))
            callbacks = Callbacks({"alice": address}, lambda: sites.tls("bob"))
            calling = tasks.create_task(callbacks.run())
            delivery = PeerDelivery(pair.bob, callbacks)

            async def answer(request: Request) -> Response:
                if request.path == values020.VERSIONS_PATH:  # he does not answer at once
                    return Response(200, b'{"versions":["v1"]}')
                return await delivery.answer(request)

            service = Service(answer, identity.client_name, refuse, 1 << 20)
            tls = sites.tls("bob", is_server=True)
            async with serving(service, "127.0.0.1", 0, tls) as sites.bob:
                yield sites
            calling.cancel()


def test_a_transfer_is_accepted_at_once_and_acknowledged_afterwards(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            key, status, answer = await sites.transfer(sites.hook)
            assert (status, answer) == (202, {})
            (ack,) = await sites.acknowledged()

            assert ack["ack_status"] == "relayed"
            assert ack["key_id_container"] == [{"key_id": str(key.key_id)}]
            assert (ack["initiator_sae_id"], ack["target_sae_ids"]) == ("sae-a", ["sae-b"])
            (fetched,) = await sites.pair.bob.take("sae-b", "sae-a", [str(key.key_id)])
            assert fetched.equals(key.secret)

    asyncio.run(scenario())


def test_an_acknowledgement_that_was_not_taken_is_posted_again(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            sites.refusals = 1
            await sites.transfer(sites.hook)

            refused, taken = await sites.acknowledged(), await sites.acknowledged()
            assert taken == refused

    asyncio.run(scenario())


def test_all_keys_of_an_initiator_are_taken_back_where_that_is_confirmed(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            void = "/kmapi/v1/ext_keys/void"
            asked = {"key_ids": [], "initiator_sae_id": "sae-a", "target_sae_ids": ["sae-b"]}
            kept = await sites.pair.alice.reserve(
                "bob", Wish(256, 40), master="sae-a", holders=("sae-b",)
            )
            others = await sites.pair.alice.get("bob", 256)
            assert (await sites.post(void, asked))[0] == 400

            confirmed = {**asked, "all_confirmation": True, "ack_callback_url": sites.hook}
            assert (await sites.post(void, confirmed))[0] == 202
            acks = await sites.acknowledged()

            assert {ack["ack_status"] for ack in acks} == {"voided"}
            assert {ack["key_id_container"][0]["key_id"] for ack in acks} == {
                str(key.key_id) for key in kept
            }
            with pytest.raises(KeyNotFound):
                await sites.pair.bob.take("sae-b", "sae-a", kept.key_ids[:1])
            await sites.pair.bob.get_by_id("alice", [others[0][0]])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "url",
    [
        "http://{alice}/ack",
        "https://127.0.0.1:1/ack",
        "https://localhost/ack",
        "https://{alice}@evil.example/ack",
        "https://evil.example@{alice}/ack",
        "https://{alice}/ack?to=elsewhere",
        "https://{alice}/ä",
        "https://{alice}:x/ack",
        "https://{alice}",
        "https://{alice}/" + "a" * 1024,
        "//{alice}/ack",
        "https://[::1",
    ],
)
def test_nobody_is_called_but_who_asked_and_nothing_is_kept(
    network: NetworkFile, tmp_path: Path, url: str
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            key, status, _ = await sites.transfer(url.format(alice=sites.alice))

            assert status == 400
            assert sites.heard.empty()
            with pytest.raises(KeyNotFound):
                await sites.pair.bob.take("sae-b", "sae-a", [str(key.key_id)])

    asyncio.run(scenario())


def test_acknowledgements_that_nobody_waits_for_are_refused(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            ack = {
                "key_id_container": [{"key_id": "00000000-0000-4000-8000-000000000000"}],
                "ack_status": "relayed",
                "initiator_sae_id": "sae-a",
                "target_sae_ids": ["sae-b"],
            }
            for body, kind in (
                ([ack], "key-not-present"),
                ([], "ack-not-understood"),
                ([ack] * 1025, "ack-not-understood"),
                ({"ack": 1}, "ack-not-understood"),
            ):
                status, answer = await sites.post(HOOK, body)
                assert (status, answer["type"]) == (400, values020.PROBLEMS + kind)

    asyncio.run(scenario())


async def asking(sites: Sites, *, is_called_back: bool = True) -> TlsPeer:
    """Return Alice's way to Bob, who does not answer at once."""
    host, port = sites.bob.split(":")
    way = await TlsPeer.open(host, int(port), sites.tls("alice"), "bob")
    try:
        await way.agree(CallBack(sites.acks, sites.hook) if is_called_back else None)
    except ChannelError:
        way.close()
        raise
    return way


def test_a_peer_that_does_not_answer_at_once_is_asked_all_the_same(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path, is_attended=False) as sites:
            sites.hears = PeerDelivery(
                sites.pair.alice, Callbacks({}, lambda: sites.tls("alice")), sites.acks
            ).answer
            way = await asking(sites)
            async with asyncio.TaskGroup() as tasks:
                attending = tasks.create_task(sites.pair.alice.attend("bob", way))
                await sites.pair.alice.connected("bob")
                keys = await sites.pair.alice.get("bob", 256, 3)
                got = await sites.pair.bob.get_by_id("alice", [name for name, _ in keys])
                attending.cancel()
            way.close()

            assert all(ours.equals(key) for ours, (_, key) in zip(got, keys, strict=True))
            nobody = values020.Ack(
                key_id_container=(values020.KeyIdHolder(key_id=keys[0][0]),),
                ack_status="relayed",
                initiator_sae_id="a",
                target_sae_ids=("b",),
            )
            assert not sites.acks.settle("bob", [nobody])

    asyncio.run(scenario())


def test_a_node_that_cannot_be_called_back_says_so(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sites_of(network, tmp_path) as sites:
            with pytest.raises(ChannelError, match="has to call back"):
                await asking(sites, is_called_back=False)

    asyncio.run(scenario())
