"""Bob learns which pulse caused a click: the pulses' clock, their numbers, and the way on.

How it thinks. After Alice announces a training the transmitter is dark for a moment; then it sends
pulses of which one in two shines, by a public key. The onset of the light says when pulse 0 came,
to within a few clicks; the clicks of the training give frequency and phase (`pulse_clock`); and the
one number at which clicks fall on shining pulses is searched for around the onset. Nothing is
believed that chance would bring once in 10^9 trainings. From there the phase of each
chunk's clicks corrects the clock, as long as it has the contrast of pulses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.pulses import Bits, Numbers, PulseParameters, training_bits
from qnx_hw.qkd.sifting import Events
from qnx_hw.timing.arrays import kernel
from qnx_hw.timing.pulse_clock import PulseTrain, recover

BIN_PS = 5_000_000_000
SIDE_BINS = 8
"""The light must have been off, and then on, for so many bins."""
TESTED_CLICKS = 256
FALSE_LOCK = 1e-9
LEAST_CLICKS = 400
ONSET_CLICKS = 40
"""The onset is known to within the time of so many clicks."""
LONGEST_SEARCH_PS = 10_000_000_000_000
"""A training that was not found by then was missed: the light was weak, or came late."""
FRESH_CLICKS = 50
"""Clicks by which a phase is corrected; fewer are gathered over several chunks."""
LEAST_CONTRAST = 0.2
GAIN = 0.3


@dataclass(slots=True)
class _Clock:
    """Pulse n comes at `origin_ps + n * period_ps`, in Bob's time, near `origin_ps`' pulse."""

    origin_ps: int
    origin_pulse: int
    phase_ps: float
    period_ps: float

    def numbers(self, times_ps: Numbers) -> Numbers:
        since = times_ps - self.origin_ps
        turns = np.rint((since - self.phase_ps) / self.period_ps).astype(np.int64)
        return np.asarray(turns + self.origin_pulse, dtype=np.int64)

    def residuals_ps(self, times_ps: Numbers) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        since = times_ps - self.origin_ps - self.phase_ps
        return np.asarray(since - np.rint(since / self.period_ps) * self.period_ps)

    def advance(self, to_ps: int) -> None:
        """Move the origin to the pulse nearest to a time, so that numbers stay exact."""
        turns = round((to_ps - self.origin_ps - self.phase_ps) / self.period_ps)
        exact = self.phase_ps + turns * self.period_ps
        whole = math.floor(exact)
        self.origin_ps, self.phase_ps = self.origin_ps + whole, exact - whole
        self.origin_pulse += turns


class PulsesLost(Exception):
    """The clicks do not follow the pulses any more, or never did."""


class PulseNumbers:
    """Turns a station's events in time into events by pulse number, once a training was seen."""

    def __init__(
        self, parameters: PulseParameters, *, drift_limit_ppm: float, gate_ps: int
    ) -> None:
        self._parameters = parameters
        self._drift_limit_ppm = drift_limit_ppm
        self._gate_ps = gate_ps
        self._shining: Bits | None = None
        self._held: list[Events] = []
        self._clock: _Clock | None = None
        self._fresh: list[Numbers] = []
        self._covered: int | None = None
        self._light_ps = 0
        self._asked_ps: int | None = None
        self.contrast = 0.0
        """Length of the mean phase vector of the last clicks: 1 for sharp pulses."""
        self.jitter_ps = 0.0

    @property
    def is_locked(self) -> bool:
        """Whether pulses are known by their numbers."""
        return self._clock is not None

    @property
    def drift_ppb(self) -> float:
        """How much slower Bob's clock runs than the transmitter's."""
        if self._clock is None:
            return 0.0
        return (self._clock.period_ps / self._parameters.period_ps - 1.0) * 1e9

    def expect(self, training_key: bytes) -> None:
        """A training by this key begins soon; whatever was known of earlier pulses is over."""
        self._shining = training_bits(training_key, self._parameters.training_pulses)
        self._clock, self._held, self._fresh, self._asked_ps = None, [], [], None

    def take(self, events: Events) -> list[Events]:
        """Return what can be numbered now, in order; nothing while no training was found.

        Raises `PulsesLost` where a clock that was found does not fit any more, and where no
        training was found in the time in which one must have come.
        """
        if self._shining is None:
            return []
        if self._clock is not None:
            return [self._numbered(self._clock, events)]
        self._held.append(events)
        if not self._search():
            self._expire(events)
            return []
        assert self._clock is not None
        held, self._held = self._held, []
        return [self._numbered(self._clock, each) for each in held if each.end_ps > self._light_ps]

    def _expire(self, events: Events) -> None:
        if self._asked_ps is None:
            self._asked_ps = events.start_ps
        training_ps = round(self._parameters.training_s * 1e12)
        if events.end_ps - self._asked_ps > LONGEST_SEARCH_PS + 2 * training_ps:
            raise PulsesLost("the training was not found among the clicks")

    def _search(self) -> bool:
        times = np.concatenate([each.times_ps for each in self._held])
        start_ps, end_ps = self._held[0].start_ps, self._held[-1].end_ps
        training_ps = round(self._parameters.training_s * 1e12)
        onset_ps, rate_hz = _onset(times, start_ps, end_ps)
        if onset_ps is None:
            return False
        if end_ps - onset_ps < 2 * training_ps:
            return False
        lit = times[(times >= onset_ps) & (times < onset_ps + 2 * training_ps)]
        train = recover(lit, self._parameters.rate_hz, drift_limit_ppm=self._drift_limit_ppm)
        if lit.size < LEAST_CLICKS or train is None:
            return self._give_up(onset_ps)
        first = self._first_pulse(train, lit, onset_ps, rate_hz)
        if first is None:
            return self._give_up(onset_ps)
        self._clock = _Clock(train.origin_ps, -first, train.phase_ps, train.period_ps)
        self._clock.advance(onset_ps)
        self._covered, self._light_ps = None, onset_ps
        return True

    def _give_up(self, onset_ps: int) -> bool:
        """Look on behind a light that was no training."""
        self._held = [each for each in self._held if each.start_ps > onset_ps]
        return False

    def _first_pulse(
        self, train: PulseTrain, lit: Numbers, onset_ps: int, rate_hz: float
    ) -> int | None:
        """Return the train's number of pulse 0, or None where no candidate stands out."""
        assert self._shining is not None
        numbers = train.pulse_numbers(lit)
        gated = numbers[np.abs(train.residuals_ps(lit)) <= self._gate_ps / 2]
        onset = int(train.pulse_numbers(np.array([onset_ps]))[0])
        reach = math.ceil(ONSET_CLICKS / rate_hz * self._parameters.rate_hz) + 16
        count = self._parameters.training_pulses
        inside = gated[(gated - onset > reach) & (gated - onset < count - reach)]
        if inside.size < TESTED_CLICKS // 2:
            return None
        tested = inside[:: max(1, inside.size // TESTED_CLICKS)][:TESTED_CLICKS] - onset
        # Hoeffding: a wrong number brings so many hits on shining pulses by chance.
        margin = math.sqrt(tested.size / 2 * math.log((2 * reach + 1) / FALSE_LOCK))
        wanted = math.ceil(tested.size / 2 + margin)
        best, hits, rivals = _find_number(self._shining, tested, reach, wanted)
        return onset + best if hits >= wanted and rivals == 1 else None

    def _numbered(self, clock: _Clock, events: Events) -> Events:
        self._follow(clock, events)
        times = events.times_ps
        numbers = clock.numbers(times)
        ends = clock.numbers(np.array([events.start_ps, events.end_ps], dtype=np.int64))
        # Spans of pulses join as those of time do, whatever the clock has learnt in between.
        start = max(0, int(ends[0])) if self._covered is None else self._covered
        end = max(start, int(ends[1]))
        phases_ps = clock.residuals_ps(times)
        kept = (
            (np.abs(phases_ps) <= self._gate_ps / 2)
            & (numbers >= max(start, self._parameters.training_pulses))
            & (numbers < end)
        )
        self._covered = end
        return replace(
            events,
            times_ps=numbers[kept],
            bases=events.bases[kept],
            outcomes=events.outcomes[kept],
            start_ps=start,
            end_ps=end,
            phases_ps=np.rint(phases_ps[kept]).astype(np.int64),
        )

    def _follow(self, clock: _Clock, events: Events) -> None:
        self._fresh.append(events.times_ps)
        times = np.concatenate(self._fresh)
        if times.size < FRESH_CLICKS:
            return
        self._fresh = []
        residuals = clock.residuals_ps(times)
        vector = np.exp(2j * np.pi * residuals / clock.period_ps).mean()
        self.contrast = float(abs(vector))
        if self.contrast < LEAST_CONTRAST:
            raise PulsesLost("the pulses' clock was lost")
        error_ps = float(np.angle(vector)) / (2 * math.pi) * clock.period_ps
        near = residuals[np.abs(residuals - error_ps) < clock.period_ps / 4]
        self.jitter_ps = float(near.std()) if near.size else 0.0
        pulses = max(1.0, (int(times[-1]) - clock.origin_ps) / clock.period_ps)
        clock.phase_ps += error_ps
        clock.period_ps += GAIN * error_ps / pulses
        clock.advance(int(times[-1]))


def warm_up() -> None:
    """Compile what a training is found with, on next to nothing."""
    times = np.arange(1, 301, dtype=np.int64) * 1_000_000
    recover(times, 1e6)
    _find_number(np.zeros(16, dtype=np.uint8), np.arange(40, 60, dtype=np.int64), 4, 20)


def _onset(times: Numbers, start_ps: int, end_ps: int) -> tuple[int | None, float]:
    """Return when light began that was off before, and the rate of clicks from then on."""
    count = (end_ps - start_ps) // BIN_PS
    if count < 2 * SIDE_BINS + 1:
        return None, 0.0
    bins = np.bincount((times - start_ps) // BIN_PS, minlength=count)[:count]
    total = np.concatenate(([0], np.cumsum(bins)))
    before = total[SIDE_BINS:-SIDE_BINS] - total[: -2 * SIDE_BINS]
    after = total[2 * SIDE_BINS :] - total[SIDE_BINS:-SIDE_BINS]
    at = int(np.argmax(after - before))
    dark, light = int(before[at]), int(after[at])
    if light - 3 * dark < 50 + 6 * math.sqrt(light):
        return None, 0.0
    side_ps = SIDE_BINS * BIN_PS
    edge_ps = start_ps + (at + SIDE_BINS) * BIN_PS
    near = times[(times >= edge_ps - 2 * BIN_PS) & (times < edge_ps + 2 * BIN_PS)]
    if not near.size:
        return None, 0.0
    # The click k from which on the light's rate explains the clicks best.
    r0, r1 = max(dark, 1) / side_ps, light / side_ps
    gain = np.arange(near.size) * (math.log(r0) - math.log(r1)) - (r0 - r1) * (
        near - (edge_ps - 2 * BIN_PS)
    )
    return int(near[int(np.argmax(gain))]), r1 * 1e12


@kernel()
def _find_number(
    shining: npt.NDArray[np.uint8], tested: Numbers, reach: int, wanted: int
) -> tuple[int, int, int]:
    """Return the best shift of the tested pulses, its hits, and how many shifts have enough."""
    best, most, rivals = 0, -1, 0
    for shift in range(-reach, reach + 1):
        hits = 0
        for i in range(tested.size):
            pulse = tested[i] - shift
            hits += (shining[pulse >> 3] >> (7 - (pulse & 7))) & 1
            if hits + tested.size - 1 - i < wanted:
                break
        if hits >= wanted:
            rivals += 1
        if hits > most:
            best, most = shift, hits
    return best, most, rivals
