"""The time tagger's card: thresholds, delays, dead times, edges."""

from __future__ import annotations

from gui.desktop.desk import Desk
from gui.desktop.panels.instrument_panel import InstrumentPanel


class TaggerPanel(InstrumentPanel):
    """Settings of a time tagger; values that lose or invent tags are coloured, with the reason."""

    families = ("time_tagger",)

    def __init__(self, desk: Desk) -> None:
        super().__init__("tagger", "Time tagger", "cpu", desk)
