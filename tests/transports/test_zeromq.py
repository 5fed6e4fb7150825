"""Requests and streams over ZeroMQ, with sockets of the kinds that instruments have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from qnx_hw.errors import ConfigError, InstrumentTimeout, NotConnected
from qnx_hw.transports import Fence, Link, LinkTraits, Messages, Transcript, make_wire, message

LONG_S = 120.0


class Replier:
    """A REP socket that answers `n` by `=n`, and `?` only after it was released."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.release = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self.release.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if not self._socket.poll(10):
                continue
            request = self._socket.recv()
            if request == b"?":
                self.release.wait(LONG_S)
            self._socket.send(b"=" + request)
        self._socket.close()


@contextmanager
def replier() -> Iterator[Replier]:
    with zmq.Context() as context:
        device = Replier(context)
        try:
            yield device
        finally:
            device.close()


@contextmanager
def opened(url: str, **more: object) -> Iterator[Link]:
    link = Link(make_wire(url), Messages(), name="device", **more)
    link.open(timeout_s=LONG_S)
    try:
        yield link
    finally:
        link.close()


def ask(link: Link, text: str, timeout_s: float = LONG_S) -> str:
    expected = b"=" + text.encode()
    reply = link.query(message(text.encode()), lambda said: said == expected, timeout_s=timeout_s)
    return reply.decode()


def test_many_threads_get_their_own_replies() -> None:
    with (
        replier() as device,
        opened(f"zmq://127.0.0.1:{device.port}") as link,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(lambda n: ask(link, str(n)), range(200)))

    assert replies == [f"={n}" for n in range(200)]


def test_a_missing_reply_times_out_and_the_next_request_works() -> None:
    with replier() as device:
        fence = Fence(message(b"who"), lambda reply: reply == b"=who")
        traits = LinkTraits(quiet_s=0.0, fence=fence)
        with opened(f"zmq://127.0.0.1:{device.port}", traits=traits) as link:
            with pytest.raises(InstrumentTimeout):
                ask(link, "?", timeout_s=0.05)
            device.release.set()

            assert link.query(message(b"3"), lambda _: True, timeout_s=LONG_S) == b"=3"


def test_nobody_there_is_said_in_time() -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as gone:
        port = gone.bind_to_random_port("tcp://127.0.0.1")
    link = Link(make_wire(f"zmq://127.0.0.1:{port}"), Messages(), name="device")

    with pytest.raises(NotConnected, match="nothing answers"):
        link.open(timeout_s=0.1)


def test_a_device_that_goes_away_ends_the_link() -> None:
    with replier() as device, opened(f"zmq://127.0.0.1:{device.port}") as link:
        ask(link, "1")
        device.close()

        with pytest.raises(NotConnected):
            ask(link, "2")


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("zmq+pair", zmq.PAIR), ("zmq+sub", zmq.XPUB), ("zmq+pull", zmq.PUSH)],
)
def test_a_stream_keeps_its_messages_apart(scheme: str, kind: int) -> None:
    parts = [b"one", b"", b"three" * 1000]
    seen: list[bytes] = []
    is_complete = threading.Event()

    def take(part: bytes) -> None:
        seen.append(part)
        if len(seen) == len(parts):
            is_complete.set()

    with zmq.Context() as context, context.socket(kind) as source:
        source.linger = 0
        source.sndtimeo = source.rcvtimeo = round(LONG_S * 1000)
        port = source.bind_to_random_port("tcp://127.0.0.1")
        with opened(f"{scheme}://127.0.0.1:{port}", unsolicited=take):
            if kind == zmq.XPUB:
                source.recv()  # the subscription
            for part in parts:
                source.send(part)  # waits for the other side
            assert is_complete.wait(LONG_S)

    assert seen == parts


def test_a_transcript_shows_where_messages_end(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    transcript = Transcript(path)
    with (
        replier() as device,
        opened(f"zmq://127.0.0.1:{device.port}", recorder=transcript) as link,
    ):
        ask(link, "7")
    transcript.close()

    assert message(b"=7").hex() in path.read_text("ascii")


def test_a_url_without_port_is_explained() -> None:
    with pytest.raises(ConfigError, match="host and port"):
        make_wire("zmq://lab")
