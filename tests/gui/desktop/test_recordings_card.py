"""Recording, replaying and taking numbers home."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq
import pytest
from desktop_pictures import recordings
from PySide6.QtCore import QProcess, Qt

from gui.desktop.exports import Table, save, save_parquet
from gui.desktop.panels.pools import PoolsPanel
from gui.desktop.panels.recordings import NOTE, RecordingsPanel
from gui.desktop.report import report
from qnx_hw.api.recordings import RecordingView

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Desktop, Lab
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(lab: Lab, qtbot: QtBot) -> RecordingsPanel:
    panel = RecordingsPanel(lab.desk)
    qtbot.addWidget(panel)
    panel.resize(760, 300)
    panel.show()
    panel.draw()
    return panel


def test_a_recording_is_begun_by_name_and_ended(
    panel: RecordingsPanel, lab: Lab, qtbot: QtBot
) -> None:
    qtbot.keyClicks(panel.name, "monday")
    qtbot.mouseClick(panel.record_button, LEFT)
    qtbot.waitUntil(lambda: panel.draw() and panel.running is not None, timeout=WAIT_MS)

    assert panel.record_button.text() == "Stop recording"
    assert not panel.name.isEnabled()
    assert panel.subtitle.text().startswith("REC")
    qtbot.mouseClick(panel.record_button, LEFT)
    qtbot.waitUntil(lambda: panel.draw() and panel.running is None, timeout=WAIT_MS)

    assert panel.view.text(0, 0) == "monday"
    assert panel.view.text(0, 3).startswith("123.5 k")
    assert panel.record_button.text() == "Record"
    (view,) = lab.api.hub.latest(RecordingView)
    assert not view.is_running


def test_a_name_that_cannot_be_is_told_in_the_nodes_words(
    panel: RecordingsPanel, qtbot: QtBot
) -> None:
    qtbot.keyClicks(panel.name, "a/b")

    qtbot.mouseClick(panel.record_button, LEFT)

    qtbot.waitUntil(lambda: "name" in panel.note.text(), timeout=WAIT_MS)
    assert panel.record_button.isEnabled()


def test_a_list_that_could_not_be_had_is_asked_for_again(desktop: Desktop, qtbot: QtBot) -> None:
    desktop.node.refusal = "the disk is away"
    desktop.window.use_workspace("Analyse")
    panel = desktop.window.panel("recordings")
    assert isinstance(panel, RecordingsPanel)
    qtbot.waitUntil(lambda: "the disk is away" in panel.note.text(), timeout=WAIT_MS)
    assert panel.rows.rowCount() == 0

    desktop.node.recordings = recordings()
    desktop.node.refusal = ""

    qtbot.waitUntil(lambda: panel.rows.rowCount() == 3, timeout=WAIT_MS)
    assert panel.note.text() == NOTE


def test_a_replay_that_cannot_start_comes_back_to_the_node_and_says_why(
    panel: RecordingsPanel, lab: Lab, qtbot: QtBot, tmp_path: Path
) -> None:
    panel.replay.start(tmp_path, "1")
    assert panel.replay_button.text() == "End the replay"

    qtbot.waitUntil(lambda: not panel.replay.is_running, timeout=120_000)

    assert panel.note.text().startswith("the local node ended: ")
    assert lab.client.url == lab.api.url
    qtbot.waitUntil(lambda: lab.client.is_live, timeout=WAIT_MS)


def test_ending_a_replay_waits_for_nobody(
    panel: RecordingsPanel, lab: Lab, qtbot: QtBot, tmp_path: Path
) -> None:
    panel.replay.start(tmp_path, "1")
    (process,) = panel.replay.findChildren(QProcess)
    qtbot.waitUntil(lambda: process.state() is QProcess.ProcessState.Running, timeout=WAIT_MS)

    qtbot.mouseClick(panel.replay_button, LEFT)

    assert not panel.replay.is_running
    assert panel.replay_button.text() == "Replay…"
    qtbot.waitUntil(lambda: not panel.replay.findChildren(QProcess), timeout=120_000)


@pytest.mark.parametrize("kind", ["csv", "parquet", "png", "svg"])
def test_a_card_is_exported_with_all_its_numbers(
    lab: Lab, qtbot: QtBot, tmp_path: Path, kind: str
) -> None:
    panel = PoolsPanel(lab.desk)
    qtbot.addWidget(panel)
    panel.show()
    panel.draw()
    path = tmp_path / f"pools.{kind}"

    save(panel, kind, path)

    if kind == "csv":
        head, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        assert head[:2] == ["pool", "stock (part of capacity)"]
        assert ["bob edge-1", "0.31", "1200.0", "800.0", "7800.0", "bob-edge-1"] in rows
    elif kind == "parquet":
        read = pq.read_table(path).to_pylist()
        (dry,) = [row for row in read if row["empty in (s)"] is not None]
        assert (dry["pool"], dry["in (bit/s)"]) == ("bob edge-1", 1200.0)
    else:
        assert path.stat().st_size > 1000


def test_an_empty_table_is_still_a_parquet_file(tmp_path: Path) -> None:
    save_parquet(Table(("a", "b"), ()), tmp_path / "empty.parquet")

    read = pq.read_table(tmp_path / "empty.parquet")
    assert (read.num_rows, read.column_names) == (0, ["a", "b"])


def test_a_report_holds_figures_and_numbers_and_escapes_what_the_network_says(
    lab: Lab, qtbot: QtBot
) -> None:
    name = "<script>x</script>"
    link = msgspec.structs.replace(lab.client.links["alice-bob"], name=name)
    lab.client.links[name] = link
    panel = PoolsPanel(lab.desk)
    qtbot.addWidget(panel)
    panel.show()
    panel.draw()

    text = report(lab.desk, [panel], datetime(2026, 11, 23, 14, 30, 59, tzinfo=UTC))

    assert "SIMULATED HARDWARE" in text
    assert 'src="data:image/png;base64,' in text
    assert "<td>2.31 %</td>" in text
    assert "<td>bob edge-1</td>" in text
    assert "<script>" not in text
    assert "http://" not in text.replace(lab.client.url, "")
