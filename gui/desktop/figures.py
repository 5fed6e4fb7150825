"""The strip of key figures under the top bar."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from qnx_hw.api.schema import LinkView
from qnx_hw.api.value import Estimate

NO_DATA = "–"


class Figure(QFrame):
    """One number with its unit and a line of context."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("figureCard")
        self.value = QLabel(NO_DATA)
        self.value.setObjectName("figure")
        self.value.setAccessibleName(title)
        self.unit = QLabel()
        self.unit.setObjectName("dim")
        self.note = QLabel("no data")
        self.note.setObjectName("note")
        heading = QLabel(title)
        heading.setObjectName("note")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.value)
        row.addWidget(self.unit)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(1)
        for part in (heading, row, self.note):
            if isinstance(part, QWidget):
                layout.addWidget(part)
            else:
                layout.addLayout(part)

    def show_value(self, value: str, unit: str, note: str) -> None:
        """Replace number, unit and context."""
        self.value.setText(value)
        self.unit.setText(unit if value != NO_DATA else "")
        self.note.setText(note)


class Figures(QWidget):
    """Coincidences, QBER, CHSH S, secret key rate and key pool of one link."""

    def __init__(self) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setSpacing(8)
        self.coincidences = Figure("Coincidences")
        self.qber = Figure("QBER Z | X")
        self.chsh = Figure("CHSH S")
        self.key_rate = Figure("Secret key rate")
        self.pool = Figure("Key pool")
        for figure in (self.coincidences, self.qber, self.chsh, self.key_rate, self.pool):
            layout.addWidget(figure, 1)

    def show_link(self, link: LinkView) -> None:
        """Show a link's numbers, honest about those that do not exist yet."""
        rate = (
            NO_DATA
            if link.coincidence_rate_cps is None
            else f"{link.coincidence_rate_cps / 1e3:.2f}"
        )
        car = (
            "no data"
            if link.car is None
            else f"CAR {link.car:.1f} · {link.window_ps / 1e3:.2f} ns window"
        )
        self.coincidences.show_value(rate, "kcps", car)
        both = f"{_percent(link.qber_z)} | {_percent(link.qber_x)}"
        known = link.qber_z.value is not None or link.qber_x.value is not None
        self.qber.show_value(
            both if known else NO_DATA, "%", f"limit {link.qber_limit * 100:.2f} %"
        )
        self._show_chsh(link.chsh_s)
        key = NO_DATA if link.secret_rate_bps is None else f"{link.secret_rate_bps / 1e3:.2f}"
        self.key_rate.show_value(key, "kbit/s", f"finite key, ε = {link.epsilon:.0e}")
        value, unit = bits(link.pool_bits)
        gained = " ".join(bits(link.last_block_secret_bits))
        note = f"+ {gained} last block" if link.last_block_secret_bits else "no block yet"
        self.pool.show_value(value, unit, note)

    def _show_chsh(self, chsh: Estimate) -> None:
        if chsh.value is None:
            self.chsh.show_value(NO_DATA, "", "no data")
        elif not chsh.sigma:
            self.chsh.show_value(f"{chsh.value:.3f}", "", "")
        else:
            above = (chsh.value - 2) / chsh.sigma
            self.chsh.show_value(
                f"{chsh.value:.3f}", f"± {chsh.sigma:.3f}", f"{above:.0f} σ above 2"
            )


def bits(count: int) -> tuple[str, str]:
    """Write a number of bits with a fitting unit."""
    for size, unit in ((1e9, "Gbit"), (1e6, "Mbit"), (1e3, "kbit")):
        if count >= size:
            return f"{count / size:.2f}", unit
    return str(count), "bit"


def _percent(estimate: Estimate) -> str:
    return NO_DATA if estimate.value is None else f"{estimate.value * 100:.2f}"
