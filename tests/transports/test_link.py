"""A link gives each caller its own reply, whatever the wire does."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from answering import TcpDevice, pipe_device, pty_device

from qnx_hw.errors import Busy, Cancelled, InstrumentTimeout, NotConnected
from qnx_hw.transports import (
    Fence,
    KeepAlive,
    Lines,
    Link,
    LinkTraits,
    Priority,
    SocketWire,
    Transcript,
    Wire,
    make_wire,
    together,
)

LONG_S = 120.0


def any_line(_: bytes) -> bool:
    return True


class LineDevice:
    """Answers `n\\n` by `=n\\n`, sometimes in two pieces, sometimes with chatter before it."""

    def __init__(self, seed: int = 1) -> None:
        self._lines = Lines()
        self._random = random.Random(seed)

    def __call__(self, received: bytes) -> bytes:
        reply = b""
        for line in self._lines.feed(received):
            if self._random.random() < 0.2:
                reply += b"!chatter\n"
            reply += b"=" + line + b"\n"
        return reply


@contextmanager
def opened(wire: Wire, **more: object) -> Iterator[Link]:
    link = Link(wire, Lines(), name="device", **more)
    link.open()
    try:
        yield link
    finally:
        link.close()


def ask_in_vain(link: Link, asked: str, matcher: Callable[[bytes], bool]) -> int:
    """Ask what is not answered until it was sent, which a busy machine may be late with.

    Return how often that took.
    """
    tries = 0
    while not link.counters.requests:
        tries += 1
        with pytest.raises(InstrumentTimeout, match=f"'{asked}'"):
            link.query(asked.encode() + b"\n", matcher, timeout_s=0.05)
    return tries


@contextmanager
def device_wire(kind: str, answer: Callable[[bytes], bytes]) -> Iterator[Wire]:
    if kind == "pipe":
        with pipe_device(answer) as (near, _):
            yield SocketWire(near)
    elif kind == "tcp":
        with TcpDevice(answer) as device:
            yield make_wire(f"tcp://127.0.0.1:{device.port}")
    else:
        with pty_device(answer) as path:
            yield make_wire(f"serial://{path}", has_flow_control=True)


@pytest.mark.parametrize("kind", ["pipe", "tcp", "pty"])
@pytest.mark.parametrize(("n_threads", "n_queries"), [(2, 150), (8, 375)])
def test_threads_never_get_each_others_replies(kind: str, n_threads: int, n_queries: int) -> None:
    def ask(link: Link, thread: int) -> int:
        wrong = 0
        for number in range(n_queries):
            asked = b"%d.%d" % (thread, number)
            reply = link.query(asked + b"\n", lambda m: m.startswith(b"="), timeout_s=LONG_S)
            wrong += reply != b"=" + asked
        return wrong

    with device_wire(kind, LineDevice()) as wire, opened(wire) as link:
        with ThreadPoolExecutor(n_threads) as pool:
            wrong = sum(pool.map(lambda thread: ask(link, thread), range(n_threads)))

        assert wrong == 0
        assert link.counters.requests == n_threads * n_queries


def test_a_late_reply_is_never_the_next_ones() -> None:
    traits = LinkTraits(quiet_s=0.3)
    with (
        pipe_device(lambda _: b"") as (near, far),
        opened(SocketWire(near), traits=traits) as link,
    ):
        tries = ask_in_vain(link, "first", any_line)
        far.sendall(b"late\n")
        second = link.submit(b"second\n", any_line, timeout_s=LONG_S)
        while link.counters.requests < 2:
            assert not second.done()
        far.sendall(b"right\n")

        assert second.result(LONG_S) == b"right"
        assert link.counters.timeouts == tries


def test_a_fence_holds_back_a_reply_however_late() -> None:
    asked = threading.Event()

    def answer(chunk: bytes) -> bytes:
        if b"who" in chunk:
            asked.set()
        return b"12\n" if b"second" in chunk else b""

    traits = LinkTraits(quiet_s=0.01, fence=Fence(b"who\n", lambda m: m == b"me"))
    with (
        pipe_device(answer) as (near, far),
        opened(SocketWire(near), traits=traits) as link,
    ):
        ask_in_vain(link, "first", bytes.isdigit)
        second = link.submit(b"second\n", bytes.isdigit, timeout_s=LONG_S)
        assert asked.wait(LONG_S)
        far.sendall(b"11\nme\n")

        assert second.result(LONG_S) == b"12"


def test_the_answers_to_fences_given_up_are_nobodys() -> None:
    fences, asked = [], threading.Event()

    def answer(chunk: bytes) -> bytes:
        fences.extend([b"me\n"] * chunk.count(b"who"))
        if len(fences) == 2:
            asked.set()
        return b"me, really\n" if b"third" in chunk else b""

    traits = LinkTraits(quiet_s=0.05, fence=Fence(b"who\n", lambda m: m == b"me"))
    with (
        pipe_device(answer) as (near, far),
        opened(SocketWire(near), traits=traits) as link,
    ):
        ask_in_vain(link, "first", bytes.isalpha)
        third = link.submit(b"third\n", lambda m: m.startswith(b"me"), timeout_s=LONG_S)
        assert asked.wait(LONG_S)
        far.sendall(b"me\nme\n")

        assert third.result(LONG_S) == b"me, really"


def test_a_fenced_drain_holds_back_what_comes_after_a_pause() -> None:
    asked = threading.Event()

    def answer(chunk: bytes) -> bytes:
        if b"who" in chunk:
            asked.set()
        return b"12\n" if b"number" in chunk else b""

    traits = LinkTraits(quiet_s=0.01, fence=Fence(b"who\n", lambda m: m.endswith(b"me")))
    with (
        pipe_device(answer) as (near, far),
        opened(SocketWire(near), traits=traits) as link,
    ):
        link.drain(fenced=True)
        waiting = link.submit(b"number\n", bytes.isdigit, timeout_s=LONG_S)
        assert asked.wait(LONG_S)
        far.sendall(b"11\nrest of a stream: me\n")

        assert waiting.result(LONG_S) == b"12"


def test_a_lost_wire_fails_what_waits_and_what_comes() -> None:
    with (
        TcpDevice(lambda _: b"") as device,
        opened(make_wire(f"tcp://127.0.0.1:{device.port}")) as link,
    ):
        waiting = [link.submit(b"x\n", any_line, timeout_s=LONG_S) for _ in range(3)]
        while not link.counters.requests:
            pass
        device.drop()

        for future in waiting:
            with pytest.raises(NotConnected, match="device"):
                future.result(LONG_S)
        with pytest.raises(NotConnected, match="device"):
            link.query(b"y\n", any_line)
        assert link.error is not None


class BrokenPipe(SocketWire):
    """Breaks when something is written."""

    def write(self, payload: bytes) -> int:
        raise NotConnected("it broke")


@pytest.mark.parametrize("priority", [Priority.STOP, Priority.COMMAND])
def test_what_was_under_way_when_the_wire_broke_fails_as_lost(priority: Priority) -> None:
    with (
        pipe_device(lambda _: b"") as (near, _),
        opened(BrokenPipe(near)) as link,
        pytest.raises(NotConnected, match="it broke"),
    ):
        link.send(b"off\n", timeout_s=LONG_S, priority=priority)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_host_that_cannot_be_is_said_like_one_that_is_away(host: str) -> None:
    with (
        pytest.raises(NotConnected, match="nothing answers"),
        opened(make_wire(f"tcp://{host}:1")),
    ):
        pass


def test_nobody_there_is_said_at_once() -> None:
    with TcpDevice(lambda _: b"") as device:
        port = device.port
    with (
        pytest.raises(NotConnected, match=f"127.0.0.1:{port}"),
        opened(make_wire(f"tcp://127.0.0.1:{port}")),
    ):
        pass


def test_a_stop_overtakes_the_request_under_way() -> None:
    received = bytearray()

    def answer(chunk: bytes) -> bytes:
        received.extend(chunk)
        return b"done\n" if b"stop" in received else b""

    with pipe_device(answer) as (near, _), opened(SocketWire(near)) as link:
        slow = link.submit(b"slow\n", any_line, timeout_s=LONG_S)
        queued = link.submit(b"queued\n", None, timeout_s=LONG_S)
        link.send(b"stop\n", priority=Priority.STOP)

        assert slow.result(LONG_S) == b"done"
        queued.result(LONG_S)
    assert received.index(b"stop") < received.index(b"queued")


def test_what_is_asked_together_ends_together_but_a_stop_goes_out() -> None:
    received = bytearray()

    def answer(chunk: bytes) -> bytes:
        received.extend(chunk)
        return b"12\n" if b"number" in chunk else b""

    with pipe_device(answer) as (near, _), opened(SocketWire(near)) as link:
        with together(0.05), together(LONG_S):
            with pytest.raises(InstrumentTimeout, match="silence"):
                link.query(b"silence\n", any_line, timeout_s=LONG_S)
            with pytest.raises(InstrumentTimeout, match="number"):
                link.query(b"number\n", bytes.isdigit, timeout_s=LONG_S)
            link.send(b"stop\n", priority=Priority.STOP)

        assert link.query(b"number\n", bytes.isdigit, timeout_s=LONG_S) == b"12"
    assert b"stop\n" in received


def test_commands_go_before_polls() -> None:
    received = bytearray()

    def answer(chunk: bytes) -> bytes:
        received.extend(chunk)
        return b"ok\n" * chunk.count(b"\n") if b"go" in received else b""

    with pipe_device(answer) as (near, _), opened(SocketWire(near)) as link:
        link.submit(b"first\n", any_line, timeout_s=LONG_S)
        poll = link.submit(b"poll\n", any_line, timeout_s=LONG_S, priority=Priority.POLL)
        link.submit(b"command\n", any_line, timeout_s=LONG_S)
        link.send(b"go\n", priority=Priority.STOP)
        poll.result(LONG_S)

    assert received.index(b"command") < received.index(b"poll")


def test_a_cancelled_query_frees_the_line() -> None:
    cancel = threading.Event()
    cancel.set()
    with (
        pipe_device(lambda chunk: b"pong\n" if b"ping" in chunk else b"") as (near, _),
        opened(SocketWire(near)) as link,
    ):
        with pytest.raises(Cancelled):
            link.query(b"silence\n", any_line, timeout_s=LONG_S, cancel=cancel)

        assert link.query(b"ping\n", any_line, timeout_s=LONG_S) == b"pong"


def test_a_full_queue_refuses_at_once() -> None:
    traits = LinkTraits(queue_limit=2)
    with (
        pipe_device(lambda _: b"") as (near, _),
        opened(SocketWire(near), traits=traits) as link,
    ):
        link.submit(b"under way\n", any_line, timeout_s=LONG_S)
        while not link.counters.requests:
            pass
        for _ in range(2):
            link.submit(b"x\n", any_line, timeout_s=LONG_S)

        with pytest.raises(Busy, match="2 requests"):
            link.submit(b"x\n", any_line, timeout_s=LONG_S)


def test_the_device_is_kept_alive() -> None:
    seen = threading.Event()
    count = 0

    def answer(chunk: bytes) -> bytes:
        nonlocal count
        count += chunk.count(b"alive\n")
        if count >= 3:
            seen.set()
        return b""

    traits = LinkTraits(keep_alive=KeepAlive(b"alive\n", 0.01))
    with pipe_device(answer) as (near, _), opened(SocketWire(near), traits=traits):
        assert seen.wait(LONG_S)


def test_a_stream_loses_nothing_below_its_limit_and_counts_above_it() -> None:
    with (
        pipe_device(lambda chunk: b"back\n" if b"x" in chunk else b"") as (near, far),
        opened(SocketWire(near)) as link,
    ):
        stream = link.start_stream(limit_bytes=1000)
        far.sendall(bytes(1000))
        received, lost = b"", 0
        while len(received) < 1000:
            chunk, dropped = stream.read(LONG_S)
            received += chunk
            lost += dropped
        assert lost == 0
        far.sendall(bytes(5000))
        while len(received) + lost < 6000:
            chunk, dropped = stream.read(LONG_S)
            received += chunk
            lost += dropped
        link.end_stream()

        assert lost == link.counters.lost_stream_bytes
        with pytest.raises(NotConnected, match="ended"):
            stream.read(LONG_S)
        assert link.query(b"x\n", any_line, timeout_s=LONG_S) == b"back"


def test_a_transcript_shows_both_directions(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    transcript = Transcript(path)
    with (
        pipe_device(lambda _: b"pong\n") as (near, _),
        opened(SocketWire(near), recorder=transcript) as link,
    ):
        link.query(b"ping\n", any_line, timeout_s=LONG_S)
    transcript.close()

    lines = path.read_text().splitlines()
    assert '"dir": ">", "hex": "70696e670a"' in lines[0]
    assert '"dir": "<", "hex": "706f6e670a"' in lines[1]
