"""The CHSH value with its error, between the bounds of local models and of quantum mechanics."""

from __future__ import annotations

import math

from PySide6.QtWidgets import QLabel

from gui.desktop.desk import Desk
from gui.desktop.panels.past import Curve, ErrorBars, PastPanel

CLASSICAL, QUANTUM = 2.0, 2.0 * math.sqrt(2.0)
"""Clauser, Horne, Shimony, Holt, PRL 23, 880 (1969); Cirel'son, Lett. Math. Phys. 4, 93 (1980)."""


class ChshPanel(PastPanel):
    """S over time; how many standard errors it lies above 2 is the number that counts."""

    def __init__(self, desk: Desk) -> None:
        plots = (("CHSH value S", "S"),)
        curves = (Curve("chsh_s", 0, 4, 1.0, "S"),)
        super().__init__("chsh", "CHSH", "orbit", desk, plots, curves)
        self._bars = ErrorBars(self.plots[0], 4, 1.0)
        self.plots[0].set_limit(CLASSICAL, "local models end at 2")
        self.plots[0].add_mark(QUANTUM, "2√2")
        self.plots[0].set_y(1.9, 2.95)
        self.value = QLabel("–")
        self.value.setObjectName("figure")
        self.value.setAccessibleName("CHSH S")
        self.note = QLabel("no data")
        self.note.setObjectName("note")
        self.body.insertWidget(0, self.value)
        self.body.insertWidget(1, self.note)
        self.recolour()

    def refresh(self) -> None:
        """Draw the newest value."""
        super().refresh()
        link = self.client.links.get(self.link_name)
        estimate = None if link is None else link.chsh_s
        if link is None or estimate is None or estimate.value is None:
            self.value.setText("–")
            self.note.setText("no data")
            return
        self._bars.add(link, estimate, self.desk.now())
        self._bars.draw(self.span, self.desk.now())
        error = f" ± {estimate.sigma:.3f}" if estimate.sigma else ""
        self.value.setText(f"S = {estimate.value:.3f}{error}")
        if estimate.sigma:
            above = (estimate.value - CLASSICAL) / estimate.sigma
            words = f"{above:.0f} σ above 2" if above > 0 else f"{-above:.0f} σ below 2"
            measured = "measured" if link.protocol == "e91" else "inferred from the correlations"
            self.note.setText(f"{words} · {measured}")

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        super().show_link(name)
        self._bars.clear()
