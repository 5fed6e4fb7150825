"""The detectors' card: bias, temperature, dead time, counts, and the alarm of blinding."""

from __future__ import annotations

from gui.desktop.desk import Desk
from gui.desktop.panels.instrument_panel import InstrumentPanel
from qnx_hw.api.schema import InstrumentView, Level


class DetectorPanel(InstrumentPanel):
    """Settings of a bank of detectors, under what the node said of blinding."""

    families = ("photon_detector",)

    def __init__(self, desk: Desk) -> None:
        super().__init__("detector", "Detectors", "circle-dot", desk)

    def show_alarm(self, view: InstrumentView) -> None:
        """Show the newest alarm of blinding that asks for attention."""
        own = {view.node, f"{view.node} {view.name}"}
        own |= {x.name for x in self.client.links.values() if view.node in (x.alice, x.bob)}
        said = next(
            (
                event
                for event in reversed(self.client.events.events[-500:])
                if event.level is Level.ALARM
                and event.is_open
                and event.source in own
                and "blind" in event.message.lower()
            ),
            None,
        )
        self.alarm.setVisible(said is not None)
        if said is not None:
            self.alarm.setText(f"BLINDING ALARM · {said.source}: {said.message}")
