"""Measure the desktop: how late input is, what a frame costs, how fast it starts and changes theme.

Run `qnx bench desktop`. The window shows the Run workspace, on the offscreen platform unless
QT_QPA_PLATFORM says otherwise: a raster without a graphics card. It is driven by its own clock and
attached to a node of invented numbers, a program of its own, that changes its link thirty times a
second; a further one matches ten million tags a second, as a busy node does. A fourth writes a
time stamp into a pipe every 5 ms: how late the window's event loop reads it is how late a key or a
click would be. The same figures with nothing drawn say what the machine itself adds. Where the
system allows it, window and stamps run ahead of other programs (SCHED_RR), because what is asked
about is an idle machine.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from desktop_pictures import pictured, wait
from PySide6.QtCore import QEventLoop, QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

from gui.desktop.event_log import EventLog
from gui.desktop.look import Look
from gui.desktop.panels.events import EventModel
from gui.desktop.window import MainWindow
from gui.theme import Theme
from qnx_hw.api.schema import Event, Level
from qnx_hw.commands.bench import Result

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 8.0
_LOAD = [sys.executable, str(Path(__file__).with_name("desktop_load.py"))]
_DEADLINE_S = 120.0
_START = """
import time
began = time.perf_counter()
from PySide6.QtWidgets import QApplication
from gui.desktop.client import NodeClient
from gui.desktop.look import Look
from gui.desktop.window import MainWindow
app = QApplication([])
window = MainWindow(NodeClient("http://127.0.0.1:9", app), Look(app))
window.show()
app.processEvents()
window.draw()
print(time.perf_counter() - began)
window.close()
"""


def suite() -> Iterator[Result]:
    """Yield latency, frame cost, start, theme switch and the event log's filter."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    yield at_most("start to usable window", started_s(), "s", 2.5)
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    with pictured(app, Theme.DARK) as window:
        yield from frames(window)
        yield at_most("theme switch", 1e3 * theme_switch_s(window), "ms", 250.0)
    yield at_most("filter of 100,000 events", 1e3 * filter_s(app), "ms", 100.0)


def at_most(name: str, value: float, unit: str, goal: float) -> Result:
    return Result(name=name, value=value, unit=unit, goal=goal, met=value <= goal)


def started_s() -> float:
    """Start the desktop in a process of its own, three times; return the best."""
    command = [sys.executable, "-c", _START]
    runs = [
        subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=120)
        for _ in range(3)
    ]
    return min(float(run.stdout) for run in runs)


def frames(window: MainWindow) -> Iterator[Result]:
    """Attach to the busy node and measure latency and the cost of frames; then without drawing."""
    with program("node") as (node, url):
        window.client.attach(url)
        wait(lambda: window.client.is_live)
        with program("tags", str(SECONDS)) as (tags, _):
            late_s, costs_s, share = watched(window)
            assert tags.stdout is not None
            done_hz = float(tags.stdout.readline())
        window.clock.stop()
        alone_s, _, _ = watched(window)
        window.clock.start()
        assert node.stdin is not None
        node.stdin.close()
    name = "input latency, Run at 30 Hz beside 10 Mtag/s"
    yield at_most(f"{name}, p50", 1e3 * part_of(late_s, 0.5), "ms", 1.0)
    yield at_most(f"{name}, p99", 1e3 * part_of(late_s, 0.99), "ms", 16.0)
    yield Result(name="input latency, nothing drawn, p99", value=1e3 * part_of(alone_s, 0.99),
                 unit="ms")  # fmt: skip
    yield at_most("processor for a frame, Run, p50", 1e3 * part_of(costs_s, 0.5), "ms", 10.0)
    yield at_most("processor for a frame, Run, mean", 1e3 * sum(costs_s) / len(costs_s), "ms", 10.0)
    yield at_most("processor for a frame, Run, p99", 1e3 * part_of(costs_s, 0.99), "ms", 33.0)
    yield at_most("window's share of a core", 100 * share, "%", 30.0)
    yield Result(name="frames drawn", value=len(costs_s) / SECONDS, unit="1/s")
    yield Result(name="tags matched beside it", value=done_hz / 1e6, unit="M/s")


def watched(window: MainWindow) -> tuple[list[float], list[float], float]:
    """Return sorted latencies, sorted costs from frame to frame, and the share of a core."""
    late_s: list[float] = []
    marks_s: list[float] = []
    with ahead_of_others(), program("stamps", str(SECONDS), is_talking=False) as (stamps, _):
        assert stamps.stdout is not None
        descriptor = stamps.stdout.fileno()

        def read() -> None:
            received = os.read(descriptor, 8 * 512)
            now = time.perf_counter()
            late_s.extend(now - sent for (sent,) in struct.iter_unpack("d", received))

        notifier = QSocketNotifier(descriptor, QSocketNotifier.Type.Read)
        notifier.activated.connect(read)
        window.clock.ticked.connect(lambda: marks_s.append(time.thread_time()))
        began, spent = time.perf_counter(), time.thread_time()
        loop = QEventLoop()
        QTimer.singleShot(round(1e3 * SECONDS), loop.quit)
        loop.exec()
        share = (time.thread_time() - spent) / (time.perf_counter() - began)
        notifier.setEnabled(False)
        window.clock.ticked.disconnect()
    costs_s = sorted(after - before for before, after in pairwise(marks_s))
    return sorted(late_s), costs_s, share


@contextmanager
def program(*what: str, is_talking: bool = True) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run one of the programs beside the desktop; give its first line where it says one."""
    pipe = subprocess.PIPE
    run = subprocess.Popen([*_LOAD, *what], stdin=pipe, stdout=pipe, bufsize=0)
    try:
        assert run.stdout is not None
        yield run, run.stdout.readline().decode().strip() if is_talking else ""
        run.wait(_DEADLINE_S)
    finally:
        run.kill()
        run.wait()


@contextmanager
def ahead_of_others() -> Iterator[None]:
    """Run this thread, and programs it starts, ahead of others where the system allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def part_of(values: list[float], part: float) -> float:
    """Return the value below which a part of sorted values lies."""
    return values[int(part * (len(values) - 1))]


def theme_switch_s(window: MainWindow) -> float:
    """Switch the theme and paint all; the best of four."""
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        window.look.toggle()
        window.repaint()
        QApplication.processEvents()
        taken.append(time.perf_counter() - began)
    return min(taken)


def filter_s(app: QApplication) -> float:
    """Filter a full log by words."""
    log, look = EventLog(), Look(app, Theme.DARK)
    for number in range(100_000):
        log.add(
            Event(number=number, time_s=1.0 * number, level=Level.INFO, source=f"node {number % 9}",
                  message=f"Block {number} reconciled and added")
        )  # fmt: skip
    model = EventModel(look)
    model.follow(log)
    began = time.perf_counter()
    model.filter(frozenset(Level), "block 9999")
    return time.perf_counter() - began
