"""The bench: what the emulated instruments of all stations have before them.

Time advances in chunks of 10 ms. Within a chunk nothing moves; every chunk of every source and
station has its own random numbers, made from the bench's seed, the name and the chunk's number, so
the same file gives the same clicks, however often and by whom they are fetched, and whichever
threads draw them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sim_devices.physics.beam import Beam
from sim_devices.physics.clicks import Arrivals, Bunching, Place, Room, draw
from sim_devices.physics.description import Laboratory, Source, StationSetup, read
from sim_devices.physics.detection import Response
from sim_devices.physics.expected import Expected, expect
from sim_devices.physics.hands import Hands
from sim_devices.physics.polarization import Real, click_probabilities
from sim_devices.physics.random_words import stream_number
from sim_devices.physics.station import BenchStation, Passage, StationView
from sim_devices.physics.transmitter import BenchTransmitter

CHUNK_PS = 10_000_000_000
BUSY_EVENTS = 20_000
"""A few hundred microseconds of work: with less, waking a thread costs more than it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class _Process:
    """Pairs that reach two stations (or twice the same), all of one Poisson process."""

    stations: tuple[str, str]
    rate_hz: float
    pair: Real
    bunching: Bunching
    stream: int
    pump: Beam


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """All that one chunk is drawn from."""

    chunk: int
    span: tuple[int, int]
    passages: dict[str, Passage]
    rates: list[Real]
    """Of each process."""
    noise: dict[str, Real]
    """Of the stations that no process brings their dark counts."""

    @property
    def events(self) -> float:
        """About how many events there will be."""
        return sum(float(rates.sum() - rates[-1, -1]) for rates in self.rates) * CHUNK_PS * 1e-12


class Bench:
    """All stations and sources, for one caller at a time. Starts at true time 0."""

    def __init__(self, laboratory: Laboratory, threads: int | None = None) -> None:
        """`threads` draw busy chunks; without a number, one for each core."""
        self._hands = Hands(threads)
        self._laboratory = laboratory
        self._chunk = 0
        self._stations = {
            name: self._make_station(setup) for name, setup in laboratory.stations.items()
        }
        if laboratory.eavesdropper:
            victim = self._stations[laboratory.eavesdropper.station]
            victim.eavesdropper = laboratory.eavesdropper
        self._guard_s = max((each.guard_s for each in self._stations.values()), default=0.0)
        self._pumps = {source.name: Beam(source.pump_db) for source in laboratory.sources}
        self._processes = [
            process
            for source in laboratory.sources
            for process in _processes(source, self._pumps[source.name])
        ]
        self._transmitters = {
            setup.name: BenchTransmitter(
                setup, laboratory.seed, stream_number(f"transmitter {setup.name}"), self.advance
            )
            for setup in laboratory.transmitters
        }
        self._streams = {name: stream_number(f"detectors {name}") for name in self._stations}
        self._rooms = [[Room() for _ in self._processes] for _ in range(self._hands.threads)]

    @classmethod
    def from_network(cls, raw: Mapping[str, object], threads: int | None = None) -> Bench:
        """Build the bench of a whole parsed network file.

        Raise ValueError that names the place of a wrong or unknown value.
        """
        return cls(read(raw), threads)

    @property
    def stations(self) -> tuple[str, ...]:
        """The names of all stations."""
        return tuple(self._stations)

    @property
    def links(self) -> tuple[str, ...]:
        """The names of the links that join two stations, or a transmitter and a station."""
        return (*self._laboratory.links, *self._laboratory.pulsed)

    @property
    def now_s(self) -> float:
        """Up to where clicks are drawn."""
        return self._chunk * CHUNK_PS * 1e-12

    def station(self, name: str) -> BenchStation:
        """Return a station; KeyError if there is none of that name."""
        return self._stations[name]

    def transmitter(self, name: str) -> BenchTransmitter:
        """Return a transmitter; KeyError if there is none of that name."""
        return self._transmitters[name]

    def beam(self, name: str) -> Beam:
        """Return the pump of a source, or the pulses of a transmitter; KeyError for neither."""
        if name in self._pumps:
            return self._pumps[name]
        return self._transmitters[name].beam

    def advance(self, until_s: float) -> None:
        """Draw whole chunks until everything before `until_s` is there."""
        n_chunks = math.ceil((until_s + self._guard_s) * 1e12 / CHUNK_PS)
        while self._chunk < n_chunks:
            count = min(n_chunks - self._chunk, self._hands.threads)
            self._draw([self._plan() for _ in range(count)])

    def expected(self, link: str) -> Expected:
        """Return what a link shows at the start with all settings at their defaults."""
        return expect(self._laboratory, link)

    def _make_station(self, setup: StationSetup) -> BenchStation:
        seed, name = self._laboratory.seed, setup.name
        streams = (
            np.random.default_rng([seed, stream_number(f"fibre {name}")]),
            np.random.default_rng([seed, stream_number(f"clock {name}")]),
        )
        return BenchStation(setup, response_of(self._laboratory, setup), streams, self.advance)

    def _plan(self) -> _Plan:
        """Settle what a chunk depends on; fibres and clocks move on to the next."""
        span = (self._chunk * CHUNK_PS, CHUNK_PS)
        passages = {name: each.begin(span) for name, each in self._stations.items()}
        noise = {name: each.noise_cps for name, each in passages.items()}
        rates = []
        for process in self._processes:
            here, there = process.stations
            rate_hz = process.rate_hz * process.pump.factor
            together = rate_hz * click_probabilities(
                process.pair, passages[here].effects, passages[there].effects
            )
            if not process.bunching.period_ps:
                # Darks join the first process that reaches a station; that costs nothing.
                together[:-1, -1] += noise.pop(here, 0.0)
                together[-1, :-1] += noise.pop(there, 0.0)
            rates.append(together)
        plan = _Plan(self._chunk, span, passages, rates, noise)
        self._chunk += 1
        return plan

    def _draw(self, plans: list[_Plan]) -> None:
        is_busy = sum(plan.events for plan in plans) > BUSY_EVENTS
        drawings = [
            partial(self._arrivals, plan, rooms)
            for plan, rooms in zip(plans, self._rooms, strict=False)
        ]
        arrivals = self._hands.run(drawings, together=is_busy)
        registers = [partial(self._register, name, plans, arrivals) for name in self._stations]
        self._hands.run(registers, together=is_busy)

    def _arrivals(self, plan: _Plan, rooms: list[Room]) -> dict[str, list[Arrivals]]:
        arrivals: dict[str, list[Arrivals]] = {name: [] for name in self._stations}
        for process, rates, room in zip(self._processes, plan.rates, rooms, strict=True):
            place = Place(self._laboratory.seed, process.stream, plan.chunk)
            both = draw(rates, plan.span, place, process.bunching, room)
            for name, seen in zip(process.stations, both, strict=True):
                arrivals[name].append(seen)
        for transmitter in self._transmitters.values():
            arm = transmitter.setup.arm
            effects = plan.passages[arm].effects
            arrivals[arm].append(transmitter.arrivals(effects, plan.span, plan.chunk))
        for name, cps in plan.noise.items():
            arrivals[name].append(self._dark(name, cps, plan))
        return arrivals

    def _dark(self, name: str, cps: Real, plan: _Plan) -> Arrivals:
        rates = np.zeros((len(cps) + 1, 1))
        rates[:-1, 0] = cps
        place = Place(self._laboratory.seed, stream_number(f"dark {name}"), plan.chunk)
        return draw(rates, plan.span, place, Bunching())[0]

    def _register(
        self, name: str, plans: list[_Plan], arrivals: list[dict[str, list[Arrivals]]]
    ) -> None:
        for plan, seen in zip(plans, arrivals, strict=True):
            place = Place(self._laboratory.seed, self._streams[name], plan.chunk)
            self._stations[name].register(_merged(seen[name]), plan.passages[name], place)


def response_of(laboratory: Laboratory, setup: StationSetup) -> Response:
    """Return a station's detector response, the spread by the fibre's dispersion included.

    D·L·Δλ adds to the jitter in quadrature, both as FWHM.
    """
    widths = [s.bandwidth_nm for s in laboratory.sources if setup.name in s.arms]
    spread_ps = setup.fibre.dispersion_ps_per_nm * max(widths, default=0.0)
    jitter_ps = math.hypot(setup.response.jitter_ps, spread_ps)
    return replace(setup.response, jitter_ps=jitter_ps)


def _processes(source: Source, pump: Beam) -> list[_Process]:
    """Return the processes of a source: one for two arms, else one for each pair of users.

    With N users behind equal splitters a pair goes to users i ≠ j in N(N − 1)/2 ways with
    probability 2/N² each, either photon to either, and both photons to one user with 1/N².
    """
    bunching = Bunching(source.pulse_period_ps, source.modes)
    arms = source.arms
    if len(arms) == 2:
        stream = stream_number(f"source {source.name}")
        ends = arms[0], arms[1]
        return [_Process(ends, source.pair_rate_hz, source.pair, bunching, stream, pump)]
    share = source.pair_rate_hz / len(arms) ** 2
    either = (source.pair + source.pair.T) / 2
    return [
        _Process(
            (first, second),
            share if first == second else 2 * share,
            either,
            bunching,
            stream_number(f"source {source.name} {first} {second}"),
            pump,
        )
        for i, first in enumerate(arms)
        for second in arms[i:]
    ]


def _merged(parts: list[Arrivals]) -> Arrivals:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times_ps for part in parts])
    detectors = np.concatenate([part.detectors for part in parts])
    order = np.argsort(times, kind="stable")
    return Arrivals(times[order], detectors[order])


__all__ = ["CHUNK_PS", "Bench", "BenchStation", "Expected", "StationView"]
