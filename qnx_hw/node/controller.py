"""The routing controller: hears all nodes, decides every interval, and tells them the way.

Telemetry comes in on the event loop and costs little. Deciding and training run each in a thread
of their own, so that neither holds up the other or the loop. What the nodes answer, and what is
measured under each plan, goes into the store and to the screens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from qnx_hw.api.commands import WhatIf
from qnx_hw.api.schema import Level, View
from qnx_hw.api.teller import Teller
from qnx_hw.api.traffic import Forecast, PlanView
from qnx_hw.bus.interface import Bus
from qnx_hw.bus.mailbox import Subscription
from qnx_hw.bus.routes import BUCKET, RouteAck, RouteTable
from qnx_hw.bus.telemetry import NodeSample
from qnx_hw.config import NetworkFile
from qnx_hw.config.controller import ControllerSection
from qnx_hw.errors import UNREADABLE, BusAway, BusRefused, ConfigError, NobodyAnswered, QnxError
from qnx_hw.network.forecast import train
from qnx_hw.network.key_policy import KeyPolicy
from qnx_hw.network.knowledge import FEATURES, Knowledge
from qnx_hw.network.objectives import Objective
from qnx_hw.network.policy import Decision, Policy, Situation
from qnx_hw.network.tables import Terms, route_tables
from qnx_hw.network.topology import Topology
from qnx_hw.node.api import RoutingCommands
from qnx_hw.node.audit import Audit, measured
from qnx_hw.node.expectations import Expectations
from qnx_hw.node.key_terms import KeyWatcher, terms_of
from qnx_hw.node.plan_views import answered, plan_view
from qnx_hw.node.traffic_store import TrafficStore
from qnx_hw.node.worker import Worker

log = logging.getLogger(__name__)

TRAIN_EVERY = 60
"""Intervals between trainings; a drift brings the next one forward."""
SETTLE_S = 0.2
"""After an interval's end the last samples of it may still come this long."""
REMEMBERED = 1024
"""Intervals that a decision looks back at most."""


class Controller(RoutingCommands):
    """Decides for the nodes of one network; all methods belong to the event loop's thread."""

    def __init__(
        self,
        network: NetworkFile,
        bus: Bus,
        tell: Teller,
        show: Callable[[View], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        if network.controller is None:
            raise ConfigError("the network file has no [controller]")
        self._section: ControllerSection = network.controller
        self._bus, self._tell, self._show, self._now = bus, tell, show, now
        self.topology = topology_of(network)
        interval_s = self._section.interval_s
        self.knowledge = Knowledge(self.topology, interval_s=interval_s)
        self._policy = Policy(
            self.topology,
            objective=Objective(self._section.objective),
            worth=self._section.worth,
        )
        season = round(self._section.season_s / interval_s)
        self._expectations = Expectations(self.topology, interval_s=interval_s, season=season)
        self._audit = Audit(self.knowledge)
        self._keys = KeyWatcher(
            self.topology,
            lambda: KeyPolicy(self.topology, season_s=self._section.season_s),
        )
        self._deciding, self._training = Worker("deciding"), Worker("training")
        self._store = TrafficStore(Path(network.network.data_dir) / "controller" / "traffic.db")
        self._restore()
        self._revision = self._store.last_revision()
        self._situation = Situation(
            np.empty((0, *(self.topology.node_count,) * 2)), np.zeros(self.topology.pairs[0].size)
        )
        self._acks: dict[str, RouteAck] = {}
        self._view: PlanView | None = None
        self._closed: frozenset[int] = frozenset()
        self._seen = -1
        self._trained_at = 0
        self._drifts = 0
        self._bell = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._lesson_due = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hear, decide and train while the context lasts."""
        with self._store:
            async with (
                self._bus.subscribe("qnx.telemetry.*") as samples,
                self._bus.subscribe("qnx.ack.*") as acks,
                asyncio.TaskGroup() as tasks,
            ):
                running = [
                    tasks.create_task(self._hear(samples, self.take)),
                    tasks.create_task(self._hear(acks, self.take_ack)),
                    tasks.create_task(self._steer()),
                    tasks.create_task(self._learn()),
                ]
                try:
                    yield
                finally:
                    for task in running:
                        task.cancel()
            self._deciding.close()
            self._training.close()

    def take(self, node: str, payload: bytes) -> None:
        """Take one sample that `node` sent; what cannot be read changes nothing."""
        try:
            sample = msgspec.json.decode(payload, type=NodeSample)
        except UNREADABLE as error:
            self.knowledge.doubts[node] = f"its telemetry cannot be read: {error}"
            return
        if sample.node != node:
            self.knowledge.doubts[node] = f"it speaks for '{sample.node}'"
            return
        self.knowledge.take(sample, self._now())
        if self.knowledge.down_links(self._now()) != self._closed:
            self._bell.set()

    def take_ack(self, node: str, payload: bytes) -> None:
        """Take a node's answer to a table."""
        with suppress(msgspec.DecodeError):
            ack = msgspec.json.decode(payload, type=RouteAck)
            if ack.node != node:
                return
            if ack.revision == self._revision:
                self._tell_ack(ack, self._acks.get(node))
            self._acks[node] = ack
            self._publish()

    def _tell_ack(self, ack: RouteAck, before: RouteAck | None) -> None:
        about, which = f"routes of {ack.node}", f"the routes of revision {ack.revision}"
        if not ack.accepted:
            words = f"{ack.node} refuses {which}: {ack.reason}"
            self._tell(Level.WARNING, "controller", words, about)
        elif before is None or not before.accepted:
            level = Level.INFO if before is None else Level.OK
            self._tell(level, "controller", f"{ack.node} follows {which}", about)

    async def step(self) -> Decision:
        """Decide once for now, and push what is new; one at a time."""
        async with self._stepping:
            now_s = self._now()
            self._closed = self.knowledge.down_links(now_s)
            matrices = self.knowledge.matrices(now_s)[-REMEMBERED:]
            await self._remember(now_s)
            expected = self._expectations.demand()
            self._situation = Situation(
                matrices=matrices,
                expected=expected,
                closed=self._closed,
                delays_s=self.knowledge.link_delays_s(),
                capacities=self._expectations.capacities(self.knowledge),
            )
            decision = await self._deciding.call(self._policy.decide, self._situation)
            key_moved = await self._weigh_key(now_s)
            if decision.is_new or key_moved:
                await self._push(decision, now_s)
            self._audit.expect(self._revision, decision, self._situation)
            self._view = await self._viewed(decision, now_s)
            self._publish()
            return decision

    async def set_objective(self, objective: str) -> PlanView:
        """Aim at something else from now on."""
        self._policy.objective = objective_named(objective)
        await self.step()
        assert self._view is not None
        return self._view

    async def what_if(self, question: WhatIf) -> PlanView:
        """Answer what would be decided; nothing is put into force."""
        objective = objective_named(question.objective) if question.objective is not None else None
        closed = self._situation.closed | links_named(self.topology, question.down)
        situation = replace(self._situation, closed=closed)
        async with self._stepping:
            decision = await self._deciding.call(
                self._policy.suppose, situation, objective, question.demand_factor
            )
            return await self._viewed(decision, self._now())

    async def forecasts(self) -> tuple[Forecast, ...]:
        """Return what was expected of each quantity, and of the plans, and what came."""
        return self._expectations.views() + self._audit.views()

    async def train(self) -> None:
        """Fit the trained models anew, off the loop and beside deciding."""
        for forecaster in self._expectations.forecasters:
            fit = await self._training.call(train, forecaster.lesson())
            forecaster.learn(fit)
        self._trained_at = self._expectations.steps

    async def _hear(self, messages: Subscription, take: Callable[[str, bytes], None]) -> None:
        async for message in messages:
            take(message.subject.rpartition(".")[2], message.payload)

    async def _steer(self) -> None:
        """Step at every interval's end, and at once when a link goes down or comes back."""
        while True:
            interval_s = self._section.interval_s
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s - self._now() % interval_s + SETTLE_S):
                    await self._bell.wait()
            self._bell.clear()
            try:
                await self.step()
            except (BusAway, NobodyAnswered, BusRefused) as error:
                log.info("routes could not be pushed: %s", error)

    async def _learn(self) -> None:
        while True:
            await self._lesson_due.wait()
            self._lesson_due.clear()
            await self.train()

    async def _remember(self, now_s: float) -> None:
        """Let the forecasts see each interval that ended since the last step; keep it on disk."""
        newest = int(now_s // self._section.interval_s) - 1
        if newest <= self._seen:
            return
        first = max(self._seen + 1, newest - 60) if self._seen >= 0 else newest
        names = self.topology.names
        for interval in range(first, newest + 1):
            matrix = self.knowledge.matrix(interval)
            pools = self.knowledge.pools()
            made_bps = {ends: pool.in_bps for ends, pool in pools.items()}
            self._expectations.observe(interval, matrix, made_bps)
            if np.isfinite(matrix).any():
                await self._deciding.call(self._store.add_traffic, interval, names, matrix)
        self._seen = newest
        features = self.knowledge.features(now_s)
        await self._deciding.call(self._store.add_features, newest, self.topology, features)
        outcome = self._audit.judge(now_s)
        if outcome is not None:
            await self._deciding.call(self._store.add_outcome, outcome)
        drifts = sum(each.drifts for each in self._expectations.forecasters)
        due = self._expectations.steps - self._trained_at >= TRAIN_EVERY
        if drifts > self._drifts or due:
            if drifts > self._drifts:
                self._tell(Level.INFO, "controller", "traffic changed its habits; learning anew")
            self._drifts = drifts
            self._trained_at = self._expectations.steps
            self._lesson_due.set()

    def measured_utilisation(self) -> float | None:
        """Return the fullest link's load as nodes measure it; None where none does."""
        return measured(self.knowledge).utilisation

    async def _weigh_key(self, now_s: float) -> bool:
        """Decide once a slot what key allows; whether nodes should be told."""
        if not self._keys.is_due(now_s):
            return False
        wanted_bps, told = self.knowledge.key_wanted_bps(), self.knowledge.pools()
        return await self._deciding.call(self._keys.decide, now_s, wanted_bps, told)

    async def _push(self, decision: Decision, now_s: float) -> None:
        self._revision = max(self._revision, await self._newest_revision()) + 1
        limits = {
            int(pair): float(decision.rates[pair]) * 1e6
            for pair in np.flatnonzero(np.isfinite(decision.rates))
        }
        terms, reason = Terms(limits), decision.reason
        if self._keys.plan is not None:
            by_key = terms_of(self._keys.plan, self.knowledge)
            for pair, limit in by_key.limits_bps.items():
                limits[pair] = min(limit, limits.get(pair, np.inf))
            terms = replace(by_key, limits_bps=limits)
            if not decision.is_new:
                reason = "key moved what pairs may send or keep ready"
        tables = route_tables(
            decision.paths,
            decision.splits,
            revision=self._revision,
            time_s=now_s,
            closed=decision.closed,
            terms=terms,
        )
        bucket = self._bus.bucket(BUCKET)
        for table in tables:
            await bucket.put(table.node, msgspec.json.encode(table))
        self._tell(Level.INFO, "controller", f"routes of revision {self._revision}: {reason}")
        view = await self._viewed(decision, now_s)
        await self._deciding.call(self._store.add_plan, view)

    async def _newest_revision(self) -> int:
        """Return the newest revision that any node was ever given."""
        newest = 0
        for name in self.topology.names:
            entry = await self._bus.bucket(BUCKET).get(name)
            if entry is not None and entry.value is not None:
                with suppress(msgspec.DecodeError):
                    newest = max(newest, msgspec.json.decode(entry.value, type=RouteTable).revision)
        return newest

    async def _viewed(self, decision: Decision, time_s: float) -> PlanView:
        return await self._deciding.call(
            plan_view,
            decision,
            revision=self._revision,
            time_s=time_s,
            doubts=dict(self.knowledge.doubts),
        )

    def _publish(self) -> None:
        if self._view is not None:
            self._view = answered(self._view, self._acks, self.measured_utilisation())
            self._show(self._view)

    def _restore(self) -> None:
        """Begin with what was learnt before."""
        newest = int(self._now() // self._section.interval_s)
        first, matrices = self._store.traffic(self.topology.names, since=newest - REMEMBERED)
        self.knowledge.restore(first, matrices)
        features = self._store.features(self.topology, since=first)
        unknown = np.full((self.topology.link_count, len(FEATURES)), np.nan)
        for interval, matrix in enumerate(matrices, start=first):
            key_bps = features.get(interval, unknown)[:, FEATURES.index("key_in_bps")]
            made_bps = {
                (min(ends), max(ends)): float(made)
                for ends, made in zip(self.topology.ends, key_bps, strict=True)
            }
            self._expectations.observe(interval, matrix, made_bps)


def topology_of(network: NetworkFile) -> Topology:
    """Return the nodes with an edge, and the hops between them in both directions."""
    names = tuple(name for name, node in network.nodes.items() if node.edge is not None)
    joined = {frozenset((link.alice.node, link.bob.node)) for link in network.links.values()}
    ends: dict[tuple[int, int], float] = {}
    for near, name in enumerate(names):
        edge = network.nodes[name].edge
        assert edge is not None
        for far, peer in enumerate(names):
            if peer in edge.hops:
                ends[near, far] = edge.hops[peer].capacity_bps / 1e6
            elif not edge.hops and frozenset((name, peer)) in joined:
                ends[near, far] = 1e3
    if not ends:
        raise ConfigError("the [controller] has nothing to decide: no two nodes have a hop between")
    pairs = np.array(sorted(ends), dtype=np.int64)
    capacities = np.array([ends[tuple(pair)] for pair in pairs.tolist()])
    return Topology(names, pairs[:, 0], pairs[:, 1], capacities, np.ones(len(pairs)))


def objective_named(name: str) -> Objective:
    """Return what a controller is to aim at; `QnxError` for what it cannot."""
    try:
        return Objective(name)
    except ValueError as error:
        known = ", ".join(Objective)
        raise QnxError(f"the controller can aim at {known}, not '{name}'") from error


def links_named(topology: Topology, names: tuple[str, ...]) -> frozenset[int]:
    """Return the links that `SOURCE TARGET` or a node's name stands for; `QnxError` for others."""
    found: set[int] = set()
    for name in names:
        hits = set()
        for link in range(topology.link_count):
            near = topology.names[topology.sources[link]]
            far = topology.names[topology.targets[link]]
            if name in (near, far, f"{near} {far}"):
                hits.add(link)
        if not hits:
            raise QnxError(f"there is no hop or node '{name}'; a hop is called 'SOURCE TARGET'")
        found |= hits
    return frozenset(found)
