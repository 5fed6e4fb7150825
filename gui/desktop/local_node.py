"""A node of one's own: the program that runs it, as a child of the desktop."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, Signal

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]+:\d+")
_STOP_MS = 8000
_KEPT_LINES = 20


class LocalNode(QObject):
    """Starts a node and says where it answers; the node ends with the desktop."""

    answers_at = Signal(str)
    said = Signal(str)
    """A line of the program, until it answers: it may compile for a minute at its first start."""
    failed = Signal(str)
    """The node ended by itself, with its last words."""

    def __init__(self, command: Sequence[str], parent: QObject) -> None:
        super().__init__(parent)
        self._command = list(command)
        self._words: list[str] = []
        self._is_stopping = False
        self._is_known = False
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(lambda _: self._finished())

    def start(self) -> None:
        """Start the program."""
        self._process.start(self._command[0], self._command[1:])

    def stop(self) -> None:
        """End the node as by Ctrl+C, and wait for it a moment."""
        self._is_stopping = True
        if self._process.state() is not QProcess.ProcessState.NotRunning:
            self._process.terminate()
            if not self._process.waitForFinished(_STOP_MS):
                self._process.kill()
                self._process.waitForFinished(_STOP_MS)

    def _read(self) -> None:
        said = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self._words = [*self._words, *said.splitlines()][-_KEPT_LINES:]
        if not self._is_known and (found := _ADDRESS.search("\n".join(self._words))):
            self._is_known = True
            self.answers_at.emit(found[0])
        elif not self._is_known and (lines := said.strip()):
            self.said.emit(lines.splitlines()[-1])

    def _finished(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            last = next((line for line in reversed(self._words) if line.strip()), "")
            reason = last.strip() or self._process.errorString()
            self.failed.emit(f"the local node ended: {reason}")
