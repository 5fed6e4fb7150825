"""The routing controller as a card: objective, plan, forecasts, questions."""

from __future__ import annotations

import time

from PySide6.QtWidgets import QLabel, QTabWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import Choice
from gui.desktop.panels.panel import Panel
from gui.desktop.routing.forecast import ForecastWidget
from gui.desktop.routing.plan import PlanWidget
from gui.desktop.routing.what_if import WhatIfWidget
from gui.desktop.words import clock
from qnx_hw.api.commands import SetObjective, WhatIf
from qnx_hw.api.traffic import Forecast, PlanView

_RELOAD_S = 5.0


class RoutingPanel(Panel):
    """What the controller decided, why, what it expects, and what it would do otherwise."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("routing", "Routing controller", "route", desk)
        self._asked_s = 0.0
        self._answer: PlanView | None = None
        """What the last command led to; the stream brings the same a moment later."""
        self.objective = Choice("Objective of the controller")
        self.objective.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToContents)
        self.objective.textActivated.connect(self._set_objective)
        aim = QLabel("aims at")
        aim.setObjectName("note")
        self.tools.addWidget(aim)
        self.tools.addWidget(self.objective)
        self.plan = PlanWidget(desk.look)
        self.forecast = ForecastWidget(desk.look)
        self.what_if = WhatIfWidget()
        self.what_if.asked.connect(self._ask)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Plan, forecast and questions")
        self.tabs.tabBar().setAccessibleName("Plan, forecast and questions")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.plan, "Plan")
        self.tabs.addTab(self.forecast, "Forecast")
        self.tabs.addTab(self.what_if, "What if")
        self.empty = QLabel(
            "No plan yet. The controller makes one soon after its start; "
            "[controller] in the network file names its node."
        )
        self.empty.setObjectName("dim")
        self.empty.setWordWrap(True)
        self.body.addWidget(self.empty)
        self.body.addWidget(self.tabs, 1)

    def refresh(self) -> None:
        """Draw the plan, and ask for newer forecasts now and then."""
        plan = self.client.plan
        self.empty.setVisible(plan is None)
        self.tabs.setVisible(plan is not None)
        self.objective.setVisible(plan is not None)
        if plan is None:
            self.subtitle.setText("")
            return
        self.subtitle.setText(f"plan {plan.revision}, {clock(plan.time_s)[11:]}")
        if self.objective.isEnabled():
            newest = max(plan, self._answer or plan, key=lambda each: each.revision)
            self.objective.show_choices(plan.objectives or (plan.objective,), newest.objective)
        self.plan.show_plan(plan, len(self.client.nodes))
        self.what_if.offer(plan, tuple(self.client.nodes), tuple(self.client.hops))
        if time.monotonic() - self._asked_s > _RELOAD_S and self.client.is_live:
            self._asked_s = time.monotonic()
            self.client.requests.get(
                ("routing", "forecasts"),
                tuple[Forecast, ...],
                then=self.forecast.show_forecasts,
                otherwise=lambda _: None,
            )

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.forecast.recolour()

    def export_table(self) -> Table | None:
        """Return the routes of the plan in force."""
        plan = self.client.plan
        if plan is None:
            return None
        rows = tuple(
            (route.source, route.destination, route.demand_bps, " ".join(path), share, route.reason)
            for route in plan.routes
            for path, share in zip(route.paths, route.shares, strict=True)
        )
        headings = ("source", "destination", "demand (bit/s)", "path", "share", "reason")
        return Table(headings, rows)

    def _set_objective(self, words: str) -> None:
        plan = self.client.plan
        if plan is None or words == plan.objective:
            return
        self.objective.setEnabled(False)
        self.objective.setToolTip("Not now: the controller plans anew")

        def done(answer: PlanView) -> None:
            self._answer = answer
            self._free(answer.objective)

        def refused(reason: str) -> None:
            self._free(plan.objective)
            self.desk.told.emit(reason)

        body = SetObjective(objective=words, revision=plan.revision)
        self.client.requests.post(
            ("routing", "objective"), PlanView, body, then=done, otherwise=refused
        )

    def _free(self, objective: str) -> None:
        self.objective.setEnabled(True)
        self.objective.setToolTip("")
        self.objective.setCurrentText(objective)
        self.redraw()

    def _ask(self, question: WhatIf) -> None:
        self.client.requests.post(
            ("routing", "what-if"),
            PlanView,
            question,
            then=self.what_if.show_answer,
            otherwise=self.what_if.show_refusal,
        )
