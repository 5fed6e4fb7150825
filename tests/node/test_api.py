"""The API answers what the contract says, to those it should, over a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

import msgspec
import pytest

from qnx_hw.api.client import NodeClient
from qnx_hw.api.schema import BlockStage, Event, Level, LinkPhase, LinkView, Snapshot
from qnx_hw.errors import ConfigError, QnxError
from qnx_hw.node.api import Api, LinkCommands
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


class Links(LinkCommands):
    """One link that starts and stops at once."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def start_link(self, name: str) -> LinkView:
        return self._set(name, LinkPhase.CONNECTING)

    async def stop_link(self, name: str) -> LinkView:
        return self._set(name, LinkPhase.STOPPED)

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
        api = Api(self.hub, self.history, Links(self.hub))
        app = api.application([], sorted(own_hosts("127.0.0.1", self.port)))
        loop, finished = asyncio.get_running_loop(), asyncio.Event()
        self.stop = lambda: loop.call_soon_threadsafe(finished.set) and None
        self.call = lambda change: loop.call_soon_threadsafe(change) and None
        self.hub.set(LINK)
        async with serving(app, taken):
            self.running.set()
            await finished.wait()
            api.close()


@contextmanager
def running() -> Iterator[Served]:
    served = Served()
    thread = Thread(target=lambda: asyncio.run(served.run()))
    thread.start()
    assert served.running.wait(30)
    try:
        yield served
    finally:
        served.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[Served]:
    with running() as served:
        yield served


def ask(
    served: Served, method: str, path: str, headers: dict[str, str], body: str = "{}"
) -> tuple[int, dict[str, object], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "lab.example"])
def test_the_api_is_never_bound_to_the_outside(host: str) -> None:
    with pytest.raises(ConfigError, match="ssh -L"):
        own_hosts(host, 8470)
