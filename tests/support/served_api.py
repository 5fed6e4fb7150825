"""The real API over a hub that a test fills, on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
from starlette.routing import BaseRoute

from qnx_hw.api.client import NodeClient
from qnx_hw.api.commands import Setting, WhatIf
from qnx_hw.api.instrument import InstrumentSettings, revision_of
from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import Level, LinkPhase, LinkView, Snapshot
from qnx_hw.api.traffic import Forecast, PlanView
from qnx_hw.errors import Conflict, RangeError
from qnx_hw.node.access import Access
from qnx_hw.node.access.gate import Limits
from qnx_hw.node.access.limits import Limit
from qnx_hw.node.api import (
    Api,
    Commands,
    InstrumentCommands,
    LinkCommands,
    LoopCommands,
    RecordingCommands,
    RoutingCommands,
)
from qnx_hw.node.finder import Finder
from qnx_hw.node.guard import own_hosts
from qnx_hw.node.history import History
from qnx_hw.node.network_file import Keeper
from qnx_hw.node.server import bind, serving
from qnx_hw.node.state import Hub
from qnx_hw.transports import UsbPort

CHEAP = 1 << 4
"""Cost of passwords where their strength is not what is tested."""
COMMAND = {"X-QNX-Client": "test", "Content-Type": "application/json"}


class Laboratory(
    LinkCommands, InstrumentCommands, LoopCommands, RoutingCommands, RecordingCommands
):
    """Parts that do at once what they are told, and show it in the hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.held: dict[str, Setting] = {"threshold_v": 0.5, "is_gated": False, "mode": "free"}
        self.refusal = ""

    async def start_link(self, name: str) -> LinkView:
        return self._link(name, phase=LinkPhase.GENERATING)

    async def stop_link(self, name: str) -> LinkView:
        return self._link(name, phase=LinkPhase.STOPPED)

    async def set_window(self, name: str, window_ps: int) -> LinkView:
        if self.refusal:
            raise RangeError(self.refusal)
        return self._link(name, window_ps=window_ps)

    async def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        held = dict(self.held)
        return InstrumentSettings(
            node=node, name=name, revision=revision_of(held), settings=held, time_s=1.0
        )

    async def configure_instrument(
        self, node: str, name: str, settings: Mapping[str, Setting], revision: str
    ) -> InstrumentSettings:
        if revision != revision_of(self.held):
            raise Conflict(f"somebody changed the settings of '{name}' meanwhile; look at them")
        if self.refusal:
            raise RangeError(self.refusal)
        self.held = {**self.held, **settings}
        return await self.instrument_settings(node, name)

    async def stop_instrument(self, node: str, name: str) -> None:
        self.hub.tell(Level.INFO, f"{node} {name}", "stopped")

    async def hold_loop(self, name: str) -> LoopView:
        return self._loop(name, state=LoopState.HOLDING)

    async def resume_loop(self, name: str) -> LoopView:
        return self._loop(name, state=LoopState.TRACKING)

    async def relock_loop(self, name: str) -> LoopView:
        return self._loop(name, state=LoopState.SEARCHING)

    async def set_loop(
        self, name: str, *, algorithm: str | None = None, target: float | None = None
    ) -> LoopView:
        wish = {"algorithm": algorithm, "target": target}
        return self._loop(name, **{key: value for key, value in wish.items() if value is not None})

    async def set_objective(self, objective: str) -> PlanView:
        before = self.hub.latest(PlanView)[0]
        plan = msgspec.structs.replace(before, objective=objective, revision=before.revision + 1)
        self.hub.set(plan)
        return plan

    async def what_if(self, question: WhatIf) -> PlanView:
        before = self.hub.latest(PlanView)[0]
        kept = tuple(
            route
            for route in before.routes
            if not any(node in question.down for path in route.paths for node in path)
        )
        return msgspec.structs.replace(before, routes=kept, reason="asked")

    async def forecasts(self) -> tuple[Forecast, ...]:
        step = tuple(float(index) for index in range(20))
        return (
            Forecast(
                name="alice bob", unit="bit/s", model="experts", times_s=step, expected=step,
                low=step, high=step, actual=step,
            ),
            Forecast(
                name="plan: goodput", unit="bit/s", model="plan", times_s=step, expected=step,
                low=(None,) * 20, high=(None,) * 20, actual=(*step[:-1], None),
            ),
        )  # fmt: skip

    async def start_recording(self, name: str = "") -> RecordingView:
        view = RecordingView(
            name=name or "now", is_running=True, started_s=1.78e9, duration_s=0.0,
            instruments=("alice tagger",), tags=0, size_bytes=0, gaps=0, is_simulated=True,
        )  # fmt: skip
        self.hub.set(view)
        return view

    async def stop_recording(self) -> RecordingView:
        running = [view for view in self.hub.latest(RecordingView) if view.is_running]
        if not running:
            raise Conflict("no recording runs")
        view = msgspec.structs.replace(running[0], is_running=False, tags=123_456)
        self.hub.set(view)
        return view

    def recordings(self) -> tuple[RecordingView, ...]:
        return tuple(view for view in self.hub.latest(RecordingView) if not view.is_running)

    def _link(self, name: str, **changes: Any) -> LinkView:
        view = self.hub.link(name)
        if view is None:
            raise KeyError(name)
        self.hub.set(msgspec.structs.replace(view, **changes))
        return msgspec.structs.replace(view, **changes)

    def _loop(self, name: str, **changes: Any) -> LoopView:
        view = next(loop for loop in self.hub.latest(LoopView) if loop.name == name)
        self.hub.set(msgspec.structs.replace(view, **changes))
        return msgspec.structs.replace(view, **changes)


def generous() -> Limits:
    """Limits that no test meets by accident."""
    return Limits(
        requests=Limit(per_s=1e6, burst=1e6),
        commands=Limit(per_s=1e6, burst=1e6),
        attempts=Limit(per_s=1e6, burst=1e6),
    )


@dataclass
class Site:
    """What to serve."""

    snapshot: Snapshot | None = None
    pages: Sequence[BaseRoute] = ()
    file: Path | None = None
    database: Path | str = ":memory:"
    limits: Limits = field(default_factory=generous)
    tls: tuple[Path, Path] | None = None
    port: int = 0
    is_loopback: bool = True
    owners: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[UsbPort] = ()


class ServedApi:
    """A running API and what stands behind it; change the hub by `call` only."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.hub = Hub("lab", is_simulated=True)
        self.history = History()
        self.laboratory = Laboratory(self.hub)
        self.access = Access.open(
            site.database, is_loopback=site.is_loopback, limits=site.limits, cost=CHEAP
        )
        self.port = 0
        self.running = Event()
        self.stop: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        for views in msgspec.structs.asdict(site.snapshot).values() if site.snapshot else ():
            for view in views if isinstance(views, tuple) else ():
                if hasattr(view, "message") and hasattr(view, "level"):
                    self.hub.tell(view.level, view.source, view.message)
                else:
                    self.hub.set(view)

    @property
    def url(self) -> str:
        return f"{'https' if self._site.tls else 'http'}://127.0.0.1:{self.port}"

    def client(self, token: str = "") -> NodeClient:
        return NodeClient(self.url, token=token, name="test")

    def call(self, change: Callable[[], object]) -> None:
        """Run something in the API's event loop and wait for it."""
        assert self._loop is not None
        done = Event()

        def run() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(120)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, HTTPMessage]:
        """Send one request and return status, decoded JSON (or text), and headers."""
        if self._site.tls:
            trusting = ssl.create_default_context(cafile=str(self._site.tls[0]))
            connection: HTTPConnection = HTTPSConnection(
                "127.0.0.1", self.port, timeout=120, context=trusting
            )
        else:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = dict(headers or {}) if method == "GET" else COMMAND | dict(headers or {})
        text = body if isinstance(body, str | bytes | None) else json.dumps(body)
        try:
            connection.request(
                method, path, "{}" if text is None and method == "POST" else text, sent
            )
            response = connection.getresponse()
            answer = response.read()
            try:
                return response.status, json.loads(answer), response.headers
            except ValueError:
                return response.status, answer.decode(), response.headers
        finally:
            connection.close()

    async def run(self) -> None:
        taken = bind(f"127.0.0.1:{self._site.port}")
        self.port = taken.getsockname()[1]
        keeper = Keeper(self._site.file, self.access.database) if self._site.file else None
        part = self.laboratory
        commands = Commands(
            links=part, instruments=part, loops=part, routing=part, recordings=part,
            discovery=Finder(self._site.owners, ports=lambda: self._site.ports, timeout_s=30.0),
            network_file=keeper,
        )  # fmt: skip
        api = Api(self.hub, self.history, commands, self.access)
        hosts = sorted(own_hosts("127.0.0.1", self.port))
        app = api.application(self._site.pages, hosts, is_tls=self._site.tls is not None)
        self._loop = asyncio.get_running_loop()
        finished = asyncio.Event()
        self.stop = partial(self._loop.call_soon_threadsafe, finished.set)
        async with serving(app, taken, self.hub.tell, self._site.tls):
            self.running.set()
            await finished.wait()
            api.close()


@contextmanager
def served(site: Site | None = None) -> Iterator[ServedApi]:
    """Serve an API while the context lasts."""
    api = ServedApi(site or Site())
    thread = Thread(target=lambda: asyncio.run(api.run()), daemon=True)
    thread.start()
    assert api.running.wait(120)
    try:
        yield api
    finally:
        if thread.is_alive():
            api.stop()
        thread.join(120)
        api.access.database.close()
        assert not thread.is_alive()
