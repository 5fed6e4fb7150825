"""Command palette, shortcuts, attaching to another node, and a node of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_node import FakeNode, sample_link, sample_snapshot, serve
from PySide6.QtCore import Qt

from gui.desktop.attach import AttachDialog
from gui.desktop.client import Connection
from gui.desktop.command_palette import CommandPalette, ShortcutList, fit

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
CTRL = Qt.KeyboardModifier.ControlModifier


def test_a_command_is_found_by_a_few_letters_and_done(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    qtbot.keyClick(window, Qt.Key.Key_K, CTRL)
    palette = window.findChild(CommandPalette)
    assert palette is not None

    qtbot.keyClicks(palette.line, "workanalyse")
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)

    assert window.workspace.name == "Analyse"


def test_the_palette_switches_links(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    desktop.node.push("link", sample_link(name="bob-carol", alice="bob", bob="carol"))
    qtbot.waitUntil(lambda: window.top_bar.links.count() == 2, timeout=WAIT_MS)
    qtbot.keyClick(window, Qt.Key.Key_K, CTRL)
    palette = window.findChild(CommandPalette)
    assert palette is not None

    qtbot.keyClicks(palette.line, "carol")
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)

    assert window.desk.link_name == "bob-carol"
    assert window.top_bar.link_name == "bob-carol"
    assert all(panel.link_name == "bob-carol" for panel in window.panels.values())


def test_what_fits_better_stands_first() -> None:
    assert fit("run", "Workspace Run") == (0, 10)
    assert fit("wsr", "Workspace Run") is not None
    assert fit("xyz", "Workspace Run") is None


def test_the_question_mark_lists_every_key(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window

    qtbot.keyClick(window, Qt.Key.Key_Question)

    shown = window.findChild(ShortcutList)
    assert shown is not None
    rows = range(shown.table.rowCount())
    keys = {shown.table.item(row, 0).text() for row in rows}
    assert {"F5", "Ctrl+.", "Ctrl+K", "Ctrl+1", "Ctrl+4", "F11", "?"} <= keys
    shown.close()


def test_no_two_commands_share_their_keys(desktop: Desktop) -> None:
    keys = [
        action.shortcut().toString()
        for action in desktop.window.desk.actions
        if not action.shortcut().isEmpty()
    ]

    assert len(keys) > 8
    assert len(keys) == len(set(keys))


def test_the_desktop_attaches_to_another_node_with_a_token(desktop: Desktop, qtbot: QtBot) -> None:
    other = FakeNode(sample_snapshot(network="other", links=(sample_link(name="other"),)))
    with serve(other) as url:
        desktop.window.desk.action("attach").trigger()
        dialog = desktop.window.findChild(AttachDialog)
        assert dialog is not None
        dialog.url.setText("nonsense")
        qtbot.mouseClick(dialog.attach_button, Qt.MouseButton.LeftButton)
        assert "nonsense" in dialog.problem.text()
        dialog.url.setText(url)
        qtbot.keyClicks(dialog.token, "qnx-token")

        qtbot.mouseClick(dialog.attach_button, Qt.MouseButton.LeftButton)

        qtbot.waitUntil(lambda: desktop.window.top_bar.link_name == "other", timeout=WAIT_MS)
        qtbot.mouseClick(desktop.window.top_bar.stop_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: len(other.commands) == 1, timeout=WAIT_MS)
        assert other.commands[0][1]["authorization"] == "Bearer qnx-token"
        desktop.client.stop()


def test_a_dead_address_is_said_and_input_goes_on(desktop: Desktop, qtbot: QtBot) -> None:
    desktop.client.attach("http://127.0.0.1:9")

    assert desktop.client.connection is Connection.CONNECTING
    qtbot.keyClick(desktop.window, "4", CTRL)
    assert desktop.window.workspace.name == "Analyse"
    state = desktop.window.top_bar.state
    qtbot.waitUntil(lambda: state.text() == "NODE CONNECTING", timeout=WAIT_MS)
