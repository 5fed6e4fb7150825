"""A node of one's own: the program that runs it, as a child of the desktop."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

START_DEADLINE_MS = 300_000
"""Kernels compile at the first start: half a minute alone, minutes on a machine that is busy."""
_ADDRESS = re.compile(r"ashboard: (https?://[\w.\-\[\]:]+:\d+)(?:\s|$)")
_STOP_MS = 8000
_KEPT_LINES = 20


class LineDecoder:
    """Cut bytes into lines, however they happen to arrive: a pipe may cut an address in two."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, received: bytes) -> list[str]:
        """Return the lines that are complete now and not empty."""
        *lines, self._pending = (self._pending + received).split(b"\n")
        return [text for line in lines if (text := line.decode("utf-8", "replace").strip())]


class LocalNode(QObject):
    """Starts a node and says where it answers; the node ends with the desktop."""

    answers_at = Signal(str)
    said = Signal(str)
    """A line of the program, until it answers."""
    failed = Signal(str)
    """The node ended in failure, or never said where it answers; with its last words."""
    ended = Signal()
    """The node was done, which only some are one day."""

    def __init__(
        self, command: Sequence[str], parent: QObject, *, deadline_ms: int = START_DEADLINE_MS
    ) -> None:
        super().__init__(parent)
        self._command = list(command)
        self._lines = LineDecoder()
        self._words: list[str] = []
        self._is_stopping = False
        self._is_known = False
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(lambda _: self._finished())
        self._deadline = QTimer(self)
        self._deadline.setSingleShot(True)
        self._deadline.setInterval(deadline_ms)
        self._deadline.timeout.connect(self._late)

    def start(self) -> None:
        """Start the program."""
        self._process.start(self._command[0], self._command[1:])
        self._deadline.start()

    def stop(self) -> None:
        """End the node as by Ctrl+C, and wait for it a moment."""
        self._is_stopping = True
        self._deadline.stop()
        if self._process.state() is not QProcess.ProcessState.NotRunning:
            self._process.terminate()
            if not self._process.waitForFinished(_STOP_MS):
                self._process.kill()
                self._process.waitForFinished(_STOP_MS)

    def _read(self) -> None:
        for line in self._lines.feed(bytes(self._process.readAllStandardOutput().data())):
            self._hear(line)

    def _hear(self, line: str) -> None:
        self._words = [*self._words, line][-_KEPT_LINES:]
        if self._is_known:
            return
        if found := _ADDRESS.search(line):
            self._is_known = True
            self._deadline.stop()
            self.answers_at.emit(found[1])
        else:
            self.said.emit(line)

    def _late(self) -> None:
        seconds = self._deadline.interval() / 1000
        self.stop()
        why = f"did not say within {seconds:g} s where it answers"
        self.failed.emit(f"the local node {why}: {self._last_words()}")

    def _finished(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._deadline.stop()
            for line in self._lines.feed(b"\n"):
                self._hear(line)
            if self._is_known and self._is_well():
                self.ended.emit()
                return
            self.failed.emit(f"the local node ended: {self._last_words()}")

    def _is_well(self) -> bool:
        is_normal = self._process.exitStatus() is QProcess.ExitStatus.NormalExit
        return is_normal and self._process.exitCode() == 0

    def _last_words(self) -> str:
        return self._words[-1] if self._words else self._process.errorString()
