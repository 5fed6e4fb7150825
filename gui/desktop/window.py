"""The main window: top bar, key figures and cards in workspaces, drawn by one frame clock."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QChildEvent, QSize, Qt, qVersion
from PySide6.QtGui import QCloseEvent, QGuiApplication, QUndoCommand
from PySide6.QtWidgets import (
    QGraphicsOpacityEffect,
    QLabel,
    QMainWindow,
    QTabBar,
    QTabWidget,
    QToolBar,
    QWidget,
)

from gui.desktop.client import NodeClient
from gui.desktop.command_palette import CommandPalette, ShortcutList
from gui.desktop.desk import Desk
from gui.desktop.figures import Figures
from gui.desktop.frame_clock import WORDS, FrameClock
from gui.desktop.layouts import VERSION, LayoutStore, SavedLayout
from gui.desktop.look import Look
from gui.desktop.panels.panel import Panel
from gui.desktop.registry import PANELS, TOOLS
from gui.desktop.top_bar import TopBar
from gui.desktop.workspaces import WORKSPACES, Workspace, arrange, leaves
from gui.theme import Theme

_PROBLEM_MS = 8000
_START = "Run"


class MainWindow(QMainWindow):
    """A client of one node. It draws what the node reports; closing it changes nothing there."""

    def __init__(self, client: NodeClient, look: Look, store: LayoutStore | None = None) -> None:
        super().__init__()
        self.setWindowTitle("Quantum Nexus")
        self.client = client
        self.look = look
        self.desk = Desk(client, look)
        self.desk.setParent(self)
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.setContentsMargins(8, 0, 8, 0)
        self.top_bar = TopBar(self.desk)
        self.figures = Figures()
        self._add_strip("top", self.top_bar)
        self.addToolBarBreak()
        self._add_strip("figures", self.figures)
        self.panels: dict[str, Panel] = {}
        for make in PANELS:
            panel = make(self.desk)
            panel.setParent(self)
            self.panels[panel.objectName()] = panel
        self.progress = QLabel()
        self.progress.setTextFormat(Qt.TextFormat.PlainText)
        self.progress.setObjectName("mono")
        self.statusBar().addWidget(self.progress)
        self.clock = FrameClock(self)
        self._drawn_revision = -1
        self._store = store
        self._states: dict[str, bytes] = {}
        self._waiting_for = ""
        self.workspace = _workspace(_START)
        self._offer_actions()
        for tool in TOOLS:
            tool(self.desk, self)
        self.addActions(self.desk.actions)
        self.top_bar.add_actions()
        self.desk.wanted.connect(self.show_panel)
        self.desk.told.connect(self.tell)
        client.connection_changed.connect(lambda _: self._grey_figures())
        look.changed.connect(self._recolour)
        self._recolour()
        self.resize(1440, 900)
        self._restore()
        self.clock.add(self._draw_frame, WORDS)
        for panel in self.panels.values():
            self.clock.add(panel.draw, panel.every)
        self.clock.start()

    def sizeHint(self) -> QSize:
        """Return the size that shows every card well."""
        return QSize(1440, 900)

    def panel(self, name: str) -> Panel:
        """Return a card by its name."""
        return self.panels[name]

    def use_workspace(self, name: str) -> None:
        """Show the cards of a workspace as they stood when it was last left."""
        self._states[self.workspace.name] = self._state()
        self.workspace = _workspace(name)
        if not self._restore_state(self._states.get(name, b"")):
            arrange(self, self.panels, self.workspace.plan)

    def reset_layout(self) -> None:
        """Put the cards of this workspace back where they stand at first."""
        self._change_layout("Reset layout", lambda: arrange(self, self.panels, self.workspace.plan))

    def show_panel(self, name: str) -> None:
        """Bring a card to the front, here or in the workspace it belongs to."""
        panel = self.panels.get(name)
        if panel is None:
            return
        if panel.isHidden() and name not in leaves(self.workspace.plan):
            home = next((w.name for w in WORKSPACES if name in leaves(w.plan)), None)
            if home is not None:
                self.use_workspace(home)
        if panel.isHidden():
            self._change_layout(f"Show {panel.windowTitle()}", panel.show)
        panel.raise_()

    def draw(self) -> None:
        """Draw all that can be seen now."""
        self.clock.draw_all()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop drawing and keep the layout; the node goes on."""
        self.clock.stop()
        self._states[self.workspace.name] = self._state()
        if self._store is not None:
            self._store.save(
                SavedLayout(
                    qt=qVersion(),
                    screens=_screens(),
                    workspace=self.workspace.name,
                    theme="" if self.look.follows_system else self.look.theme,
                    geometry=bytes(self.saveGeometry().data()),
                    states=self._states,
                )
            )
        super().closeEvent(event)

    def childEvent(self, event: QChildEvent) -> None:
        """Give the tabs of cards, which Qt makes by itself, a name for screen readers."""
        super().childEvent(event)
        child = event.child()
        if event.polished() and isinstance(child, QTabBar):
            child.setAccessibleName("Cards behind each other")

    def tell(self, sentence: str) -> None:
        """Show a sentence for a while."""
        self.statusBar().showMessage(sentence, _PROBLEM_MS)

    def wait_for(self, sentence: str) -> None:
        """Say for what there is nothing to show yet, until there is."""
        self._waiting_for = sentence
        if not self.client.links:
            self.progress.setText(sentence)

    def _draw_frame(self) -> bool:
        if self.isMinimized() or self._drawn_revision == self.client.revision:
            return False
        self._drawn_revision = self.client.revision
        self.top_bar.refresh()
        if not self.desk.link_name:
            self.desk.choose_link(self.top_bar.link_name)
        self._draw_link()
        return True

    def _draw_link(self) -> None:
        link = self.client.links.get(self.desk.link_name)
        if link is None:
            words = f"{self.client.url}   {self.client.connection}"
            self.progress.setText(words if self.client.snapshot else self._waiting_for or words)
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

    def _grey_figures(self) -> None:
        """Grey the figures while what they show is old."""
        if self.client.is_live:
            self.figures.setGraphicsEffect(None)  # type: ignore[arg-type]  # None takes it off
        elif self.figures.graphicsEffect() is None:
            veil = QGraphicsOpacityEffect(self.figures)
            veil.setOpacity(0.45)
            self.figures.setGraphicsEffect(veil)

    def _recolour(self) -> None:
        self.setStyleSheet(self.look.style)
        self.setWindowIcon(self.look.icon("atom", self.look.colours.accent))
        self.figures.paint(self.look)
        self._drawn_revision = -1

    def _add_strip(self, name: str, content: QWidget) -> None:
        strip = QToolBar(name)
        strip.setObjectName(name)
        strip.setMovable(False)
        strip.toggleViewAction().setEnabled(False)
        strip.toggleViewAction().setVisible(False)
        strip.addWidget(content)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, strip)

    def _offer_actions(self) -> None:
        add, bar = self.desk.add_action, self.top_bar
        add("start", "Start the link", bar.start_link, keys="F5", icon="play")
        add("stop", "Stop the link", bar.stop_link, keys="Ctrl+.", icon="square")
        for place in WORKSPACES:
            run = partial(self.use_workspace, place.name)
            name = f"workspace {place.name}"
            add(name, f"Workspace {place.name}", run, keys=place.keys, icon=place.icon)
        for name, panel in self.panels.items():
            run = partial(self.show_panel, name)
            icon = panel.icon_name
            add(f"show {name}", f"Show {panel.windowTitle()}", run, icon=icon)
        add("palette", "Find a command", self._show_palette, keys="Ctrl+K", icon="search")
        add("theme", "Switch between dark and light", self.look.toggle, keys="Ctrl+Shift+L",
            icon="sun")  # fmt: skip
        add("follow", "Follow the system's theme", self.look.follow_system, icon="sun")
        add("full screen", "Full screen", self._toggle_full_screen, keys="F11", icon="maximize")
        add("reset layout", "Reset layout", self.reset_layout, icon="layout-dashboard")
        add("undo", "Undo a setting or a layout", self.desk.undo.undo, keys="Ctrl+Z")
        add("redo", "Redo a setting or a layout", self.desk.undo.redo, keys="Ctrl+Shift+Z")
        add("shortcuts", "Keyboard shortcuts", self._show_shortcuts, keys="?", icon="info")

    def _show_palette(self) -> None:
        for name, link in self.client.links.items():
            text = f"Link {link.alice} ↔ {link.bob}"
            self.desk.add_action(f"link {name}", text, partial(self.desk.choose_link, name))
        palette = CommandPalette(self.desk, self)
        palette.finished.connect(palette.deleteLater)
        palette.open_over(self)

    def _show_shortcuts(self) -> None:
        dialog = ShortcutList(self.desk.actions, self)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _toggle_full_screen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
        else:
            self.showFullScreen()

    def _change_layout(self, text: str, change: object) -> None:
        before = self._state()
        assert callable(change)
        change()
        self.desk.undo.push(_LayoutChange(self, text, before))

    def _state(self) -> bytes:
        return bytes(self.saveState(VERSION).data())

    def _restore(self) -> None:
        saved = None
        if self._store is not None:
            saved = self._store.load(qVersion())
            if self._store.broke_last_time:
                self.tell("The last layout could not be restored; this is the default.")
        if saved is None:
            arrange(self, self.panels, self.workspace.plan)
            return
        if saved.theme:
            self.look.use(Theme(saved.theme))
        known = {place.name for place in WORKSPACES}
        self._states = {name: state for name, state in saved.states.items() if name in known}
        self.workspace = _workspace(saved.workspace)
        if saved.screens == _screens():
            self.restoreGeometry(saved.geometry)
        if not self._restore_state(self._states.get(self.workspace.name, b"")):
            arrange(self, self.panels, self.workspace.plan)

    def _restore_state(self, state: bytes) -> bool:
        if not state:
            return False
        if self._store is None:
            return self.restoreState(state, VERSION)
        with self._store.restoring():
            return self.restoreState(state, VERSION)


class _LayoutChange(QUndoCommand):
    """A change of the layout that was just made."""

    def __init__(self, window: MainWindow, text: str, before: bytes) -> None:
        super().__init__(text)
        self._window = window
        self._before = before
        self._after = window._state()
        self._is_made = True

    def undo(self) -> None:
        """Go back to the layout before."""
        self._is_made = False
        self._window.restoreState(self._before, VERSION)

    def redo(self) -> None:
        """Go to the layout after; the first time it is there already."""
        if not self._is_made:
            self._window.restoreState(self._after, VERSION)
        self._is_made = True


def _workspace(name: str) -> Workspace:
    return next((each for each in WORKSPACES if each.name == name), WORKSPACES[1])


def _screens() -> str:
    return ";".join(
        f"{each.name()} {each.geometry().getRect()} {each.devicePixelRatio()}"
        for each in QGuiApplication.screens()
    )
