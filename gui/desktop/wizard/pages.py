"""The fields of the wizard, and reading them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from gui.desktop.fields import Choice, read_quantity

_TEXTS = {
    "pair_rate": ("Pair rate at the source", "1 MHz", "Hz"),
    "visibility": ("Visibility of the state", "0.97", ""),
    "pulse_rate": ("Pulse rate", "100 MHz", "Hz"),
    "intensities": ("Mean photons per pulse", "0.5, 0.1", ""),
    "shares": ("Shares of the intensities", "0.9, 0.1", ""),
    "loss_a": ("Loss to Alice", "3 dB", "dB"),
    "loss_b": ("Loss to Bob", "3 dB", "dB"),
    "efficiency": ("Detection efficiency", "0.6", ""),
    "dark": ("Dark counts of each detector", "200 cps", "cps"),
    "dead": ("Dead time of the slowest detector", "50000 ps", "ps"),
    "inputs_a": ("Alice's inputs for H, V, D, A", "1, 2, 3, 4", ""),
    "inputs_b": ("Bob's inputs for H, V, D, A", "1, 2, 3, 4", ""),
    "window": ("Coincidence window, full width", "2000 ps", "ps"),
    "block": ("Sifted bits of a block", "100000", ""),
    "limit": ("QBER limit", "0.08", ""),
}


class Fields:
    """Lines to type into, by name; reading one that is wrong raises ValueError with its title."""

    def __init__(self) -> None:
        self.lines = {name: _line(title, start) for name, (title, start, _) in _TEXTS.items()}

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number with its unit's prefix taken in."""
        title, _, unit = _TEXTS[name]
        try:
            value = read_quantity(self.lines[name].text(), unit)
        except ValueError as error:
            raise ValueError(f"{title}: {error}") from error
        if not low <= value <= high:
            raise ValueError(f"{title}: {value:g} {unit} is outside {low:g} to {high:g} {unit}")
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return numbers with commas between."""
        try:
            return tuple(float(part) for part in self.lines[name].text().split(","))
        except ValueError as error:
            raise ValueError(f"{_TEXTS[name][0]}: write numbers with commas between") from error

    def form(self, names: Sequence[str], above: Sequence[tuple[str, QWidget]] = ()) -> QFormLayout:
        """Lay out widgets and lines below each other."""
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        for title, widget in above:
            form.addRow(title, widget)
        for name in names:
            form.addRow(_TEXTS[name][0], self.lines[name])
        return form


def page(words: str, *layouts: QFormLayout) -> QWidget:
    """Return a page with a question on top."""
    made = QWidget()
    layout = QVBoxLayout(made)
    layout.setSpacing(12)
    heading = QLabel(words)
    heading.setObjectName("title")
    layout.addWidget(heading)
    for each in layouts:
        layout.addLayout(each)
    layout.addStretch(1)
    return made


def choice(name: str, words: tuple[str, ...]) -> Choice:
    """Return a choice that shows its first word."""
    made = Choice(name)
    made.show_choices(words, words[0] if words else "")
    return made


def _line(title: str, start: str) -> QLineEdit:
    line = QLineEdit(start)
    line.setAccessibleName(title)
    return line
