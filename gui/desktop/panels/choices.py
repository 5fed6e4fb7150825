"""Small buttons of which one is down, for the title row of a card."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget


def add_choices(
    parent: QWidget,
    row: QHBoxLayout,
    names: Iterable[tuple[str, str]],
    chosen: str,
    choose: Callable[[str], None],
) -> dict[str, QPushButton]:
    """Add a button for each text and spoken name; `choose` gets the text of the one clicked."""
    group = QButtonGroup(parent)
    made = {}
    for text, spoken in names:
        button = QPushButton(text)
        button.setObjectName("small")
        button.setCheckable(True)
        button.setChecked(text == chosen)
        button.setAccessibleName(spoken)
        button.clicked.connect(lambda _=False, each=text: choose(each))
        group.addButton(button)
        row.addWidget(button)
        made[text] = button
    return made
