"""The top bar: which link, how it is, and the few commands that are always at hand."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from gui.desktop.client import Connection, NodeClient
from gui.desktop.look import Look
from qnx_hw.api.schema import LinkPhase, LinkView

_RUNNING = {
    LinkPhase.CONNECTING,
    LinkPhase.WARMING_UP,
    LinkPhase.SYNCHRONISING,
    LinkPhase.GENERATING,
}


class TopBar(QWidget):
    """Draws the chosen link's state; sends start and stop for it."""

    link_chosen = Signal(str)

    def __init__(self, client: NodeClient, look: Look) -> None:
        super().__init__()
        self._client = client
        self._look = look
        self._pending = ""
        """The phase in which a command was sent; buttons wait until it is left."""
        self.logo = QLabel()
        self.links = QComboBox()
        self.links.setAccessibleName("Link")
        self.links.setMinimumWidth(190)
        self.links.currentTextChanged.connect(self._choose)
        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setObjectName("pill")
        self.simulated = QLabel("SIMULATED HARDWARE")
        self.simulated.setObjectName("pill")
        self.simulated.setAccessibleName("Simulated hardware")
        self.stop_button = QPushButton("Stop")
        self.start_button = QPushButton("Start")
        self.start_button.setObjectName("primary")
        self.theme_button = QToolButton()
        self.theme_button.setAccessibleName("Switch between dark and light")
        self.theme_button.clicked.connect(look.toggle)
        self.start_button.clicked.connect(lambda: self._send(client.start_link))
        self.stop_button.clicked.connect(lambda: self._send(client.stop_link))
        name = QLabel("Quantum Nexus")
        name.setObjectName("title")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 9, 12, 9)
        layout.setSpacing(10)
        shown: tuple[QWidget, ...] = (self.logo, name, self.links, self.state, self.simulated)
        for widget in shown:
            layout.addWidget(widget)
        layout.addStretch(1)
        always: tuple[QWidget, ...] = (self.stop_button, self.start_button, self.theme_button)
        for widget in always:
            layout.addWidget(widget)
        look.changed.connect(self.recolour)
        client.refused.connect(lambda _: self._answered())
        self.recolour()

    @property
    def link_name(self) -> str:
        """The link on show; empty where there is none."""
        return str(self.links.currentData() or "")

    def refresh(self) -> None:
        """Draw the connection, the choice of links and the chosen link's state."""
        for name, link in self._client.links.items():
            if self.links.findData(name) < 0:
                text = f"{link.alice} ↔ {link.bob}  ·  {link.protocol.upper()}"
                self.links.addItem(text, name)
        snapshot = self._client.snapshot
        self.simulated.setVisible(snapshot is not None and snapshot.is_simulated)
        chosen = self._client.links.get(self.link_name)
        if self._pending and (chosen is None or chosen.phase != self._pending):
            self._answered()
        is_live = self._client.connection is Connection.LIVE and chosen is not None
        running = chosen is not None and chosen.phase in _RUNNING
        self._enable(self.start_button, is_live and not running, "the link runs already")
        self._enable(self.stop_button, is_live and running, "the link does not run")
        text, colour = self._describe(chosen)
        self._paint_pill(self.state, text, colour)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        colours = self._look.colours
        self.logo.setPixmap(self._look.icon("atom", colours.accent).pixmap(22, 22))
        self.start_button.setIcon(self._look.icon("play", "#FFFFFF"))
        self.stop_button.setIcon(self._look.icon("square", colours.error))
        self.theme_button.setIcon(self._look.icon("sun"))
        self._paint_pill(self.simulated, self.simulated.text(), colours.simulated)

    def _choose(self) -> None:
        self.link_chosen.emit(self.link_name)

    def _send(self, command: object) -> None:
        link = self._client.links.get(self.link_name)
        if link is not None and callable(command):
            self._pending = link.phase
            command(link.name)
            self.refresh()

    def _answered(self) -> None:
        self._pending = ""

    def _enable(self, button: QPushButton, possible: bool, reason: str) -> None:
        waiting = bool(self._pending)
        button.setEnabled(possible and not waiting)
        is_live = self._client.connection is Connection.LIVE
        why = "the node carries out a command" if waiting else reason if is_live else "no node"
        button.setToolTip("" if button.isEnabled() else f"Not now: {why}")

    def _describe(self, link: LinkView | None) -> tuple[str, str]:
        colours = self._look.colours
        if self._client.connection is not Connection.LIVE:
            colour = colours.error if self._client.connection is Connection.LOST else colours.warn
            return f"NODE {self._client.connection.upper()}", colour
        if link is None:
            return "NO LINK", colours.dim
        minutes, seconds = divmod(int(link.running_s), 60)
        clock = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
        if link.phase is LinkPhase.GENERATING:
            return f"GENERATING KEY  {clock}", colours.ok
        if link.phase is LinkPhase.FAULT:
            return f"FAULT  {link.message}"[:60], colours.error
        return link.phase.replace("_", " ").upper(), colours.warn

    def _paint_pill(self, pill: QLabel, text: str, colour: str) -> None:
        tint = QColor(colour)
        back = f"rgba({tint.red()}, {tint.green()}, {tint.blue()}, 40)"
        style = f"color: {colour}; border: 1px solid {colour}; background: {back};"
        if pill.text() != text:
            pill.setText(text)
        if pill.styleSheet() != style:
            pill.setStyleSheet(style)
