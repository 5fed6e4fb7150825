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
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppConfigLocation)
    desktop = Desktop(app, Path(folder), url=url, token=token, command=command)
    desktop.start()
    signal.signal(signal.SIGINT, lambda *_: app.quit())
    signal.signal(signal.SIGTERM, lambda *_: app.quit())
    # Python runs its signal handlers only between its own instructions: give it some.
    heartbeat = QTimer()
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start(200)
    status = app.exec()
    heartbeat.stop()
    desktop.stop()
    return int(status)


class Desktop:
    """A window on a node that runs, or on one of its own, which ends with it."""

    def __init__(
        self, app: QApplication, folder: Path, *, url: str = "", token: str = "",
        command: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.look = Look(app)
        self.client = NodeClient(url or _NOWHERE, app, token=token)
        self.window = MainWindow(self.client, self.look, LayoutStore(folder))
        self.node = LocalNode(command, app) if command and not url else None
        if self.node is not None:
            self.node.answers_at.connect(lambda found: self.client.attach(found, token))
            self.node.said.connect(self.window.wait_for)
            self.node.failed.connect(self.window.wait_for)
            self.node.ended.connect(lambda: self.window.wait_for("The local node is done."))

    def start(self) -> None:
        """Show the window, and look for the node or start it."""
        self.window.show()
        if self.node is None:
            self.client.start()
            return
        self.window.wait_for("A local node starts…")
        self.node.start()

    def stop(self) -> None:
        """Let go of the node, close the window, and end a node of its own."""
        self.client.stop()
        self.window.close()
        if self.node is not None:
            self.node.stop()


def refuse_broken_qt() -> None:
    """Raise where this PySide6 is known to abort on this Python."""
    version = tuple(int(part) for part in PySide6.__version__.split(".")[:2])
    if version == (6, 12) and sys.version_info < (3, 12):
        raise QnxError(
            "PySide6 6.12 aborts on Python before 3.12: install pyside6-essentials below 6.12"
        )
