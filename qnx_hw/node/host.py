"""The nodes that one process hosts, what clients see of them, and their HTTP API."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.types import ASGIApp

from qnx_hw.api.commands import Setting
from qnx_hw.api.instrument import InstrumentSettings
from qnx_hw.api.loops import LoopView
from qnx_hw.api.schema import Level, LinkView, NodeView
from qnx_hw.api.teller import Teller
from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.config import NetworkFile
from qnx_hw.errors import ConfigError, QnxError
from qnx_hw.node.access import Access
from qnx_hw.node.api import (
    Api,
    Commands,
    InstrumentCommands,
    LinkCommands,
    LoopCommands,
)
from qnx_hw.node.archive import Archive
from qnx_hw.node.bank import Bank
from qnx_hw.node.buses import joined_bus
from qnx_hw.node.console import console_folder, dashboard_pages
from qnx_hw.node.event_log import EventLog
from qnx_hw.node.exposure import exposure
from qnx_hw.node.finder import Finder
from qnx_hw.node.guard import is_loopback
from qnx_hw.node.history import KINDS_KEPT, History
from qnx_hw.node.loop_seat import LoopSeat
from qnx_hw.node.network_file import Keeper
from qnx_hw.node.node import MakeInstruments, Node
from qnx_hw.node.recording_desk import RecordingDesk
from qnx_hw.node.server import serving
from qnx_hw.node.state import Hub
from qnx_hw.node.station import ADOPT_DEADLINE_S, Station
from qnx_hw.node.views import delays_view, link_view
from qnx_hw.node.window_loop import SetWindow
from qnx_hw.qkd.roles import Role

if TYPE_CHECKING:
    from qnx_hw.node.controller import Controller

PUBLISH_INTERVAL_S = 0.2
SAMPLE_INTERVAL_S = 1.0
SAME_MOMENT_S = 2.0
WINDOW_DEADLINE_S = 2.5 * ADOPT_DEADLINE_S
"""Both ends adopt a window, and where one does not, the other takes its old one back."""
GOOD_ENDING_S = 0.5
"""How long sessions may take to say good-bye when the process is to end at once."""


class Host(LinkCommands, InstrumentCommands, LoopCommands):
    """Hosts nodes of a network file; all methods belong to the event loop's thread."""

    def __init__(
        self,
        network: NetworkFile,
        names: Sequence[str],
        instruments: MakeInstruments = Bank,
        *,
        file: Path | None = None,
    ) -> None:
        """Host `names` of a network; `file` is where it was read from, for those who change it."""
        for name in names:
            if name not in network.nodes:
                known = ", ".join(network.nodes)
                raise ConfigError(f"there is no node '{name}' in the network file; it has {known}")
        self._network = network
        self._names = tuple(names)
        self._instruments = instruments
        self._file = file
        self._controller: Controller | None = None
        urls = [each.url for name in names for each in network.nodes[name].instruments.values()]
        self.hub = Hub(
            network.network.name, is_simulated=any(network.is_simulated(url) for url in urls)
        )
        self.history = History()
        self._archive: Archive | None = None
        self._event_log: EventLog | None = None
        self.nodes: dict[str, Node] = {}
        self.recordings = RecordingDesk(network, self.nodes, self.hub, self._tell)
        self.bus = InProcessBus()
        """What joins the parts of this process where the network file names no servers."""
        self._told: dict[tuple[str, str], tuple[str, float]] = {}
        """What each source said last about each thing, and until when it is not said again."""

    @asynccontextmanager
    async def running(self, api: socket.socket | None = None) -> AsyncIterator[None]:
        """Run the nodes, and the API on the bound socket `api`, while the context lasts."""
        async with AsyncExitStack() as stack:
            if api is not None:
                folder = console_folder(self._network, self._names)
                self._event_log = EventLog(folder / "events.sqlite", self.hub)
                stack.push_async_callback(self._event_log.close)
            await self._join_controller(stack)
            serve = await self._open_api(stack, api) if api is not None else None
            for name in self._names:
                joining = joined_bus(self._network, name, self.bus, self._tell)
                bus = await stack.enter_async_context(joining)
                opening = Node.open(
                    self._network,
                    name,
                    self._tell,
                    self._instruments,
                    bus=bus,
                    set_window=self._window_setter(),
                )
                self.nodes[name] = await stack.enter_async_context(opening)
            self.publish()
            stack.callback(self._stop_nodes)
            if self._controller is not None:
                await stack.enter_async_context(self._controller.running())
            stack.push_async_callback(self.recordings.end)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            publishing = tasks.create_task(self._publish())
            stack.callback(publishing.cancel)
            if serve is not None:
                await stack.enter_async_context(serve)
            self.hub.tell(Level.INFO, "node", f"running {', '.join(self._names)}")
            yield

    async def start_link(self, name: str) -> LinkView:
        """Let a link make keys at all of its ends that are here."""
        return self._set_wanted(name, wanted=True)

    async def stop_link(self, name: str) -> LinkView:
        """Let a link rest at all of its ends that are here."""
        return self._set_wanted(name, wanted=False)

    async def hold_loop(self, name: str) -> LoopView:
        """Have a loop leave its actuator alone."""
        return self._show_loop(await self._loop(name).hold())

    async def resume_loop(self, name: str) -> LoopView:
        """Have a held loop go on."""
        return self._show_loop(await self._loop(name).resume())

    async def relock_loop(self, name: str) -> LoopView:
        """Have a loop search anew from where it stands."""
        return self._show_loop(await self._loop(name).relock())

    async def set_loop(
        self, name: str, *, algorithm: str | None = None, target: float | None = None
    ) -> LoopView:
        """Change what is given; all of it, or nothing."""
        return self._show_loop(await self._loop(name).choose(algorithm, target))

    async def set_window(self, name: str, window_ps: int) -> LinkView:
        """Change a link's coincidence window at both of its ends, or not at all.

        An end in another process follows when the next session begins, if it takes the window.
        """
        stations = [node.stations[name] for node in self.nodes.values() if name in node.stations]
        if len(stations) < len(Role):
            stations[0].check_window(window_ps)
        before = stations[0].section
        after = msgspec.structs.replace(before, coincidence_window_ps=window_ps)
        try:
            async with asyncio.TaskGroup() as tasks:
                for station in stations:
                    tasks.create_task(station.adopt(after))
        except* QnxError as errors:
            for station in stations:
                if station.section is after:
                    await station.adopt(before)
            raise errors.exceptions[0] from None
        return self._shown(name)

    def _window_setter(self) -> SetWindow:
        """Return what sets a window from a thread that is not the event loop's."""
        events = asyncio.get_running_loop()

        def set_window(link: str, window_ps: int) -> None:
            asked = asyncio.run_coroutine_threadsafe(self.set_window(link, window_ps), events)
            try:
                asked.result(WINDOW_DEADLINE_S)
            except TimeoutError as error:
                raise QnxError(f"the window of '{link}' was not changed in time") from error

        return set_window

    async def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        """Ask the instrument what it holds."""
        return await self.nodes[node].instrument(name).settings()

    async def configure_instrument(
        self, node: str, name: str, settings: Mapping[str, Setting], revision: str
    ) -> InstrumentSettings:
        """Apply settings, all or none, and return what the instrument holds."""
        return await self.nodes[node].instrument(name).configure(settings, revision)

    async def stop_instrument(self, node: str, name: str) -> None:
        """Halt motion, stream or ramp now."""
        await self.nodes[node].instrument(name).halt()

    async def rest(self, timeout_s: float = GOOD_ENDING_S) -> None:
        """Let all links end their sessions in good order, if they do so in time."""
        stations = [station for node in self.nodes.values() for station in node.stations.values()]
        for station in stations:
            station.set_wanted(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
                for station in stations:
                    tasks.create_task(station.at_rest.wait())

    def publish(self) -> None:
        """Take the newest values of all nodes and links into the hub."""
        for node in self.nodes.values():
            self.hub.set(node.view())
            for pool in node.pools.views():
                self.hub.set(pool)
            if node.site is not None:
                for shown in node.site.views():
                    self.hub.set(shown)
            for seat in node.loops:
                self.hub.set(seat.view())
        for name in self._network.nodes:
            if name not in self.nodes:
                self.hub.set(self._elsewhere(name))
        self.recordings.publish()
        for name in self._network.links:
            if (view := self._link(name)) is not None:
                self.hub.set(view)
            ends = tuple(each.report() for each in self._stations(name))
            if (delays := delays_view(name, ends)) is not None:
                self.hub.set(delays)

    def _loop(self, name: str) -> LoopSeat:
        for node in self.nodes.values():
            for seat in node.loops:
                if seat.name == name:
                    return seat
        raise KeyError(name)

    def _show_loop(self, view: LoopView) -> LoopView:
        self.hub.set(view)
        return view

    def _tell(self, level: Level, source: str, message: str, about: str = "", /) -> None:
        """Add an event; what both ends of a link say alike within a moment is said once.

        Not so where something else was said about the same in between: the latest word counts.
        """
        now_s = time.monotonic()
        self._told = {key: told for key, told in self._told.items() if told[1] > now_s}
        key, said = (source, about or message), (message, now_s + SAME_MOMENT_S)
        if key not in self._told or self._told[key][0] != message:
            self.hub.tell(level, source, message, about)
        self._told[key] = said

    async def _join_controller(self, stack: AsyncExitStack) -> None:
        """Make the routing controller where the network file wants it in this process."""
        section = self._network.controller
        if section is not None and section.node in self._names:
            from qnx_hw.node.controller import Controller

            joining = joined_bus(self._network, CONTROLLER, self.bus, self._tell)
            bus = await stack.enter_async_context(joining)
            self._controller = Controller(self._network, bus, self._tell, self.hub.set)

    async def _open_api(
        self, stack: AsyncExitStack, taken: socket.socket
    ) -> AbstractAsyncContextManager[None]:
        """Open what the API keeps, and return the serving of it; refuse what would be unsafe."""
        host, port = taken.getsockname()[:2]
        folder = console_folder(self._network, self._names)
        access = stack.enter_context(
            Access.open(folder / "access.sqlite", is_loopback=is_loopback(host))
        )
        shown = exposure(host, port, self._network.api, access.gate.accounts)
        self._archive = Archive(folder / "history.sqlite")
        stack.push_async_callback(self._archive.close)
        self.history = History(self._archive)
        commands = Commands(
            links=self,
            instruments=self,
            loops=self,
            recordings=self.recordings,
            routing=self._controller,
            discovery=Finder(self._owners()),
            network_file=Keeper(self._file, access.database) if self._file else None,
        )
        api = Api(self.hub, self.history, commands, access)
        app = api.application(dashboard_pages(), shown.hosts, is_tls=shown.tls is not None)
        return _serving(api, app, taken, self._tell, shown.tls)

    async def _publish(self) -> None:
        sampled_s = time.monotonic()
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL_S)
            self.publish()
            self.hub.expire()
            if self._event_log is not None:
                await self._event_log.flush()
            if time.monotonic() - sampled_s >= SAMPLE_INTERVAL_S:
                sampled_s = time.monotonic()
                for kind in KINDS_KEPT.values():
                    for view in self.hub.latest(kind):
                        self.history.sample(view, time.time())
                if self._archive is not None and self._archive.is_due:
                    await self._archive.flush()

    def _stop_nodes(self) -> None:
        """Begin to stop all nodes at once, so that they do not wait for each other."""
        for node in self.nodes.values():
            node.stop()

    def _set_wanted(self, name: str, *, wanted: bool) -> LinkView:
        stations = self._stations(name)
        if not stations:
            raise KeyError(name)
        for station in stations:
            station.set_wanted(wanted)
        return self._shown(name)

    def _shown(self, name: str) -> LinkView:
        """Return how a hosted link is, and let everybody see it."""
        view = self._link(name)
        assert view is not None
        self.hub.set(view)
        return view

    def _link(self, name: str) -> LinkView | None:
        stations = self._stations(name)
        if not stations:
            return None
        return link_view(name, stations[0].section, tuple(each.report() for each in stations))

    def _stations(self, name: str) -> list[Station]:
        """Return the ends of a link that are hosted here."""
        return [node.stations[name] for node in self.nodes.values() if name in node.stations]

    def _owners(self) -> dict[str, str]:
        """Return whose each instrument's URL is."""
        return {
            section.url: f"'{name}' of node '{node}'"
            for node in self._names
            for name, section in self._network.nodes[node].instruments.items()
        }

    def _elsewhere(self, name: str) -> NodeView:
        return NodeView(
            name=name,
            is_online=False,
            position=self._network.nodes[name].position,
            pool_bits=0,
            pool_capacity_bits=0,
        )


@asynccontextmanager
async def _serving(
    api: Api, app: ASGIApp, taken: socket.socket, tell: Teller, tls: tuple[Path, Path] | None
) -> AsyncIterator[None]:
    async with serving(app, taken, tell, tls):
        try:
            yield
        finally:
            api.close()
