"""The main window: top bar, key figures and cards, drawn by one frame clock."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QGraphicsOpacityEffect, QLabel, QMainWindow, QToolBar, QWidget

from gui.desktop.client import Connection, NodeClient
from gui.desktop.figures import Figures
from gui.desktop.look import Look
from gui.desktop.panels.errors import ErrorsPanel
from gui.desktop.panels.events import EventsPanel
from gui.desktop.panels.histogram import HistogramPanel
from gui.desktop.panels.instruments import InstrumentsPanel
from gui.desktop.panels.matrix import MatrixPanel
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.rates import RatesPanel
from gui.desktop.top_bar import TopBar

FRAME_MS = 33
_PROBLEM_MS = 8000


class MainWindow(QMainWindow):
    """A client of one node. It draws what the node reports; closing it changes nothing there."""

    def __init__(self, client: NodeClient, look: Look) -> None:
        super().__init__()
        self.setWindowTitle("Quantum Nexus")
        self.setWindowIcon(look.icon("atom", look.colours.accent))
        self.client = client
        self.look = look
        self.setDockNestingEnabled(True)
        self.setContentsMargins(8, 0, 8, 0)
        self.top_bar = TopBar(client, look)
        self.figures = Figures()
        self._add_strip("top", self.top_bar)
        self.addToolBarBreak()
        self._add_strip("figures", self.figures)
        self.rates = RatesPanel(client, look)
        self.histogram = HistogramPanel(client, look)
        self.matrix = MatrixPanel(client, look)
        self.errors = ErrorsPanel(client, look)
        self.events = EventsPanel(client, look)
        self.instruments = InstrumentsPanel(client, look)
        self.panels: tuple[Panel, ...] = (
            self.instruments,
            self.rates,
            self.histogram,
            self.matrix,
            self.errors,
            self.events,
        )
        self._arrange()
        self.progress = QLabel()
        self.progress.setTextFormat(Qt.TextFormat.PlainText)
        self.progress.setObjectName("mono")
        self.statusBar().addWidget(self.progress)
        self._veil: QGraphicsOpacityEffect | None = None
        self.top_bar.link_chosen.connect(self._show_link)
        client.refused.connect(self._tell)
        client.connection_changed.connect(self._show_connection)
        self._add_shortcuts()
        self._clock = QTimer(self)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.timeout.connect(self.draw)
        self._clock.start(FRAME_MS)
        self._drawn_revision = -1
        self.resize(1440, 900)

    def sizeHint(self) -> QSize:
        """Return the size that shows every card well."""
        return QSize(1440, 900)

    def draw(self) -> None:
        """Draw one frame: whatever is new and can be seen."""
        if self.isMinimized():
            return
        if self._drawn_revision != self.client.revision:
            self._drawn_revision = self.client.revision
            self.top_bar.refresh()
            self._draw_link()
        for panel in self.panels:
            panel.draw()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop drawing; the node goes on."""
        self._clock.stop()
        super().closeEvent(event)

    def _draw_link(self) -> None:
        link = self.client.links.get(self.top_bar.link_name)
        if link is None:
            self.progress.setText(f"{self.client.url}   {self.client.connection}")
            return
        self.figures.show_link(link)
        tags = sum(rate.rate_cps for rate in link.rates)
        parts = [
            f"{tags / 1e6:.2f} Mtag/s",
            f"block {link.block}",
            f"{link.stage} {link.progress * 100:.0f} %",
            f"{link.blocks_done} done, {link.blocks_aborted} aborted",
        ]
        if link.clock.is_locked and link.clock.offset_ps is not None:
            jitter = "" if link.clock.jitter_ps is None else f" ± {link.clock.jitter_ps:.0f} ps"
            parts.append(f"clock {link.clock.offset_ps / 1e6:.3f} µs{jitter}")
        else:
            parts.append("clock not locked")
        if link.message:
            parts.append(link.message)
        self.progress.setText("    ".join(parts))

    def _show_link(self, name: str) -> None:
        for panel in self.panels:
            panel.show_link(name)

    def _show_connection(self, connection: str) -> None:
        """Grey the figures while what they show is old."""
        is_live = connection == Connection.LIVE
        self._veil = None if is_live else QGraphicsOpacityEffect(self.figures)
        if self._veil is not None:
            self._veil.setOpacity(0.45)
            self.figures.setGraphicsEffect(self._veil)
        else:
            self.figures.setGraphicsEffect(None)  # type: ignore[arg-type]  # None takes it off

    def _tell(self, problem: str) -> None:
        self.statusBar().showMessage(problem, _PROBLEM_MS)

    def _add_strip(self, name: str, content: QWidget) -> None:
        strip = QToolBar(name)
        strip.setObjectName(name)
        strip.setMovable(False)
        strip.toggleViewAction().setEnabled(False)
        strip.addWidget(content)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, strip)

    def _arrange(self) -> None:
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        self.addDockWidget(left, self.instruments)
        self.addDockWidget(right, self.rates)
        self.splitDockWidget(self.rates, self.histogram, down)
        self.splitDockWidget(self.histogram, self.errors, down)
        self.splitDockWidget(self.histogram, self.matrix, across)
        self.splitDockWidget(self.errors, self.events, across)
        self.resizeDocks([self.instruments, self.rates], [272, 1150], across)
        self.resizeDocks([self.histogram, self.matrix], [640, 500], across)
        self.resizeDocks([self.errors, self.events], [560, 580], across)
        self.resizeDocks([self.rates, self.histogram, self.errors], [270, 260, 240], down)

    def _add_shortcuts(self) -> None:
        for keys, action in (
            ("F5", self.top_bar.start_button.click),
            ("Ctrl+.", self.top_bar.stop_button.click),
            ("Ctrl+Shift+L", self.look.toggle),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(action)
