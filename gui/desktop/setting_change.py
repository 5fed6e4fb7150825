"""Changes of settings that can be undone: each is a command to the node, and its opposite."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QUndoCommand, QUndoStack


class SettingChange(QUndoCommand):
    """Sends a setting when it is done or redone, and the one before when it is undone."""

    def __init__(self, text: str, send: Callable[[], object], take_back: Callable[[], object]):
        super().__init__(text)
        self._send = send
        self._take_back = take_back

    def redo(self) -> None:
        """Send it."""
        self._send()

    def undo(self) -> None:
        """Send what stood before."""
        self._take_back()


def change_setting(
    stack: QUndoStack, text: str, send: Callable[[], object], take_back: Callable[[], object]
) -> None:
    """Send a setting now and remember how to take it back."""
    stack.push(SettingChange(text, send, take_back))
