"""Starts the desktop app."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import PySide6
from PySide6.QtCore import QStandardPaths, QTimer
from PySide6.QtWidgets import QApplication

from gui.desktop.client import NodeClient
from gui.desktop.layouts import LayoutStore
from gui.desktop.local_node import LocalNode
from gui.desktop.look import Look
from gui.desktop.window import MainWindow
from qnx_hw.errors import QnxError

_NOWHERE = "http://127.0.0.1:9"


def main(url: str = "", *, token: str = "", command: Sequence[str] = ()) -> int:
    """Show the network at `url`, or the one that `command` runs, until the window is closed."""
    refuse_broken_qt()
    # A thread that holds the interpreter makes the window wait this long at most (seconds).
    sys.setswitchinterval(0.001)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    if not isinstance(app, QApplication):
        raise QnxError("a Qt application without windows is already running in this process")
    app.setApplicationName("qnx")
    look = Look(app)
    client = NodeClient(url or _NOWHERE, app, token=token)
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppConfigLocation)
    window = MainWindow(client, look, LayoutStore(Path(folder)))
    window.show()
    node = LocalNode(command, app) if command and not url else None
    if node is not None:
        node.answers_at.connect(lambda found: client.attach(found, token))
        node.said.connect(window.tell)
        node.failed.connect(window.tell)
        window.tell("A local node starts…")
        node.start()
    else:
        client.start()
    signal.signal(signal.SIGINT, lambda *_: app.quit())
    signal.signal(signal.SIGTERM, lambda *_: app.quit())
    # Python runs its signal handlers only between its own instructions: give it some.
    heartbeat = QTimer()
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start(200)
    status = app.exec()
    heartbeat.stop()
    client.stop()
    window.close()
    if node is not None:
        node.stop()
    return int(status)


def refuse_broken_qt() -> None:
    """Raise where this PySide6 is known to abort on this Python."""
    version = tuple(int(part) for part in PySide6.__version__.split(".")[:2])
    if version == (6, 12) and sys.version_info < (3, 12):
        raise QnxError(
            "PySide6 6.12 aborts on Python before 3.12: install pyside6-essentials below 6.12"
        )
