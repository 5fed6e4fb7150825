"""A node for screens to talk to: the API's routes over values that a test sets."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gui.web.pages import routes as pages
from qnx_hw.api.commands import Setting
from qnx_hw.api.delays import DelaysView
from qnx_hw.api.instrument import InstrumentSettings, revision_of
from qnx_hw.api.loops import ActuatorAxis, LoopState, LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import (
    BlockStage,
    ChannelRate,
    ClockView,
    Event,
    Histogram,
    InstrumentView,
    Level,
    LinkPhase,
    LinkView,
    NodeView,
    Problem,
    Reading,
    Series,
    Snapshot,
)
from qnx_hw.api.traffic import Forecast
from qnx_hw.api.value import Estimate


def sample_link(**changes: Any) -> LinkView:
    """A link that generates key, with invented but consistent numbers."""
    counts = tuple(round(2400 * math.exp(-(((bin_ - 100) / 9) ** 2)) + 40) for bin_ in range(200))
    link = LinkView(
        name="alice-bob",
        alice="alice",
        bob="bob",
        protocol="bbm92",
        phase=LinkPhase.GENERATING,
        stage=BlockStage.COLLECTING,
        block=412,
        progress=0.4,
        running_s=5053.0,
        rates=tuple(
            ChannelRate(station=s, label=p, rate_cps=40_000.0 + 900 * i)
            for i, (s, p) in enumerate((s, p) for s in ("alice", "bob") for p in "HVDA")
        ),
        coincidence_rate_cps=12_410.0,
        accidental_rate_cps=218.0,
        car=56.9,
        window_ps=1400,
        histogram=Histogram(start_ps=-8000, bin_ps=80, counts=counts, peak_ps=40.0, fwhm_ps=680.0),
        matrix=(
            (3120, 61, 1590, 1561),
            (58, 3042, 1544, 1602),
            (1571, 1538, 3008, 86),
            (1555, 1590, 91, 2966),
        ),
        clock=ClockView(is_locked=True, offset_ps=-1_284_000.0, drift_ppb=310.0, jitter_ps=11.0),
        qber_z=Estimate(value=0.0231, sigma=0.001),
        qber_x=Estimate(value=0.0287, sigma=0.001),
        qber=Estimate(value=0.0259, sigma=0.0007),
        qber_limit=0.05,
        chsh_s=Estimate(value=2.712, sigma=0.008),
        sifted_rate_bps=6100.0,
        secret_rate_bps=3420.0,
        epsilon=1e-10,
        pool_bits=48_200_000,
        last_block_secret_bits=284_000,
        blocks_done=411,
    )
    return msgspec.structs.replace(link, **changes)


def sample_instrument(node: str, name: str, **changes: Any) -> InstrumentView:
    instrument = InstrumentView(
        name=name,
        node=node,
        family="time_tagger",
        driver="tdc1",
        model="TDC1",
        serial="7",
        state="streaming",
        error="",
        is_simulated=True,
        readings=(Reading(name="rate", value=153_600.0, unit="cps"),),
        age_s=0.1,
    )
    return msgspec.structs.replace(instrument, **changes)


def sample_snapshot(**changes: Any) -> Snapshot:
    def node(name: str, x: float) -> NodeView:
        families = {
            "tagger": "time_tagger",
            "detectors": "photon_detector",
            "polarization": "polarization_controller",
        }
        return NodeView(
            name=name,
            is_online=True,
            position=(x, 0.4),
            pool_bits=48_200_000,
            pool_capacity_bits=512_000_000,
            instruments=tuple(
                sample_instrument(name, instrument, family=family)
                for instrument, family in families.items()
            ),
        )

    event = Event(
        number=1, time_s=1.78e9, level=Level.OK, source="alice-bob", message="Block 411: 284 kbit"
    )
    snapshot = Snapshot(
        number=1,
        time_s=1.78e9,
        network="demo",
        is_simulated=True,
        nodes=(node("alice", 0.2), node("bob", 0.8)),
        links=(sample_link(),),
        loops=(sample_loop(),),
        events=(event,),
        delays=(sample_delays(),),
    )
    return msgspec.structs.replace(snapshot, **changes)


SETTINGS: dict[str, dict[str, Setting]] = {
    "tagger": {
        "threshold_1_v": 0.4, "threshold_2_v": 0.4, "threshold_3_v": 0.4, "threshold_4_v": 0.02,
        "delay_1_ps": 0, "delay_2_ps": 1250, "dead_time_ns": 2.0, "edge": "rising",
        "reference": "internal",
    },
    "detectors": {
        "bias_1_A": 1.8e-5, "bias_2_A": 1.75e-5, "dead_time_ns": 50.0, "enabled": True,
        "temperature_c": -19.8,
    },
}  # fmt: skip


def sample_loop(**changes: Any) -> LoopView:
    """A polarization loop that came to rest on a spiral."""
    path = tuple(
        (
            math.cos(0.9 * math.exp(-step / 40)),
            math.sin(0.9 * math.exp(-step / 40)) * math.cos(step / 12),
            math.sin(0.9 * math.exp(-step / 40)) * math.sin(step / 12),
        )
        for step in range(160)
    )
    axes = tuple(
        ActuatorAxis(
            name=f"paddle {number}", unit="deg", low=0.0, high=170.0,
            requested=30.0 * number + 4, actual=30.0 * number,
        )
        for number in range(1, 4)
    )  # fmt: skip
    loop = LoopView(
        name="alice-bob polarization", node="bob", link="alice-bob", kind="polarization",
        instrument="polarization", state=LoopState.TRACKING, algorithm="spsa",
        algorithms=("spsa", "simplex"), target=0.02, residual=Estimate(value=0.0123), axes=axes,
        stokes=path, relocks=1,
    )  # fmt: skip
    return msgspec.structs.replace(loop, **changes)


def sample_delays() -> DelaysView:
    """Delays of a link's published rounds: peaks where detectors agree, and a flat floor."""

    def bins(height: float) -> tuple[int, ...]:
        return tuple(round(height * math.exp(-(((n - 25) / 9) ** 2)) + 4) for n in range(51))

    peaks = ((90, 1, 45, 45), (1, 90, 45, 45), (45, 45, 90, 1), (45, 45, 1, 90))
    counts = tuple(tuple(bins(height) for height in row) for row in peaks)
    return DelaysView(name="alice-bob", block=412, start_ps=-714, bin_ps=28, counts=counts)


class FakeNode:
    """Serves a snapshot and whatever a test pushes after it; remembers commands."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.commands: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[dict[str, Any]] = []
        self.refusal = ""
        self.recordings: tuple[RecordingView, ...] = ()
        self.forecasts: tuple[Forecast, ...] = ()
        self.streams = 0
        """How often somebody began to listen."""
        self.now: Callable[[], float] = time.time
        self.settings: dict[str, dict[str, Setting]] = {
            f"{node} {name}": dict(settings)
            for node in ("alice", "bob")
            for name, settings in SETTINGS.items()
        }
        self._pushes: list[bytes] = []
        self._changed = threading.Condition()
        self._is_silent = False

    def push(self, kind: str, value: msgspec.Struct) -> None:
        """Send a change to every client."""
        text = b"event: %s\nid: %d\ndata: %s\n\n" % (
            kind.encode(),
            len(self._pushes) + 2,
            msgspec.json.encode(value),
        )
        with self._changed:
            self._pushes.append(text)
            self._changed.notify_all()

    def fall_silent(self) -> None:
        """Keep connections open and send nothing more, not even signs of life."""
        self._is_silent = True

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/state", self._state),
                Route("/api/v1/stream", self._stream),
                Route("/api/v1/history", self._history),
                Route("/api/v1/recordings", self._recordings),
                Route("/api/v1/routing/forecasts", self._forecasts),
                Route("/api/v1/links/{name}/{verb}", self._command, methods=["POST"]),
                Route("/api/v1/loops/{name}/{verb}", self._loop, methods=["POST"]),
                Route("/api/v1/events/{number}/acknowledge", self._acknowledge, methods=["POST"]),
                Route("/api/v1/instruments/{node}/{name}/settings", self._held),
                Route(
                    "/api/v1/instruments/{node}/{name}/settings", self._configure, methods=["POST"]
                ),
                *pages(),
            ]
        )

    async def _state(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self.snapshot), media_type="application/json")

    async def _stream(self, request: Request) -> Response:
        return StreamingResponse(self._lines(), media_type="text/event-stream")

    async def _lines(self) -> AsyncIterator[bytes]:
        sent = len(self._pushes)
        self.streams += 1
        yield b"event: snapshot\nid: 1\ndata: " + msgspec.json.encode(self.snapshot) + b"\n\n"
        while True:
            await asyncio.sleep(0.02)
            if self._is_silent:
                continue
            new = self._pushes[sent:]
            sent += len(new)
            yield b"".join(new) or b"event: alive\ndata: {}\n\n"

    async def _history(self, request: Request) -> Response:
        times = tuple(self.now() - 30.0 * step for step in range(120, 0, -1))
        name = request.query_params["name"]
        scale = (
            0.024
            if name == "qber_z"
            else 0.028
            if "qber" in name
            else 2.7
            if name == "chsh_s"
            else 3000.0
        )
        series = Series(
            link=request.query_params["link"],
            name=request.query_params["name"],
            unit="",
            times_s=times,
            values=tuple(scale * (1 + 0.03 * math.sin(step / 9)) for step in range(120)),
        )
        return Response(msgspec.json.encode(series), media_type="application/json")

    async def _recordings(self, request: Request) -> Response:
        if self.refusal:
            return _answer(Problem(error=self.refusal), 503)
        return Response(msgspec.json.encode(self.recordings), media_type="application/json")

    async def _forecasts(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self.forecasts), media_type="application/json")

    async def _command(self, request: Request) -> Response:
        path, headers = request.url.path, dict(request.headers)
        self.commands.append((path, headers))
        if self.refusal:
            return _answer(Problem(error=self.refusal), 409)
        body = msgspec.json.decode(await request.body() or b"{}")
        self.bodies.append(body)
        link = next(x for x in self.snapshot.links if x.name == request.path_params["name"])
        if path.endswith("/window"):
            changed = msgspec.structs.replace(link, window_ps=body["window_ps"])
        else:
            phase = LinkPhase.STOPPED if path.endswith("/stop") else LinkPhase.GENERATING
            changed = msgspec.structs.replace(link, phase=phase)
        self.push("link", changed)
        return _answer(changed)

    async def _loop(self, request: Request) -> Response:
        if (refused := await self._note(request)) is not None:
            return refused
        loop = next(x for x in self.snapshot.loops if x.name == request.path_params["name"])
        verb, body = request.path_params["verb"], self.bodies[-1]
        states = {
            "hold": LoopState.HOLDING,
            "resume": LoopState.TRACKING,
            "relock": LoopState.SEARCHING,
        }
        wish = {key: body[key] for key in ("algorithm", "target") if body.get(key) is not None}
        wish |= {"state": states[verb]} if verb in states else {}
        changed = msgspec.structs.replace(loop, **wish)
        self.push("loop", changed)
        return _answer(changed)

    async def _acknowledge(self, request: Request) -> Response:
        if (refused := await self._note(request)) is not None:
            return refused
        number = int(request.path_params["number"])
        event = next(x for x in self.snapshot.events if x.number == number)
        seen = msgspec.structs.replace(event, is_acknowledged=True, acknowledged_by="desktop")
        self.push("event", seen)
        return _answer(seen)

    async def _held(self, request: Request) -> Response:
        return _answer(self._settings_of(request))

    async def _configure(self, request: Request) -> Response:
        if (refused := await self._note(request)) is not None:
            return refused
        held = self._settings_of(request)
        changed = {**held.settings, **self.bodies[-1]["settings"]}
        self.settings[f"{held.node} {held.name}"] = changed
        return _answer(self._settings_of(request))

    def _settings_of(self, request: Request) -> InstrumentSettings:
        node, name = request.path_params["node"], request.path_params["name"]
        settings = self.settings.get(f"{node} {name}", {})
        return InstrumentSettings(
            node=node, name=name, revision=revision_of(settings), settings=settings, time_s=1.0
        )

    async def _note(self, request: Request) -> Response | None:
        """Remember a command; return a refusal where one is wanted."""
        self.commands.append((request.url.path, dict(request.headers)))
        self.bodies.append(msgspec.json.decode(await request.body() or b"{}"))
        return _answer(Problem(error=self.refusal), 409) if self.refusal else None


def _answer(value: msgspec.Struct, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json")


@contextmanager
def serve(node: FakeNode, port: int = 0) -> Iterator[str]:
    """Run a fake node on a port of this machine and give its URL."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(
            node.app(), log_level="critical", timeout_graceful_shutdown=1, lifespan="off"
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=120)
        listener.close()
