"""The top bar: which link, how it is, and the few commands that are always at hand."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QAction, QColor, QIcon
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from gui.desktop.client import Connection
from gui.desktop.desk import Desk
from gui.desktop.fields import Choice
from gui.desktop.look import Look
from gui.theme import Theme
from qnx_hw.api.schema import LinkPhase, LinkView

_RUNNING = {
    LinkPhase.CONNECTING,
    LinkPhase.WARMING_UP,
    LinkPhase.SYNCHRONISING,
    LinkPhase.GENERATING,
}


class TopBar(QWidget):
    """Draws the chosen link's state; sends start and stop for it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._client = desk.client
        self._look = desk.look
        self._pending = ""
        """The phase in which a command was sent; buttons wait until it is left."""
        self.logo = QLabel()
        self.links = Choice("Link")
        self.links.setMinimumWidth(190)
        self.links.currentIndexChanged.connect(lambda _: desk.choose_link(self.link_name))
        self.state = _pill("State of the link")
        self.simulated = SimulatedBadge("SIMULATED HARDWARE")
        self.simulated.setAccessibleName("Simulated hardware")
        self.stop_button = QPushButton("Stop")
        self.start_button = QPushButton("Start")
        self.start_button.clicked.connect(self.start_link)
        self.stop_button.clicked.connect(self.stop_link)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(14, 9, 12, 9)
        self._layout.setSpacing(10)
        name = QLabel("Quantum Nexus")
        name.setObjectName("title")
        shown: tuple[QWidget, ...] = (self.logo, name, self.links, self.state, self.simulated)
        for widget in shown:
            self._layout.addWidget(widget)
        self._layout.addStretch(1)
        self._layout.addWidget(self.stop_button)
        self._layout.addWidget(self.start_button)
        self._buttons: list[tuple[QPushButton | QToolButton, QAction]] = []
        self.bell = QToolButton()
        desk.look.changed.connect(self.recolour)
        desk.link_changed.connect(self._select)
        self._client.refused.connect(self._done)
        self.recolour()

    @property
    def link_name(self) -> str:
        """The link on show; empty where there is none."""
        return str(self.links.currentData() or "")

    def add_actions(self) -> None:
        """Make buttons of the desk's actions that belong here, once all are known."""
        for name in ("record", "connect"):
            if (action := self._desk.action(name)) is not None:
                button = QPushButton(action.text())
                button.setObjectName("primary" if name == "connect" else "")
                self._add(button, action)
        for name in ("palette", "show events", "theme", "settings"):
            if (action := self._desk.action(name)) is not None:
                self._add(self.bell if name == "show events" else QToolButton(), action)
        self.recolour()

    def button(self, name: str) -> QPushButton | QToolButton:
        """Return the button of an action."""
        return next(button for button, action in self._buttons if action.objectName() == name)

    def refresh(self) -> None:
        """Draw the connection, the choice of links and the chosen link's state."""
        known = self._client.links
        for index in reversed(range(self.links.count())):
            if self.links.itemData(index) not in known:
                self.links.removeItem(index)
        for name, link in known.items():
            if self.links.findData(name) < 0:
                text = f"{link.alice} ↔ {link.bob}  ·  {link.protocol.upper()}"
                self.links.addItem(text, name)
        snapshot = self._client.snapshot
        self.simulated.show_origin(None if snapshot is None else snapshot.is_simulated, self._look)
        chosen = known.get(self.link_name)
        if self._pending and (chosen is None or chosen.phase != self._pending):
            self._answered()
        running = chosen is not None and chosen.phase in _RUNNING
        is_live = self._client.is_live and chosen is not None
        self._enable(self.start_button, is_live and not running, "the link runs already")
        self._enable(self.stop_button, is_live and running, "the link does not run")
        text, colour = self._describe(chosen)
        _paint(self.state, text, colour)
        self._show_alarms()

    def start_link(self) -> None:
        """Ask the node to make key on the chosen link."""
        self._send("start", self.start_button)

    def stop_link(self) -> None:
        """Ask the node to stop making key on the chosen link."""
        self._send("stop", self.stop_button)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        colours = self._look.colours
        self.logo.setPixmap(self._look.icon("atom", colours.accent).pixmap(22, 22))
        for command, icon, tint in (
            (self.start_button, "play", colours.ok),
            (self.stop_button, "square", colours.error),
        ):
            drawn = self._look.icon(icon, tint)
            drawn.addPixmap(self._look.pixmap(icon, colours.faint), QIcon.Mode.Disabled)
            command.setIcon(drawn)
        for button, action in self._buttons:
            icon = str(action.property("icon_name"))
            if action.objectName() == "theme":
                icon = "sun" if self._look.theme is Theme.DARK else "moon"
            tint = "#FFFFFF" if button.objectName() == "primary" else ""
            button.setIcon(self._look.icon(icon, tint))
        self.refresh()

    def _add(self, button: QPushButton | QToolButton, action: QAction) -> None:
        button.setAccessibleName(action.text())
        keys = action.shortcut().toString()
        button.setToolTip(f"{action.text()}  {keys}".strip())
        button.setIconSize(QSize(16, 16))
        button.clicked.connect(action.trigger)
        self._buttons.append((button, action))
        self._layout.addWidget(button)

    def _select(self, name: str) -> None:
        index = self.links.findData(name)
        if index >= 0:
            self.links.setCurrentIndex(index)

    def _send(self, verb: str, button: QPushButton) -> None:
        link = self._client.links.get(self.link_name)
        if link is not None and button.isEnabled():
            self._pending = link.phase
            path = ("links", link.name, verb)
            self._client.requests.post(path, LinkView, then=lambda _: self._done())
            self.refresh()

    def _done(self) -> None:
        """Wait no longer: the node has answered, or refused."""
        self._answered()
        self.refresh()

    def _answered(self) -> None:
        self._pending = ""

    def _enable(self, button: QPushButton, possible: bool, reason: str) -> None:
        waiting = bool(self._pending)
        button.setEnabled(possible and not waiting)
        why = (
            "the node carries out a command"
            if waiting
            else reason
            if self._client.is_live
            else "no node"
        )
        button.setToolTip("" if button.isEnabled() else f"Not now: {why}")

    def _show_alarms(self) -> None:
        count = self._client.events.unacknowledged
        text = f"{count} alarms wait to be acknowledged" if count else "No alarm waits"
        if self.bell.toolTip() != text:
            colour = self._look.colours.error if count else ""
            self.bell.setIcon(self._look.icon("bell", colour))
            self.bell.setToolTip(text)
            self.bell.setText(str(count) if count else "")
            styles = Qt.ToolButtonStyle
            with_text, alone = styles.ToolButtonTextBesideIcon, styles.ToolButtonIconOnly
            self.bell.setToolButtonStyle(with_text if count else alone)

    def _describe(self, link: LinkView | None) -> tuple[str, str]:
        colours = self._look.colours
        if not self._client.is_live:
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


class SimulatedBadge(QLabel):
    """Says whether instruments are emulators. Nothing hides it: hiding it shows it again."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.setObjectName("pill")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._words = words
        self._is_simulated: bool | None = None

    def show_origin(self, is_simulated: bool | None, look: Look) -> None:
        """Show simulated, hardware, or, before the node said so, nothing."""
        self._is_simulated = is_simulated
        colours = look.colours
        if is_simulated:
            _paint(self, self._words, colours.simulated)
        else:
            _paint(self, "" if is_simulated is None else "HARDWARE", colours.dim)
        self.setVisible(is_simulated is not None)

    def event(self, event: QEvent) -> bool:
        """Come back when somebody hides what must be seen."""
        if event.type() is QEvent.Type.HideToParent and self._is_simulated:
            self.setVisible(True)
        return super().event(event)


def _pill(name: str) -> QLabel:
    pill = QLabel()
    pill.setObjectName("pill")
    pill.setAccessibleName(name)
    pill.setTextFormat(Qt.TextFormat.PlainText)
    return pill


def _paint(pill: QLabel, text: str, colour: str) -> None:
    tint = QColor(colour)
    back = f"rgba({tint.red()}, {tint.green()}, {tint.blue()}, 40)"
    style = f"color: {colour}; border: 1px solid {colour}; background: {back};"
    if pill.text() != text:
        pill.setText(text)
    if pill.styleSheet() != style:
        pill.setStyleSheet(style)
