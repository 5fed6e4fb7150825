"""The loop closed: nodes tell, the controller learns and decides, nodes follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fluid_network import FluidNetwork
from free_ports import free_port

from qnx_hw.api.commands import WhatIf
from qnx_hw.api.schema import View
from qnx_hw.api.traffic import PlanView
from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.bus.routes import BUCKET, RouteAck, RouteTable
from qnx_hw.config.network import NetworkFile, parse
from qnx_hw.errors import ConfigError, QnxError
from qnx_hw.node.controller import Controller
from qnx_hw.node.host import Host

HOPS = {"a": "bd", "b": "ac", "c": "bd", "d": "ac"}


def network_file(folder: Path, objective: str = "least maximum utilisation") -> NetworkFile:
    """Four nodes in a ring of 100 Mbit/s."""
    text = f'[network]\nname = "ring"\ndata_dir = "{folder}"\n'
    text += f'[controller]\nnode = "a"\nobjective = "{objective}"\nseason_s = 0\n'
    for port, (node, peers) in enumerate(HOPS.items(), start=1):
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:{9000 + port}"\n'
        text += f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{9100 + port}"\n'
        for peer in peers:
            text += f"[nodes.{node}.edge.hops.{peer}]\ncapacity_bps = 1e8\n"
    return parse(text)


class Loop:
    """A controller and its nodes on a clock that the test moves."""

    def __init__(self, folder: Path, **changes: str) -> None:
        self.now_s = 1_000_000.0
        self.bus = InProcessBus()
        self.views: list[View] = []
        self.told: list[str] = []
        self.folder, self.changes = folder, changes
        self.controller = self.another()
        self.nodes = FluidNetwork(self.controller.topology)
        self.spoil: Callable[[str, bytes], bytes] = lambda node, payload: payload

    def another(self) -> Controller:
        return Controller(
            network_file(self.folder, **self.changes),
            self.bus,
            lambda level, source, text, about="": self.told.append(text),
            self.views.append,
            now=lambda: self.now_s,
        )

    async def run(self, minutes: float) -> None:
        for _ in range(round(minutes * 60)):
            self.now_s += 1
            for sample in self.nodes.samples(self.now_s):
                payload = self.spoil(sample.node, msgspec.json.encode(sample))
                self.controller.take(sample.node, payload)
            if self.now_s % 10 == 0:
                await self.controller.step()
                for ack in await self.nodes.follow(self.bus):
                    self.controller.take_ack(ack.node, msgspec.json.encode(ack))

    @property
    def plan(self) -> PlanView:
        view = self.views[-1]
        assert isinstance(view, PlanView)
        return view


def played(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


@pytest.mark.slow
def test_a_new_hot_spot_is_learnt_within_minutes(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "b"): 50.0, ("d", "c"): 60.0}
        await loop.run(4)
        calm = loop.nodes.fullest()

        loop.nodes.demand = {("a", "b"): 140.0, ("d", "c"): 5.0}
        before = loop.nodes.fullest()
        await loop.run(3)

        # 140 Mbit/s leave node a over two links of 100: 0.7 is the best there is.
        assert calm < 0.65
        assert before > 1.0
        assert loop.nodes.fullest() < 0.78
        assert loop.plan.measured_utilisation == pytest.approx(loop.nodes.fullest(), abs=0.05)
        assert set(loop.plan.acknowledged) == set("abcd")

    played(scenario())


@pytest.mark.slow
def test_a_link_whose_key_slows_down_is_spared_within_minutes(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 20.0}
        rates = {("a", "b"): 60e6, ("b", "c"): 60e6, ("c", "d"): 60e6, ("a", "d"): 60e6}
        loop.nodes.key_rates = rates
        await loop.run(3)
        assert 8.0 < loop.nodes.loads()["a", "b"] < 12.0

        rates["b", "c"] = 2e6
        await loop.run(4)

        assert loop.nodes.loads().get(("b", "c"), 0.0) < 2.0

    played(scenario())


@pytest.mark.slow
def test_scarce_key_limits_bulk_at_its_source_and_spares_critical_traffic(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 20.0, ("c", "a"): 2.0}
        loop.nodes.critical = {("c", "a")}
        loop.nodes.key_rates = dict.fromkeys([("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")], 3e6)

        await loop.run(8)

        entries = {
            (entry.source, entry.destination, entry.traffic_class): entry.rate_limit_bps
            for table in loop.nodes.tables.values()
            for entry in table.entries
            if entry.source == table.node
        }
        # Two ways of 3 Mbit/s of key carry 2 of critical traffic and at most 4 of bulk.
        bulk_bps = entries["a", "c", "any"]
        assert bulk_bps is not None
        assert 1e6 < bulk_bps <= 4.1e6
        assert entries["c", "a", "any"] is None
        (stock,) = loop.nodes.tables["c"].stocks
        assert stock.peer == "a"
        assert stock.bits == pytest.approx(2e6 * 600, rel=0.05)
        assert set(stock.by) <= {"b", "d"}

    played(scenario())


def test_a_hop_that_goes_down_is_left_at_the_next_step_and_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "b"): 10.0}
        await loop.run(0.5)
        loop.nodes.down = {("a", "b"), ("b", "a")}

        await loop.run(1 / 6)

        assert ("a", "b") not in loop.nodes.loads()
        assert loop.nodes.loads()["a", "d"] == pytest.approx(10.0)
        assert any("a-b, b-a closed" in text for text in loop.told)

    played(scenario())


def poison(kind: str, rng: np.random.Generator) -> Callable[[str, bytes], bytes]:
    def spoil(node: str, payload: bytes) -> bytes:
        if node != "b" and rng.random() > 0.1:
            return payload
        sample = msgspec.json.decode(payload)
        if kind == "not a number":
            return payload.replace(b'"load_bps":', b'"load_bps":null,"x":')
        if kind == "negative":
            for hop in sample["hops"]:
                hop["load_bps"] = hop["capacity_bps"] = -1e9
            sample["flows"] = [
                {**flow, "demand_bps": -5e9, "key_draw_bps": -1.0} for flow in sample["flows"]
            ]
        elif kind == "a lie":
            flow = {"traffic_class": "bulk", "goodput_bps": 0.0, "key_draw_bps": 1e300}
            sample["flows"] = [
                {**flow, "destination": other, "demand_bps": 1e300} for other in "abcdz"
            ]
        elif kind == "clock skew":
            sample["time_s"] += 86_400 * rng.standard_normal()
        elif kind == "another's name":
            sample["node"] = "a"
        elif kind == "rubbish":
            return bytes(rng.integers(0, 256, 40, dtype=np.uint8))
        return msgspec.json.encode(sample)

    return spoil


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["not a number", "negative", "a lie", "clock skew", "another's name", "rubbish"]
)
def test_poisoned_telemetry_never_makes_an_unsound_table(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 60.0, ("b", "d"): 20.0, ("d", "a"): 10.0}
        await loop.run(0.5)
        loop.spoil = poison(kind, np.random.default_rng(3))

        await loop.run(2)  # every table followed is checked

        assert loop.plan.revision >= 1
        assert sum(loop.nodes.loads().values()) >= 60.0
        assert loop.nodes.fullest() < 1.0

    played(scenario())


def test_nodes_that_are_never_heard_and_silence_keep_the_last_tables(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        await loop.controller.step()
        await loop.nodes.follow(loop.bus)
        loop.now_s += 600

        await loop.controller.step()

        assert {table.revision for table in loop.nodes.tables.values()} == {1}

    played(scenario())


def test_a_controller_that_starts_anew_remembers_and_goes_on_counting(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 50.0}
        await loop.run(1)
        revision = loop.plan.revision

        loop.controller = loop.another()
        loop.now_s += 20
        decision = await loop.controller.step()

        assert loop.plan.revision == revision + 1
        assert decision.expected.max() == pytest.approx(50.0)

    played(scenario())


def test_a_refusal_is_shown_with_its_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        await loop.controller.step()
        no = RouteAck(node="b", revision=1, accepted=False, reason="'x' is no neighbour")

        loop.controller.take_ack("b", msgspec.json.encode(no))
        loop.controller.take_ack("c", msgspec.json.encode(no))  # b's name from c: not believed

        assert loop.plan.refused == ("b: 'x' is no neighbour",)
        assert any("b refuses the routes of revision 1" in text for text in loop.told)

    played(scenario())


def test_what_if_pushes_nothing_and_an_objective_does(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "b"): 150.0}
        await loop.run(0.5)
        revision = loop.plan.revision

        answer = await loop.controller.what_if(WhatIf(down=("a b",), demand_factor=0.5))
        route = next(r for r in answer.routes if (r.source, r.destination) == ("a", "b"))
        assert route.paths == (("a", "d", "c", "b"),)
        assert route.demand_bps == pytest.approx(75e6)
        entry = await loop.bus.bucket(BUCKET).get("a")
        assert entry is not None
        assert entry.value is not None
        assert msgspec.json.decode(entry.value)["revision"] == revision

        plan = await loop.controller.set_objective("max-min fair")
        assert plan.revision == revision + 1
        assert "the objective is now max-min fair" in plan.reason
        with pytest.raises(QnxError, match="no hop or node 'z'"):
            await loop.controller.what_if(WhatIf(down=("z",)))
        with pytest.raises(QnxError, match=r"can aim at .*, not 'fame'"):
            await loop.controller.what_if(WhatIf(objective="fame"))

    played(scenario())


@pytest.mark.slow
def test_forecasts_stand_beside_what_came_and_training_is_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        for minute in range(12):
            loop.nodes.demand = {("a", "c"): 30.0 + 10 * (minute % 2)}
            await loop.run(1)
        await loop.controller.train()

        forecast = next(f for f in await loop.controller.forecasts() if f.name == "a c demand")

        assert forecast.unit == "Mbit/s"
        assert len(forecast.times_s) == len(forecast.expected) == len(forecast.actual) >= 60
        assert {30.0, 40.0} <= {round(v) for v in forecast.actual if v is not None}
        assert all(
            low <= value <= high
            for low, value, high in zip(forecast.low, forecast.expected, forecast.high, strict=True)
            if low is not None and value is not None and high is not None
        )

    played(scenario())


def test_what_came_of_plans_stands_beside_what_they_promised_and_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 60.0}
        loop.nodes.key_rates = dict.fromkeys([("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")], 90e6)
        await loop.run(1)

        shown = {each.name: each for each in await loop.controller.forecasts()}
        for name, came in (
            ("plan: utilisation", 0.3),
            ("plan: goodput", 60e6),
            ("plan: key draw", 60e6),
        ):
            assert shown[name].actual[-1] == pytest.approx(came, rel=0.1)
            assert shown[name].expected[-1] == pytest.approx(came, rel=0.1)
        later = {each.name: each for each in await loop.another().forecasts()}
        assert later["a b secret key"].actual[-1] == pytest.approx(90e6)

    played(scenario())


def test_a_file_without_hops_is_refused(tmp_path: Path) -> None:
    text = f'[network]\nname = "x"\ndata_dir = "{tmp_path}"\n[controller]\nnode = "a"\n'
    text += '[nodes.a]\nlisten = "127.0.0.1:9001"\n'

    with pytest.raises(ConfigError, match="nothing to decide"):
        Controller(parse(text), InProcessBus(), print, print)


def test_running_hears_the_bus_and_answers_a_cut_before_the_interval_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = Loop(tmp_path)
        loop.nodes.demand = {("a", "c"): 25.0}
        loop.nodes.down = {("a", "b")}
        async with (
            asyncio.timeout(120),
            loop.controller.running(),
            loop.bus.bucket(BUCKET).watch("a") as tables,
        ):
            for sample in loop.nodes.samples(loop.now_s):
                payload = msgspec.json.encode(sample)
                await loop.bus.publish(f"qnx.telemetry.{sample.node}", payload)
            entry = await tables.get()
        assert entry.value is not None
        table = msgspec.json.decode(entry.value, type=RouteTable)
        assert {hop.node for each in table.entries for hop in each.next_hops} == {"d"}

    played(scenario())


@pytest.mark.slow
def test_nodes_of_one_process_follow_its_controller(tmp_path: Path) -> None:
    ports = {node: (free_port(), free_port()) for node in HOPS}
    text = f'[network]\nname = "ring"\ndata_dir = "{tmp_path}"\n'
    text += '[controller]\nnode = "a"\ninterval_s = 1.0\n'
    for node, peers in HOPS.items():
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:{ports[node][0]}"\n'
        text += f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{ports[node][1]}"\n'
        for peer in peers:
            text += f'[nodes.{node}.edge.hops.{peer}]\naddress = "127.0.0.1:{ports[peer][1]}"\n'

    async def scenario() -> PlanView:
        host = Host(parse(text), list(HOPS))
        async with asyncio.timeout(120), host.running():
            while True:
                for plan in host.hub.latest(PlanView):
                    if set(plan.acknowledged) == set(HOPS):
                        return plan
                await host.hub.changed(host.hub.number, timeout_s=5.0)

    plan = asyncio.run(scenario())

    assert plan.refused == ()
    assert len(plan.routes) == 12
