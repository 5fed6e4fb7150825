"""Starts the desktop app."""

from __future__ import annotations

import signal
import sys

import PySide6
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from gui.desktop.client import NodeClient
from gui.desktop.look import Look
from gui.desktop.window import MainWindow
from qnx_hw.errors import QnxError


def main(url: str) -> int:
    """Show the network that answers at `url` until the window is closed."""
    refuse_broken_qt()
    # A thread that holds the interpreter makes the window wait this long at most (seconds).
    sys.setswitchinterval(0.001)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    if not isinstance(app, QApplication):
        raise QnxError("a Qt application without windows is already running in this process")
    app.setApplicationName("Quantum Nexus")
    look = Look(app)
    client = NodeClient(url, app)
    window = MainWindow(client, look)
    window.show()
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
    return int(status)


def refuse_broken_qt() -> None:
    """Raise where this PySide6 is known to abort on this Python."""
    version = tuple(int(part) for part in PySide6.__version__.split(".")[:2])
    if version == (6, 12) and sys.version_info < (3, 12):
        raise QnxError(
            "PySide6 6.12 aborts on Python before 3.12: install pyside6-essentials below 6.12"
        )
