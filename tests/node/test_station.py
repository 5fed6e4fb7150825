"""Two stations that share nothing but a socket make the same key from correlated clicks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from qnx_hw.api.schema import Level, LinkPhase
from qnx_hw.config import ChannelMap, LinkSection, SecuritySection, StationSection
from qnx_hw.config.loops import WindowSection
from qnx_hw.errors import QnxError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.keys import KEYS, KeyStore, Purpose, initial
from qnx_hw.keys.ledger import address_of
from qnx_hw.node.cores import Cores
from qnx_hw.node.door import DialedWay, Doorman, OpenedWay
from qnx_hw.node.keeping import Keeper
from qnx_hw.node.peer_link import Greeting, listening
from qnx_hw.node.station import Place, Station
from qnx_hw.node.tags import TagFeed
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.secret import Secret

LINK = "alice-bob"
INPUTS = ChannelMap(H=1, V=2, D=3, A=4)
SECTION = LinkSection(
    alice=StationSection(node="alice", tagger="tagger", channels=INPUTS),
    bob=StationSection(node="bob", tagger="tagger", channels=INPUTS),
    clock_offset_limit_s=2.0,
    clock_drift_limit_ppm=10.0,
    block_sifted_bits=20_000,
    security=SecuritySection(),
)
PAIRS_PER_S = 20_000
MAX_WAITING_TAGS = 500_000
SPAN_PS = 100_000_000_000
BOB_LATE_PS = 3_000_000_000_000_000  # his tagger was started most of an hour before hers


def clicks(seed: int) -> Iterator[tuple[TagBlock, TagBlock]]:
    """Yield the same pairs as Alice and as Bob see them, 0.1 s at a time, 1 % of them wrong."""
    rng = np.random.default_rng(seed)
    for index in range(100_000):
        count = rng.poisson(PAIRS_PER_S * SPAN_PS / 1e12)
        start = index * SPAN_PS
        times = np.sort(rng.integers(start + 1000, start + SPAN_PS - 1000, count))
        bases = rng.integers(0, 2, (2, count))
        alice = rng.integers(0, 2, count)
        wrong = (rng.random(count) < 0.01).astype(np.int64)
        bob = np.where(bases[0] == bases[1], alice ^ wrong, rng.integers(0, 2, count))
        late = np.sort(times + rng.integers(-100, 100, count)) + BOB_LATE_PS
        yield (
            TagBlock(times, (1 + 2 * bases[0] + alice).astype(np.uint8), start, start + SPAN_PS),
            TagBlock(
                late,
                (1 + 2 * bases[1] + bob).astype(np.uint8),
                start + BOB_LATE_PS,
                start + BOB_LATE_PS + SPAN_PS,
            ),
        )


class Pair:
    """Two stations, their stores and their feeds."""

    def __init__(
        self, folder: Path, hands: Hands | None = None, section: LinkSection = SECTION
    ) -> None:
        self._hands = hands
        self._section = section
        folders = {role: folder / role.value for role in Role}
        initial.prepare(LINK, (folders[Role.ALICE], folders[Role.BOB]))
        self.stores = {role: KeyStore(folders[role]) for role in Role}
        for role, store in self.stores.items():
            initial.adopt(store, folders[role], LINK)
        self.feeds = {role: TagFeed((1, 2, 3, 4)) for role in Role}
        self.told: list[tuple[Level, str]] = []
        self.stations: dict[Role, Station] = {}
        self._light = clicks(7)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        greetings = {
            role: Greeting(link=LINK, node=role.value, secret_identity="0") for role in Role
        }
        opened = OpenedWay(greetings[Role.BOB])
        async with listening("127.0.0.1:0") as listener, asyncio.TaskGroup() as tasks:
            ways = {
                Role.ALICE: DialedWay(listener.address, greetings[Role.ALICE]),
                Role.BOB: opened,
            }
            running = [tasks.create_task(Doorman("bob", {LINK: opened}).serve(listener))]
            for role in Role:
                section = self._section
                keeper = Keeper(
                    self.stores[role], LINK, section, role, is_simulated=True, hands=self._hands
                )
                station = self.stations[role] = Station(
                    Place(LINK, role, section), ways[role], self.feeds[role], keeper, self._tell
                )
                running.append(tasks.create_task(station.run()))
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def shine_until(self, is_enough: Callable[[], bool]) -> None:
        """Let light fall on both stations, several times faster than in a laboratory."""
        async with asyncio.timeout(600):
            while not is_enough():
                if all(feed.waiting_tags < MAX_WAITING_TAGS for feed in self.feeds.values()):
                    for role, block in zip(Role, next(self._light), strict=True):
                        self.feeds[role].deliver(block)
                await asyncio.sleep(0.02)

    def blocks(self, role: Role) -> int:
        return self.stations[role].report().metrics.blocks_done

    def both(self, blocks: int) -> Callable[[], bool]:
        return lambda: all(self.blocks(role) >= blocks for role in Role)

    def phases(self) -> set[LinkPhase]:
        return {station.report().phase for station in self.stations.values()}

    def close(self) -> None:
        for store in self.stores.values():
            store.close()

    def _tell(self, level: Level, source: str, message: str, about: str = "", /) -> None:
        self.told.append((level, message))


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def assert_same_key(pair: Pair, *, at_least: int) -> None:
    salt = Secret(b"test")
    alice, bob = (pair.stores[role].digests(LINK, salt) for role in Role)
    common = alice.keys() & bob.keys()
    assert len(common) >= at_least
    assert all(alice[block] == bob[block] for block in common)


@pytest.mark.slow
def test_both_ends_store_the_same_key(pair: Pair) -> None:
    async def scenario() -> None:
        async with pair.running():
            await pair.shine_until(pair.both(2))
        for station in pair.stations.values():
            assert station.report().metrics.qber.value == pytest.approx(0.01, abs=0.01)
            assert station.report().pool_bits > 0

    asyncio.run(scenario())

    assert_same_key(pair, at_least=2)
    assert not [message for level, message in pair.told if level is Level.ALARM]


@pytest.mark.slow
def test_two_links_share_one_spare_core_and_both_make_keys(tmp_path: Path) -> None:
    cores = Cores(1)
    pairs = [Pair(tmp_path / name, cores) for name in ("one", "two")]

    async def scenario() -> None:
        async with pairs[0].running(), pairs[1].running(), asyncio.TaskGroup() as tasks:
            for pair in pairs:
                tasks.create_task(pair.shine_until(pair.both(1)))

    asyncio.run(scenario())
    cores.close()

    for pair in pairs:
        assert_same_key(pair, at_least=1)
        pair.close()


@pytest.mark.slow
def test_a_stopped_link_rests_and_starts_again(pair: Pair) -> None:
    async def scenario() -> None:
        async with pair.running():
            await pair.shine_until(pair.both(1))
            pair.stations[Role.ALICE].set_wanted(False)
            await pair.shine_until(pair.stations[Role.ALICE].at_rest.is_set)
            assert LinkPhase.STOPPED in pair.phases()
            before = pair.blocks(Role.ALICE)
            pair.stations[Role.ALICE].set_wanted(True)
            await pair.shine_until(pair.both(before + 1))

    asyncio.run(scenario())

    assert_same_key(pair, at_least=2)


@pytest.mark.slow
def test_bob_follows_the_window_of_alice_where_nobody_hosts_both(tmp_path: Path) -> None:
    limits = WindowSection(low_ps=500.0, high_ps=5000.0)
    pair = Pair(tmp_path, section=msgspec.structs.replace(SECTION, window=limits))

    async def scenario() -> None:
        async with pair.running():
            await pair.shine_until(pair.both(1))
            alice, bob = (pair.stations[role] for role in Role)
            with pytest.raises(QnxError, match="takes windows from 500 to 5000 ps, not 6000 ps"):
                alice.check_window(6000)
            with pytest.raises(QnxError, match="ask her node"):
                bob.check_window(1000)
            alice.check_window(1000)
            await alice.adopt(msgspec.structs.replace(alice.section, coincidence_window_ps=1000))
            done = max(pair.blocks(role) for role in Role)
            await pair.shine_until(pair.both(done + 2))
            assert {each.section.coincidence_window_ps for each in (alice, bob)} == {1000}

    asyncio.run(scenario())

    assert (Level.INFO, "the window is 1000 ps now, as the other end wants it") in pair.told
    assert_same_key(pair, at_least=3)
    pair.close()


@pytest.mark.slow
def test_a_lost_tagger_ends_the_session_and_a_new_one_begins(pair: Pair) -> None:
    async def scenario() -> None:
        async with pair.running():
            await pair.shine_until(pair.both(1))
            before = pair.blocks(Role.ALICE)
            pair.feeds[Role.BOB].interrupt("the time tagger was away")
            await pair.shine_until(pair.both(before + 1))

    asyncio.run(scenario())

    assert_same_key(pair, at_least=2)
    assert "the time tagger was away" in {message for _, message in pair.told}


@pytest.mark.slow
def test_a_trouble_that_lasts_is_told_once_until_a_block_was_made(pair: Pair) -> None:
    trouble = (Level.WARNING, "the time tagger was away")

    async def fail() -> None:
        at_rest, feed = pair.stations[Role.BOB].at_rest, pair.feeds[Role.BOB]
        await pair.shine_until(lambda: not at_rest.is_set())

        def ends() -> bool:
            feed.interrupt(trouble[1])  # nobody listens in a session's first moment
            return at_rest.is_set()

        await pair.shine_until(ends)

    async def scenario() -> None:
        async with pair.running():
            for _ in range(3):
                await fail()
            assert pair.told.count(trouble) == 1
            await pair.shine_until(pair.both(1))
            await fail()
            assert pair.told.count(trouble) == 2

    asyncio.run(scenario())


def test_a_link_without_authentication_key_stops_and_says_so(pair: Pair) -> None:
    for store in pair.stores.values():
        store.advance(LINK, Purpose.TAG_FROM_ALICE, address_of(0, initial.PADS_BYTES - 48))

    async def scenario() -> None:
        async with pair.running():
            await pair.shine_until(lambda: LinkPhase.FAULT in pair.phases())

    asyncio.run(scenario())

    assert any(
        level is Level.ALARM and "used up its authentication key" in message
        for level, message in pair.told
    )
    assert all(store.stock_bits(LINK, *KEYS) == 0 for store in pair.stores.values())
