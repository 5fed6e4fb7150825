"""Only what a transmitter really plays is told to who records it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pulsed_link
import pytest
from bench_sessions import EXAMPLES
from free_ports import free_ports

from qnx_hw.api.schema import InstrumentView
from qnx_hw.config import parse
from qnx_hw.errors import NotConnected, Unsupported
from qnx_hw.instruments.values import PulseScore
from qnx_hw.keys import initial
from qnx_hw.node.bank import Mounted
from qnx_hw.node.node import Instruments, Node
from qnx_hw.node.scores import score_of
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.session import Transmit
from qnx_hw.secret import Secret


class Transmitter(Instruments):
    """Nobody answers its wire until it is plugged in."""

    def __init__(self) -> None:
        self.is_there = False

    def views(self) -> tuple[InstrumentView, ...]:
        return ()

    def mounted(self, name: str) -> Mounted:
        raise Unsupported(name)

    def score(self, transmitter: str) -> Score | None:
        return None

    async def play(self, transmitter: str, score: PulseScore) -> None:
        if not self.is_there:
            raise NotConnected("'alice-transmitter' does not answer")

    async def run(self) -> None:
        await asyncio.Event().wait()


def test_a_score_that_a_transmitter_refused_is_in_no_recording(tmp_path: Path) -> None:
    text = (EXAMPLES / "decoy-bb84.toml").read_text()
    text = text.replace(".qnx/decoy-bb84", str(tmp_path))
    for taken, free in zip(("8670", "8671", "8672"), free_ports(3), strict=True):
        text = text.replace(f"127.0.0.1:{taken}", f"127.0.0.1:{free}")
    network = parse(text)
    initial.prepare("alice-bob", (network.folder_of("alice"), network.folder_of("bob")))
    asked = Transmit(Secret(bytes(32)), bytes(16), pulsed_link.TWO_DECOYS)
    score, transmitter = score_of(asked), Transmitter()
    kept: list[tuple[str, PulseScore]] = []

    async def scenario() -> None:
        opening = Node.open(network, "alice", lambda *_: None, lambda *_: transmitter)
        async with asyncio.timeout(120), opening as node:
            node.on_played = lambda name, played: kept.append((name, played))
            with pytest.raises(NotConnected):
                await node.play("transmitter", score)
            assert kept == []
            transmitter.is_there = True
            await node.play("transmitter", score)

    asyncio.run(scenario())

    assert kept == [("transmitter", score)]
