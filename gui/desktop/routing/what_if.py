"""Questions to the controller: what would it decide, if?"""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.fields import Choice
from gui.desktop.routing.plan import RoutesTree
from gui.desktop.words import percent
from qnx_hw.api.commands import WhatIf
from qnx_hw.api.traffic import PlanView, Route

AS_NOW = "as now"
_NAME = Qt.ItemDataRole.UserRole


class WhatIfWidget(QWidget):
    """A form; `asked` carries the question, `show_answer` and `show_refusal` what came back."""

    asked = Signal(object)
    """A `WhatIf`."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: PlanView | None = None
        self.objective = Choice("Objective in question")
        self.factor = QLineEdit("1")
        self.factor.setAccessibleName("Demand times")
        self.factor.setMaximumWidth(70)
        self.down = QListWidget()
        self.down.setAccessibleName("Sites and hops that shall be down")
        self.ask_button = QPushButton("Ask")
        self.ask_button.setObjectName("primary")
        self.ask_button.clicked.connect(self._ask)
        self.factor.returnPressed.connect(self._ask)
        self.answer = QLabel("Nothing changes by asking.")
        self.answer.setTextFormat(Qt.TextFormat.PlainText)
        self.answer.setObjectName("dim")
        self.answer.setWordWrap(True)
        self.routes = RoutesTree("Routes that would be taken")
        form = QFormLayout()
        form.setHorizontalSpacing(10)
        form.addRow("Objective", self.objective)
        form.addRow("Demand ×", self.factor)
        form.addRow("Down", self.down)
        left = QVBoxLayout()
        left.addLayout(form, 1)
        left.addWidget(self.ask_button)
        right = QVBoxLayout()
        right.addWidget(self.answer)
        right.addWidget(self.routes, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(14)
        layout.addLayout(left, 2)
        layout.addLayout(right, 3)

    def offer(self, plan: PlanView, sites: tuple[str, ...], hops: tuple[str, ...]) -> None:
        """Offer what can be asked about; what is ticked stays ticked."""
        self._plan = plan
        chosen = self.objective.currentText() or AS_NOW
        self.objective.show_choices((AS_NOW, *plan.objectives), chosen)
        names = [*sites, *hops]
        if names == [self._item(row).data(_NAME) for row in range(self.down.count())]:
            return
        ticked = set(self.question().down)
        self.down.clear()
        for name in names:
            source, _, target = name.partition(" ")
            item = QListWidgetItem(f"{source} → {target}" if target else name)
            item.setData(_NAME, name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            is_ticked = name in ticked
            item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
            self.down.addItem(item)

    def question(self) -> WhatIf:
        """Return what is asked; `ValueError` where the factor is no number from 0 to 100."""
        objective = self.objective.currentText()
        factor = float(self.factor.text().replace(",", "."))
        if not 0 <= factor <= 100:
            raise ValueError(f"{factor:g} is outside 0 to 100")
        items = [self._item(row) for row in range(self.down.count())]
        return WhatIf(
            objective=None if objective in ("", AS_NOW) else objective,
            down=tuple(i.data(_NAME) for i in items if i.checkState() is Qt.CheckState.Checked),
            demand_factor=factor,
        )

    def show_answer(self, plan: PlanView) -> None:
        """Show what the controller would decide, beside the plan in force."""
        self.ask_button.setEnabled(True)
        now = self._plan
        before = None if now is None else now.expected_utilisation
        words = f"fullest hop {percent(before)} → {percent(plan.expected_utilisation)}"
        changed = _changed(() if now is None else now.routes, plan.routes)
        words += f"; {changed}" if changed else "; the same routes"
        self.answer.setText(f"{words}. {plan.reason}".strip())
        self.routes.show_routes(plan.routes)

    def show_refusal(self, reason: str) -> None:
        """Show why there is no answer."""
        self.ask_button.setEnabled(True)
        self.answer.setText(reason)
        self.routes.clear()

    def _ask(self) -> None:
        try:
            question = self.question()
        except ValueError as error:
            self.show_refusal(f"Demand ×: {error}")
            return
        self.ask_button.setEnabled(False)
        self.answer.setText("The controller thinks…")
        self.asked.emit(question)

    def _item(self, row: int) -> QListWidgetItem:
        item = self.down.item(row)
        assert item is not None
        return item


def _changed(before: tuple[Route, ...], after: tuple[Route, ...]) -> str:
    then = {(route.source, route.destination): (route.paths, route.shares) for route in after}
    now = {(route.source, route.destination): (route.paths, route.shares) for route in before}
    lost = len(now.keys() - then.keys())
    moved = sum(now[pair] != then[pair] for pair in now.keys() & then.keys())
    parts = [f"{moved} routes change"] if moved else []
    parts += [f"{lost} have no way any more"] if lost else []
    return ", ".join(parts)
