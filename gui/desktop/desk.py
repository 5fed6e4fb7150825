"""What every card works with: the node, the look, what is selected, what can be undone."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QUndoStack

from gui.desktop.client import NodeClient
from gui.desktop.look import Look


class Desk(QObject):
    """Shared by all cards of a window. A card changes the selection; all cards follow it."""

    link_changed = Signal(str)
    pair_changed = Signal(int, int)
    """Indices of Alice's and Bob's detector, H V D A; -1 and -1 for all pairs together."""
    instrument_changed = Signal(str, str)
    """Node and name."""
    wanted = Signal(str)
    """A card that shall be brought to the front, by its name."""
    told = Signal(str)
    """A sentence for the user."""

    def __init__(self, client: NodeClient, look: Look) -> None:
        super().__init__()
        self.client = client
        self.look = look
        self.undo = QUndoStack(self)
        """Settings and layout only; never what moves hardware."""
        self.now: Callable[[], float] = time.time
        """Unix time, as all cards reckon ages."""
        self.link_name = ""
        self.pair = (-1, -1)
        self.instrument = ("", "")
        self._actions: dict[str, QAction] = {}
        client.refused.connect(self.told)

    @property
    def actions(self) -> tuple[QAction, ...]:
        """Everything that can be done by a key, a button or the command palette."""
        return tuple(self._actions.values())

    def action(self, name: str) -> QAction | None:
        """Return an action by its name."""
        return self._actions.get(name)

    def add_action(
        self, name: str, text: str, run: Callable[[], object], *, keys: str = "", icon: str = ""
    ) -> QAction:
        """Offer something: in the command palette, by its keys, and wherever a button shows it."""
        action = QAction(text, self)
        action.setObjectName(name)
        action.setProperty("icon_name", icon)
        action.setShortcutContext(Qt.ShortcutContext.ApplicationShortcut)
        if keys:
            action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda _checked=False: run())
        self._actions[name] = action
        return action

    def choose_link(self, name: str) -> None:
        """Have all cards show another link."""
        if name != self.link_name:
            self.link_name = name
            self.link_changed.emit(name)

    def choose_pair(self, alice: int, bob: int) -> None:
        """Have the histogram show one pair of detectors."""
        self.pair = (alice, bob)
        self.pair_changed.emit(alice, bob)

    def choose_instrument(self, node: str, name: str) -> None:
        """Have the cards of instruments show another one."""
        self.instrument = (node, name)
        self.instrument_changed.emit(node, name)
