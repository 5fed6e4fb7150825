"""The plan in force: what it aims at, why, over which paths, and who follows it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.look import Look, mono_font
from gui.desktop.routing.bars import SharesBar, UtilisationBar
from gui.desktop.words import percent, quantity
from qnx_hw.api.traffic import PlanView, Route

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class PlanWidget(QWidget):
    """Shows a plan; choosing a route says which."""

    route_chosen = Signal(str)
    """`SOURCE → DESTINATION`."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._plan: PlanView | None = None
        self.utilisation = UtilisationBar(look)
        self.reason = QLabel()
        self.reason.setTextFormat(Qt.TextFormat.PlainText)
        self.reason.setWordWrap(True)
        self.experts = SharesBar("Shares of the experts", look)
        self.followers = QLabel()
        self.followers.setObjectName("note")
        self.followers.setTextFormat(Qt.TextFormat.PlainText)
        self.followers.setWordWrap(True)
        self.routes = RoutesTree("Routes of the plan")
        self.routes.route_chosen.connect(self.route_chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(7)
        for widget in (self.utilisation, self.reason, self.experts, self.routes, self.followers):
            layout.addWidget(widget)
        layout.setStretch(3, 1)

    def show_plan(self, plan: PlanView, sites: int) -> None:
        """Show a plan that `sites` nodes should follow."""
        if plan == self._plan:
            return
        self._plan = plan
        self.utilisation.show_values(plan.expected_utilisation, plan.measured_utilisation)
        self.reason.setText(plan.reason or "The controller gave no reason.")
        self.experts.show_parts(plan.experts, plan.shares)
        self.routes.show_routes(plan.routes)
        followed = f"revision {plan.revision} is followed by {len(plan.acknowledged)} of {sites}"
        refused = "; refused by " + "; ".join(plan.refused) if plan.refused else ""
        self.followers.setText(followed + refused)
        self.followers.setObjectName("warning" if plan.refused else "note")
        self.followers.style().polish(self.followers)


class RoutesTree(QTreeWidget):
    """Routes with their paths below them."""

    route_chosen = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setColumnCount(2)
        self.setHeaderLabels(["route", "demand"])
        self.setIndentation(14)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.currentItemChanged.connect(lambda item, _: self._tell(item))

    def show_routes(self, routes: tuple[Route, ...]) -> None:
        """Show other routes; the chosen one stays chosen."""
        chosen = self.currentItem()
        name = _route_of(chosen).text(0) if chosen is not None else ""
        self.blockSignals(True)
        self.clear()
        for route in routes:
            item = _item(route)
            self.addTopLevelItem(item)
            item.setExpanded(True)
            if item.text(0) == name:
                self.setCurrentItem(item)
        self.blockSignals(False)

    def _tell(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.route_chosen.emit(_route_of(item).text(0))


def _item(route: Route) -> QTreeWidgetItem:
    demand = quantity(route.demand_bps, "bit/s")
    item = QTreeWidgetItem([f"{route.source} → {route.destination}", demand])
    item.setToolTip(0, route.reason)
    for path, share in zip(route.paths, route.shares, strict=True):
        below = QTreeWidgetItem([" → ".join(path), percent(share)])
        below.setFont(0, mono_font(11))
        below.setToolTip(0, route.reason)
        below.setTextAlignment(1, _RIGHT)
        item.addChild(below)
    item.setTextAlignment(1, _RIGHT)
    return item


def _route_of(item: QTreeWidgetItem) -> QTreeWidgetItem:
    return item.parent() or item
