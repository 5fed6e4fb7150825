"""`qnx keys init` gives both nodes of each link one secret, and tells what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from qnx_hw.cli import main
from qnx_hw.keys import KeyStore, initial, signing

NETWORK = """
[network]
name = "lab"
data_dir = "{folder}"
[nodes.alice]
listen = "127.0.0.1:1"
instruments.tagger = {{ driver = "tdc1", url = "tcp://127.0.0.1:2" }}
[nodes.bob]
listen = "127.0.0.1:3"
instruments.tagger = {{ driver = "tdc1", url = "tcp://127.0.0.1:4" }}
[links.alice-bob]
alice = {{ node = "alice", tagger = "tagger", channels = {{ H = 1, V = 2, D = 3, A = 4 }} }}
bob = {{ node = "bob", tagger = "tagger", channels = {{ H = 1, V = 2, D = 3, A = 4 }} }}
"""


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(NETWORK.format(folder=tmp_path))
    return path


def test_one_secret_for_both_and_once_only(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "init", str(file)]) == 0
    first = initial.identity(tmp_path / "alice", "alice-bob")
    assert first == initial.identity(tmp_path / "bob", "alice-bob") != ""

    assert main(["keys", "init", str(file)]) == 0
    assert initial.identity(tmp_path / "alice", "alice-bob") == first
    assert "already" in capsys.readouterr().out


def test_nodes_that_do_not_match_are_refused_unless_forced(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["keys", "init", str(file)])
    with KeyStore(tmp_path / "alice") as store:
        initial.adopt(store, tmp_path / "alice", "alice-bob")
    initial.path_of(tmp_path / "bob", "alice-bob").unlink()

    assert main(["keys", "init", str(file)]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["keys", "init", "--force", str(file)]) == 0

    with KeyStore(tmp_path / "alice") as store:
        old = store.initial_identity("alice-bob")
        initial.adopt(store, tmp_path / "alice", "alice-bob")
        assert store.initial_identity("alice-bob") != old
    assert initial.identity(tmp_path / "alice", "alice-bob") == initial.identity(
        tmp_path / "bob", "alice-bob"
    )


def test_an_unknown_link_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "init", str(file), "--link", "nowhere"]) == 1
    assert "no link 'nowhere'" in capsys.readouterr().err


SIGNED = '\nsecurity.first_session = "ml-dsa"\n'


def test_signing_keys_for_both_and_once_only(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + SIGNED)
    assert main(["keys", "init", str(file)]) == 0
    first = signing.identity(tmp_path / "alice", "alice-bob")
    assert first == signing.identity(tmp_path / "bob", "alice-bob") != ""
    for node in ("alice", "bob"):
        assert signing.own_path(tmp_path / node, "alice-bob").stat().st_mode & 0o777 == 0o600

    assert main(["keys", "init", str(file)]) == 0
    assert "already" in capsys.readouterr().out
    assert signing.identity(tmp_path / "alice", "alice-bob") == first
    assert main(["keys", "init", "--force", str(file)]) == 0
    assert signing.identity(tmp_path / "alice", "alice-bob") != first


def test_each_machine_makes_its_own_and_only_public_keys_travel(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + SIGNED)
    shown = {}
    for node in ("alice", "bob"):
        assert main(["keys", "init", str(file), "--node", node]) == 0
        shown[node] = capsys.readouterr().out.strip().rpartition("fingerprint is ")[2]
    for node, peer in (("alice", "bob"), ("bob", "alice")):
        public = signing.public_path(tmp_path / peer, "alice-bob")
        assert main(["keys", "trust", str(file), str(public), "--node", node]) == 0
        assert shown[peer] in capsys.readouterr().out

    ours, theirs = (signing.identity(tmp_path / node, "alice-bob") for node in ("alice", "bob"))
    assert ours == theirs != ""
    assert main(["keys", "init", str(file), "--node", "alice"]) == 1
    assert "--force" in capsys.readouterr().err


def test_what_is_no_public_key_is_refused(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + SIGNED)
    assert main(["keys", "trust", str(file), str(file), "--node", "alice"]) == 1
    assert "not an ML-DSA-87 public key" in capsys.readouterr().err


def test_a_secret_is_not_made_for_one_node(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "init", str(file), "--node", "alice"]) == 1
    assert "both nodes at once" in capsys.readouterr().err
