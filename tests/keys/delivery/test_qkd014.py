"""Applications get keys as ETSI GS QKD 014 V1.1.1 has it, clause by clause."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from key_pairs import fill
from key_sites import served

from qnx_hw.config import NetworkFile

NOT_FOUND = "one or more keys specified are not found on KME"


def test_the_status_has_all_members(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            answer = await sites.ask("sae-a", "/api/v1/keys/sae-b/status")
            stock = await sites.pair.alice.stock_bits("bob")

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json == {
            "source_KME_ID": "kme-alice",
            "target_KME_ID": "kme-bob",
            "master_SAE_ID": "sae-a",
            "slave_SAE_ID": "sae-b",
            "key_size": 256,
            "stored_key_count": stock // 256,
            "max_key_count": 390625,
            "max_key_per_request": 128,
            "max_key_size": 4096,
            "min_key_size": 64,
            "max_SAE_ID_count": 8,
        }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("query", "body", "number", "n_bytes"),
    [
        ("", None, 1, 32),
        ("?number=3&size=1024", None, 3, 128),
        ("", {}, 1, 32),
        ("", {"number": 128, "size": 64}, 128, 8),
        ("", {"size": 4096, "extension_optional": [{"lab_x": {"y": [1]}}]}, 1, 512),
        ("", {"additional_slave_SAE_IDs": [], "extension_mandatory": []}, 1, 32),
    ],
)
def test_both_ends_get_the_keys_asked_for(
    network: NetworkFile,
    tmp_path: Path,
    query: str,
    body: object,
    number: int,
    n_bytes: int,
) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.ask("sae-a", f"/api/v1/keys/sae-b/enc_keys{query}", body)
            names = list(given.keys)
            got = await sites.dec("sae-b", "sae-a", *names)

        assert (given.status, got.status) == (200, 200)
        assert len(given.keys) == number
        assert {len(key) for key in given.keys.values()} == {n_bytes}
        assert got.keys == given.keys
        assert list(got.keys) == names
        assert all(UUID(name).version == 4 for name in names)

    asyncio.run(scenario())


def test_one_key_is_fetched_by_get_too(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-b", "sae-a")
            (name,) = given.keys
            got = await sites.ask("sae-a", f"/api/v1/keys/sae-b/dec_keys?key_ID={name}")

            assert got.keys == given.keys

    asyncio.run(scenario())


def test_a_name_in_the_path_is_decoded_once(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "urn:lab:d/1")
            got = await sites.dec("urn:lab:d/1", "sae-a", *given.keys)
            twice = await sites.ask("sae-a", "/api/v1/keys/urn%253Alab%253Ad%252F1/enc_keys")

        assert got.keys == given.keys
        assert twice.status == 400

    asyncio.run(scenario())


def test_a_key_is_delivered_once(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "sae-b", {"number": 2})
            first, second = given.keys
            await sites.dec("sae-b", "sae-a", first)
            replay = await sites.dec("sae-b", "sae-a", first)
            mixed = await sites.dec("sae-b", "sae-a", second, first)
            rest = await sites.dec("sae-b", "sae-a", second)

        assert (replay.status, replay.message) == (400, NOT_FOUND)
        assert (mixed.status, mixed.message) == (400, NOT_FOUND)
        assert rest.keys == {second: given.keys[second]}

    asyncio.run(scenario())


def test_who_was_not_named_gets_401_and_takes_nothing(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "sae-b")
            stranger = await sites.dec("sae-c", "sae-a", *given.keys)
            got = await sites.dec("sae-b", "sae-a", *given.keys)

        assert stranger.status == 401
        assert "message" in stranger.json
        assert got.keys == given.keys

    asyncio.run(scenario())


def test_all_who_are_named_get_the_same_key_once(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "sae-b", {"additional_slave_SAE_IDs": ["sae-c"]})
            for sae in ("sae-b", "sae-c"):
                assert (await sites.dec(sae, "sae-a", *given.keys)).keys == given.keys
                assert (await sites.dec(sae, "sae-a", *given.keys)).status == 400

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"size": 250}, "size shall be a multiple of 8"),
        ({"size": 7}, "size shall be a multiple of 8"),
        ({"size": 4097}, "size shall be a multiple of 8"),
        ({"size": 0}, "size shall be 64 to 4096 bits"),
        ({"size": 1 << 70}, "size shall be 64 to 4096 bits"),
        ({"size": -256}, "size shall be 64 to 4096 bits"),
        ({"number": 0}, "number shall be 1 to 128"),
        ({"number": 129}, "number shall be 1 to 128"),
        ({"number": True}, "bad request format: Expected `int`, got `bool` - at `$.number`"),
        ({"number": 1.0}, "bad request format: Expected `int`, got `float` - at `$.number`"),
        ({"number": "1"}, "bad request format: Expected `int`, got `str` - at `$.number`"),
        (
            {"extension_mandatory": [{"abc_route": 1}]},
            "not all extension_mandatory parameters are supported",
        ),
        (
            {"additional_slave_SAE_IDs": ["nobody"]},
            "an SAE in additional_slave_SAE_IDs is not known",
        ),
        ({"additional_slave_SAE_IDs": ["sae-b"]}, "an SAE is named twice"),
        ({"additional_slave_SAE_IDs": ["sae-a"]}, "an SAE is named twice"),
        ({"extension_optional": [1]}, None),
        ([], None),
        (b"", None),
        (b"{", None),
        (b'{"number": 1}}', None),
        (b"\xff\xfe", None),
        (b'{"extension_optional":' + b"[" * 60_000, None),
        ({"extension_optional": [{"x": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}]}, None),
    ],
)
def test_what_cannot_be_meant_is_refused_and_costs_nothing(
    network: NetworkFile, tmp_path: Path, body: object, message: str | None
) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path, 256) as sites:
            before = await sites.pair.alice.stock_bits("bob")
            answer = await sites.enc("sae-a", "sae-b", body)

            assert answer.status == 400
            assert message in (None, answer.message)
            assert await sites.pair.alice.stock_bits("bob") == before

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["no-uuid"],
        ["12345678-1234-4234-8234-123456789abc"],
        ["{12345678-1234-4234-8234-123456789ab}"],
        ["12345678-1234-4234-8234-123456789abc"] * 2,
        ["12345678-1234-4234-8234-123456789abc"] * 129,
    ],
)
def test_names_of_no_key_are_refused(
    network: NetworkFile, tmp_path: Path, names: list[str]
) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path, 256) as sites:
            assert (await sites.dec("sae-b", "sae-a", *names)).status == 400

    asyncio.run(scenario())


def test_an_empty_pool_is_503_and_a_lost_peer_too(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path, 256) as sites:
            answer = await sites.enc("sae-a", "sae-b", {"number": 128})
            assert (answer.status, "fewer than" in answer.message) == (503, True)

            sites.pair.to_bob.loses_replies = True
            lost = await sites.enc("sae-a", "sae-b")
            assert lost.status == 503
            sites.pair.to_bob.loses_replies = False
            await sites.pair.alice.connected("bob")
            assert (await sites.enc("sae-a", "sae-b")).status == 200

    asyncio.run(scenario())


def test_limits_per_sae_hold(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        async with served(network, tmp_path) as sites:
            return [
                (await sites.enc("sae-slow", "sae-b")).status,
                (await sites.enc("sae-slow", "sae-b")).status,
                (await sites.enc("sae-poor", "sae-b")).status,
                (await sites.enc("sae-poor", "sae-b", {"number": 2})).status,
                (await sites.enc("sae-poor", "sae-b")).status,
                (await sites.enc("sae-poor", "sae-b")).status,
            ]

    assert asyncio.run(scenario()) == [200, 503, 200, 503, 200, 503]


def test_simulated_key_goes_only_to_who_takes_it(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path, 0) as sites:
            fill(list(sites.pair.stores.values()), 1024, blocks=(2, 4), is_simulated=True)
            refused = await sites.enc("sae-a", "sae-b")
            taken = await sites.pair.alice.get("bob", 256)

            assert refused.status == 503
            assert "simulated" in refused.message
            assert len(taken) == 1

    asyncio.run(scenario())
