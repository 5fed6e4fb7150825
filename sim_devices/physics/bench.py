"""The bench: what the emulated instruments of all stations have before them.

Time advances in chunks of 10 ms. Within a chunk nothing moves; every chunk of every source and
station has its own random numbers, made from the bench's seed, the name and the chunk's number, so
the same file gives the same clicks, however often and by whom they are fetched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sim_devices.physics.clicks import Arrivals, Bunching, Place, draw
from sim_devices.physics.description import Laboratory, Source, StationSetup, read
from sim_devices.physics.detection import Response
from sim_devices.physics.expected import Expected, expect
from sim_devices.physics.polarization import Real, click_probabilities
from sim_devices.physics.random_words import stream_number
from sim_devices.physics.station import BenchStation, StationView
from sim_devices.physics.transmitter import BenchTransmitter

CHUNK_PS = 10_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Process:
    """Pairs that reach two stations (or twice the same), all of one Poisson process."""

    stations: tuple[str, str]
    rate_hz: float
    pair: Real
    bunching: Bunching
    stream: int


class Bench:
    """All stations and sources; single-threaded. Starts at true time 0."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._chunk = 0
        self._stations = {
            name: self._make_station(setup) for name, setup in laboratory.stations.items()
        }
        if laboratory.eavesdropper:
            victim = self._stations[laboratory.eavesdropper.station]
            victim.eavesdropper = laboratory.eavesdropper
        self._guard_s = max((each.guard_s for each in self._stations.values()), default=0.0)
        self._processes = [each for source in laboratory.sources for each in _processes(source)]
        self._transmitters = {
            setup.name: BenchTransmitter(
                setup, laboratory.seed, stream_number(f"transmitter {setup.name}"), self.advance
            )
            for setup in laboratory.transmitters
        }
        self._streams = {name: stream_number(f"detectors {name}") for name in self._stations}

    @classmethod
    def from_network(cls, raw: Mapping[str, object]) -> Bench:
        """Build the bench of a whole parsed network file.

        Raise ValueError that names the place of a wrong or unknown value.
        """
        return cls(read(raw))

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

    def advance(self, until_s: float) -> None:
        """Draw whole chunks until everything before `until_s` is there."""
        n_chunks = math.ceil((until_s + self._guard_s) * 1e12 / CHUNK_PS)
        while self._chunk < n_chunks:
            self._draw_chunk()

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

    def _draw_chunk(self) -> None:
        span = (self._chunk * CHUNK_PS, CHUNK_PS)
        now_s = self.now_s
        effects = {name: each.effects(now_s) for name, each in self._stations.items()}
        noise = {name: each.noise_cps(now_s) for name, each in self._stations.items()}
        arrivals: dict[str, list[Arrivals]] = {name: [] for name in self._stations}
        for process in self._processes:
            here, there = process.stations
            rates = process.rate_hz * click_probabilities(
                process.pair, effects[here], effects[there]
            )
            if not process.bunching.period_ps:
                # Darks join the first process that reaches a station; that costs nothing.
                rates[:-1, -1] += noise.pop(here, 0.0)
                rates[-1, :-1] += noise.pop(there, 0.0)
            place = Place(self._laboratory.seed, process.stream, self._chunk)
            for name, seen in zip(
                process.stations, draw(rates, span, place, process.bunching), strict=True
            ):
                arrivals[name].append(seen)
        for transmitter in self._transmitters.values():
            arm = transmitter.setup.arm
            arrivals[arm].append(transmitter.arrivals(effects[arm], span, self._chunk))
        for name, cps in noise.items():
            arrivals[name].append(self._dark(name, cps, span))
        for name, station in self._stations.items():
            place = Place(self._laboratory.seed, self._streams[name], self._chunk)
            station.register(_merged(arrivals[name]), span, place)
        self._chunk += 1

    def _dark(self, name: str, cps: Real, span: tuple[int, int]) -> Arrivals:
        rates = np.zeros((len(cps) + 1, 1))
        rates[:-1, 0] = cps
        place = Place(self._laboratory.seed, stream_number(f"dark {name}"), self._chunk)
        return draw(rates, span, place, Bunching())[0]


def response_of(laboratory: Laboratory, setup: StationSetup) -> Response:
    """Return a station's detector response, the spread by the fibre's dispersion included.

    D·L·Δλ adds to the jitter in quadrature, both as FWHM.
    """
    widths = [s.bandwidth_nm for s in laboratory.sources if setup.name in s.arms]
    spread_ps = setup.fibre.dispersion_ps_per_nm * max(widths, default=0.0)
    jitter_ps = math.hypot(setup.response.jitter_ps, spread_ps)
    return replace(setup.response, jitter_ps=jitter_ps)


def _processes(source: Source) -> list[_Process]:
    """Return the processes of a source: one for two arms, else one for each pair of users.

    With N users behind equal splitters a pair goes to users i ≠ j in N(N − 1)/2 ways with
    probability 2/N² each, either photon to either, and both photons to one user with 1/N².
    """
    bunching = Bunching(source.pulse_period_ps, source.modes)
    arms = source.arms
    if len(arms) == 2:
        stream = stream_number(f"source {source.name}")
        return [_Process((arms[0], arms[1]), source.pair_rate_hz, source.pair, bunching, stream)]
    share = source.pair_rate_hz / len(arms) ** 2
    either = (source.pair + source.pair.T) / 2
    return [
        _Process(
            (first, second),
            share if first == second else 2 * share,
            either,
            bunching,
            stream_number(f"source {source.name} {first} {second}"),
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
