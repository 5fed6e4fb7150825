"""What came from a block is sealed under a key of its own, which ends with the last of it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from key_pairs import LINK, fill, joined

from qnx_hw.errors import ConfigError
from qnx_hw.keys import KEYS, TAGS, KeyStore


def block_keys(folder: Path) -> dict[int, bytes]:
    """Read the sealed block keys of a store that nobody has open."""
    connection = sqlite3.connect(folder / "keys.sqlite")
    try:
        rows = connection.execute("SELECT block, sealed FROM block_key").fetchall()
        return dict(rows)
    finally:
        connection.close()


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_blocks_key_is_destroyed_with_the_last_of_it(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        fill([store], 256, blocks=(2, 4))
    before = block_keys(tmp_path)
    with KeyStore(tmp_path) as store:
        for purpose in TAGS:
            store.take(LINK, purpose, 32)
        store.take(LINK, KEYS[0], 191)
    assert set(block_keys(tmp_path)) == {2, 4}
    with KeyStore(tmp_path) as store:
        store.take(LINK, KEYS[0], 1)

        left = files(tmp_path)

    assert set(block_keys(tmp_path)) == {4}
    assert before[4] in left
    assert before[2] not in left


def test_a_key_that_waits_keeps_its_blocks_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path, 0) as pair:
            fill(list(pair.stores.values()), 256, blocks=(2,))
            keys = await pair.alice.get("bob", 8 * 192)
            for store in pair.stores.values():
                for purpose in TAGS:
                    store.take(LINK, purpose, 32)
            (fetched,) = await pair.bob.get_by_id("alice", [keys[0][0]])
            assert fetched.equals(keys[0][1])

    asyncio.run(scenario())

    assert block_keys(tmp_path / "bob") == block_keys(tmp_path / "alice") == {}


def test_a_passphrase_opens_what_it_sealed_and_another_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    monkeypatch.setenv("QNX_PASSPHRASE_FILE", str(passphrase))
    folder = tmp_path / "store"
    with KeyStore(folder) as store:
        fill([store], 256, blocks=(2,))
    assert not (folder / "keys.key").exists()
    with KeyStore(folder) as store:
        assert len(store.take(LINK, KEYS[0], 16).secret) == 16
    passphrase.write_text("wrong horse battery staple")
    with KeyStore(folder) as store, pytest.raises(ConfigError, match="does not open"):
        store.take(LINK, KEYS[0], 16)
    passphrase.write_text("short")
    with pytest.raises(ConfigError, match="12 characters"):
        KeyStore(folder)


def test_a_systemd_credential_is_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credential = tmp_path / "credentials" / "qnx-key-store"
    credential.parent.mkdir()
    credential.write_bytes(bytes(range(32)))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    with KeyStore(tmp_path / "store") as store:
        fill([store], 256, blocks=(2,))
    assert not (tmp_path / "store" / "keys.key").exists()
    credential.write_bytes(bytes(32))
    with KeyStore(tmp_path / "store") as store, pytest.raises(ConfigError, match="does not open"):
        store.take(LINK, KEYS[0], 16)
    credential.write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes"):
        KeyStore(tmp_path / "store")


def test_a_store_of_another_version_is_left_alone(tmp_path: Path) -> None:
    KeyStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "keys.sqlite")
    connection.execute("PRAGMA user_version = 1")
    connection.close()

    with pytest.raises(ConfigError, match="another version"):
        KeyStore(tmp_path)


def test_copies_are_cut_off_while_keys_go_on_being_handed_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), joined(tmp_path, 0) as pair:
            fill(list(pair.stores.values()), 256, blocks=(2, 4))
            store = pair.stores["alice"]
            with store._database.reading() as execute:
                statement = "SELECT sealed FROM block_key WHERE block = 2"
                sealed = bytes(execute(statement).fetchone()[0])
            for purpose in TAGS:
                store.take(LINK, purpose, 32)
            assert sealed in files(tmp_path / "alice")

            await pair.alice.get("bob", 8 * 192)
            while sealed in files(tmp_path / "alice"):
                await pair.alice.stock_bits("bob")  # a write of its own

    asyncio.run(scenario())
