"""The laboratory, Alice and Bob as three programs: the same key, seen through two APIs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from leaks import found
from programs import fetch_a_key, finish, line_with

from qnx_hw import config
from qnx_hw.api.client import NodeClient
from qnx_hw.api.schema import LinkPhase
from qnx_hw.cli import main
from qnx_hw.errors import QnxError
from qnx_hw.keys import KeyStore
from qnx_hw.secret import Secret

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

Start = Callable[..., "subprocess.Popen[str]"]


def test_two_nodes_and_a_laboratory_make_the_same_key(
    start: Start, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "init", str(file)]) == 0
    assert main(["pki", "init", str(file)]) == 0
    laboratory = start("sim", str(file))
    line_with(laboratory, "endpoints")
    nodes = [
        start("run", str(file), "--node", name, "--seconds", "300") for name in ("alice", "bob")
    ]
    urls = [re.search(r"http://\S+", line_with(node, "API"))[0] for node in nodes]
    for node in nodes:
        line_with(node, "secret bits in")

    link = NodeClient(urls[0]).state().links[0]
    assert link.phase is LinkPhase.GENERATING
    assert link.secret_bits > 0
    alice = NodeClient(urls[0], timeout_s=120.0)
    held = alice.instrument_settings("alice", "detectors")
    change = {"threshold_1_v": 0.125}
    after = alice.configure("alice", "detectors", change, revision=held.revision)
    assert after.settings == {**held.settings, **change}
    with pytest.raises(QnxError, match="meanwhile"):
        alice.configure("alice", "detectors", change, revision=held.revision)
    with pytest.raises(QnxError, match="another process"):
        alice.set_window("alice-bob", 8000)
    keys = fetch_a_key(file, tmp_path)
    for node in nodes:
        line_with(node, "block 3")  # the first may be the one that was fetched from
    outputs = [httpx.get(url + path).content for url in urls for path in ("/", "/api/v1/state")]
    assert NodeClient(urls[1]).stop_link("alice-bob").name == "alice-bob"
    for node in nodes:
        printed = finish(node)
        assert "Traceback" not in printed
        outputs.append(printed.encode())

    assert_same_key(file, at_least=1)
    shown = capfd.readouterr()
    assert found(keys, [*outputs, shown.out.encode(), shown.err.encode()]) == []


def assert_same_key(file: Path, *, at_least: int) -> None:
    network = config.load(file)
    salt = Secret(b"test")
    with (
        KeyStore(network.folder_of("alice")) as alice,
        KeyStore(network.folder_of("bob")) as bob,
    ):
        ours, theirs = alice.digests("alice-bob", salt), bob.digests("alice-bob", salt)
    common = ours.keys() & theirs.keys()
    assert len(common) >= at_least
    assert all(ours[block] == theirs[block] for block in common)
    assert len(ours.keys() ^ theirs.keys()) <= 1


def test_a_node_killed_at_any_moment_goes_on_where_it_was(start: Start, file: Path) -> None:
    assert main(["keys", "init", str(file)]) == 0
    line_with(start("sim", str(file)), "endpoints")
    run = ("run", str(file), "--no-api", "--seconds", "300", "--node")
    alice, bob = start(*run, "alice"), start(*run, "bob")
    for seen in ("synchronising", "secret bits in"):
        line_with(bob, seen)
        bob.kill()
        bob.wait(120)
        bob = start(*run, "bob")
    line_with(bob, "secret bits in")

    assert "Traceback" not in finish(alice) + finish(bob)
    assert_same_key(file, at_least=2)


def test_a_node_without_its_initial_secret_says_what_to_do(start: Start, file: Path) -> None:
    process = start("run", str(file), "--node", "alice", "--no-api")
    printed, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "qnx keys init" in printed
    assert "Traceback" not in printed
