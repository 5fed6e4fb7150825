"""What a station watches of itself during a block, and when that looks like an attack.

None of this is part of a proof. It notices attacks that a proof excludes by assumption:

- **Blinding** (Lydersen et al., Nat. Photonics 4, 686 (2010)): who holds the detectors makes them
  click one at a time, so clicks of two detectors within a window are missing, which independent
  detectors show at least by chance, w r_i r_j a second for each ordered pair.
- **Efficiency mismatch and time shifts** (Zhao et al., Phys. Rev. A 78, 042333 (2008)): one
  detector of a basis answers more than the other, or one basis more than it should, or (see
  `arrivals`) at other times than the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaincc

from qnx_hw.errors import BlockAborted, Tampering
from qnx_hw.qkd.arrivals import ArrivalTimes
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.sifting import Events

FALSE_ALARM = 1e-10
"""Chance of an alarm where two detectors click together only by chance, per block."""
BASIS_TOLERANCE = 0.05
"""Splitters and detectors drift by less."""
BASES = ("Z", "X", "22.5°", "67.5°")
LEAST_EVENTS = 2_000
"""Fewer say nothing about ratios."""


@dataclass(slots=True)
class Watch:
    """Counts of one station over one block."""

    parameters: SessionParameters
    span_ps: float = 0.0
    events: int = 0
    unused: int = 0
    cross_clicks: int = 0
    double_clicks: int = 0
    _clicks: np.ndarray[tuple[int], np.dtype[np.float64]] = field(
        default_factory=lambda: np.zeros(8)
    )
    _outcomes: np.ndarray[tuple[int], np.dtype[np.int64]] = field(
        default_factory=lambda: np.zeros(8, dtype=np.int64)
    )
    phases: ArrivalTimes = field(default_factory=ArrivalTimes)

    def add(self, events: Events) -> None:
        """Count what the station saw next."""
        self.span_ps += (events.end_ps - events.start_ps) * self.parameters.tick_ps
        self.events += len(events)
        self.unused += events.unused
        self.cross_clicks += events.cross_clicks
        self.double_clicks += events.double_clicks
        self._clicks[: len(events.clicks)] += events.clicks
        kinds = events.bases.astype(np.int64) * 2 + events.outcomes
        self._outcomes += np.bincount(kinds, minlength=8)[:8]
        if events.phases_ps is not None:
            self.phases.add(events.bases, events.outcomes, events.phases_ps)

    def check(self) -> None:
        """Raise `Tampering`, or `BlockAborted` for too many clicks in several bases."""
        every = self.cross_clicks + self.events
        if self.cross_clicks > self.parameters.cross_click_limit * max(1, every):
            raise BlockAborted(
                f"{self.cross_clicks} of {every} detections were in several bases at once"
            )
        self._check_multi_clicks()
        self._check_balance()
        self._check_bases()
        self._check_bell_settings()
        self.phases.check(self.parameters.arrival_limit_ps, "Bob")

    @property
    def expected_multi_clicks(self) -> float:
        """How many events of two detectors chance alone would bring."""
        if self.span_ps <= 0.0:
            return 0.0
        pairs = float(self._clicks.sum() ** 2 - (self._clicks**2).sum())
        seen = self.events + self.cross_clicks
        live = seen / max(1, seen + self.unused)
        return pairs / self.span_ps * self.parameters.coincidence_window_ps * live

    def _check_multi_clicks(self) -> None:
        expected = self.expected_multi_clicks
        found = self.cross_clicks + self.double_clicks
        if not self.parameters.watch_multi_clicks or found >= expected:
            return
        if gammaincc(found + 1, expected) < FALSE_ALARM:
            raise Tampering(
                f"only {found} times two detectors clicked together, where chance alone brings "
                f"{expected:.0f}: the detectors may be blinded"
            )

    def _check_bases(self) -> None:
        wanted = self.parameters.z_share
        in_z, in_x = int(self._outcomes[:2].sum()), int(self._outcomes[2:4].sum())
        if not wanted or in_z + in_x < LEAST_EVENTS:
            return
        share = in_z / (in_z + in_x)
        if abs(share - wanted) > BASIS_TOLERANCE:
            raise Tampering(
                f"{share:.0%} of the events are in Z, where it should be {wanted:.0%}: somebody "
                f"may choose which detectors answer"
            )

    def _check_bell_settings(self) -> None:
        """Each of E91's settings at 22.5 and 67.5 degrees has half the share of both."""
        wanted = self.parameters.bell_share / 2
        events, seen = int(self._outcomes.sum()), self._outcomes[4:].reshape(2, 2).sum(axis=1)
        if not wanted or events < LEAST_EVENTS or not seen.any():
            return  # Alice has no such settings
        for angle, count in zip(("22.5°", "67.5°"), seen.tolist(), strict=True):
            if abs(count / events - wanted) > BASIS_TOLERANCE:
                raise Tampering(
                    f"{count / events:.0%} of the events are in the setting at {angle}, where it "
                    f"should be {wanted:.0%}: somebody may choose which detectors answer"
                )

    def _check_balance(self) -> None:
        limit = self.parameters.imbalance_limit
        for basis in range(4):
            plus, minus = (int(n) for n in self._outcomes[2 * basis : 2 * basis + 2])
            if plus + minus < LEAST_EVENTS:
                continue
            imbalance = (plus - minus) / (plus + minus)
            if abs(imbalance) > limit:
                raise Tampering(
                    f"the detectors of basis {BASES[basis]} answer {imbalance:+.0%} unequally, "
                    f"more than {limit:.0%}"
                )
