"""Workspaces and saved layouts: restored exactly, undone, and never a crash from a bad file."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt, qVersion

from gui.desktop.layouts import LayoutStore, SavedLayout
from gui.desktop.window import MainWindow
from gui.desktop.workspaces import WORKSPACES, leaves

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
CTRL = Qt.KeyboardModifier.ControlModifier
SAVED = SavedLayout(qt="6", screens="one", workspace="Run", states={"Run": bytes(range(200))})


def test_each_workspace_has_its_cards(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    for key, place in zip("1234", WORKSPACES, strict=True):
        qtbot.keyClick(window, key, CTRL)

        wanted = {name for name in leaves(place.plan) if name in window.panels}
        shown = {name for name, panel in window.panels.items() if not panel.isHidden()}
        assert window.workspace is place
        assert shown == wanted


def test_a_workspace_comes_back_as_it_was_left(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.panel("matrix").hide_action.trigger()

    qtbot.keyClick(window, "4", CTRL)
    qtbot.keyClick(window, "2", CTRL)

    assert window.panel("matrix").isHidden()
    window.desk.action("reset layout").trigger()
    assert not window.panel("matrix").isHidden()


def test_a_reset_of_the_layout_can_be_undone(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.panel("matrix").hide()
    window.desk.action("reset layout").trigger()

    qtbot.keyClick(window, Qt.Key.Key_Z, CTRL)

    assert window.panel("matrix").isHidden()


def test_a_card_is_detached_and_put_back(desktop: Desktop) -> None:
    panel = desktop.window.panel("events")

    panel.detach_action.trigger()
    assert panel.isFloating()
    panel.card_menu.aboutToShow.emit()
    assert panel.detach_action.text() == "Put back"
    panel.detach_action.trigger()

    assert not panel.isFloating()


def test_a_card_fills_the_screen_until_escape(desktop: Desktop, qtbot: QtBot) -> None:
    panel = desktop.window.panel("matrix")

    panel.full_action.trigger()
    assert panel.isFullScreen()
    qtbot.keyClick(panel, Qt.Key.Key_Escape)

    assert not panel.isFullScreen()
    assert not panel.isFloating()


def test_the_layout_survives_a_restart(desktop: Desktop, qtbot: QtBot, tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    first = MainWindow(desktop.client, desktop.window.look, store)
    qtbot.addWidget(first)
    first.show()
    first.use_workspace("Analyse")
    first.panel("events").hide()
    first.close()

    second = MainWindow(desktop.client, desktop.window.look, LayoutStore(tmp_path))
    qtbot.addWidget(second)
    second.show()

    assert second.workspace.name == "Analyse"
    assert second.panel("events").isHidden()
    assert not second.panel("errors").isHidden()
    second.close()


def test_a_layout_that_broke_the_last_start_is_thrown_away(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    store.save(SAVED)
    restoring = store.restoring()
    restoring.__enter__()

    after_the_crash = LayoutStore(tmp_path)

    assert after_the_crash.broke_last_time
    assert after_the_crash.load("6") is None
    assert not after_the_crash.path.exists()
    assert not LayoutStore(tmp_path).broke_last_time


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_no_damaged_layout_is_ever_believed(seed: int) -> None:
    """A thousand damaged files in all: bits flipped, cut, or of another version."""
    import tempfile

    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = LayoutStore(Path(folder))
        store.save(SAVED)
        whole = store.path.read_bytes()
        assert store.load("6") == SAVED
        for _ in range(20):
            damaged = bytearray(whole)
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(len(damaged))] ^= dice.randint(1, 255)
            cut = dice.choice((len(damaged), dice.randrange(len(damaged))))
            store.path.write_bytes(damaged[:cut])
            assert damaged[:cut] == whole or store.load("6") is None
        store.save(SAVED)
        assert store.load("another Qt") is None


def test_a_window_starts_with_any_damaged_layout(
    desktop: Desktop, qtbot: QtBot, tmp_path: Path
) -> None:
    store = LayoutStore(tmp_path)
    state = bytes(desktop.window.saveState(1).data())
    store.save(SavedLayout(qt=qVersion(), screens="", workspace="Run", states={"Run": state[:40]}))

    window = MainWindow(desktop.client, desktop.window.look, store)
    qtbot.addWidget(window)
    window.show()

    assert not window.panel("rates").isHidden()
    window.close()
