"""Swabian's package as its documentation describes it, on tags that are made up.

Every look at a stream lets `STEP_PS` of the tagger's time pass, so nothing depends on a machine's
speed. `script` puts other events than tags into it, as `(time_ps, type, missed)`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEP_PS = 25_000_000_000
POWER_UP_PS = 7_000_000_000_123
LEVEL_STEP_V = 0.01


@dataclass
class Buffer:
    tStart: int
    tGetData: int
    times: NDArray[np.int64]
    channels: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    missed: NDArray[np.uint16]
    hasOverflows: bool = False

    def getTimestamps(self) -> NDArray[np.int64]:
        return self.times

    def getChannels(self) -> NDArray[np.int32]:
        return self.channels

    def getEventTypes(self) -> NDArray[np.uint8]:
        return self.kinds

    def getMissedEvents(self) -> NDArray[np.uint16]:
        return self.missed


@dataclass
class Plug:
    """What may go wrong with a tagger and its package."""

    is_in: bool = True
    is_stubborn: bool = False
    slow_s: float = 0.0
    overflows: int = 0
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    def wait(self) -> None:
        self.answers.wait()
        threading.Event().wait(self.slow_s)


@dataclass
class FakeTagger:
    serial: str
    rate_cps: float
    script: list[tuple[int, int, int]]
    plug: Plug
    is_lost: bool = False
    is_free: bool = False
    overflows: int = 0
    _levels: dict[int, float] = field(default_factory=dict)
    _delays: dict[int, int] = field(default_factory=dict)
    _dead: dict[int, int] = field(default_factory=dict)
    _tests: dict[int, bool] = field(default_factory=dict)

    def answer(self) -> None:
        self.plug.wait()
        self.is_lost |= not self.plug.is_in
        if self.is_lost or self.is_free:
            raise RuntimeError("the USB device was removed")

    def getSerial(self) -> str:
        return self.serial

    def getModel(self) -> str:
        return "Time Tagger 20"

    def setTriggerLevel(self, channel: int, voltage: float) -> None:
        self.answer()
        if not self.plug.is_stubborn:
            self._levels[channel] = round(voltage / LEVEL_STEP_V) * LEVEL_STEP_V

    def getTriggerLevel(self, channel: int) -> float:
        self.answer()
        return self._levels.get(channel, 0.5)

    def setInputDelay(self, channel: int, delay: int) -> None:
        self.answer()
        self._delays[channel] = delay

    def getInputDelay(self, channel: int) -> int:
        self.answer()
        return self._delays.get(channel, 0)

    def setDeadtime(self, channel: int, deadtime: int) -> int:
        self.answer()
        self._dead[channel] = max(deadtime, 6000)
        return self._dead[channel]

    def getDeadtime(self, channel: int) -> int:
        self.answer()
        return self._dead.get(channel, 6000)

    def setTestSignal(self, channel: int, enabled: bool) -> None:
        self.answer()
        self._tests[channel] = enabled

    def getTestSignal(self, channel: int) -> bool:
        self.answer()
        return self._tests.get(channel, False)

    def getOverflowsAndClear(self) -> int:
        counted, self.overflows = self.overflows + self.plug.overflows, 0
        self.plug.overflows = 0
        return counted


class FakeStream:
    def __init__(self, tagger: FakeTagger, channels: Sequence[int]) -> None:
        self._tagger = tagger
        self._channels = np.array(channels, np.int32)
        self._now_ps = POWER_UP_PS
        self._random = np.random.default_rng(5)
        self.is_stopped = False

    def getData(self) -> Buffer:
        self._tagger.answer()
        from_ps, self._now_ps = self._now_ps, self._now_ps + STEP_PS
        n_tags = self._random.poisson(self._tagger.rate_cps * len(self._channels) * STEP_PS / 1e12)
        times = self._random.integers(from_ps, self._now_ps, n_tags)
        channels = self._random.choice(self._channels, n_tags)
        script = [entry for entry in self._tagger.script if from_ps <= entry[0] < self._now_ps]
        others = np.array(script, np.int64).reshape(-1, 3)
        times = np.concatenate([times, others[:, 0]])
        order = np.argsort(times, kind="stable")
        kinds = np.concatenate([np.zeros(n_tags), others[:, 1]]).astype(np.uint8)
        missed = np.concatenate([np.zeros(n_tags), others[:, 2]]).astype(np.uint16)
        channels = np.concatenate([channels, np.ones(len(script), np.int32)])
        return Buffer(
            POWER_UP_PS,
            self._now_ps,
            times[order],
            channels[order].astype(np.int32),
            kinds[order],
            missed[order],
        )

    def stop(self) -> None:
        self.is_stopped = True


class FakeRates:
    def __init__(self, tagger: FakeTagger, channels: Sequence[int]) -> None:
        self._tagger = tagger
        self._rates = np.full(len(channels), tagger.rate_cps)

    def getData(self) -> NDArray[np.float64]:
        self._tagger.answer()
        return self._rates

    def stop(self) -> None:
        return


@dataclass
class FakePackage:
    """One tagger that is plugged in."""

    rate_cps: float = 10_000.0
    script: list[tuple[int, int, int]] = field(default_factory=list)
    serial: str = "1740000ABC"
    places: list[str] = field(default_factory=list)
    taggers: list[FakeTagger] = field(default_factory=list)
    plug: Plug = field(default_factory=Plug)

    def scanTimeTagger(self) -> tuple[str, ...]:
        return (self.serial,) if self.plug.is_in else ()

    def createTimeTagger(self, serial: str = "") -> FakeTagger:
        if serial not in {"", self.serial}:
            raise RuntimeError(f"no Time Tagger with the serial {serial}")
        return self._made(serial)

    def createTimeTaggerNetwork(self, address: str) -> FakeTagger:
        return self._made(address)

    def freeTimeTagger(self, tagger: FakeTagger) -> None:
        tagger.is_free = True

    def Countrate(self, tagger: FakeTagger, channels: Sequence[int]) -> FakeRates:
        return FakeRates(tagger, channels)

    def TimeTagStream(
        self, tagger: FakeTagger, n_max_events: int, channels: Sequence[int]
    ) -> FakeStream:
        return FakeStream(tagger, channels)

    def _made(self, place: str) -> FakeTagger:
        self.plug.wait()
        if not self.plug.is_in:
            raise RuntimeError("no Time Tagger is plugged in")
        self.places.append(place)
        self.taggers.append(FakeTagger(self.serial, self.rate_cps, self.script, self.plug))
        return self.taggers[-1]
