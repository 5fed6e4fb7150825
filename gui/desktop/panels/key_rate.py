"""Sifted and secret key rate, and what the secret key is worth."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from gui.desktop.desk import Desk
from gui.desktop.figures import epsilon
from gui.desktop.panels.past import Curve, PastPanel

_CURVES = (
    Curve("sifted_rate_bps", 0, 6, 1e-3, "sifted"),
    Curve("secret_rate_bps", 0, 2, 1e-3, "secret"),
)


class KeyRatePanel(PastPanel):
    """Both rates on one plot; the finite-key ε stands with the numbers."""

    def __init__(self, desk: Desk) -> None:
        plots = (("Sifted and secret key rate in kilobit per second", "kbit/s"),)
        super().__init__("key_rate", "Key rate", "key-round", desk, plots, _CURVES)
        self.numbers = QLabel()
        self.numbers.setObjectName("legend")
        self.numbers.setWordWrap(True)
        self.body.insertWidget(0, self.numbers)
        self.recolour()

    def refresh(self) -> None:
        """Draw the newest rates."""
        super().refresh()
        link = self.client.links.get(self.link_name)
        if link is None:
            self.numbers.setText("no data")
            return
        entries = [
            f'<span style="color:{self.look.channels[colour]}">■</span>&nbsp;{name}&nbsp;'
            f'<span style="font-family:JetBrains Mono">{_kbit(rate)}</span>'
            for name, colour, rate in (
                ("sifted", 6, link.sifted_rate_bps),
                ("secret", 2, link.secret_rate_bps),
            )
        ]
        entries.append(f"finite key, ε = {epsilon(link.epsilon)}")
        entries.append(f"last block + {link.last_block_secret_bits:,} bit".replace(",", " "))
        self.numbers.setText(" &nbsp; ".join(entries))


def _kbit(rate_bps: float | None) -> str:
    return "no data" if rate_bps is None else f"{rate_bps / 1e3:.2f} kbit/s"
