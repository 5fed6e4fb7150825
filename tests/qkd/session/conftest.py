"""Two sessions on a channel in memory, and the tags that an entangled source gives them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd.authentication import PAD_BYTES, Authenticator, Pad, PadSource
from qnx_hw.qkd.parameters import Protocol, StationInputs
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    Aborted,
    Ended,
    KeyDropped,
    KeyReady,
    Metrics,
    Output,
    Progress,
    Randomness,
    Resumption,
    Send,
    Session,
    SessionParameters,
    Transmit,
)
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.secret import Secret

PS = 1_000_000_000_000


class SeededRandomness(Randomness):
    """Repeatable randomness."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def octets(self, count: int) -> bytes:
        return self._random.bytes(count)


class MemoryPads(PadSource):
    """Pads that both ends cut from the same bytes."""

    def __init__(self, own: bytes, peers: bytes) -> None:
        self._own, self._peers = own, peers
        self._taken = self._peer_taken = 0

    def take_pad(self) -> Pad:
        if self._taken + PAD_BYTES > len(self._own):
            raise KeyExhausted("no pad is left")
        address, self._taken = self._taken, self._taken + PAD_BYTES
        return Pad(address, Secret(self._own[address : self._taken]))

    def take_peer_pad(self, address: int) -> Secret:
        if address < self._peer_taken:
            raise Conflict("this pad was used")
        if address + PAD_BYTES > len(self._peers):
            raise KeyExhausted("no such pad")
        self._peer_taken = address + PAD_BYTES
        return Secret(self._peers[address : self._peer_taken])

    def lacking(self) -> Aside:
        return 32, 16


def authenticators(link: str = "test", pads: int = 64, seed: int = 99) -> dict[Role, Authenticator]:
    """Return both ends' authenticators."""
    random = np.random.default_rng(seed)
    keys, alice, bob = random.bytes(32), random.bytes(16 * pads), random.bytes(16 * pads)
    return {
        Role.ALICE: Authenticator(Role.ALICE, link, Secret(keys), MemoryPads(alice, bob)),
        Role.BOB: Authenticator(Role.BOB, link, Secret(keys), MemoryPads(bob, alice)),
    }


@dataclass(frozen=True)
class Source:
    """Pairs in the state V |Phi+><Phi+| + (1-V)/4, measured in Z or X at random on each side."""

    seconds: float = 2.5
    pairs_hz: float = 80_000.0
    efficiency: float = 0.8
    visibility: float = 0.96
    dark_hz: float = 200.0
    jitter_ps: float = 150.0
    offset_ps: int = 40_000_000_000
    drift: float = 3e-6
    intercepted: bool = False
    bell: bool = False
    """Bob has the settings of E91 as well."""
    z_share: float = 0.5
    """How often each side measures in Z."""
    seed: int = 7

    def blocks(self, span_ps: int = 50_000_000_000) -> tuple[list[TagBlock], list[TagBlock]]:
        """Return Alice's and Bob's tags in blocks of one length."""
        random = np.random.default_rng(self.seed)
        count = random.poisson(self.pairs_hz * self.seconds)
        times = np.sort(random.uniform(0, self.seconds * PS, count))
        bases = random.integers(0, ((2,), (4 if self.bell else 2,)), (2, count))
        if self.z_share != 0.5:
            bases = (random.random((2, count)) >= self.z_share).astype(np.int64)
        first = random.integers(0, 2, count)
        angles = np.deg2rad([0.0, 45.0, 22.5, 67.5])[bases]
        correlation = self.visibility * np.cos(2 * (angles[0] - angles[1]))
        if self.intercepted:
            between = np.deg2rad([0.0, 45.0])[random.integers(0, 2, count)]
            correlation = self.visibility * np.prod(np.cos(2 * (angles - between)), axis=0)
        second = first ^ (random.random(count) > (1 + correlation) / 2)
        streams = []
        for side, outcomes in enumerate((first, second)):
            seen = random.random(count) < self.efficiency
            clicks = times[seen] + random.normal(0, self.jitter_ps, int(seen.sum()))
            channels = 1 + 2 * bases[side][seen] + outcomes[seen]
            darks = random.poisson(4 * self.dark_hz * self.seconds)
            clicks = np.concatenate((clicks, random.uniform(0, self.seconds * PS, darks)))
            n_detectors = 8 if self.bell and side else 4
            channels = np.concatenate((channels, random.integers(1, n_detectors + 1, darks)))
            if side:
                clicks = clicks * (1 + self.drift)
            ticks = np.rint(clicks).astype(np.int64) + side * self.offset_ps
            order = np.argsort(ticks)
            start = side * self.offset_ps
            streams.append(
                _cut(ticks[order], channels[order].astype(np.uint8), start, self.seconds, span_ps)
            )
        return streams[0], streams[1]


def _cut(
    times: NDArray[np.int64], channels: NDArray[np.uint8], start: int, seconds: float, span: int
) -> list[TagBlock]:
    blocks = []
    for begin in range(start, start + int(seconds * PS) - span + 1, span):
        part = slice(*np.searchsorted(times, (begin, begin + span)))
        blocks.append(TagBlock(times[part], channels[part], begin, begin + span))
    return blocks


Tamper = Callable[[Role, bytes], Sequence[bytes]]


@dataclass
class Pair:
    """Both ends of a link, joined by two queues."""

    parameters: SessionParameters
    theirs: SessionParameters | None = None
    resumption: dict[Role, Resumption] = field(default_factory=dict)
    authenticators: dict[Role, Authenticator] = field(default_factory=authenticators)
    stations: dict[Role, StationInputs] = field(default_factory=dict)
    transmit: Callable[[Transmit], None] = lambda _: None
    seed: int = 1
    should_stop: Callable[[], bool] = lambda: False
    round_trip_s: Callable[[], float | None] = lambda: None
    hands: dict[Role, Hands] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outputs: dict[Role, list[Output]] = {role: [] for role in Role}
        self.said: list[tuple[Role, bytes]] = []
        self.tamper: Tamper = lambda role, message: [message]
        self._queue: deque[tuple[Role, bytes]] = deque()
        self.sessions = {
            role: Session(
                role,
                self.parameters if role is Role.ALICE else self.theirs or self.parameters,
                self.authenticators[role],
                SeededRandomness(self.seed + index),
                station=self.stations.get(role, self._inputs(role)),
                resumption=self.resumption.get(role),
                should_stop=self.should_stop,
                round_trip_s=self.round_trip_s,
                hands=self.hands.get(role),
            )
            for index, role in enumerate(Role)
        }

    def _inputs(self, role: Role) -> StationInputs:
        is_bell = self.parameters.protocol is Protocol.E91 and role is Role.BOB
        return StationInputs(channels=tuple(range(1, 9 if is_bell else 5)))

    def start(self) -> Pair:
        for role in Role:
            self._act(role, self.sessions[role].start())
        self.deliver()
        return self

    def feed(self, alice: Sequence[TagBlock], bob: Sequence[TagBlock]) -> Pair:
        """Give both ends their tags block by block, delivering all messages in between."""
        for ours, theirs in zip(alice, bob, strict=True):
            self._act(Role.ALICE, self.sessions[Role.ALICE].detections(ours))
            self._act(Role.BOB, self.sessions[Role.BOB].detections(theirs))
            self.deliver()
        return self

    def feed_bob(self, block: TagBlock) -> None:
        """Give Bob his next tags, where Alice has none, and deliver all messages."""
        self._act(Role.BOB, self.sessions[Role.BOB].detections(block))
        self.deliver()

    def deliver(self) -> None:
        while self._queue:
            role, message = self._queue.popleft()
            self._act(role, self.sessions[role].receive(message))

    def close(self) -> None:
        self._act(Role.ALICE, self.sessions[Role.ALICE].close("the test is over"))
        self.deliver()

    def of(self, role: Role, kind: type | tuple[type, ...]) -> list[Any]:
        return [output for output in self.outputs[role] if isinstance(output, kind)]

    def keys(self, role: Role) -> dict[int, bytes]:
        """Keys that were released at one end."""
        return {output.block: output.key.reveal() for output in self.of(role, KeyReady)}

    def metrics(self, role: Role) -> Metrics:
        return self.of(role, Progress)[-1].metrics

    def reasons(self, role: Role) -> list[str]:
        """Why blocks or the session ended."""
        return [output.reason for output in self.of(role, (Aborted, Ended, KeyDropped))]

    def _act(self, role: Role, outputs: list[Output]) -> None:
        self.outputs[role] += outputs
        for output in outputs:
            if isinstance(output, Transmit):
                self.transmit(output)
            if isinstance(output, Send):
                for message in self.tamper(role, output.message):
                    self.said.append((role, message))
                    self._queue.append((role.peer, message))


@pytest.fixture(scope="session")
def bench() -> ModuleType:
    """This module: the source, the pair of sessions and what they are made of."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def small() -> SessionParameters:
    """Settings that make short blocks from `Source`."""
    return SessionParameters(
        link="test",
        coincidence_window_ps=2000,
        clock_offset_limit_s=0.1,
        clock_drift_limit_ppm=10.0,
        block_sifted_bits=14_000,
        test_fraction=0.25,
    )
