"""What the desktop consists of. A new card or tool is one line here, and a file of its own.

A card also gets a place in `workspaces.py`, or is shown by the command palette alone.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from gui.desktop.attach import attach_tool
from gui.desktop.connect.dialog import connect_tool
from gui.desktop.desk import Desk
from gui.desktop.panels.chsh import ChshPanel
from gui.desktop.panels.detector import DetectorPanel
from gui.desktop.panels.errors import ErrorsPanel
from gui.desktop.panels.events import EventsPanel
from gui.desktop.panels.histogram import HistogramPanel
from gui.desktop.panels.instruments import InstrumentsPanel
from gui.desktop.panels.key_rate import KeyRatePanel
from gui.desktop.panels.matrix import MatrixPanel
from gui.desktop.panels.network_map import MapPanel
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.polarization import PolarizationPanel
from gui.desktop.panels.pools import PoolsPanel
from gui.desktop.panels.rates import RatesPanel
from gui.desktop.panels.recordings import RecordingsPanel, record_tool
from gui.desktop.panels.routing import RoutingPanel
from gui.desktop.panels.sphere import SpherePanel
from gui.desktop.panels.tagger import TaggerPanel
from gui.desktop.panels.tunnels import TunnelsPanel
from gui.desktop.report import report_tool
from gui.desktop.settings.instrument import instrument_tool
from gui.desktop.settings.window import settings_tool
from gui.desktop.wizard.dialog import wizard_tool

PANELS: tuple[Callable[[Desk], Panel], ...] = (
    InstrumentsPanel,
    RatesPanel,
    HistogramPanel,
    MatrixPanel,
    ErrorsPanel,
    KeyRatePanel,
    ChshPanel,
    SpherePanel,
    PolarizationPanel,
    TaggerPanel,
    DetectorPanel,
    EventsPanel,
    MapPanel,
    RoutingPanel,
    PoolsPanel,
    TunnelsPanel,
    RecordingsPanel,
)
"""The cards; each gives its own name, title and icon to `Panel`."""

TOOLS: tuple[Callable[[Desk, QWidget], None], ...] = (
    attach_tool,
    connect_tool,
    instrument_tool,
    settings_tool,
    wizard_tool,
    report_tool,
    record_tool,
)
"""Dialogs and commands beside the cards: each adds its actions to the desk.

Actions named `record` and `connect` get a button in the top bar."""
