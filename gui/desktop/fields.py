"""Input fields for a laboratory: the wheel changes nothing by accident, units may be typed.

A field shows what the device holds. What is typed and not yet sent stands in the colour of an
edit; Enter sends it, Esc goes back.
"""

from __future__ import annotations

import math
import re

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSlider, QWidget

PREFIXES = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "μ": 1e-6, "u": 1e-6, "m": 1e-3, "": 1.0,
    "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
}  # fmt: skip
_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_NUMBER = re.compile(r"\s*([-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]*)\s*$")


def read_quantity(text: str, unit: str) -> float:
    """Return a typed quantity in `unit`; raise ValueError with what is wrong.

    >>> read_quantity("1.4n", "ps")
    1400.0
    >>> read_quantity("200 ps", "ps")
    200.0
    """
    found = _NUMBER.match(text)
    if found is None:
        raise ValueError(f"'{text.strip()}' is not a number")
    number, said = float(found[1].replace("−", "-")), found[2]
    own = _prefix(unit)
    base = unit[1:] if own else unit
    if said in ("", unit):
        return number
    prefix = said.removesuffix(base) if base else said
    if prefix not in PREFIXES or (own is None and unit in ("%", "deg", "°", "°C", "dBm", "dB")):
        raise ValueError(f"'{said}' is not a unit of this field: it takes {unit or 'a number'}")
    return number * PREFIXES[prefix] / (PREFIXES[own] if own else 1.0)


def within(value: float, low: float, high: float, unit: str) -> float:
    """Return a value that lies within limits; raise ValueError where it does not."""
    if not low <= value <= high:
        said = write_quantity(value, unit)
        raise ValueError(f"{said} is outside {low:.6g} to {high:.6g} {unit}".strip())
    return value


def write_quantity(value: float | None, unit: str, digits: int = 6) -> str:
    """Write a value with its unit."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and unit in ("s", "V", "A", "W", "Hz"):
        size, prefix = next(
            ((size, p) for size, p in _SCALES if abs(value) >= size * 0.9995), _SCALES[-1]
        )
        return f"{value / size:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}".strip()


def _prefix(unit: str) -> str | None:
    """Return the prefix in a unit like `ps` or `mV`; None where there is none."""
    is_scaled = len(unit) > 1 and unit[0] in PREFIXES and unit[1:] in ("s", "V", "A", "W", "Hz")
    return unit[0] if is_scaled else None


class QuantityField(QLineEdit):
    """A number with a unit; `committed` comes with Enter and a value inside the limits."""

    committed = Signal(float)
    problem = Signal(str)

    def __init__(self, name: str, unit: str, low: float = -math.inf, high: float = math.inf):
        super().__init__()
        self.setAccessibleName(name)
        self.unit = unit
        self._low, self._high = low, high
        self._held: float | None = None
        self.textEdited.connect(self._mark)
        self.returnPressed.connect(self._commit)

    @property
    def held(self) -> float | None:
        """What the device holds, as last told."""
        return self._held

    @property
    def is_edited(self) -> bool:
        """Whether something is typed that was not sent."""
        return bool(self.property("edited"))

    def show_held(self, value: float | None) -> None:
        """Show what the device holds; what somebody types is left alone."""
        self._held = value
        text = write_quantity(value, self.unit)
        if not self.is_edited and self.text() != text:
            self.setText(text)
            self.setCursorPosition(0)

    def mark_unsafe(self, why: str) -> None:
        """Colour what the device holds where it asks for trouble."""
        self._set("unsafe", value=bool(why))
        if not self.is_edited:
            self.setToolTip(why)

    def revert(self) -> None:
        """Go back to what the device holds."""
        self._set("edited", value=False)
        self._set("wrong", value=False)
        self.setToolTip("")
        self.setText(write_quantity(self._held, self.unit))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Revert with Esc."""
        if event.key() == Qt.Key.Key_Escape and self.is_edited:
            self.revert()
        else:
            super().keyPressEvent(event)

    def _mark(self) -> None:
        self._set("edited", value=True)
        self._check()

    def _check(self) -> float | None:
        try:
            value = within(read_quantity(self.text(), self.unit), self._low, self._high, self.unit)
        except ValueError as error:
            self._set("wrong", value=True)
            self.setToolTip(str(error))
            return None
        self._set("wrong", value=False)
        self.setToolTip("Enter sends it, Esc goes back")
        return value

    def _commit(self) -> None:
        if not self.is_edited:
            return
        value = self._check()
        if value is None:
            self.problem.emit(f"{self.accessibleName()}: {self.toolTip()}")
            return
        self.revert()
        self.committed.emit(value)

    def _set(self, name: str, *, value: bool) -> None:
        if bool(self.property(name)) != value:
            self.setProperty(name, value)
            self.style().unpolish(self)
            self.style().polish(self)


class Choice(QComboBox):
    """One of several words; the wheel changes it only where it has the focus."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to what scrolls around the field."""
        _wheel(self, event, super().wheelEvent)

    def show_choices(self, words: tuple[str, ...], chosen: str) -> None:
        """Offer words and show the one in force, without a signal."""
        self.blockSignals(True)
        if words != tuple(self.itemText(index) for index in range(self.count())):
            self.clear()
            self.addItems(list(words))
        if not self.view().isVisible():
            self.setCurrentIndex(self.findText(chosen))
        self.blockSignals(False)


class Slider(QSlider):
    """A slider; the wheel changes it only where it has the focus."""

    def __init__(self, name: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to what scrolls around the field."""
        _wheel(self, event, super().wheelEvent)


class Switch(QCheckBox):
    """On or off, as the device says; a click asks, and the answer moves it."""

    asked = Signal(bool)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)

    def nextCheckState(self) -> None:
        """Ask rather than change."""
        self.asked.emit(not self.isChecked())

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard is."""
        super().focusInEvent(event)
        self.update()


def _wheel(widget: QWidget, event: QWheelEvent, otherwise: object) -> None:
    if widget.hasFocus() and callable(otherwise):
        otherwise(event)
    else:
        event.ignore()
