"""The link wizard by real clicks: from the source to a change of the network file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.desktop.settings.review import ReviewDialog
from gui.desktop.wizard.dialog import PULSES, LinkWizard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def wizard(lab: Lab, qtbot: QtBot) -> Iterator[LinkWizard]:
    parent = QWidget()
    qtbot.addWidget(parent)
    wizard = LinkWizard(lab.desk, parent)
    wizard.show()
    yield wizard
    wizard.close()


def go_to_check(wizard: LinkWizard, qtbot: QtBot) -> None:
    for _ in range(4):
        qtbot.mouseClick(wizard.next_button, LEFT)


def lines(wizard: LinkWizard) -> list[str]:
    return [wizard.list.item(row).text() for row in range(wizard.list.count())]


def test_five_pages_lead_to_a_link_in_the_network_file(
    wizard: LinkWizard, lab: Lab, qtbot: QtBot
) -> None:
    wizard.name.selectAll()
    qtbot.keyClicks(wizard.name, "second")
    go_to_check(wizard, qtbot)
    qtbot.waitUntil(lambda: "secret key" in wizard.key.text(), timeout=WAIT_MS)
    assert wizard.key.text().split()[1] == "kbit/s"
    assert "CAR" in wizard.expected.text()
    assert "the name 'second' is free" in lines(wizard)

    qtbot.mouseClick(wizard.write_button, LEFT)
    qtbot.waitUntil(lambda: bool(wizard.findChildren(ReviewDialog)), timeout=WAIT_MS)
    (review,) = wizard.findChildren(ReviewDialog)
    qtbot.mouseClick(review.apply_button, LEFT)

    qtbot.waitUntil(lambda: "second" in lab.file.read_text(), timeout=WAIT_MS)
    link = tomllib.loads(lab.file.read_text())["links"]["second"]
    assert (link["alice"]["node"], link["bob"]["node"]) == ("alice", "bob")
    assert link["bob"]["channels"] == {"H": 1, "V": 2, "D": 3, "A": 4}
    qtbot.waitUntil(lambda: not wizard.isVisible(), timeout=WAIT_MS)


def test_what_is_missing_keeps_it_from_being_written(wizard: LinkWizard, qtbot: QtBot) -> None:
    go_to_check(wizard, qtbot)

    assert not wizard.write_button.isEnabled()
    assert wizard.write_button.toolTip() == "Not now: there is a link 'alice-bob' already"
    assert lines(wizard)[0] == "there is a link 'alice-bob' already"


def test_a_field_that_is_wrong_is_named_on_the_check_page(wizard: LinkWizard, qtbot: QtBot) -> None:
    window = wizard.fields.lines["window"]
    window.selectAll()
    qtbot.keyClicks(window, "3 V")

    go_to_check(wizard, qtbot)

    assert lines(wizard) == [
        "Coincidence window, full width: 'V' is not a unit of this field: it takes ps"
    ]
    assert not wizard.write_button.isEnabled()


def test_weak_pulses_ask_for_a_transmitter(wizard: LinkWizard, qtbot: QtBot) -> None:
    wizard.source.setFocus()
    qtbot.keyClick(wizard.source, Qt.Key.Key_Down)
    assert wizard.source.currentText() == PULSES

    go_to_check(wizard, qtbot)

    assert wizard.fields.lines["intensities"].isEnabled()
    assert not wizard.fields.lines["visibility"].isEnabled()
    assert "Alice has no transmitter; decoy-bb84 needs one there" in lines(wizard)
