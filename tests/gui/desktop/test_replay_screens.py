"""A recording runs again on the same screens, and they go back to the node after it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import tomli_w
from bench_sessions import example, tag_blocks
from PySide6.QtCore import Qt

from gui.desktop.panels.histogram import HistogramPanel
from gui.desktop.panels.rates import RatesPanel
from gui.desktop.panels.recordings import RecordingsPanel
from qnx_hw.node.recorder import Description, Recorder
from qnx_hw.timing.archive import Origin
from sim_devices.physics.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lab
    from pytestqt.qtbot import QtBot

    from qnx_hw.api.recordings import RecordingView

LEFT = Qt.MouseButton.LeftButton
WAIT_MS = 120_000
REPLAY_MS = 240_000
"""A program of its own loads its kernels first, and the machine may be busy."""
SECONDS = 5.0


def record(folder: Path) -> RecordingView:
    """Record what both taggers of the demonstration deliver in some seconds."""
    table = example("demo.toml")
    about = Description(
        network_file=tomli_w.dumps(table),
        nodes=tuple(table["nodes"]),
        started_s=1.78e9,
        versions={},
        is_simulated=True,
    )
    recorder, bench = Recorder(folder, about), Bench.from_network(table)
    for node in ("alice", "bob"):
        origin = partial(Origin, node=node, instrument="tagger", model="TDC1", serial=node)
        tap = recorder.tap(node, "tagger", origin)
        for block in tag_blocks(bench, node, SECONDS):
            tap.deliver(block)
    return recorder.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_recording_is_shown_again_on_the_same_screens(
    lab: Lab, qtbot: QtBot, tmp_path: Path
) -> None:
    recorded = record(tmp_path / "monday")
    lab.api.call(lambda: lab.api.hub.set(recorded))
    panels = [make(lab.desk) for make in (RecordingsPanel, RatesPanel, HistogramPanel)]
    recordings, rates, histogram = panels
    for panel in panels:
        qtbot.addWidget(panel)
        panel.show()

    def draw() -> None:
        for panel in panels:
            panel.draw()

    qtbot.waitUntil(
        lambda: recordings.draw() and recordings.view.text(0, 0) == "monday", timeout=WAIT_MS
    )
    recordings.view.selectRow(0)

    qtbot.mouseClick(recordings.replay_button, LEFT)

    assert recordings.note.text() == "monday is prepared…"
    lab.desk.choose_link("alice-bob")
    qtbot.waitUntil(lambda: lab.client.url != lab.api.url, timeout=REPLAY_MS)

    def shows_it() -> bool:
        draw()
        is_counted = "A·H" in rates.legend.text() and "B·A" in rates.legend.text()
        return is_counted and "peak" in histogram.numbers.text()

    qtbot.waitUntil(shows_it, timeout=REPLAY_MS)
    assert lab.client.snapshot is not None
    assert lab.client.snapshot.is_simulated
    assert not recordings.record_button.isEnabled()
    qtbot.mouseClick(recordings.replay_button, LEFT)
    qtbot.waitUntil(lambda: lab.client.is_live and lab.client.url == lab.api.url, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not recordings.replay.children(), timeout=WAIT_MS)
