"""How late the window's input is beside a busy node, a flooding one, and a dead address."""

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

from desktop_pictures import wait
from PySide6.QtCore import QEventLoop, QSocketNotifier, Qt, QTimer
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply
from PySide6.QtTest import QTest

from gui.desktop.window import MainWindow
from qnx_hw.commands.bench import Result

SECONDS = 8.0
NOBODY = "http://192.0.2.1:8470"
"""RFC 5737: an address of documentation, which nobody has."""
_LOAD = [sys.executable, str(Path(__file__).with_name("desktop_load.py"))]
_DEADLINE_S = 120.0
_STOPS, _SETTLING_MS = 20, 1000


def at_most(name: str, value: float, unit: str, goal: float) -> Result:
    """Return a figure that shall not be larger than its goal."""
    return Result(name=name, value=value, unit=unit, goal=goal, met=value <= goal)


def hands_on(window: MainWindow) -> Iterator[Result]:
    """Yield what a user feels: latencies, frames, and how soon Stop is carried out."""
    yield from frames(window)
    yield from flooded(window)
    window.client.attach(NOBODY)
    late_s, _, _ = watched(window)
    yield at_most(
        "input latency, dialling a dead address, p99", 1e3 * part_of(late_s, 0.99), "ms", 16.0
    )


def frames(window: MainWindow) -> Iterator[Result]:
    """Attach to the busy node and measure latency and the cost of frames; then without drawing."""
    with attached(window, "node"):
        with program("tags", str(SECONDS)) as (tags, _):
            late_s, costs_s, share = watched(window)
            assert tags.stdout is not None
            done_hz = float(tags.stdout.readline())
        window.clock.stop()
        alone_s, _, _ = watched(window)
        window.clock.start()
    name = "input latency, Run at 30 Hz beside 10 Mtag/s"
    yield at_most(f"{name}, p50", 1e3 * part_of(late_s, 0.5), "ms", 1.0)
    yield at_most(f"{name}, p99", 1e3 * part_of(late_s, 0.99), "ms", 16.0)
    yield Result(
        name="input latency, nothing drawn, p99", value=1e3 * part_of(alone_s, 0.99), unit="ms"
    )
    yield at_most("processor for a frame, Run, p50", 1e3 * part_of(costs_s, 0.5), "ms", 10.0)
    yield at_most("processor for a frame, Run, mean", 1e3 * sum(costs_s) / len(costs_s), "ms", 10.0)
    yield at_most("processor for a frame, Run, p99", 1e3 * part_of(costs_s, 0.99), "ms", 33.0)
    yield at_most("window's share of a core", 100 * share, "%", 30.0)
    yield Result(name="frames drawn", value=len(costs_s) / SECONDS, unit="1/s")
    yield Result(name="tags matched beside it", value=done_hz / 1e6, unit="M/s")


def flooded(window: MainWindow) -> Iterator[Result]:
    """Attach to a node that sends as fast as it can; click Stop and Start until answered."""
    with attached(window, "flood"):
        late_s, costs_s, _ = watched(window)
        taken_s = [pressed_s(window) for _ in range(_STOPS)]
    yield at_most("input latency, a node floods, p99", 1e3 * part_of(late_s, 0.99), "ms", 100.0)
    cost_ms = 1e3 * part_of(costs_s, 0.5)
    yield Result(name="processor for a frame, a node floods, p50", value=cost_ms, unit="ms")
    sent_ms, answered_ms = (1e3 * max(each) for each in zip(*taken_s, strict=True))
    yield at_most("Stop to its being sent, a node floods, slowest of 20", sent_ms, "ms", 100.0)
    yield Result(name="Stop to the flooding node's answer, slowest", value=answered_ms, unit="ms")


def pressed_s(window: MainWindow) -> tuple[float, float]:
    """Click the one of Stop and Start that can be clicked; return when it was sent and answered."""
    network, loop = window.client.findChild(QNetworkAccessManager), QEventLoop()
    bar, sent = window.top_bar, []
    wait(lambda: bar.stop_button.isEnabled() or bar.start_button.isEnabled())
    button = bar.stop_button if bar.stop_button.isEnabled() else bar.start_button
    with ahead_of_others():
        began = time.perf_counter()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        (reply,) = (
            each
            for each in network.findChildren(QNetworkReply)
            if each.operation() is QNetworkAccessManager.Operation.PostOperation
        )
        reply.requestSent.connect(lambda: sent.append(time.perf_counter() - began))
        reply.finished.connect(loop.quit)
        loop.exec()
        answered_s = time.perf_counter() - began
    QTest.qWait(_SETTLING_MS // 10)
    return sent[0], answered_s


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
def attached(window: MainWindow, kind: str) -> Iterator[None]:
    """Show a node that is a program of its own."""
    with program(kind) as (node, url):
        window.client.attach(url)
        wait(lambda: window.client.is_live and window.top_bar.link_name == "alice-bob")
        QTest.qWait(_SETTLING_MS)
        yield
        assert node.stdin is not None
        node.stdin.close()


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
