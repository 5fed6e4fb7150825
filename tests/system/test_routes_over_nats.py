"""The controller in one program, other nodes in another, a real core between; `qnx routes` asks."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from free_ports import free_port
from nats_core import NatsCore, nats_core
from programs import program

from qnx_hw.api.client import NodeClient
from qnx_hw.api.traffic import PlanView
from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.cli import main
from qnx_hw.errors import QnxError

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

HOPS = {"alice": ["bob", "dora"], "bob": ["alice", "carol"]}
HOPS |= {"carol": ["bob", "dora"], "dora": ["alice", "carol"]}
RUBBISH = (b"\xff not JSON", b'{"node":"dora"}', b"[]")


@pytest.fixture(name="core")
def _core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCore]:
    with nats_core(tmp_path_factory.mktemp("core"), tuple(HOPS)) as core:
        yield core


def network(folder: Path, core: NatsCore) -> Path:
    ports = {node: (free_port(), free_port()) for node in HOPS}
    text = f'[network]\nname = "ring"\ndata_dir = "{folder}"\n'
    text += f'[bus]\nservers = ["{core.url}"]\ncertificates = "{core.folder}"\n'
    text += f'[api]\nlisten = "127.0.0.1:{free_port()}"\n'
    text += '[controller]\nnode = "alice"\ninterval_s = 1.0\n'
    for node, peers in HOPS.items():
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:{ports[node][0]}"\n'
        text += f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{ports[node][1]}"\n'
        for peer in peers:
            text += f"[nodes.{node}.edge.hops.{peer}]\ncapacity_bps = 1e8\n"
    file = folder / "ring.toml"
    file.write_text(text)
    return file


def until_plan(client: NodeClient, nodes: set[str]) -> PlanView:
    """Wait until exactly these nodes follow the newest plan.

    A node that compiles its kernels for the first time may be silent for long.
    """
    while True:
        with suppress(QnxError):
            for _ in client.stream():
                plan = client.plan()
                if set(plan.acknowledged) == nodes:
                    return plan


def test_a_controller_plans_for_nodes_of_another_process(
    core: NatsCore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = network(tmp_path, core)
    assert main(["keys", "init", str(file)]) == 0
    ours = program("run", str(file), "--seconds", "500", "--node", "alice", "--node", "bob")
    theirs = program(
        "run", str(file), "--seconds", "500", "--node", "carol", "--node", "dora", "--no-api"
    )
    with ours as first, theirs:
        assert first.stdout is not None
        url = next(found[0] for line in first.stdout if (found := re.search(r"http://\S+", line)))
        plan = until_plan(NodeClient(url, timeout_s=120.0), set(HOPS))
        asyncio.run(poison(core))
        capsys.readouterr()

        assert main(["routes", "plan", "--api", url, "--json", str(tmp_path / "plan.json")]) == 0
        shown = json.loads((tmp_path / "plan.json").read_text())
        assert main(["routes", "explain", "alice", "bob", "--api", url]) == 0
        what_if = ["routes", "what-if", "--down", "alice bob", "--api", url]
        assert main([*what_if, "--json", str(tmp_path / "supposed.json")]) == 0
        printed = capsys.readouterr().out

    assert plan.refused == ()
    assert shown["revision"] >= plan.revision
    assert len(shown["routes"]) == 12
    assert "alice to bob: " in printed
    supposed = json.loads((tmp_path / "supposed.json").read_text())
    # A busy machine may have silenced nodes meanwhile; the hop thought away is never used.
    ways = [way for route in supposed["routes"] for way in route["paths"]]
    assert all(("alice", "bob") not in pairwise(way) for way in ways)


async def poison(core: NatsCore) -> None:
    """Let a node of the network tell rubbish."""
    async with asyncio.timeout(120), NatsBus.open("dora", [core.url], core.tls("dora")) as bus:
        for payload in RUBBISH:
            while True:
                try:
                    await bus.stream("telemetry").append("dora", payload)
                    break
                except ConnectionError:
                    await asyncio.sleep(0.05)
