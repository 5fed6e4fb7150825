"""One station of the bench: its optics, its detectors, its clock, and who reads them."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics import comparator
from sim_devices.physics.bias import Bias
from sim_devices.physics.channel import Channel
from sim_devices.physics.clicks import Arrivals, Inputs, Place, Times
from sim_devices.physics.clock import Clock, Segment
from sim_devices.physics.description import Eavesdropper, StationSetup
from sim_devices.physics.detection import NO_TAGS, Detectors, Response
from sim_devices.physics.polarization import (
    Real,
    analyser,
    directions,
    intercept_resend,
    mueller,
)
from sim_devices.physics.retarders import Retarders

# Tags that nobody fetched for this long are lost (their counts are not).
KEPT_S = 5.0
# Who forces a blinded detector to click sends one bright pulse at a time.
FORCED_GAP_PS = 20_000


class StationView(Protocol):
    """What the emulated instruments of a station see; true times in s since the bench began.

    Tagger and detector bank look at the same clicks, each with its own place in time.
    """

    @property
    @abstractmethod
    def n_detectors(self) -> int:
        """How many detectors there are, each on the tagger input of its number."""

    @abstractmethod
    def take_tags(self, until_s: float) -> tuple[Times, Inputs]:
        """Return stamps (ps, station's clock, sorted) and inputs (from 1) since the last call."""

    @abstractmethod
    def take_counts(self, until_s: float) -> NDArray[np.int64]:
        """Return the clicks of each detector since the last call."""

    @abstractmethod
    def stamp_at(self, true_s: float) -> int:
        """Return what the station's clock (ps) shows at a time not more than 5 s ago."""

    @abstractmethod
    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        """Turn paddle 1, 2 or 3 (λ/4, λ/2, λ/4 behind the fibre) to this angle."""

    @abstractmethod
    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        """Give the driven retarder at a place behind the paddles this retardance."""

    @abstractmethod
    def set_bias(self, detector: int, microampere: float) -> None:
        """Give a detector (from 1) this bias current."""

    @abstractmethod
    def set_excess(self, detector: int, part: float) -> None:
        """Let a detector (from 1) be an avalanche diode at this part of its usual excess bias."""

    @property
    @abstractmethod
    def latched(self) -> tuple[bool, ...]:
        """Which detectors are resistive: too much bias made them so, none brings them back."""

    @abstractmethod
    def set_threshold(self, detector: int, millivolt: float) -> None:
        """Give a detector (from 1) this trigger level."""

    @abstractmethod
    def set_enabled(self, enabled: bool) -> None:
        """Switch the bias of all detectors on or off."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """What stands in the light's way during one chunk, from `start_ps` to `end_ps` of true time."""

    start_ps: int
    end_ps: int
    effects: Real
    """What the source's photon meets, as detector effects, 'none' last."""
    noise_cps: Real
    """Dark counts and background of each detector."""
    attacker: Eavesdropper | None
    clock: Segment
    end_stamp: int
    """What the clock shows at the end."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Sorted stamps of a span before `end`; `counted` are the clicks of each detector earlier."""

    end: int
    stamps: Times
    inputs: Inputs
    counted: NDArray[np.int64]


class BenchStation(StationView):
    """A station whose clicks the bench draws; settings act from the next chunk (10 ms) on."""

    def __init__(
        self,
        setup: StationSetup,
        response: Response,
        streams: tuple[np.random.Generator, np.random.Generator],
        advance: Callable[[float], None],
    ) -> None:
        """`streams` move the fibre and the clock; `advance` makes the bench draw up to a time."""
        self.setup = setup
        self.channel = Channel(setup.fibre, streams[0])
        self.bias = Bias(setup.working_bias_ua, setup.n_detectors)
        self.clock = Clock(
            setup.clock_offset_s,
            setup.clock_drift_ppm,
            setup.clock_wander_ppm_per_sqrt_s,
            streams[1],
        )
        self.eavesdropper: Eavesdropper | None = None
        self._advance = advance
        self._detectors = Detectors(response, setup.n_detectors)
        self._along = directions(setup.analysers_deg)
        self._retarders = Retarders()
        self._hears = np.ones(setup.n_detectors)
        self._crackles_cps = np.zeros(setup.n_detectors)
        self._batches: deque[_Batch] = deque()
        self._held: tuple[Times, Inputs] = NO_TAGS
        self._counted = np.zeros(setup.n_detectors, dtype=np.int64)
        self._tags_until = self._counts_until = self.clock.segment().stamp_ps
        self._counts_taken = np.zeros(setup.n_detectors, dtype=np.int64)
        # Jitter and delays move a stamp by at most this much across the end of a chunk.
        self._guard_ps = response.reach_ps + round(max(setup.delay_ps))

    @property
    def n_detectors(self) -> int:
        """How many detectors there are."""
        return self.setup.n_detectors

    @property
    def guard_s(self) -> float:
        """How far beyond a time the bench must have drawn before that time is complete."""
        return self._guard_ps * 2e-12

    @property
    def paddles_deg(self) -> tuple[float, float, float]:
        """Where the paddles stand."""
        return self._retarders.paddles_deg

    def take_tags(self, until_s: float) -> tuple[Times, Inputs]:
        """Return stamps and inputs since the last call; what is older than 5 s is lost."""
        self._advance(until_s)
        since, self._tags_until = self._tags_until, max(self.stamp_at(until_s), self._tags_until)
        parts = [
            (batch.stamps[low:high], batch.inputs[low:high])
            for batch in self._batches
            if batch.end > since
            for low, high in [np.searchsorted(batch.stamps, (since, self._tags_until)).tolist()]
            if high > low
        ]
        if not parts:
            return NO_TAGS
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def take_counts(self, until_s: float) -> NDArray[np.int64]:
        """Return the clicks of each detector since the last call."""
        self._advance(until_s)
        self._counts_until = max(self.stamp_at(until_s), self._counts_until)
        total = self._counted_before(self._counts_until)
        new, self._counts_taken = total - self._counts_taken, total
        return new

    def stamp_at(self, true_s: float) -> int:
        """Return what the station's clock shows at a true time."""
        return self.clock.stamp_at(round(true_s * 1e12))

    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        """Turn a paddle."""
        self._retarders.set_paddle(paddle, angle_deg)

    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        """Drive a retarder."""
        self._retarders.set_retarder(place, retardance_rad, angle_deg)

    def set_bias(self, detector: int, microampere: float) -> None:
        """Change a detector's efficiency and dark counts, see `bias`."""
        self.bias.set(detector, microampere)

    def set_excess(self, detector: int, part: float) -> None:
        """Change a diode's efficiency and dark counts, see `bias`."""
        self.bias.set_excess(detector, part)

    @property
    def latched(self) -> tuple[bool, ...]:
        """Which detectors are resistive and click no more."""
        return self.bias.is_latched

    def set_threshold(self, detector: int, millivolt: float) -> None:
        """Change which pulses are heard, and how often noise is taken for one."""
        self._hears[detector - 1] = comparator.heard(millivolt)
        self._crackles_cps[detector - 1] = comparator.noise_cps(millivolt)

    def set_enabled(self, enabled: bool) -> None:
        """Switch all bias on or off."""
        self.bias.set_enabled(enabled)

    def begin(self, span: tuple[int, int]) -> Passage:
        """Return what holds within a span (start, length in ps), and move on to its end."""
        start_ps, length_ps = span
        now_s = start_ps * 1e-12
        effects, noise = self._effects(now_s), self._noise_cps(now_s)
        clock, attacker = self.clock.segment(), self._attacker(now_s)
        self.clock.advance(length_ps)
        self.channel.advance(length_ps * 1e-12)
        end_stamp = self.clock.segment().stamp_ps
        return Passage(start_ps, start_ps + length_ps, effects, noise, attacker, clock, end_stamp)

    def register(self, arrivals: Arrivals, passage: Passage, place: Place) -> None:
        """Take what meets the detectors; passages follow one another as they began."""
        if (eve := passage.attacker) is not None and eve.kind == "blinding":
            arrivals = _forced(arrivals)
        elif eve is not None and eve.kind == "time-shift":
            bounds = (passage.start_ps, passage.end_ps - 1)
            arrivals = _shifted(arrivals, eve.shift_ps, bounds)
        if any(self.setup.delay_ps):
            arrivals = _delayed(arrivals, np.array(self.setup.delay_ps))
        clock = (passage.clock.true_ps, passage.clock.stamp_ps, passage.clock.stamps_per_ps)
        tags = self._detectors.register(arrivals, passage.end_ps, clock, place, self._held)
        self._keep(*tags, passage.end_stamp - self._guard_ps)

    def _effects(self, now_s: float) -> Real:
        jones = self._retarders.jones @ self.channel.jones
        optics = mueller(jones)
        if (eve := self._attacker(now_s)) and eve.kind == "intercept-resend":
            optics = optics @ intercept_resend(eve.fraction)
        split = np.repeat(self.setup.shares, 2)
        scale = self.bias.efficiency_scale * self._hears * self.channel.transmission
        weights = np.minimum(np.array(self.setup.efficiency) * scale, 1.0) * split
        return np.asarray(analyser(weights.tolist(), self.setup.extinction, self._along) @ optics)

    def _noise_cps(self, now_s: float) -> Real:
        if (eve := self._attacker(now_s)) and eve.kind == "blinding":
            # A wire under bright light makes no clicks of its own (Lydersen et al. 2010).
            return np.zeros(self.n_detectors)
        dark = np.array(self.setup.dark_rate_cps) * self.bias.dark_scale
        background = np.array(self.setup.background_cps) * self.bias.efficiency_scale
        return np.asarray((dark + background) * self._hears + self._crackles_cps)

    def _attacker(self, now_s: float) -> Eavesdropper | None:
        eve = self.eavesdropper
        return eve if eve and now_s >= eve.begins_at_s else None

    def _keep(self, stamps: Times, inputs: Inputs, complete: int) -> None:
        """Add stamps to what can be taken, except those that later ones may still precede."""
        cut = int(np.searchsorted(stamps, complete))
        self._held = stamps[cut:], inputs[cut:]
        self._batches.append(_Batch(complete, stamps[:cut], inputs[:cut], self._counted))
        self._counted = self._detectors.clicks - self._per_detector(inputs[cut:])
        done = min(self._tags_until, self._counts_until)
        lost = complete - round(KEPT_S * 1e12)
        while self._batches and self._batches[0].end <= max(done, lost):
            self._batches.popleft()

    def _counted_before(self, stamp: int) -> NDArray[np.int64]:
        for batch in self._batches:
            if stamp < batch.end:
                before = int(np.searchsorted(batch.stamps, stamp))
                return batch.counted + self._per_detector(batch.inputs[:before])
        return self._counted

    def _per_detector(self, inputs: Inputs) -> NDArray[np.int64]:
        return np.bincount(inputs, minlength=self.n_detectors + 1)[1:].astype(np.int64)


def _delayed(arrivals: Arrivals, delay_ps: Real) -> Arrivals:
    """Return what arrives as each detector's way lets it."""
    late_ps = np.rint(delay_ps).astype(np.int64)[arrivals.detectors]
    order = np.argsort(arrivals.times_ps + late_ps, kind="stable")
    return Arrivals((arrivals.times_ps + late_ps)[order], arrivals.detectors[order])


def _forced(arrivals: Arrivals) -> Arrivals:
    """Leave out what comes so soon after another photon that both would click."""
    gaps = np.diff(arrivals.times_ps, prepend=-FORCED_GAP_PS - 1)
    kept = gaps > FORCED_GAP_PS
    return Arrivals(arrivals.times_ps[kept], arrivals.detectors[kept])


def _shifted(arrivals: Arrivals, shift_ps: int, bounds: tuple[int, int]) -> Arrivals:
    """Send light early or late by chance, where only one detector of each pair answers it.

    This is what a time shift does to a receiver whose detectors are gated a little apart: the
    first of each pair answers late light, the second early light. The photon's own last digits
    decide which way it goes.
    """
    times, detectors = arrivals.times_ps, arrivals.detectors
    is_late = (times >> 6 & 1) == 1
    answers = is_late == (detectors % 2 == 0)
    times = np.where(is_late, times + shift_ps, times - shift_ps)[answers].clip(*bounds)
    order = np.argsort(times, kind="stable")
    return Arrivals(times[order], detectors[answers][order])
