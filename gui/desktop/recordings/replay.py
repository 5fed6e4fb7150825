"""Replays a recording in a program of its own, and shows it; going back shows what was before."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from gui.desktop.client import NodeClient
from gui.desktop.local_node import LocalNode

_PATIENCE_MS = 8000
_OVER = "The replay is over; this is the node again."
SPEEDS = ("0.5", "1", "2", "3")


class Replay(QObject):
    """One replay at a time: a child of the desktop that ends with it."""

    changed = Signal()
    said = Signal(str)
    """How it goes, and why it ended by itself."""

    def __init__(self, client: NodeClient, parent: QObject) -> None:
        super().__init__(parent)
        self._client = client
        self._back = ("", "")
        self._child: LocalNode | None = None

    @property
    def is_running(self) -> bool:
        """Whether a replay is shown, or starts."""
        return self._child is not None

    def start(self, folder: Path, speed: str) -> None:
        """Replay a recording's folder."""
        self.stop()
        self._back = (self._client.url, self._client.token)
        command = [sys.executable, "-m", "qnx_hw", "replay", str(folder), "--speed", speed]
        self._child = LocalNode(command, self)
        self._child.answers_at.connect(self._client.attach)
        self._child.said.connect(self.said)
        self._child.failed.connect(self._ended)
        self._child.ended.connect(lambda: self._ended(_OVER))
        self._child.start()
        self.said.emit(f"{folder.name} is prepared…")
        self.changed.emit()

    def stop(self) -> None:
        """End the replay and show the node that was shown before."""
        child, self._child = self._child, None
        if child is not None:
            _let_end(child)
            self._client.attach(*self._back)
            self.changed.emit()

    def _ended(self, reason: str) -> None:
        self.stop()
        self.said.emit(reason)


def _let_end(child: LocalNode) -> None:
    """Ask a program to end, insist after a while, and never wait for it here."""
    for signal in (child.answers_at, child.said, child.failed, child.ended):
        signal.disconnect()
    process = child.findChild(QProcess)
    if process is None or process.state() is QProcess.ProcessState.NotRunning:
        child.deleteLater()
        return
    process.finished.connect(child.deleteLater)
    insisting = QTimer(child)
    insisting.setSingleShot(True)
    insisting.timeout.connect(process.kill)
    insisting.start(_PATIENCE_MS)
    process.terminate()
