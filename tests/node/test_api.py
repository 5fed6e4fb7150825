"""The API answers what the contract says, to those it should, over a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import msgspec
import pytest

from qnx_hw.api.client import NodeClient
from qnx_hw.api.commands import Setting
from qnx_hw.api.instrument import InstrumentSettings, revision_of
from qnx_hw.api.schema import (
    BlockStage,
    Event,
    InstrumentView,
    Level,
    LinkPhase,
    LinkView,
    NodeView,
    Snapshot,
)
from qnx_hw.errors import ConfigError, Conflict, QnxError
from qnx_hw.node.access import Access
from qnx_hw.node.api import Api, Commands, InstrumentCommands, LinkCommands
from qnx_hw.node.api.application import reference_page
from qnx_hw.node.guard import own_hosts
from qnx_hw.node.history import History
from qnx_hw.node.server import bind, serving
from qnx_hw.node.state import Hub

LINK = LinkView(
    name="alice-bob",
    alice="alice",
    bob="bob",
    protocol="bbm92",
    phase=LinkPhase.IDLE,
    stage=BlockStage.COLLECTING,
)


class Laboratory(LinkCommands, InstrumentCommands):
    """One link that starts and stops at once, and one tagger."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.held: dict[str, Setting] = {"threshold_v": 0.5, "is_gated": False}

    async def start_link(self, name: str) -> LinkView:
        return self._set(name, LinkPhase.CONNECTING)

    async def stop_link(self, name: str) -> LinkView:
        return self._set(name, LinkPhase.STOPPED)

    async def set_window(self, name: str, window_ps: int) -> LinkView:
        view = msgspec.structs.replace(LINK, window_ps=window_ps)
        self._hub.set(view)
        return view

    async def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        return InstrumentSettings(
            node=node, name=name, revision=revision_of(self.held), settings=self.held, time_s=1.0
        )

    async def configure_instrument(
        self, node: str, name: str, settings: Mapping[str, Setting], revision: str
    ) -> InstrumentSettings:
        if revision != revision_of(self.held):
            raise Conflict("somebody changed it meanwhile")
        self.held = {**self.held, **settings}
        return await self.instrument_settings(node, name)

    async def stop_instrument(self, node: str, name: str) -> None:
        self._hub.tell(Level.INFO, name, "stopped")

    def _set(self, name: str, phase: LinkPhase) -> LinkView:
        if name != LINK.name:
            raise KeyError(name)
        view = msgspec.structs.replace(LINK, phase=phase)
        self._hub.set(view)
        return view


class Served:
    """A running API: its port, and a way to change the hub from the test's thread."""

    def __init__(self) -> None:
        self.port = 0
        self.hub = Hub("lab", is_simulated=True)
        self.history = History()
        self.running = Flag()
        self.stop: Callable[[], None] = lambda: None
        self.call: Callable[[Callable[[], object]], None] = lambda _: None

    @property
    def client(self) -> NodeClient:
        return NodeClient(f"http://127.0.0.1:{self.port}")

    async def run(self) -> None:
        taken = bind("127.0.0.1:0")
        self.port = taken.getsockname()[1]
        laboratory = Laboratory(self.hub)
        commands = Commands(links=laboratory, instruments=laboratory)
        access = Access.open(":memory:", is_loopback=True)
        api = Api(self.hub, self.history, commands, access)
        app = api.application([], sorted(own_hosts("127.0.0.1", self.port)))
        loop, finished = asyncio.get_running_loop(), asyncio.Event()
        self.stop = lambda: loop.call_soon_threadsafe(finished.set) and None
        self.call = lambda change: loop.call_soon_threadsafe(change) and None
        self.hub.set(LINK)
        async with serving(app, taken, self.hub.tell):
            self.running.set()
            await finished.wait()
            api.close()
        access.database.close()


@contextmanager
def running() -> Iterator[Served]:
    served = Served()
    thread = Thread(target=lambda: asyncio.run(served.run()))
    thread.start()
    assert served.running.wait(120)
    try:
        yield served
    finally:
        served.stop()
        thread.join(120)
        assert not thread.is_alive()


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[Served]:
    with running() as served:
        yield served


def ask(
    served: Served, method: str, path: str, headers: dict[str, str], body: str = "{}"
) -> tuple[int, dict[str, object], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    try:
        connection.request(method, path, body if method == "POST" else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


COMMAND = {"X-QNX-Client": "test", "Content-Type": "application/json"}
START = "/api/v1/links/alice-bob/start"


def test_the_state_is_a_snapshot(served: Served) -> None:
    snapshot = served.client.state()

    assert snapshot.network == "lab"
    assert [link.name for link in snapshot.links] == ["alice-bob"]


def test_commands_answer_with_the_links_new_view(served: Served) -> None:
    assert served.client.start_link("alice-bob").phase is LinkPhase.CONNECTING
    assert served.client.stop_link("alice-bob").phase is LinkPhase.STOPPED
    with pytest.raises(QnxError, match="no link 'nowhere'"):
        served.client.start_link("nowhere")


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"Host": "evil.example"}, 421, "Host"),
        ({"Host": "127.0.0.1:1"}, 421, "Host"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "Sec-Fetch-Site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "Sec-Fetch-Site"),
        ({"X-QNX-Client": ""}, 403, "X-QNX-Client"),
        ({"Content-Type": "text/plain"}, 415, "Content-Type"),
    ],
)
def test_commands_from_elsewhere_are_refused(
    served: Served, change: dict[str, str], status: int, field: str
) -> None:
    served.call(lambda: served.hub.set(LINK))
    got, problem, _ = ask(served, "POST", START, COMMAND | change)

    assert (got, problem["field"]) == (status, field)
    assert served.client.state().links[0].phase is LinkPhase.IDLE


@pytest.mark.parametrize("body", ["", "[]", "{", '"x"', "{}" + " " * 70_000])
def test_bodies_that_are_no_small_object_are_refused(served: Served, body: str) -> None:
    status, problem, _ = ask(served, "POST", START, COMMAND, body)

    assert status in (400, 413)
    assert problem["error"]


def test_a_state_change_by_get_is_refused(served: Served) -> None:
    status, problem, headers = ask(served, "GET", START, {})

    assert status == 405
    assert "Method Not Allowed" in str(problem["error"])
    assert headers["Allow"] == "POST"


def test_answers_tell_browsers_to_be_careful(served: Served) -> None:
    _, _, headers = ask(served, "GET", "/api/v1/state", {})

    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_the_stream_begins_with_a_snapshot_and_tells_changes(served: Served) -> None:
    updates = served.client.stream()
    first = next(updates)
    served.call(lambda: served.hub.tell(Level.WARNING, "alice-bob", "the pump hums"))
    second = next(update for update in updates if isinstance(update, Event))
    updates.close()

    assert isinstance(first, Snapshot)
    assert second.message == "the pump hums"
    assert served.client.acknowledge(second.number).is_acknowledged


def test_an_unknown_event_cannot_be_acknowledged(served: Served) -> None:
    with pytest.raises(QnxError, match="no event 4711"):
        served.client.acknowledge(4711)


def test_history_is_asked_by_name(served: Served) -> None:
    served.call(lambda: served.history.sample(LINK, time.time()))

    assert served.client.history("alice-bob", "pool_bits").unit == "bit"
    with pytest.raises(QnxError, match="no history of 'mood'"):
        served.client.history("alice-bob", "mood")
    with pytest.raises(QnxError, match="seconds"):
        served.client.history("alice-bob", "qber", seconds=-1.0)
    with pytest.raises(QnxError, match="no link 'x'"):
        served.client.history("x", "qber")


def test_unknown_paths_answer_in_json(served: Served) -> None:
    status, problem, _ = ask(served, "GET", "/api/v1/keys", {})

    assert status == 404
    assert "/api/v1/keys" in str(problem["error"])


def test_a_window_is_changed_from_the_value_that_stands(served: Served) -> None:
    served.call(lambda: served.hub.set(LINK))

    assert served.client.set_window("alice-bob", 3000, expected_ps=0).window_ps == 3000
    with pytest.raises(QnxError, match="3000 ps meanwhile"):
        served.client.set_window("alice-bob", 4000, expected_ps=0)
    with pytest.raises(QnxError, match="window_ps"):
        served.client.set_window("alice-bob", 1)


def test_settings_are_read_back_and_a_stale_revision_changes_nothing(served: Served) -> None:
    instrument = InstrumentView(
        name="tagger", node="alice", family="time_tagger", driver="tdc1", model="", serial="",
        state="ready", error="", is_simulated=True,
    )  # fmt: skip
    node = NodeView(
        name="alice", is_online=True, position=(0, 0), pool_bits=0, pool_capacity_bits=0,
        instruments=(instrument,),
    )  # fmt: skip
    served.call(lambda: served.hub.set(node))
    first = served.client.instrument_settings("alice", "tagger")

    change = {"threshold_v": 0.7}
    held = served.client.configure("alice", "tagger", change, revision=first.revision)

    assert held.settings == {"threshold_v": 0.7, "is_gated": False}
    with pytest.raises(QnxError, match="meanwhile"):
        served.client.configure("alice", "tagger", {"is_gated": True}, revision=first.revision)
    assert served.client.instrument_settings("alice", "tagger") == held
    with pytest.raises(QnxError, match="no instrument 'x'"):
        served.client.instrument_settings("alice", "x")


def test_what_is_under_maintenance_raises_no_alarm(served: Served) -> None:
    view = served.client.start_maintenance("alice-bob", minutes=5, reason="new fibre")
    served.call(lambda: served.hub.tell(Level.ALARM, "alice-bob", "no light"))
    muted = served.client.events()[-1]
    served.client.end_maintenance("alice-bob")
    served.call(lambda: served.hub.tell(Level.ALARM, "alice-bob", "no light"))

    assert (view.is_active, view.reason) == (True, "new fibre")
    assert muted.is_muted
    assert not served.client.events()[-1].is_muted
    with pytest.raises(QnxError, match="no link, node or instrument 'x'"):
        served.client.start_maintenance("x")
    with pytest.raises(QnxError, match="not under maintenance"):
        served.client.end_maintenance("alice-bob")


def test_a_client_that_comes_back_gets_what_it_missed(served: Served) -> None:
    client = served.client
    updates = client.stream()
    next(updates)
    updates.close()
    served.call(lambda: served.hub.tell(Level.INFO, "alice-bob", "missed"))

    back = client.stream(after=client.number)
    first = next(back)
    back.close()
    again = served.client.stream(after=5)
    whole = next(again)
    again.close()

    assert isinstance(first, Event)
    assert first.message == "missed"
    assert isinstance(whole, Snapshot)


def test_history_comes_as_a_table_too(served: Served) -> None:
    served.call(lambda: served.history.sample(LINK, time.time()))
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("GET", "/api/v1/history.csv?link=alice-bob&name=pool_bits")
    text = connection.getresponse().read().decode()
    connection.close()

    assert text.splitlines()[0] == "time (UTC),pool_bits (bit),low,high"
    assert text.splitlines()[-1].endswith(",0.0,0.0,0.0")


def test_parts_that_do_not_run_here_say_so(served: Served) -> None:
    with pytest.raises(QnxError, match="no routing controller"):
        served.client.plan()
    with pytest.raises(QnxError, match="no loop 'x'"):
        served.client.hold_loop("x")


def test_the_document_names_every_operation_and_the_page_is_current(served: Served) -> None:
    document = served.client.openapi()

    operations = {
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    }
    assert ("POST", "/api/v1/instruments/{node}/{name}/settings") in operations
    assert "LinkView" in document["components"]["schemas"]
    page = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"
    assert page.read_text() == reference_page(), "run: python -m qnx_hw.node.api > " + str(page)


@pytest.mark.slow
def test_stopping_does_not_wait_for_open_streams() -> None:
    with running() as served:
        updates = served.client.stream()
        next(updates)
    assert list(updates) == []


def test_an_address_in_use_is_told_in_words() -> None:
    taken = bind("127.0.0.1:0")
    try:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=address):
            bind(address)
        bind(address, or_free_port=True).close()
    finally:
        taken.close()
