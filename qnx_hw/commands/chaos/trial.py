"""One run: start a laid out network, let faults befall it one by one, and look at all of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping, Set
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from qnx_hw.commands.chaos import schedule
from qnx_hw.commands.chaos.core import running
from qnx_hw.commands.chaos.disturb import Disturber
from qnx_hw.commands.chaos.layout import Layout, lay_out
from qnx_hw.commands.chaos.processes import NodeProcess
from qnx_hw.commands.chaos.report import Recovery, Report
from qnx_hw.commands.chaos.schedule import ALWAYS_TOLD, Fault, Kind
from qnx_hw.commands.chaos.screens import looking_on
from qnx_hw.commands.chaos.traffic import Echo, steps_of
from qnx_hw.commands.chaos.watch import LOOK_S, Alarm, Keys, Sight
from qnx_hw.commands.chaos.wires import joined
from qnx_hw.commands.laboratory import laboratory
from qnx_hw.commands.same_key import gap
from qnx_hw.errors import QnxError
from qnx_hw.keys import KeyStore, initial, pki
from qnx_hw.qkd.parameters import blocks_under_way
from qnx_hw.secret import Secret

START_DEADLINE_S = 300.0
RECOVERY_DEADLINE_S = 180.0
SETTLE_DEADLINE_S = 30.0
HEARD_DEADLINE_S = 120.0
HEARD_BLOCKS = 2
BLOCKS_BEHIND = 2
"""Blocks besides those under way whose detections may be older than an eavesdropper's coming: the
one that is collected, and one whose detections wait to be read."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    file: Path
    seed: int
    minutes: float
    kinds: frozenset[Kind]
    folder: Path
    """Where files, keys and captured bytes lie while it runs."""
    most_faults: int | None = None
    traffic: Path | None = None
    """What is replayed through the tunnels."""
    has_screens: bool = False
    """Whether a desktop and a browser look on."""


async def run(wish: Wish, say: Say) -> Report:
    """Run it and report; raises only where the network could not even start."""
    layout = lay_out(wish.file, wish.folder)
    network = layout.network
    for name, link in network.links.items():
        ends = (network.folder_of(link.alice.node), network.folder_of(link.bob.node))
        initial.prepare(name, ends)
    if network.saes:
        for authority in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
            pki.make_authority(network.certificates, authority)
        pki.complete(network, network.certificates)
    async with joined(layout.wires), running(layout.core), laboratory(layout.laboratory):
        trial = _Trial(wish, layout, say)
        try:
            await trial.go()
        finally:
            await trial.end()
        return await asyncio.to_thread(trial.report)


class _Trial:
    def __init__(self, wish: Wish, layout: Layout, say: Say) -> None:
        self._wish, self._layout, self._say = wish, layout, say
        self._broken: list[str] = []
        self._nodes = {
            name: NodeProcess(name, file, wish.folder / f"{name}.log")
            for name, file in layout.files.items()
        }
        self._keys = Keys(layout.network, self._broken)
        tunnels = layout.network.tunnels
        self._echoes = [
            Echo(name, _port(tunnel.listen), _port(tunnel.target), self._broken, steps)
            for (name, tunnel), steps in zip(
                tunnels.items(), steps_of(wish.traffic, len(tunnels)), strict=True
            )
        ]
        self._disturber = Disturber(layout, self._nodes)
        self._sight = Sight(layout.apis)
        self._recoveries: list[Recovery] = []
        self._usual: Set[Alarm] = frozenset()
        """Raised before any fault."""
        self._left_open: list[Alarm] = []
        self._began_s = time.monotonic()

    async def go(self) -> None:
        """Start the nodes, and let faults befall them until the time is over."""
        for node in self._nodes.values():
            await node.start()
        async with AsyncExitStack() as stack:
            if self._wish.has_screens:
                screens = looking_on(self._first_api(), self._wish.folder, self._broken)
                await stack.enter_async_context(screens)
            await self._look_and_play()

    def _first_api(self) -> str:
        """Return where screens find the node that decides, or the first."""
        controller = self._layout.network.controller
        return self._layout.apis[controller.node if controller else next(iter(self._nodes))]

    async def _look_and_play(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            fetching = tasks.create_task(self._keys.run())
            watching = [
                tasks.create_task(self._sight.run()),
                *(tasks.create_task(echo.run()) for echo in self._echoes),
            ]
            await self._play()
            await self._clear()
            self._keys.is_wanted = False
            await fetching
            for _ in range(int(SETTLE_DEADLINE_S)):
                await self._keys.settle()
                if not self._keys.owed:
                    break
                await asyncio.sleep(1.0)
            for task in watching:
                task.cancel()
        self._broken += [f"not to be had at the other end: {each}" for each in self._keys.owed]

    async def _clear(self) -> None:
        """Wait until every alarm is over, but for those of keys that are still few."""
        for _ in range(int(RECOVERY_DEADLINE_S / LOOK_S)):
            self._left_open = open_since(self._sight.alarms(), self._usual)
            if all(each.is_of_stock for each in self._left_open):
                return
            await asyncio.sleep(LOOK_S)
        self._broken += [
            f"not over {RECOVERY_DEADLINE_S:g} s after the last fault: {each}"
            for each in self._left_open
            if not each.is_of_stock
        ]

    async def _play(self) -> None:
        everything = tuple(self._layout.network.links)
        self._say("waiting for the first key on every link")
        if await self._new_blocks(everything, START_DEADLINE_S) is None:
            raise QnxError(f"no key on every link within {START_DEADLINE_S:g} s, without any fault")
        self._usual = self._sight.alarms().keys()
        end_s = time.monotonic() + 60 * self._wish.minutes
        done, turn = 0, 0
        while True:
            faults = schedule.faults(
                self._layout.network, f"{self._wish.seed}.{turn}", self._wish.kinds
            )
            for fault in faults:
                if time.monotonic() >= end_s or done == self._wish.most_faults:
                    return
                await self._befall(fault)
                done += 1
            turn += 1
            if not faults:
                return

    async def _befall(self, fault: Fault) -> None:
        before = self._sight.alarms().keys()
        self._say(f"{fault.kind}: {fault.target}, {fault.lasts_s:.1f} s")
        began_s = time.time()
        await self._disturber.inject(fault)
        await asyncio.sleep(fault.lasts_s)
        if fault.kind is Kind.EAVESDROPPER:
            await self._check_silence(fault, began_s)
        lasted_s = time.time() - began_s
        if fault.kind is Kind.CERTIFICATE and await self._keys.serves(self._sae(fault)):
            self._broken.append(f"{fault.target} served with a certificate that had ended")
        await self._disturber.mend(fault)
        recovered_s, lacking = await self._recovery(fault)
        raised = self._sight.alarms().keys() - before
        self._recoveries.append(
            Recovery(
                kind=fault.kind,
                target=fault.target,
                lasted_s=lasted_s,
                told=bool(raised),
                recovered_s=recovered_s,
                alarms=len(raised),
            )
        )
        if recovered_s is None:
            self._broken.append(
                f"{RECOVERY_DEADLINE_S:g} s after '{fault.kind}' of {fault.target}: {lacking}"
            )
        if fault.kind in ALWAYS_TOLD and not raised:
            self._broken.append(f"nobody was told of '{fault.kind}' of {fault.target}")
        words = lacking if recovered_s is None else f"key again after {recovered_s:.1f} s"
        self._say(f"  {words}")

    def _ends(self, link: str) -> tuple[str, str]:
        section = self._layout.network.links[link]
        return section.alice.node, section.bob.node

    async def _check_silence(self, fault: Fault, since_s: float) -> None:
        """Find fault with key made while every photon was measured on its way.

        A block that was heard only in part may rightly be key, and so may those before it; so she
        stays until some have ended that are newer than the first that was refused.
        """
        (link,) = fault.links
        for _ in range(int(HEARD_DEADLINE_S / LOOK_S)):
            told = self._sight.fates(link, since_s)
            if len(told.heard()) >= HEARD_BLOCKS:
                break
            await asyncio.sleep(LOOK_S)
        else:
            self._broken.append(
                f"{link} told of {len(told.refused)} refused blocks in {HEARD_DEADLINE_S:g} s"
                " while somebody measured every photon"
            )
        size = self._layout.network.links[link].block_sifted_bits
        older = told.released - told.heard()
        if told.released & told.heard() or len(older) > blocks_under_way(size) + BLOCKS_BEHIND:
            self._broken.append(
                f"{link} released blocks {sorted(told.released)}, though somebody measured every"
                f" photon and it refused blocks {sorted(told.refused)}"
            )

    async def _recovery(self, fault: Fault) -> tuple[float | None, str]:
        """Return how long it takes until key comes again and everything is in order.

        Where that takes too long it is None, and what was lacking at last.
        """
        ended_s = time.time()
        for_key_s = await self._new_blocks(fault.links, RECOVERY_DEADLINE_S)
        if for_key_s is None:
            return None, "no key again"
        while lacking := await self._lacking(fault, ended_s):
            if time.time() - ended_s > RECOVERY_DEADLINE_S:
                return None, lacking
            await asyncio.sleep(LOOK_S)
        return time.time() - ended_s, ""

    async def _lacking(self, fault: Fault, since_s: float) -> str:
        """Return what is not in order yet, or nothing."""
        if not self._sight.is_calm():
            return "a node, a link or an instrument is not in order"
        if not self._sight.agree_on_routes(self._layout.network, since_s=since_s):
            return "an edge does not follow the newest routes"
        if fault.kind is Kind.CERTIFICATE and not await self._keys.serves(self._sae(fault)):
            return "an application is not served"
        return ""

    def _sae(self, fault: Fault) -> str:
        sae = schedule.sae_of(self._layout.network, fault.target)
        assert sae is not None  # the schedule looked
        return sae

    async def _new_blocks(self, links: tuple[str, ...], timeout_s: float) -> float | None:
        """Return how long it took until every link made another block at both ends."""
        began_s = time.monotonic()
        known: dict[str, tuple[int, ...]] = {}
        waiting = set(links)
        while waiting:
            if time.monotonic() - began_s > timeout_s:
                return None
            for name, node in self._nodes.items():
                if node.has_ended:
                    self._broken.append(f"{name} ended by itself; see {name}.log")
                    await node.start()
            for link in tuple(waiting):
                now = self._sight.blocks(link, self._ends(link))
                if now is None:
                    continue
                # A node that was started again counts from nothing.
                floor = tuple(map(min, known.get(link, now), now))
                known[link] = floor
                if all(each > least for each, least in zip(now, floor, strict=True)):
                    waiting.remove(link)
            await asyncio.sleep(0.1)
        return time.monotonic() - began_s

    async def end(self) -> None:
        """Stop all nodes in good order."""
        async with asyncio.TaskGroup() as tasks:
            for name, node in self._nodes.items():
                tasks.create_task(self._finish(name, node))

    async def _finish(self, name: str, node: NodeProcess) -> None:
        if wrong := await node.finish():
            self._broken.append(f"{name} did not end in good order: {wrong}; see {name}.log")
            self._say(node.last_words)

    def report(self) -> Report:
        """Compare the stores, search what was captured, and sum up; the nodes have ended."""
        core = self._layout.core
        blocks = sum(self._compare(link) for link in self._layout.network.links)
        needles = [*self._keys.needles, *(echo.marker for echo in self._echoes)]
        searched = 0
        for wire in self._layout.wires:
            if found := wire.found(needles):
                self._broken.append(f"{found} secrets passed in the clear between {wire.name}")
            searched += wire.captured_bytes
        return Report(
            seed=self._wish.seed,
            file=self._wish.file.name,
            date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            machine=f"{platform.machine()}, {os.cpu_count()} cores",
            minutes=(time.monotonic() - self._began_s) / 60,
            faults=tuple(self._recoveries),
            broken=tuple(self._broken),
            left_open=tuple(map(str, self._left_open)),
            blocks=blocks,
            keys_delivered=self._keys.delivered,
            keys_lost=self._keys.lost,
            tunnel_bytes=sum(echo.returned_bytes for echo in self._echoes),
            searched_bytes=searched,
            core_ended_by_itself=core.ended_by_itself if core is not None else 0,
        )

    def _compare(self, link: str) -> int:
        salt = Secret(secrets.token_bytes(32))
        found = []
        for node in self._ends(link):
            with closing(KeyStore(self._layout.network.folder_of(node))) as store:
                found.append(store.digests(link, salt))
        ours, theirs = found
        common = ours.keys() & theirs.keys()
        if any(not secrets.compare_digest(ours[block], theirs[block]) for block in common):
            self._broken.append(f"the two ends of {link} hold different key under the same number")
        if gap(ours.keys(), theirs.keys()):
            self._broken.append(f"one end of {link} lacks a block that the other holds")
        return len(common)


def open_since(alarms: Mapping[Alarm, bool], before: Set[Alarm]) -> list[Alarm]:
    """Return the alarms that are open and were not raised before."""
    return sorted(each for each, is_open in alarms.items() if is_open and each not in before)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
