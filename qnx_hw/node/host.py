"""The nodes that one process hosts, what clients see of them, and their HTTP API."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import entry_points

from starlette.routing import BaseRoute

from qnx_hw.api.schema import Level, LinkView, NodeView
from qnx_hw.config import NetworkFile
from qnx_hw.errors import ConfigError
from qnx_hw.node.api import Api, LinkCommands
from qnx_hw.node.guard import own_hosts
from qnx_hw.node.history import History
from qnx_hw.node.node import Node
from qnx_hw.node.server import serving
from qnx_hw.node.state import Hub
from qnx_hw.node.views import link_view

PUBLISH_INTERVAL_S = 0.2
SAMPLE_INTERVAL_S = 1.0
SAME_MOMENT_S = 2.0
GOOD_ENDING_S = 0.5
"""How long sessions may take to say good-bye when the process is to end at once."""


class Host(LinkCommands):
    """Hosts nodes of a network file; all methods belong to the event loop's thread."""

    def __init__(self, network: NetworkFile, names: Sequence[str]) -> None:
        for name in names:
            if name not in network.nodes:
                known = ", ".join(network.nodes)
                raise ConfigError(f"there is no node '{name}' in the network file; it has {known}")
        self._network = network
        self._names = tuple(names)
        urls = [each.url for name in names for each in network.nodes[name].instruments.values()]
        self.hub = Hub(
            network.network.name, is_simulated=any(network.is_simulated(url) for url in urls)
        )
        self.history = History()
        self.nodes: dict[str, Node] = {}
        self._told_s: dict[tuple[str, str], float] = {}

    @asynccontextmanager
    async def running(self, api: socket.socket | None = None) -> AsyncIterator[None]:
        """Run the nodes, and the API on the bound socket `api`, while the context lasts."""
        async with AsyncExitStack() as stack:
            for name in self._names:
                opening = Node.open(self._network, name, self._tell)
                self.nodes[name] = await stack.enter_async_context(opening)
            self.publish()
            stack.callback(self._stop_nodes)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            publishing = tasks.create_task(self._publish())
            stack.callback(publishing.cancel)
            if api is not None:
                await self._serve(stack, api)
            self.hub.tell(Level.INFO, "node", f"running {', '.join(self._names)}")
            yield

    async def start_link(self, name: str) -> LinkView:
        """Let a link make keys at all of its ends that are here."""
        return self._set_wanted(name, wanted=True)

    async def stop_link(self, name: str) -> LinkView:
        """Let a link rest at all of its ends that are here."""
        return self._set_wanted(name, wanted=False)

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
        for name in self._network.nodes:
            if name not in self.nodes:
                self.hub.set(self._elsewhere(name))
        for name in self._network.links:
            if (view := self._link(name)) is not None:
                self.hub.set(view)

    def _tell(self, level: Level, source: str, message: str) -> None:
        """Add an event; what both ends of a link say alike within a moment is said once."""
        now_s = time.monotonic()
        if now_s - self._told_s.get((source, message), -SAME_MOMENT_S) >= SAME_MOMENT_S:
            self.hub.tell(level, source, message)
        self._told_s = {key: at for key, at in self._told_s.items() if now_s - at < SAME_MOMENT_S}
        self._told_s[source, message] = now_s

    async def _serve(self, stack: AsyncExitStack, taken: socket.socket) -> None:
        host, port = taken.getsockname()[:2]
        api = Api(self.hub, self.history, self)
        app = api.application(dashboard_pages(), sorted(own_hosts(host, port)))
        await stack.enter_async_context(serving(app, taken))
        stack.callback(api.close)

    async def _publish(self) -> None:
        sampled_s = time.monotonic()
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL_S)
            self.publish()
            if time.monotonic() - sampled_s >= SAMPLE_INTERVAL_S:
                sampled_s = time.monotonic()
                for link in self.hub.links():
                    self.history.sample(link, time.time())

    def _stop_nodes(self) -> None:
        """Begin to stop all nodes at once, so that they do not wait for each other."""
        for node in self.nodes.values():
            node.stop()

    def _set_wanted(self, name: str, *, wanted: bool) -> LinkView:
        stations = [node.stations[name] for node in self.nodes.values() if name in node.stations]
        if not stations:
            raise KeyError(name)
        for station in stations:
            station.set_wanted(wanted)
        view = self._link(name)
        assert view is not None
        self.hub.set(view)
        return view

    def _link(self, name: str) -> LinkView | None:
        ends = tuple(
            node.stations[name].report() for node in self.nodes.values() if name in node.stations
        )
        return link_view(name, self._network.links[name], ends) if ends else None

    def _elsewhere(self, name: str) -> NodeView:
        return NodeView(
            name=name,
            is_online=False,
            position=self._network.nodes[name].position,
            pool_bits=0,
            pool_capacity_bits=0,
        )


def dashboard_pages() -> list[BaseRoute]:
    """Return the pages of every dashboard that is installed."""
    points = sorted(entry_points(group="qnx_hw.dashboards"), key=lambda point: point.name)
    return [route for point in points for route in point.load()()]
