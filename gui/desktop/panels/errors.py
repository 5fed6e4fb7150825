"""Error rates of both bases with their errors, and the key that comes of them."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from gui.desktop.desk import Desk
from gui.desktop.panels.past import Curve, ErrorBars, PastPanel
from qnx_hw.api.value import Estimate

_CURVES = (
    Curve("qber_z", 0, 0, 100.0, "Z"),
    Curve("qber_x", 0, 3, 100.0, "X"),
    Curve("secret_rate_bps", 1, 2, 1e-3, "secret"),
)


class ErrorsPanel(PastPanel):
    """QBER in Z and X below the abort line, visibilities, and the secret key rate."""

    def __init__(self, desk: Desk) -> None:
        plots = (
            ("Quantum bit error rate in percent", "QBER (%)"),
            ("Secret key rate in kilobit per second", "kbit/s"),
        )
        super().__init__("errors", "QBER and key rate", "gauge", desk, plots, _CURVES)
        self._limit: float | None = None
        self._bars = {
            "z": ErrorBars(self.plots[0], 0, 100.0),
            "x": ErrorBars(self.plots[0], 3, 100.0),
        }
        self.numbers = QLabel()
        self.numbers.setObjectName("legend")
        self.numbers.setWordWrap(True)
        self.body.insertWidget(0, self.numbers)
        self.recolour()

    def refresh(self) -> None:
        """Draw the abort line, the newest estimates with their errors, and the history."""
        super().refresh()
        link = self.client.links.get(self.link_name)
        if link is None:
            return
        if link.qber_limit != self._limit:
            self._limit = link.qber_limit
            self.plots[0].set_limit(link.qber_limit * 100, f"abort {link.qber_limit * 100:g} %")
        for bars, estimate in ((self._bars["z"], link.qber_z), (self._bars["x"], link.qber_x)):
            bars.add(link, estimate, self.desk.now())
            bars.draw(self.span, self.desk.now())
        self.numbers.setText(
            " &nbsp; ".join(
                f'<span style="color:{self.look.channels[colour]}">■</span>&nbsp;{basis}&nbsp;'
                f'<span style="font-family:JetBrains Mono">{percent(estimate)}</span> '
                f"visibility {visibility(estimate)}"
                for basis, colour, estimate in (("Z", 0, link.qber_z), ("X", 3, link.qber_x))
            )
        )

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        super().show_link(name)
        for bars in self._bars.values():
            bars.clear()


def percent(estimate: Estimate) -> str:
    """Write a part of one with its error in percent."""
    if estimate.value is None:
        return "no data"
    error = f" ± {estimate.sigma * 100:.2f}" if estimate.sigma else ""
    return f"{estimate.value * 100:.2f}{error} %"


def visibility(qber: Estimate) -> str:
    """Write the visibility V = 1 - 2 QBER of a basis with its error."""
    if qber.value is None:
        return "–"
    error = None if qber.sigma is None else 2.0 * qber.sigma
    return percent(Estimate(value=1.0 - 2.0 * qber.value, sigma=error))
