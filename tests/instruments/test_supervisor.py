"""A supervisor brings an instrument back, and says what was lost in between."""

from __future__ import annotations

import asyncio
import logging
import threading
from itertools import pairwise

import numpy as np
import pytest
from answering import TcpDevice
from free_ports import free_port

from drivers.sfifteen_tdc1 import Tdc1
from qnx_hw.errors import InstrumentTimeout, NotConnected
from qnx_hw.instruments.families import TimeTagger
from qnx_hw.instruments.supervisor import SupervisedStream, Supervisor
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.instruments.values import InstrumentState

LONG_S = 120.0
FAST = (0.01, 0.05)


class Tagger:
    """What a TDC1 answers, with a stream of markers and one click each 20 ms of its own time."""

    def __init__(self, identity: bytes = b"TDC1 test") -> None:
        self.identity = identity
        self.commands: list[bytes] = []
        self._held = {b"LEVEL?": b"-0.5 V", b"REFCLK?": b"0", b"MODE?": b"0", b"TIME?": b"1000"}
        self._pending = b""

    def __call__(self, received: bytes) -> bytes:
        *commands, self._pending = (self._pending + received.replace(b";", b"\n")).split(b"\n")
        return b"".join(self._obey(command.strip().upper()) for command in commands)

    def _obey(self, command: bytes) -> bytes:
        if command:
            self.commands.append(command)
        name, _, value = command.partition(b" ")
        if name == b"*IDN?":
            return self.identity + b"\r\n"
        if name == b"COUNTS?":
            clicks = np.arange(0, 1000) * 10_000_000
            return ((clicks % (1 << 27) << 5) | 1).astype("<u4").tobytes()
        if name in self._held:
            return self._held[name] + b"\r\n"
        if name in {b"POS", b"NEG"}:
            self._held[b"LEVEL?"] = value + b" V"
        if name in {b"REFCLK", b"TIME"}:
            self._held[name + b"?"] = value
        if name == b"TIMESTAMP":
            self._held[b"MODE?"] = b"3"
        return b""


def supervised(port: int, **more: object) -> Supervisor[TimeTagger]:
    tagger: TimeTagger = Tdc1(f"tcp://127.0.0.1:{port}", name="alice.tagger")
    return Supervisor(tagger, name="alice.tagger", back_off_s=FAST, **more)


def wait_for_connects(supervisor: Supervisor[TimeTagger], number: int) -> None:
    """Wait on the supervisor's own event until it has connected so often."""
    pause = threading.Event()
    for _ in range(3000):
        if supervisor.connects >= number and supervisor.is_ready:
            return
        pause.wait(0.01)
    raise AssertionError(f"{supervisor.connects} connects, not {number}")


def test_a_dropped_instrument_comes_back_with_its_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tagger = Tagger()
    caplog.set_level(logging.INFO)
    settings = {"threshold_v": -0.3, "reference": "internal"}
    with TcpDevice(tagger) as device, supervised(device.port, settings=settings) as supervisor:
        supervisor.wait_ready(LONG_S)
        tagger.commands.clear()
        device.drop()
        wait_for_connects(supervisor, 2)

        assert b"NEG -0.3" in tagger.commands
        assert supervisor.call(lambda t: t.settings())["reference"] == "internal"
        health = supervisor.health()
        assert (health.state, health.reconnects) == (InstrumentState.READY, 1)
        assert health.identity is not None
    lines = [r.getMessage() for r in caplog.records if r.name.endswith("supervisor")]
    assert [line.split(":")[0] for line in lines] == [
        "alice.tagger connected",
        "alice.tagger lost",
        "alice.tagger is back",
    ]
    assert supervisor.health().state is InstrumentState.DISCONNECTED


def test_an_instrument_that_is_not_there_yet_is_awaited() -> None:
    port = free_port()
    with supervised(port) as supervisor:
        with pytest.raises(NotConnected, match=r"alice\.tagger"):
            supervisor.call(lambda tagger: tagger.settings())
        with TcpDevice(Tagger(), port):
            supervisor.wait_ready(LONG_S)
            assert supervisor.call(lambda tagger: tagger.settings())["threshold_v"] == -0.5


def test_an_address_of_no_known_kind_is_said_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tagger: TimeTagger = Tdc1("ftp://127.0.0.1:1", name="tagger")
    pause = threading.Event()
    with Supervisor(tagger, name="tagger", back_off_s=FAST) as supervisor:
        for _ in range(12_000):
            if supervisor.health().error:
                break
            pause.wait(0.01)
        assert "begins with no known scheme" in supervisor.health().error

    assert [each for each in caplog.records if each.exc_info] == []


def test_another_instrument_in_its_place_is_not_taken() -> None:
    tagger = Tagger(b"TDC1 first")
    device = TcpDevice(tagger)
    with supervised(device.port) as supervisor:
        supervisor.wait_ready(LONG_S)
        tagger.identity = b"Heater"
        device.drop()
        pause = threading.Event()
        while "no TDC1" not in supervisor.health().error:
            pause.wait(0.01)

        assert not supervisor.is_ready
        assert supervisor.health().state is InstrumentState.RECONNECTING
        device.close()


def test_a_supervised_stream_goes_on_behind_a_gap() -> None:
    with TcpDevice(Tagger()) as device, supervised(device.port) as supervisor:
        stream = SupervisedStream(supervisor, block_s=0.1)
        before = [stream.read(timeout_s=LONG_S) for _ in range(5)]
        device.drop()
        after: list[TagBlock] = []
        while not after or after[-1].lost != UNKNOWN_LOSS:
            after.append(stream.read(timeout_s=LONG_S))
        after += [stream.read(timeout_s=LONG_S) for _ in range(5)]
        stream.close()

    blocks = before + after
    assert all(a.end_ps == b.start_ps for a, b in pairwise(blocks))
    assert [block.lost for block in blocks].count(UNKNOWN_LOSS) == 1
    assert all(len(block) == 5 for block in blocks if block.is_complete)


def test_a_stream_without_a_tagger_times_out() -> None:
    with supervised(free_port()) as supervisor, pytest.raises(InstrumentTimeout, match="no tags"):
        SupervisedStream(supervisor).read(timeout_s=0.05)


def test_the_event_loop_is_not_blocked() -> None:
    async def ask(supervisor: Supervisor[TimeTagger]) -> list[object]:
        async with asyncio.timeout(LONG_S):
            return await asyncio.gather(
                *(supervisor.run(lambda t: t.settings(), timeout_s=LONG_S) for _ in range(20))
            )

    with TcpDevice(Tagger()) as device, supervised(device.port) as supervisor:
        answers = asyncio.run(ask(supervisor))

    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)
