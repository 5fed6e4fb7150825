"""How a running link looks in a terminal: a few lines that stay in place, or plain lines."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from qnx_hw.api.schema import Event, Level, LinkPhase, LinkView
from qnx_hw.api.value import Estimate

BAR_CELLS = 30
MARKS = {Level.OK: "+", Level.INFO: " ", Level.WARNING: "!", Level.ALARM: "!!"}


class Screen:
    """Draws on a terminal in place; elsewhere it writes a line whenever something happened."""

    def __init__(self, out: TextIO = sys.stdout, now: Callable[[], float] = time.time) -> None:
        self._out = out
        self._began_s = now()
        self._in_place = out.isatty()
        self._drawn = 0
        self._said: dict[str, str] = {}

    def say(self, line: str) -> None:
        """Write a line above what stays in place."""
        self._erase()
        print(line, file=self._out, flush=True)

    def tell(self, event: Event) -> None:
        """Write an event, unless it is one that an earlier run left in the history."""
        if event.time_s >= self._began_s:
            self.say(f"{MARKS[event.level]:2} {event.source}: {event.message}")

    def progress(self, what: str, fraction: float) -> None:
        """Show how far a preparation is."""
        if self._in_place:
            self._draw([f"{what}… {bar(fraction)} {fraction:4.0%}"])
        elif self._said.get("progress") != what:
            self._said["progress"] = what
            self.say(f"{what}…")

    def show(self, links: Sequence[LinkView]) -> None:
        """Show the links as they are now."""
        if self._in_place:
            self._draw([line for link in links for line in lines_of(link)])
            return
        for link in links:
            if self._said.get(link.name) != (occasion := _occasion(link)):
                self._said[link.name] = occasion
                self.say(f"   {link.name}: {_news(link)}")

    def close(self) -> None:
        """Leave what was drawn and go to the next line."""
        self._drawn = 0

    def _draw(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._erase()
        self._out.write("".join(f"{line[:width]}\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            # ECMA-48: cursor to the beginning of the line N lines above, erase below.
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0


def lines_of(link: LinkView) -> list[str]:
    """Return a link as a block of lines."""
    by_station: dict[str, list[str]] = {}
    for rate in link.rates:
        by_station.setdefault(rate.station, []).append(f"{rate.label} {si(rate.rate_cps)}")
    clock = "locked" if link.clock.is_locked else "searching"
    return [
        f"─ {link.name} · {link.protocol} · {phase(link)}",
        *(f"  {station:6} {'   '.join(rates)}   counts/s" for station, rates in by_station.items()),
        f"  pairs  {si(link.coincidence_rate_cps)}/s   CAR {number(link.car, 0)}   clock {clock}",
        f"  QBER   Z {percent(link.qber_z)}   X {percent(link.qber_x)}   "
        f"limit {100 * link.qber_limit:.1f} %   CHSH S {estimate(link.chsh_s)}",
        f"  block  {link.block:<4} {bar(link.progress)} {link.progress:4.0%}  {link.stage.value}",
        f"  key    {link.secret_bits:,} bits in {link.blocks_done} blocks   "
        f"{si(link.secret_rate_bps)}bit/s   {link.blocks_aborted} given up",
    ]


def phase(link: LinkView) -> str:
    """Return what a link is doing, in words."""
    words = link.phase.value.replace("_", " ")
    return f"{words}: {link.message}" if link.message else words


def bar(fraction: float) -> str:
    """Draw a bar."""
    filled = round(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
    return "█" * filled + "░" * (BAR_CELLS - filled)


def si(value: float | None) -> str:
    """Write a number with three digits and an SI prefix."""
    if value is None:
        return "– "
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {prefix}"
    return f"{value:.3g} "


def number(value: float | None, digits: int) -> str:
    """Write a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(measured: Estimate) -> str:
    """Write an error rate with its error in percent."""
    if measured.value is None:
        return "–"
    return f"{100 * measured.value:.2f} ± {100 * (measured.sigma or 0.0):.2f} %"


def estimate(measured: Estimate) -> str:
    """Write a measured number with its error."""
    if measured.value is None:
        return "–"
    return f"{measured.value:.3f} ± {measured.sigma or 0.0:.3f}"


def _occasion(link: LinkView) -> str:
    """Return what must change for a line of its own: the phase, or the number of blocks."""
    return f"{phase(link)} {link.blocks_done}"


def _news(link: LinkView) -> str:
    if link.phase is not LinkPhase.GENERATING:
        return phase(link)
    if link.blocks_done == 0:
        return f"collecting the first block, {si(link.coincidence_rate_cps)}pairs/s"
    return (
        f"QBER {percent(link.qber)}, S {estimate(link.chsh_s)}, "
        f"{link.secret_bits:,} secret bits in {link.blocks_done} blocks"
    )
