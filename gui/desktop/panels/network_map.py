"""The network map as a card: what is chosen there is shown everywhere."""

from __future__ import annotations

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import Choice
from gui.desktop.network_map import NetworkMap, ways
from gui.desktop.panels.panel import Panel
from qnx_hw.api.schema import Series

_PAST_S = 3600.0
_PAST = {"node": "pool_bits", "link": "secret_rate_bps", "hop": "load_bps"}
NO_FLOW = "no flow"


class MapPanel(Panel):
    """Sites, ways, loads and pools; the routes of a flow that is chosen in the title row."""

    every = 3

    def __init__(self, desk: Desk) -> None:
        super().__init__("map", "Network", "waypoints", desk)
        self.map = NetworkMap(desk.look)
        self.map.chosen.connect(self._choose)
        self.map.activated.connect(self._open)
        self.map.past_wanted.connect(self._ask_past)
        self.flow = Choice("Flow whose routes are shown")
        self.flow.setMaximumWidth(170)
        self.flow.show_choices((NO_FLOW,), NO_FLOW)
        self.flow.currentTextChanged.connect(lambda _: self._show_routes())
        self.tools.addWidget(self.flow)
        self.body.addWidget(self.map, 1)

    def refresh(self) -> None:
        """Draw the newest network."""
        client = self.client
        self.map.show_network(client.nodes.values(), client.links.values(), client.hops.values())
        online = sum(node.is_online for node in client.nodes.values())
        self.subtitle.setText(f"{online} of {len(client.nodes)} sites online")
        flows = tuple(self._flows())
        chosen = self.flow.currentText()
        self.flow.show_choices((NO_FLOW, *flows), chosen if chosen in flows else NO_FLOW)
        self._show_routes()

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.map.update()

    def export_table(self) -> Table | None:
        """Return the ways with what they carry."""
        headings = ("a", "b", "state", "secret key (bit/s)", "load there", "load back")
        found = ways(self.client.links.values(), self.client.hops.values())
        rows = tuple(
            (way.a, way.b, "down" if way.is_down else "up", way.secret_rate_bps, *way.loads)
            for way in found
        )
        return Table(headings, rows)

    def _flows(self) -> dict[str, tuple[tuple[tuple[str, ...], float], ...]]:
        """Return the paths of planned routes, and of tunnels that no plan decides."""
        flows: dict[str, tuple[tuple[tuple[str, ...], float], ...]] = {}
        for tunnel in self.client.tunnels.values():
            if tunnel.route:
                flows[f"{tunnel.source} → {tunnel.destination}"] = ((tunnel.route, 1.0),)
        for route in self.client.plan.routes if self.client.plan is not None else ():
            name = f"{route.source} → {route.destination}"
            flows[name] = tuple(zip(route.paths, route.shares, strict=True))
        return flows

    def _show_routes(self) -> None:
        self.map.show_routes(self._flows().get(self.flow.currentText(), ()))

    def _choose(self, kind: str, name: str) -> None:
        if kind == "link":
            self.desk.choose_link(name)

    def _open(self, kind: str, name: str) -> None:
        self._choose(kind, name)
        wanted = {"link": "errors", "node": "pools", "hop": "routing"}
        self.desk.wanted.emit(wanted[kind])

    def _ask_past(self, kind: str, name: str) -> None:
        def show(series: Series) -> None:
            self.map.show_past(kind, name, series.values)

        self.client.requests.history(name, _PAST[kind], _PAST_S, then=show, kind=kind)
