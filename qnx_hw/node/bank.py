"""The instruments of one node: kept connected, read once a second, tags pumped to their feeds."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar, TypeVarTuple, cast

from qnx_hw.api.commands import Setting
from qnx_hw.api.instrument import InstrumentSettings, revision_of
from qnx_hw.api.schema import InstrumentView, Level, Reading
from qnx_hw.api.teller import Teller
from qnx_hw.config import InstrumentSection, NetworkFile
from qnx_hw.errors import (
    ConfigError,
    Conflict,
    InstrumentError,
    InstrumentTimeout,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import (
    Instrument,
    TimeTagger,
    Transmitter,
)
from qnx_hw.instruments.registry import make
from qnx_hw.instruments.supervisor import SupervisedStream, Supervisor
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.instruments.values import Family, InstrumentState, PulseScore
from qnx_hw.node.readings import counts, readings
from qnx_hw.node.tags import TagFeed
from qnx_hw.node.worker import Worker
from qnx_hw.qkd.pulses import Score

log = logging.getLogger(__name__)

Result = TypeVar("Result")
_Given = TypeVarTuple("_Given")

READ_INTERVAL_S = 1.0
CLOSE_DEADLINE_S = 0.8
PLAY_DEADLINE_S = 5.0
"""How long a session waits for its transmitter to be connected."""
BLOCK_S = 0.1
SETTINGS_DEADLINE_S = 10.0
"""Slow instruments take seconds to settle; one that takes longer is told of."""
CONNECTION = "connection"
GOOD = frozenset({InstrumentState.READY, InstrumentState.BUSY, InstrumentState.STREAMING})


class Bank:
    """Owns a node's instruments while `run` runs."""

    def __init__(
        self, network: NetworkFile, node: str, feeds: Mapping[str, TagFeed], tell: Teller
    ) -> None:
        self._node = node
        self._tell = tell
        self._mounted = {
            name: Mounted(node, name, section, network.is_simulated(section.url), feeds.get(name))
            for name, section in network.nodes[node].instruments.items()
        }

    def views(self) -> tuple[InstrumentView, ...]:
        """Return how the instruments are, without asking them."""
        return tuple(mounted.view() for mounted in self._mounted.values())

    def mounted(self, name: str) -> Mounted:
        """Return one instrument; `KeyError` where there is none of this name."""
        return self._mounted[name]

    def score(self, transmitter: str) -> Score | None:
        """Leave it to the session to draw what its pulses are chosen by."""
        return None

    async def play(self, transmitter: str, score: PulseScore) -> None:
        """Have a transmitter play; `InstrumentError` where it cannot."""
        await self._mounted[transmitter].play(score)

    async def run(self) -> None:
        """Keep the instruments until cancelled, then bring them to their safe state."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for mounted in self._mounted.values():
                    mounted.start()
                    tasks.create_task(self._watch(mounted))
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S), asyncio.TaskGroup() as tasks:
                for name, mounted in self._mounted.items():
                    tasks.create_task(Worker(f"close {name}").call(mounted.close))
        except TimeoutError:
            log.warning("not all instruments of %s became safe in time", self._node)

    async def _watch(self, mounted: Mounted) -> None:
        """Tell when an instrument goes and comes, and read it once a second."""
        was_good: bool | None = None
        source = f"{self._node} {mounted.name}"
        while True:
            view = mounted.view()
            is_good = view.state in GOOD
            if is_good and was_good is not True:
                level = Level.OK if was_good is False else Level.INFO
                self._tell(level, source, "connected", CONNECTION)
            elif was_good and not is_good:
                self._tell(Level.ALARM, source, f"lost: {view.error}", CONNECTION)
            was_good = is_good or (was_good and False)
            if is_good:
                await mounted.read()
            await asyncio.sleep(READ_INTERVAL_S)


class Mounted:
    """One instrument in its place."""

    def __init__(
        self,
        node: str,
        name: str,
        section: InstrumentSection,
        is_simulated: bool,
        feed: TagFeed | None,
    ) -> None:
        self.name = name
        self._node = node
        self._section = section
        self._is_simulated = is_simulated
        self._feed = feed
        self._instrument = make(section.driver, section.url, f"{node}-{name}")
        if feed is not None and self._instrument.family is not Family.TIME_TAGGER:
            raise ConfigError(
                f"node '{node}': '{name}' with driver '{section.driver}' tags nothing"
            )
        self._supervisor = Supervisor(
            self._instrument, name=f"{node}-{name}", settings=section.settings
        )
        self._worker = Worker(f"read {node}-{name}")
        self._pump: Pump | None = None
        self._readings: tuple[Reading, ...] = ()
        self._read_s: float | None = None

    def start(self) -> None:
        """Begin to connect, and to pump tags where somebody wants them."""
        self._supervisor.start()
        if self._feed is not None:
            # The family was checked when it was mounted; protocols do not narrow.
            tagger = cast("Supervisor[TimeTagger]", self._supervisor)
            stream = SupervisedStream(tagger, block_s=BLOCK_S)
            self._pump = Pump(self.name, stream, self._feed, asyncio.get_running_loop())

    def close(self) -> None:
        """Stop pumping and let go of the instrument; blocks until it is safe."""
        if self._pump is not None:
            self._pump.close()
        self._worker.close()
        self._supervisor.close()

    async def read(self) -> None:
        """Ask the instrument for its live numbers."""
        try:
            if self._feed is not None:
                self._readings = counts(self._feed.rates_cps())
            else:
                self._readings = await self._worker.call(self._supervisor.call, readings)
        except InstrumentError as error:
            log.debug("%s-%s: %s", self._node, self.name, error)
            return
        self._read_s = time.monotonic()

    async def play(self, score: PulseScore) -> None:
        """Have a transmitter play; `InstrumentError` where it cannot."""

        def start(instrument: Instrument) -> None:
            if instrument.family is not Family.TRANSMITTER:
                raise Unsupported(f"'{self.name}' of node '{self._node}' transmits nothing")
            # The family says which interface the instrument has; protocols do not narrow.
            cast("Transmitter", instrument).play(score)

        await asyncio.to_thread(self._supervisor.call, start, timeout_s=PLAY_DEADLINE_S)

    def ask(self, function: Callable[[Instrument], Result], *, timeout_s: float = 0.0) -> Result:
        """Run `function` with the instrument, waiting for it up to `timeout_s`; blocks."""
        return self._supervisor.call(function, timeout_s=timeout_s)

    async def settings(self) -> InstrumentSettings:
        """Ask the instrument what it holds."""
        return self._held(await self._ask(lambda: self._supervisor.call(_settings)))

    async def configure(self, settings: Mapping[str, Setting], revision: str) -> InstrumentSettings:
        """Apply settings that were made from `revision`, all or none; return what is held then."""

        def change() -> Mapping[str, Setting]:
            held = self._supervisor.call(_settings)
            if revision_of(dict(held)) != revision:
                raise Conflict(
                    f"somebody changed the settings of '{self.name}' meanwhile; "
                    "look at them and try again"
                )
            unknown = sorted(set(settings) - set(held))
            if unknown:
                raise RangeError(f"'{self.name}' has no setting {', '.join(unknown)}")
            self._supervisor.configure(settings)
            return self._supervisor.call(_settings)

        return self._held(await self._ask(change))

    async def halt(self) -> None:
        """Halt motion, stream or ramp now, ahead of anything queued."""
        try:
            async with asyncio.timeout(SETTINGS_DEADLINE_S):
                await asyncio.to_thread(self._supervisor.instrument.stop)
        except TimeoutError as error:
            raise InstrumentTimeout(f"'{self.name}' did not stop in time") from error

    async def _ask(self, function: Callable[[], Mapping[str, Setting]]) -> Mapping[str, Setting]:
        try:
            async with asyncio.timeout(SETTINGS_DEADLINE_S):
                return await self._worker.call(function)
        except TimeoutError as error:
            raise InstrumentTimeout(
                f"'{self.name}' did not answer within {SETTINGS_DEADLINE_S:g} s"
            ) from error

    def _held(self, settings: Mapping[str, Setting]) -> InstrumentSettings:
        held = dict(settings)
        return InstrumentSettings(
            node=self._node,
            name=self.name,
            revision=revision_of(held),
            settings=held,
            time_s=time.time(),
        )

    def view(self) -> InstrumentView:
        """Return how the instrument is."""
        health = self._supervisor.health()
        identity = health.identity
        age_s = None if self._read_s is None else float(round(time.monotonic() - self._read_s))
        return InstrumentView(
            name=self.name,
            node=self._node,
            family=health.family.value,
            driver=self._section.driver,
            model=identity.model if identity else "",
            serial=identity.serial if identity else "",
            state=health.state.value,
            error=health.error,
            is_simulated=self._is_simulated,
            readings=self._readings,
            age_s=age_s,
        )


class Pump:
    """A thread that reads a tagger's stream and hands each block to the event loop."""

    def __init__(
        self, name: str, stream: SupervisedStream, feed: TagFeed, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._stream = stream
        self._feed = feed
        self._loop = loop
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tags {name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the tagger's stream and wait for the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            pause_s = 0.0
            try:
                block = self._stream.read(timeout_s=0.5)
            except InstrumentTimeout:
                self._hand(self._feed.fall_silent)
            except InstrumentError as error:
                # The supervisor sees a lost wire by itself; this is about what it cannot see.
                self._hand(self._feed.interrupt, f"the time tagger failed: {error}")
                pause_s = 0.5
            else:
                self._deliver(block)
        try:
            self._stream.close()
        except InstrumentError as error:
            log.debug("the stream did not stop: %s", error)

    def _deliver(self, block: TagBlock) -> None:
        if block.lost == UNKNOWN_LOSS and len(block) == 0:
            self._hand(self._feed.interrupt, "the time tagger was away")
        else:
            self._hand(self._feed.deliver, block)

    def _hand(self, function: Callable[[*_Given], object], *arguments: *_Given) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


def _settings(instrument: Instrument) -> Mapping[str, Setting]:
    return instrument.settings()
