"""The wizard: five pages, what was typed stays, and nothing is written before it was reviewed."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk
from gui.desktop.settings.propose import propose
from gui.desktop.wizard.checks import Check, Grade, checks
from gui.desktop.wizard.pages import Fields, choice, page
from gui.desktop.wizard.plan import End, LinkPlan, changes, counts, expect
from gui.desktop.words import percent, quantity, span
from qnx_hw.api.keylength import KeyLength
from qnx_hw.api.settings import Settings

STEPS = ("Source", "Fibres", "Detectors", "Protocol", "Check")
PAIRS, PULSES = "entangled pairs", "weak pulses from Alice"
NONE = "none"
_ENDS = ("Alice", "Bob")
_FAMILIES = {
    "tagger": "time_tagger",
    "transmitter": "transmitter",
    "detectors": "photon_detector",
    "polarization": "polarization_controller",
}
_ICONS = {Grade.GOOD: "circle-check", Grade.WARNING: "triangle-alert", Grade.MISSING: "circle-x"}


class LinkWizard(QDialog):
    """Asks for a link and proposes it to the node."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("New link")
        self.setModal(False)
        self._desk = desk
        self.fields = Fields()
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the link")
        self.source = choice("Kind of source", (PAIRS, PULSES))
        self.protocol = choice("Protocol", ("bbm92", "e91"))
        self.nodes = {end: choice(f"{end}'s node", tuple(desk.client.nodes)) for end in _ENDS}
        self.nodes["Bob"].setCurrentIndex(min(1, self.nodes["Bob"].count() - 1))
        self.picks = {
            (end, kind): choice(f"{end}'s {kind}", (NONE,)) for end in _ENDS for kind in _FAMILIES
        }
        self.steps = QListWidget()
        self.steps.setAccessibleName("Steps")
        self.steps.setFixedWidth(130)
        for number, step in enumerate(STEPS, start=1):
            item = QListWidgetItem(f"{number}  {step}")
            item.setSizeHint(QSize(0, 32))
            self.steps.addItem(item)
        self.pages = QStackedWidget()
        for each in self._asking_pages():
            self.pages.addWidget(each)
        self.pages.addWidget(self._check_page())
        self._lay_out()
        self.steps.currentRowChanged.connect(self._show_page)
        self.source.currentTextChanged.connect(lambda _: self._follow_source())
        for each_node in self.nodes.values():
            each_node.currentTextChanged.connect(lambda _: self._follow_nodes())
        self._follow_nodes()
        self._follow_source()
        self.steps.setCurrentRow(0)
        self.resize(780, 520)

    @property
    def is_pulsed(self) -> bool:
        """Whether Alice sends weak pulses."""
        return self.source.currentText() == PULSES

    def plan(self) -> LinkPlan:
        """Return what is filled in; `ValueError` names the field that is wrong."""
        number, numbers = self.fields.number, self.fields.numbers
        return LinkPlan(
            name=self.name.text().strip(),
            protocol="decoy-bb84" if self.is_pulsed else self.protocol.currentText(),
            alice=self._end("Alice", "loss_a", "inputs_a", transmits=self.is_pulsed),
            bob=self._end("Bob", "loss_b", "inputs_b", transmits=False),
            pair_rate_hz=number("pair_rate", 1.0, 1e12),
            visibility=number("visibility", 0.0, 1.0),
            pulse_rate_hz=number("pulse_rate", 1e5, 1e11),
            intensities=numbers("intensities"),
            shares=numbers("shares"),
            window_ps=round(number("window", 10, 1e6)),
            dead_time_ps=round(number("dead", 0, 1e9)),
            block_sifted_bits=round(number("block", 1000, 1e7)),
            qber_limit=number("limit", 1e-6, 0.11),
        )

    def _end(self, end: str, loss: str, inputs: str, *, transmits: bool) -> End:
        def picked(kind: str) -> str:
            words = self.picks[end, kind].currentText()
            return "" if words == NONE else words

        return End(
            node=self.nodes[end].currentText(),
            tagger="" if transmits else picked("tagger"),
            transmitter=picked("transmitter") if transmits else "",
            detectors="" if transmits else picked("detectors"),
            polarization=picked("polarization"),
            inputs=tuple(round(each) for each in self.fields.numbers(inputs)),
            loss_db=self.fields.number(loss, 0.0, 100.0),
            efficiency=self.fields.number("efficiency", 1e-6, 1.0),
            dark_cps=self.fields.number("dark", 0.0, 1e9),
        )

    def _asking_pages(self) -> tuple[QWidget, ...]:
        form = self.fields.form
        light = ("pair_rate", "visibility", "pulse_rate", "intensities", "shares")
        eyes = [(f"{end}'s {kind}", self.picks[end, kind]) for kind in _FAMILIES for end in _ENDS]
        sites = [(f"{end}'s node", self.nodes[end]) for end in _ENDS]
        return (
            page("What makes the light?", form(light, [("Source", self.source)])),
            page("Which sites, and how far?", form(("loss_a", "loss_b"), sites)),
            page(
                "What sees the light, and what writes it down?",
                form(("inputs_a", "inputs_b", "efficiency", "dark", "dead"), eyes),
            ),
            page(
                "How is key made of it?",
                form(
                    ("window", "block", "limit"),
                    [("Protocol", self.protocol), ("Name of the link", self.name)],
                ),
            ),
        )

    def _check_page(self) -> QWidget:
        made = QWidget()
        self.expected = QLabel()
        self.expected.setTextFormat(Qt.TextFormat.PlainText)
        self.expected.setWordWrap(True)
        self.expected.setAccessibleName("What to expect")
        self.key = QLabel()
        self.key.setObjectName("figure")
        self.key.setAccessibleName("Expected secret key rate")
        self.list = QListWidget()
        self.list.setAccessibleName("Checks")
        heading = QLabel("Is all there, and is it worth it?")
        heading.setObjectName("title")
        layout = QVBoxLayout(made)
        for widget in (heading, self.key, self.expected):
            layout.addWidget(widget)
        layout.addWidget(self.list, 1)
        return made

    def _lay_out(self) -> None:
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setWordWrap(True)
        self.back_button, self.next_button = QPushButton("Back"), QPushButton("Next")
        self.write_button = QPushButton("Write to the network file…")
        self.next_button.setObjectName("primary")
        self.write_button.setObjectName("primary")
        self.back_button.clicked.connect(lambda: self._step(-1))
        self.next_button.clicked.connect(lambda: self._step(1))
        self.write_button.clicked.connect(self._write)
        middle, bottom = QHBoxLayout(), QHBoxLayout()
        middle.setSpacing(14)
        middle.addWidget(self.steps)
        middle.addWidget(self.pages, 1)
        bottom.addWidget(self.problem, 1)
        for button in (self.back_button, self.next_button, self.write_button):
            button.setAutoDefault(False)
            bottom.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.addLayout(middle, 1)
        layout.addLayout(bottom)

    def _step(self, by: int) -> None:
        self.steps.setCurrentRow(self.steps.currentRow() + by)

    def _show_page(self, row: int) -> None:
        self.pages.setCurrentIndex(row)
        is_last = row == len(STEPS) - 1
        self.back_button.setEnabled(row > 0)
        self.next_button.setVisible(not is_last)
        self.write_button.setVisible(is_last)
        self.problem.clear()
        if is_last:
            self._look()

    def _follow_source(self) -> None:
        pulsed = self.is_pulsed
        for name in ("pulse_rate", "intensities", "shares"):
            self.fields.lines[name].setEnabled(pulsed)
        for name in ("pair_rate", "visibility"):
            self.fields.lines[name].setEnabled(not pulsed)
        self.protocol.setEnabled(not pulsed)
        self.picks["Alice", "transmitter"].setEnabled(pulsed)
        self.picks["Bob", "transmitter"].setEnabled(False)
        for kind in ("tagger", "detectors"):
            self.picks["Alice", kind].setEnabled(not pulsed)

    def _follow_nodes(self) -> None:
        for (end, kind), pick in self.picks.items():
            node = self._desk.client.nodes.get(self.nodes[end].currentText())
            instruments = node.instruments if node is not None else ()
            fit = tuple(each.name for each in instruments if each.family == _FAMILIES[kind])
            words = (*fit, NONE)
            pick.show_choices(words, pick.currentText() if pick.currentText() in fit else words[0])
        if not self.name.isModified():
            self.name.setText("-".join(self.nodes[end].currentText() for end in _ENDS)[:63])

    def _look(self) -> None:
        """Check the plan, and ask the node what a block would be worth."""
        self.list.clear()
        self.key.setText("–")
        self.expected.clear()
        try:
            plan = self.plan()
        except ValueError as error:
            self._show_checks((Check(Grade.MISSING, str(error)),))
            return
        client = self._desk.client
        self._show_checks(checks(plan, client.nodes, client.links.values()))
        if not plan.is_pulsed:
            self._ask_key(plan)

    def _ask_key(self, plan: LinkPlan) -> None:
        expected = expect(plan)
        self.expected.setText(
            f"coincidences {quantity(expected.pairs_cps, 'cps')}, accidentals "
            f"{quantity(expected.accidentals_cps, 'cps')}, CAR {expected.car:.1f}, QBER "
            f"{percent(expected.qber, digits=2)}, sifted {quantity(expected.sifted_bps, 'bit/s')}, "
            f"a block each {span(expected.block_s)}"
        )

        def show(length: KeyLength) -> None:
            rate = 2 * length.bits / expected.block_s
            self.key.setText(f"{quantity(rate, 'bit/s')} secret key")
            if not length.bits:
                words = "a block of this size holds no secret key: make it larger, or lose less"
                self._add(Check(Grade.WARNING, words))

        block = counts(plan, expected)
        query = {name: getattr(block, name) for name in block.__struct_fields__}
        self._desk.client.requests.get(
            ("keylength",), KeyLength, then=show, otherwise=self.problem.setText, query=query
        )

    def _show_checks(self, found: tuple[Check, ...]) -> None:
        for check in found:
            self._add(check)
        missing = [check for check in found if check.grade is Grade.MISSING]
        self.write_button.setEnabled(not missing)
        self.write_button.setToolTip(f"Not now: {missing[0].words}" if missing else "")

    def _add(self, check: Check) -> None:
        colours = self._desk.look.colours
        tints = {
            Grade.GOOD: colours.ok,
            Grade.WARNING: colours.warn,
            Grade.MISSING: colours.error,
        }
        icon = self._desk.look.icon(_ICONS[check.grade], tints[check.grade])
        item = QListWidgetItem(icon, check.words)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{check.grade}: {check.words}")
        self.list.addItem(item)

    def _write(self) -> None:
        plan = self.plan()

        def done(settings: Settings) -> None:
            words = f"link {plan.name} is in {settings.file}; it is there from the next start on"
            self._desk.told.emit(words)
            self.accept()

        propose(self._desk, self, changes(plan), then=done, otherwise=self.problem.setText)


def wizard_tool(desk: Desk, window: QWidget) -> None:
    """Offer to plan a link."""

    def show() -> None:
        wizard = LinkWizard(desk, window)
        wizard.finished.connect(wizard.deleteLater)
        wizard.show()

    desk.add_action("new-link", "New link…", show, icon="link")
