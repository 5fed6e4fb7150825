"""What all cards share: a dock with a title row, drawn by the frame clock while it can be seen."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.desktop.client import NodeClient
from gui.desktop.look import Look


class Panel(QDockWidget):
    """A card. Subclasses build into `body` and draw in `refresh`, which must be quick."""

    def __init__(self, name: str, title: str, icon: str, client: NodeClient, look: Look) -> None:
        super().__init__(title)
        self.setObjectName(name)
        self.client = client
        self.look = look
        self.link_name = ""
        self._icon_name = icon
        self._drawn_revision = -1
        self._icon = QLabel()
        self.subtitle = QLabel()
        self.subtitle.setObjectName("note")
        self.tools = QHBoxLayout()
        self.tools.setSpacing(4)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(0, 0, 0, 0)
        self.setTitleBarWidget(QWidget())
        self.setWidget(self._card(title))
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        look.changed.connect(self._recolour)
        self._recolour()

    def draw(self) -> None:
        """Bring the card up to date if it can be seen and there is something new."""
        if self.isVisible() and self._drawn_revision != self.client.revision:
            self._drawn_revision = self.client.revision
            self.refresh()

    def refresh(self) -> None:
        """Draw what the node reports."""

    def recolour(self) -> None:
        """Take over the colours of the theme."""

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        self.link_name = name
        self._drawn_revision = -1

    def _recolour(self) -> None:
        self._icon.setPixmap(self.look.icon(self._icon_name).pixmap(16, 16))
        self._drawn_revision = -1
        self.recolour()

    def _card(self, title: str) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        label = QLabel(title)
        label.setObjectName("title")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._icon)
        row.addWidget(label)
        row.addWidget(self.subtitle)
        row.addStretch(1)
        row.addLayout(self.tools)
        layout = QVBoxLayout(card)
        layout.setContentsMargins(12, 9, 12, 9)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addLayout(self.body, 1)
        layout.setAlignment(row, Qt.AlignmentFlag.AlignTop)
        return card
