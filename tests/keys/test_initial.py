"""The initial secret moves from its file into the store, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from qnx_hw.errors import ConfigError
from qnx_hw.keys import TAGS, KeyStore, Purpose, initial


def test_both_nodes_get_the_same_secret_and_the_files_disappear(tmp_path: Path) -> None:
    folders = (tmp_path / "alice", tmp_path / "bob")
    initial.make("alice-bob", folders)
    with KeyStore(folders[0]) as alice, KeyStore(folders[1]) as bob:
        for store, folder in ((alice, folders[0]), (bob, folders[1])):
            assert initial.path_of(folder, "alice-bob").stat().st_mode & 0o777 == 0o600
            assert initial.adopt(store, folder, "alice-bob")
            assert not initial.path_of(folder, "alice-bob").exists()

        assert alice.initial_identity("alice-bob") == bob.initial_identity("alice-bob")
        assert alice.hash_keys("alice-bob").equals(bob.hash_keys("alice-bob"))
        for purpose in TAGS:
            pads = [store.take("alice-bob", purpose, 16).secret for store in (alice, bob)]
            assert pads[0].equals(pads[1])


def test_the_same_secret_found_again_does_not_turn_the_cursor_back(tmp_path: Path) -> None:
    initial.make("alice-bob", (tmp_path, tmp_path / "other"))
    copy = initial.path_of(tmp_path, "alice-bob").read_bytes()
    with KeyStore(tmp_path) as store:
        initial.adopt(store, tmp_path, "alice-bob")
        used = store.take("alice-bob", Purpose.TAG_FROM_ALICE, 16)
        path = initial.path_of(tmp_path, "alice-bob")
        path.write_bytes(copy)
        path.chmod(0o600)

        initial.adopt(store, tmp_path, "alice-bob")

        assert store.take("alice-bob", Purpose.TAG_FROM_ALICE, 16).address > used.address


def test_without_a_secret_a_link_has_none(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        assert not initial.adopt(store, tmp_path, "alice-bob")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    initial.make("alice-bob", (tmp_path, tmp_path / "other"))
    initial.path_of(tmp_path, "alice-bob").chmod(0o644)
    with KeyStore(tmp_path) as store, pytest.raises(ConfigError, match="chmod 600"):
        initial.adopt(store, tmp_path, "alice-bob")


def test_a_damaged_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    initial.make("alice-bob", (tmp_path, tmp_path / "other"))
    path = initial.path_of(tmp_path, "alice-bob")
    content = path.read_text()
    path.write_text(content.replace('"secret":"', '"secret":"!'))
    with KeyStore(tmp_path) as store, pytest.raises(ConfigError) as refusal:
        initial.adopt(store, tmp_path, "alice-bob")

    assert refusal.value.__cause__ is None
    assert len(str(refusal.value)) < 300
