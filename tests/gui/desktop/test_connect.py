"""The connect dialog: searched, cancelled at once, tried, taken into the network file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from answering import TcpDevice
from emulated import emulated
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.desktop.connect.dialog import ConnectDialog
from gui.desktop.settings.review import ReviewDialog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


class Silent:
    """A device that takes every question and answers none."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.place = f"127.0.0.1:{TcpDevice(self._take).port}"

    def _take(self, _: bytes) -> bytes:
        self.heard.set()
        return b""


@pytest.fixture(scope="module")
def silent() -> Silent:
    return Silent()


@pytest.fixture
def dialog(silent: Silent, lab: Lab, qtbot: QtBot) -> Iterator[ConnectDialog]:
    """Open the dialog and wait until it knows the drivers."""
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = ConnectDialog(lab.desk, parent)
    dialog.usb.setChecked(False)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.driver.count() > 10, timeout=WAIT_MS)
    silent.heard.clear()
    yield dialog
    dialog.close()


def search(dialog: ConnectDialog, qtbot: QtBot, hosts: str) -> None:
    dialog.hosts.setFocus()
    qtbot.keyClicks(dialog.hosts, hosts)
    qtbot.mouseClick(dialog.search_button, LEFT)


def test_an_instrument_is_found_tried_and_taken_into_the_file(
    dialog: ConnectDialog, lab: Lab, qtbot: QtBot
) -> None:
    with emulated("dg645", "tcp://127.0.0.1:0") as place:
        search(dialog, qtbot, place.url.removeprefix("tcp://"))
        qtbot.waitUntil(lambda: dialog.table.rowCount() == 1, timeout=WAIT_MS)
        assert dialog.driver.currentText() == "dg645"
        assert dialog.url.text() == place.url
        qtbot.waitUntil(dialog.read_button.isEnabled, timeout=WAIT_MS)
        qtbot.mouseClick(dialog.read_button, LEFT)
        assert not dialog.read_button.isEnabled()
        qtbot.waitUntil(lambda: "answered in" in dialog.answer.text(), timeout=WAIT_MS)
    dialog.name.selectAll()
    qtbot.keyClicks(dialog.name, "delays")

    qtbot.mouseClick(dialog.add_button, LEFT)
    qtbot.waitUntil(lambda: bool(dialog.findChildren(ReviewDialog)), timeout=WAIT_MS)
    (review,) = dialog.findChildren(ReviewDialog)
    assert "delays" not in lab.file.read_text()
    qtbot.mouseClick(review.apply_button, LEFT)

    qtbot.waitUntil(lambda: "delays" in lab.file.read_text(), timeout=WAIT_MS)
    assert f'url = "{place.url}"' in lab.file.read_text()
    qtbot.waitUntil(lambda: "from the next start" in dialog.state.text(), timeout=WAIT_MS)


@pytest.mark.parametrize("way", ["button", "escape"])
def test_a_search_that_hangs_is_cancelled_at_once(
    dialog: ConnectDialog, silent: Silent, lab: Lab, qtbot: QtBot, way: str
) -> None:
    search(dialog, qtbot, silent.place)
    qtbot.waitUntil(silent.heard.is_set, timeout=WAIT_MS)

    if way == "button":
        qtbot.mouseClick(dialog.cancel_button, LEFT)
    else:
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)

    assert dialog.isVisible()
    assert not dialog.search.is_running
    assert dialog.search_button.isEnabled()
    qtbot.waitUntil(lambda: not lab.api.client().search().is_running, timeout=WAIT_MS)


def test_the_window_answers_while_a_dead_address_is_tried(
    dialog: ConnectDialog, silent: Silent, qtbot: QtBot
) -> None:
    dialog.driver.setCurrentText("dg645")
    qtbot.keyClicks(dialog.url, f"tcp://{silent.place}")
    qtbot.mouseClick(dialog.read_button, LEFT)
    qtbot.waitUntil(silent.heard.is_set, timeout=WAIT_MS)

    qtbot.keyClicks(dialog.name, "typed")

    assert dialog.name.text() == "typed"
    assert dialog.answer.text().startswith("connecting to")
    qtbot.waitUntil(lambda: not dialog.answer.text().startswith("connecting"), timeout=WAIT_MS)
    assert dialog.read_button.isEnabled()


def test_what_is_no_host_is_told_in_the_nodes_words(dialog: ConnectDialog, qtbot: QtBot) -> None:
    search(dialog, qtbot, "tcp://x")

    qtbot.waitUntil(lambda: "hosts" in dialog.state.text(), timeout=WAIT_MS)
    assert dialog.search_button.isEnabled()


def test_buttons_say_why_they_cannot_be_used(dialog: ConnectDialog) -> None:
    dialog.url.clear()

    assert not dialog.read_button.isEnabled()
    assert not dialog.add_button.isEnabled()
    assert dialog.add_button.toolTip() == "Not now: it needs an address and a name"
    assert dialog.blink_button.toolTip() == "Not now: it cannot blink"


def test_closing_the_dialog_ends_the_search(
    dialog: ConnectDialog, silent: Silent, lab: Lab, qtbot: QtBot
) -> None:
    search(dialog, qtbot, silent.place)

    dialog.close()

    assert not dialog.search.is_running
    qtbot.waitUntil(lambda: not lab.api.client().search().is_running, timeout=WAIT_MS)
