"""The numbers of a link as one end sees them, gathered while the session runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from qnx_hw.api.schema import BlockStage, ClockView, Histogram
from qnx_hw.qkd.authentication import SECRET_BITS_PER_BLOCK
from qnx_hw.qkd.session.outputs import Metrics
from qnx_hw.qkd.session.party import STAGES, BlockParty, Report
from qnx_hw.qkd.sifting import Events

REFRESH_PS = 200_000_000_000
"""Numbers are passed on at most every 0.2 s of the station's own time."""
RATE_SPAN_PS = 500_000_000_000
"""Rates are taken over at least half a second."""


@dataclass(slots=True)
class _Sum:
    """Counts over a span that is still being gathered."""

    span_ps: int = 0
    counts: dict[str, float] = field(default_factory=dict)

    def add(self, span_ps: int, **counts: float) -> None:
        self.span_ps += span_ps
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + count

    def rate_hz(self, name: str) -> float:
        return self.counts.get(name, 0.0) * 1e12 / self.span_ps


class Board:
    """Gathers counts and turns them into `Metrics`."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._clicks = _Sum()
        self._pairs = _Sum()
        self._since_ps = 0
        self._is_new = False

    def note(self, **changes: object) -> None:
        """Replace single numbers; a change of phase, stage or block is news at once."""
        before = self.metrics
        self.metrics = msgspec.structs.replace(before, **changes)
        now = self.metrics
        if (before.phase, before.stage, before.block, before.message) != (
            now.phase,
            now.stage,
            now.block,
            now.message,
        ):
            self._is_new = True

    def take_news(self) -> Metrics | None:
        """Return the numbers if there is something to show since the last call."""
        if not self._is_new and self._since_ps < REFRESH_PS:
            return None
        self._is_new, self._since_ps = False, 0
        return self.metrics

    def saw(self, events: Events) -> None:
        """Count this station's own clicks."""
        span_ps = events.end_ps - events.start_ps
        self._since_ps += span_ps
        names = [f"detector {number}" for number in range(len(events.clicks))]
        clicks = dict(zip(names, events.clicks, strict=True))
        self._clicks.add(span_ps, events=len(events), cross=events.cross_clicks, **clicks)
        if self._clicks.span_ps >= RATE_SPAN_PS:
            crossed = self._clicks.counts["cross"]
            every = crossed + self._clicks.counts["events"]
            self.note(
                singles_cps=tuple(self._clicks.rate_hz(name) for name in names),
                cross_click_fraction=crossed / every if every else None,
            )
            self._clicks = _Sum()

    def matched(self, span_ps: int, coincidences: int, accidentals: float) -> None:
        """Count the coincidences, and the expected accidental ones, of a span."""
        self._since_ps += span_ps
        self._pairs.add(span_ps, pairs=coincidences, accidentals=accidentals)
        if self._pairs.span_ps < RATE_SPAN_PS:
            return
        rate, chance = self._pairs.rate_hz("pairs"), self._pairs.rate_hz("accidentals")
        self.note(
            coincidence_rate_cps=rate,
            accidental_rate_cps=chance,
            car=(rate - chance) / chance if chance else None,
        )
        self._pairs = _Sum()

    def show_clock(self, clock: ClockView, histogram: Histogram | None) -> None:
        """Replace what is known of the peer's clock."""
        self.note(clock=clock, histogram=histogram)

    def show_stage(self, oldest: BlockParty | None) -> None:
        """Show how far the oldest block has come that is not done yet."""
        if oldest is None:
            self.note(stage=BlockStage.COLLECTING, progress=0.0)
        else:
            self.note(stage=STAGES[oldest.step], block=oldest.number)

    def lost_clock(self) -> None:
        """Forget the rates that rested on the clock."""
        self._pairs = _Sum()
        self.note(coincidence_rate_cps=None, accidental_rate_cps=None, car=None)

    def judged(self, party: BlockParty) -> None:
        """Show a block's estimates once there are some, each block's once.

        Messages of an older block may come behind, while several are distilled.
        """
        report = party.report
        if report.lateness is not None and party.number > self.metrics.late_block:
            self.note(late_block=party.number, lateness=report.lateness)
        if report.judgement is not None and party.number > self.metrics.judged_block:
            self.note(
                qber_z=report.judgement.qber_z,
                qber_x=report.judgement.qber_x,
                qber=report.judgement.qber,
                chsh_s=report.judgement.chsh_s,
                matrix=report.judgement.matrix,
                judged_block=party.number,
                tested=(report.judgement.tested_z, report.judgement.tested_x),
                judged_span_s=report.span_ps * report.tick_ps / 1e12,
                delays=report.delays,
            )

    def released(self, report: Report) -> None:
        """Add up a block whose key was released."""
        assert report.provenance is not None
        made, old = report.provenance, self.metrics
        seconds = report.span_ps * report.tick_ps / 1e12
        self.note(
            sifted_rate_bps=report.sifted_bits / seconds,
            secret_rate_bps=max(0, made.secret_bits - SECRET_BITS_PER_BLOCK) / seconds,
            epsilon=math.fsum((old.epsilon, made.epsilon_secrecy, made.epsilon_correctness)),
            pairs=old.pairs + report.pairs,
            sifted_bits=old.sifted_bits + report.sifted_bits,
            leaked_bits=old.leaked_bits + made.leaked_bits,
            secret_bits=old.secret_bits + made.secret_bits,
            last_block_secret_bits=made.secret_bits,
            blocks_done=old.blocks_done + 1,
        )

    def aborted(self) -> None:
        """Count a block that was given up."""
        self.note(last_block_secret_bits=0, blocks_aborted=self.metrics.blocks_aborted + 1)
