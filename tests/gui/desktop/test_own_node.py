"""The desktop starts a node of its own, waits for it, and takes it along when it goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_node import FakeNode, sample_snapshot, serve
from free_ports import free_ports
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QProcess

from gui.desktop.app import Desktop
from gui.desktop.client import Connection, NodeClient
from gui.desktop.local_node import LineDecoder, LocalNode
from qnx_hw.commands.desktop import child_of

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
START_MS = 180_000
"""A program of its own imports a good deal, and the machine may be busy."""
ALONE = """
[network]
name = "alone"
data_dir = "{folder}"

[api]
listen = "127.0.0.1:{port}"

[nodes.alice]
listen = "127.0.0.1:0"
"""


@pytest.mark.slow
def test_the_desktop_runs_a_network_file_and_takes_its_node_along(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(ALONE.format(port=free_ports(1)[0], folder=tmp_path / "keys"))
    desktop = Desktop(qapp, tmp_path / "layout", command=child_of(file))
    qtbot.addWidget(desktop.window)

    desktop.start()

    assert "starts" in desktop.window.progress.text()
    qtbot.waitUntil(lambda: desktop.client.connection is Connection.LIVE, timeout=START_MS)
    assert list(desktop.client.nodes) == ["alice"]
    assert desktop.node is not None
    child = desktop.node.findChild(QProcess)
    assert child.state() is QProcess.ProcessState.Running
    desktop.stop()
    assert child.state() is QProcess.ProcessState.NotRunning
    for each in (desktop.node, desktop.client, desktop.look):
        each.deleteLater()


@given(st.text(), st.integers(1, 9), st.integers(1, 65535))
def test_an_address_survives_any_cut(noise: str, chunk: int, port: int) -> None:
    said = f"{noise}\nDashboard: http://127.0.0.1:{port}   (Ctrl-C ends)\n".encode()
    decoder = LineDecoder()

    lines = [
        line
        for start in range(0, len(said), chunk)
        for line in decoder.feed(said[start : start + chunk])
    ]

    assert lines[-1] == f"Dashboard: http://127.0.0.1:{port}   (Ctrl-C ends)"
    assert " ".join(lines[:-1]).split() == noise.split()


def test_only_the_address_of_the_dashboard_counts(qtbot: QtBot, qapp: QApplication) -> None:
    words = (
        "print('see http://127.0.0.1:1 for help'); print('API and dashboard: http://[::1]:8470')"
    )
    node = LocalNode([sys.executable, "-c", words], qapp)
    heard: list[str] = []
    node.said.connect(heard.append)

    with qtbot.waitSignal(node.answers_at, timeout=WAIT_MS) as found:
        node.start()

    assert found.args == ["http://[::1]:8470"]
    assert heard == ["see http://127.0.0.1:1 for help"]
    node.stop()
    node.deleteLater()


def test_a_node_that_ends_leaves_its_last_words(qtbot: QtBot, qapp: QApplication) -> None:
    node = LocalNode([sys.executable, "-c", "raise SystemExit('port 8470 is taken')"], qapp)

    with qtbot.waitSignal(node.failed, timeout=WAIT_MS) as told:
        node.start()

    assert told.args == ["the local node ended: port 8470 is taken"]
    node.deleteLater()


def test_a_node_that_never_answers_is_ended_with_its_last_words(
    qtbot: QtBot, qapp: QApplication
) -> None:
    node = LocalNode(["/bin/cat"], qapp, deadline_ms=1)

    with qtbot.waitSignal(node.failed, timeout=WAIT_MS) as told:
        node.start()

    assert told.args[0].startswith("the local node did not say within 0.001 s where it answers")
    assert node.findChild(QProcess).state() is QProcess.ProcessState.NotRunning
    node.deleteLater()


def test_a_connection_that_fell_silent_is_made_anew(qtbot: QtBot, qapp: QApplication) -> None:
    node = FakeNode(sample_snapshot())
    with serve(node) as url:
        client = NodeClient(url, qapp, give_up_s=0.3)
        client.start()
        qtbot.waitUntil(lambda: client.connection is Connection.LIVE, timeout=WAIT_MS)
        before = node.streams

        node.fall_silent()

        qtbot.waitUntil(lambda: node.streams > before, timeout=WAIT_MS)
        client.stop()
    client.deleteLater()
