"""What all cards share: a dock with a title row, drawn by the frame clock while it can be seen."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.client import Connection
from gui.desktop.desk import Desk
from gui.desktop.exports import Table, ask_and_save
from gui.desktop.frame_clock import WORDS

_VEIL_ALPHA = 170


class Panel(QDockWidget):
    """A card. Subclasses build into `body` and draw in `refresh`, which must be quick.

    `name` is unique and lasts: saved layouts know the card by it. `export_table` gives
    what an export as CSV writes. It is drawn with every so many frames, five times a second unless
    its class says otherwise.
    """

    every = WORDS

    def __init__(self, name: str, title: str, icon: str, desk: Desk) -> None:
        super().__init__(title)
        self.setObjectName(name)
        self.desk = desk
        self.client = desk.client
        self.look = desk.look
        self.link_name = desk.link_name
        self.icon_name = icon
        self._drawn_revision = -1
        self._icon = QLabel()
        self.subtitle = QLabel()
        self.subtitle.setObjectName("note")
        self.subtitle.setTextFormat(Qt.TextFormat.PlainText)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(4)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(0, 0, 0, 0)
        self.menu_button = QToolButton()
        self.menu_button.setAccessibleName(f"Menu of {title}")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.card_menu = QMenu(self.menu_button)
        self.menu_button.setMenu(self.card_menu)
        self._fill_menu()
        self.setTitleBarWidget(self._title_row(title))
        self.setWidget(self._card())
        self._veil = _Veil(self)
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetClosable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )
        self.topLevelChanged.connect(lambda _: self._update_menu())
        desk.look.changed.connect(self._recolour)
        desk.link_changed.connect(self.show_link)
        self.client.connection_changed.connect(self._show_connection)
        self._recolour_frame()

    @property
    def can_be_seen(self) -> bool:
        """Whether any of its pixels is on a screen; false in a tab behind another."""
        return self.isVisible() and not self.visibleRegion().isEmpty()

    def draw(self) -> bool:
        """Bring the card up to date if it can be seen and there is something new; say if so."""
        if self._drawn_revision == self.client.revision or not self.can_be_seen:
            return False
        self._drawn_revision = self.client.revision
        self.refresh()
        return True

    def refresh(self) -> None:
        """Draw what the node reports."""

    def recolour(self) -> None:
        """Take over the colours of the theme."""

    def export_table(self) -> Table | None:
        """Return what the card shows as a table; None where it shows no numbers."""
        return None

    def redraw(self) -> None:
        """Draw with the next frame, whether or not the node said something new."""
        self._drawn_revision = -1

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        self.link_name = name
        self.redraw()

    def toggle_detached(self) -> None:
        """Take the card out of the window, or put it back."""
        if self.isFullScreen():
            self.showNormal()
        self.setFloating(not self.isFloating())

    def toggle_full_screen(self) -> None:
        """Fill the screen with this card, or put it back."""
        if self.isFullScreen():
            self.showNormal()
            self.setFloating(False)
        else:
            self.setFloating(True)
            self.showFullScreen()
        self._update_menu()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave full screen with Esc."""
        if event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self.toggle_full_screen()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer the card's menu."""
        self.card_menu.popup(event.globalPos())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the veil over the whole card."""
        super().resizeEvent(event)
        self._veil.setGeometry(self._below_title())

    def showEvent(self, event: QShowEvent) -> None:
        """Draw at once what came while the card was hidden."""
        super().showEvent(event)
        self.redraw()
        self._show_connection(self.client.connection)

    def _below_title(self) -> QRect:
        widget = self.widget()
        return widget.geometry() if widget is not None else self.rect()

    def _show_connection(self, connection: str) -> None:
        self._veil.setGeometry(self._below_title())
        self._veil.setVisible(connection in (Connection.STALE, Connection.LOST))
        self._veil.raise_()

    def _recolour_frame(self) -> None:
        self._icon.setPixmap(self.look.icon(self.icon_name).pixmap(16, 16))
        self.menu_button.setIcon(self.look.icon("ellipsis"))
        self.redraw()

    def _recolour(self) -> None:
        self._recolour_frame()
        self.recolour()

    def _fill_menu(self) -> None:
        menu = self.card_menu
        menu.addAction("Export as PNG…", lambda: ask_and_save(self, "png"))
        menu.addAction("Export as SVG…", lambda: ask_and_save(self, "svg"))
        self.csv_action = menu.addAction("Export data as CSV…", lambda: ask_and_save(self, "csv"))
        self.parquet_action = menu.addAction(
            "Export data as Parquet…", lambda: ask_and_save(self, "parquet")
        )
        menu.addSeparator()
        self.detach_action = menu.addAction("Detach", self.toggle_detached)
        self.full_action = menu.addAction("Full screen", self.toggle_full_screen)
        self.hide_action = menu.addAction("Hide", self.close)
        menu.aboutToShow.connect(self._update_menu)

    def _update_menu(self) -> None:
        has_data = self.export_table() is not None
        self.csv_action.setEnabled(has_data)
        self.parquet_action.setEnabled(has_data)
        self.detach_action.setText("Put back" if self.isFloating() else "Detach")
        self.full_action.setText("Leave full screen" if self.isFullScreen() else "Full screen")

    def _title_row(self, title: str) -> QFrame:
        frame = QFrame()
        frame.setObjectName("cardTitle")
        label = QLabel(title)
        label.setObjectName("title")
        row = QHBoxLayout(frame)
        row.setContentsMargins(12, 8, 8, 4)
        row.setSpacing(8)
        row.addWidget(self._icon)
        row.addWidget(label)
        row.addWidget(self.subtitle, 1)
        row.addLayout(self.tools)
        row.addWidget(self.menu_button)
        return frame

    def _card(self) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(12, 2, 12, 10)
        layout.setSpacing(6)
        layout.addLayout(self.body, 1)
        return card


class _Veil(QWidget):
    """Greys a card while what it shows is old; clicks go through."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint over the card."""
        colours = self._panel.look.colours
        painter = QPainter(self)
        tint = QColor(colours.window)
        tint.setAlpha(_VEIL_ALPHA)
        painter.fillRect(self.rect(), tint)
        painter.setPen(QColor(colours.warn))
        word = "no answer from the node" if self._panel.client.snapshot else "no data"
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, f"old: {word}")
        painter.end()
