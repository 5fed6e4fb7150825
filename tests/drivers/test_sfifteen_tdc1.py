"""The TDC1 driver against an emulated unit, over TCP and over a pseudo terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from answering import TcpDevice, pty_device

from drivers.sfifteen_tdc1 import Tdc1
from qnx_hw.errors import (
    Busy,
    Cancelled,
    InstrumentRefused,
    InstrumentTimeout,
    NotConnected,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import Edge, InstrumentState, Reference
from sim_devices.emulators.tdc1 import Tdc1Emulator

LONG_S = 120.0
WIRES = ["tcp://127.0.0.1:0", "pty"]


@pytest.mark.parametrize("listen", WIRES)
def test_the_unit_is_identified(serve: Callable[..., list[str]], listen: str) -> None:
    (url,) = serve(Tdc1Emulator(), listen)

    with Tdc1(url) as tagger:
        assert tagger.connect().model == "TDC1"
        assert tagger.status().state is InstrumentState.READY
    assert tagger.status().state is InstrumentState.DISCONNECTED


@pytest.mark.parametrize("listen", WIRES)
def test_tags_come_sorted_in_blocks_without_gaps(
    serve: Callable[..., list[str]], listen: str
) -> None:
    (url,) = serve(Tdc1Emulator(), listen)

    with Tdc1(url) as tagger:
        with tagger.start_stream(block_s=0.05) as stream:
            assert tagger.status().state is InstrumentState.STREAMING
            blocks = [stream.read(timeout_s=LONG_S) for _ in range(8)]
        assert tagger.status().state is InstrumentState.READY
        rates = tagger.count_rates(0.05)

    check_continuous(blocks)
    seen_s = sum(block.end_ps - block.start_ps for block in blocks) / 1e12
    assert len(rates) == 4
    for channel, expected in enumerate([15_000, 12_000, 18_000, 13_500], start=1):
        count = sum(int(np.count_nonzero(block.channels == channel)) for block in blocks)
        assert abs(count - expected * seen_s) < 6 * np.sqrt(expected * seen_s)


def drain(stream: TagStream) -> None:
    for _ in range(1000):
        stream.read()


def check_continuous(blocks: list[TagBlock]) -> None:
    for block in blocks:
        assert block.lost == 0
        assert np.all(np.diff(block.times_ps) >= 0)
        assert np.all((block.times_ps >= block.start_ps) & (block.times_ps < block.end_ps))
    for before, after in pairwise(blocks):
        assert before.end_ps == after.start_ps


def test_a_silent_tagger_still_gives_blocks(serve: Callable[..., list[str]]) -> None:
    (url,) = serve(Tdc1Emulator(options={"rate_cps": 0.0}))

    with Tdc1(url) as tagger, tagger.start_stream(block_s=0.05) as stream:
        block = stream.read(timeout_s=LONG_S)

    assert len(block) == 0
    assert block.is_complete


def test_settings_are_read_back(serve: Callable[..., list[str]]) -> None:
    (url,) = serve(Tdc1Emulator())

    with Tdc1(url) as tagger:
        held = tagger.configure({"threshold_v": 0.8, "edge": "rising", "reference": "internal"})

        assert held == {"threshold_v": 0.8, "edge": "rising", "reference": "internal"}
        assert tagger.set_threshold_v(2, -0.4, Edge.FALLING) == pytest.approx(-0.4)
        assert tagger.set_reference(Reference.EXTERNAL) is Reference.EXTERNAL


def test_nonsense_is_refused_before_the_wire(serve: Callable[..., list[str]]) -> None:
    (url,) = serve(Tdc1Emulator())

    with Tdc1(url) as tagger:
        before = tagger.settings()
        with pytest.raises(RangeError):
            tagger.set_threshold_v(1, 3.4, Edge.RISING)
        with pytest.raises(RangeError):
            tagger.set_threshold_v(5, 0.1, Edge.RISING)
        with pytest.raises(RangeError):
            tagger.configure({"reference": "internal", "threshold_v": "high"})
        with pytest.raises(Unsupported):
            tagger.configure({"reference": "internal", "colour": 1})
        with pytest.raises(RangeError):
            tagger.count_rates(66.0)
        assert tagger.settings() == before


def test_a_stream_excludes_everything_else_until_closed(
    serve: Callable[..., list[str]],
) -> None:
    (url,) = serve(Tdc1Emulator())

    with Tdc1(url) as tagger:
        stream = tagger.start_stream()
        with pytest.raises(Busy):
            tagger.settings()
        stream.close()

        with pytest.raises(NotConnected):
            drain(stream)
        assert tagger.settings()["reference"] == "auto"


def test_a_count_can_be_cancelled(serve: Callable[..., list[str]]) -> None:
    (url,) = serve(Tdc1Emulator())
    cancel = threading.Event()
    cancel.set()

    with Tdc1(url) as tagger:
        with pytest.raises(Cancelled):
            tagger.count_rates(60.0, cancel=cancel)

        assert len(tagger.count_rates(0.01)) == 4


def test_a_stop_ends_a_count_of_another_thread(serve: Callable[..., list[str]]) -> None:
    (url,) = serve(Tdc1Emulator())

    with Tdc1(url) as tagger, ThreadPoolExecutor(1) as pool:
        asked = tagger.status().counters["requests"]
        counting = pool.submit(tagger.count_rates, 60.0)
        while tagger.status().counters["requests"] < asked + 5:
            assert not counting.done()
        tagger.stop()

        with pytest.raises(Cancelled):
            counting.result(LONG_S)
        assert len(tagger.count_rates(0.01)) == 4


def test_another_instrument_is_not_taken_for_a_tdc1() -> None:
    with (
        TcpDevice(lambda chunk: b"Heater 3\r\n" if b"*IDN?" in chunk else b"") as device,
        pytest.raises(ProtocolError, match="Heater"),
    ):
        Tdc1(f"tcp://127.0.0.1:{device.port}").connect()


def test_the_rest_of_a_stream_is_not_taken_for_a_name() -> None:
    def answer(received: bytes) -> bytes:
        return b"\x3b(W\x0e\nq\x84\x05;\nTDC1 v9\r\n" if b"*IDN?" in received else b""

    with TcpDevice(answer) as device, Tdc1(f"tcp://127.0.0.1:{device.port}") as tagger:
        assert tagger.connect(timeout_s=LONG_S).firmware == "v9"


def test_silence_ends_in_a_time_out() -> None:
    with pty_device(lambda _: b"") as path, pytest.raises(InstrumentTimeout):
        Tdc1(f"serial://{path}").connect(timeout_s=0.1)


class StubbornTdc1:
    """Answers as the sheet says but keeps its mode and time; `TIME?` is a signed 16-bit number."""

    def __call__(self, received: bytes) -> bytes:
        replies = {b"*IDN?": b"TDC1 test", b"MODE?": b"0", b"TIME?": b"-25536"}
        lines = received.replace(b";", b"\n").split()
        return b"".join(replies[line] + b"\r\n" for line in lines if line in replies)


def test_a_setting_that_does_not_hold_is_an_error() -> None:
    with TcpDevice(StubbornTdc1()) as device, Tdc1(f"tcp://127.0.0.1:{device.port}") as tagger:
        with pytest.raises(InstrumentRefused, match="TIMESTAMP"):
            tagger.start_stream()
        with pytest.raises(InstrumentRefused, match="40000"):
            tagger.count_rates(1.0)


def test_a_lost_wire_ends_the_stream() -> None:
    def answer(received: bytes) -> bytes:
        device_replies = {b"*IDN?": b"TDC1", b"MODE?": b"3", b"TIME?": b"0"}
        words = received.replace(b";", b"\n").split()
        return b"".join(device_replies[w] + b"\r\n" for w in words if w in device_replies)

    with TcpDevice(answer) as device, Tdc1(f"tcp://127.0.0.1:{device.port}") as tagger:
        stream = tagger.start_stream()
        device.drop()

        with pytest.raises(NotConnected):
            stream.read(timeout_s=LONG_S)
        assert tagger.status().state is InstrumentState.DISCONNECTED
