"""Run a day of the desktop in minutes, and say how much memory it came to need.

Run `qnx bench desktop_soak`, or `python benchmarks/desktop_soak.py --hours 1`. The window gets what
a node tells in that time: two views of its link a second, an event every ten seconds, and a frame
every five seconds; its workspaces change every ten minutes, its theme every hour. The first hour
fills what is bounded (curves, the log's rows, caches) and does not count.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import msgspec
from desktop_pictures import NOW_S, pictured
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from gui.desktop.panels.rates import RatesPanel
from gui.desktop.window import MainWindow
from gui.desktop.workspaces import WORKSPACES
from gui.theme import Theme
from qnx_hw.api.schema import Event, Level
from qnx_hw.api.sse import ServerEvent
from qnx_hw.commands.bench import Result

DAY_S = 86_400
FILLING_S = 3600
VIEWS_PER_S, FRAME_S = 2, 5
MOST_MB = 20.0


def suite() -> Iterator[Result]:
    """Yield what a day costs."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    with pictured(app, Theme.DARK) as window:
        began = time.process_time()
        grown_mb = soaked_mb(app, window, FILLING_S, DAY_S)
        spent = time.process_time() - began
        rates = window.panel("rates")
        assert isinstance(rates, RatesPanel)
        table = rates.export_table()
    yield Result(name="memory grown in 23 of 24 h", value=grown_mb, unit="MB", goal=MOST_MB,
                 met=grown_mb < MOST_MB)  # fmt: skip
    yield Result(name="times faster than the clock", value=DAY_S / spent, unit="")
    seen = 0 if table is None else len(table.rows)
    yield Result(
        name="points the rates still draw", value=seen, unit="", goal=120.0, met=seen >= 120
    )


def soaked_mb(app: QApplication, window: MainWindow, filling_s: int, whole_s: int) -> float:
    """Let so many seconds pass for the window; return how much it grew after the first ones."""
    window.clock.stop()
    client, before_mb = window.client, 0.0
    link = client.links["alice-bob"]
    for second in range(whole_s):
        if second == filling_s:
            before_mb = resident_mb(app)
        for step in range(VIEWS_PER_S):
            at = second + step / VIEWS_PER_S
            window.desk.now = lambda at=at: NOW_S + at
            wave = 300 * math.sin(at / 7)
            rates = tuple(
                msgspec.structs.replace(r, rate_cps=r.rate_cps + wave) for r in link.rates
            )
            view = msgspec.structs.replace(
                link, rates=rates, block=second // 4, blocks_done=second // 4, running_s=at
            )
            client.take([ServerEvent("link", msgspec.json.encode(view))])
            window.panel("rates").draw()
        if second % 10 == 0:
            client.take([ServerEvent("event", msgspec.json.encode(_event(second)))])
        if second % 600 == 599:
            window.use_workspace(WORKSPACES[second // 600 % len(WORKSPACES)].name)
        if second % 3600 == 3599:
            window.look.toggle()
        if second % FRAME_S == 0:
            window.draw()
            app.processEvents()
    return resident_mb(app) - before_mb


def resident_mb(app: QApplication) -> float:
    """Return what the process holds in memory, once what is over is gone."""
    app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _event(second: int) -> Event:
    return Event(number=second + 100, time_s=NOW_S + second, level=Level.INFO, source="alice-bob",
                 message=f"Block {second // 4}: 284 kbit added")  # fmt: skip


def main() -> None:
    """Run for some hours and print how much memory they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--filling-hours", type=float, default=1.0)
    arguments = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication([])
    with pictured(app, Theme.DARK) as window:
        filling_s, whole_s = (round(3600 * h) for h in (arguments.filling_hours, arguments.hours))
        grown_mb = soaked_mb(app, window, filling_s, whole_s)
    print(f"{grown_mb:.1f} MB in {arguments.hours - arguments.filling_hours:g} h")
    raise SystemExit(grown_mb >= MOST_MB)


if __name__ == "__main__":
    main()
