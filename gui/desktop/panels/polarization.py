"""The closed loops, polarization first: what they do, how well, and where their axes stand."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import Choice, QuantityField
from gui.desktop.look import Look, mono_font, text_font
from gui.desktop.panels.panel import Panel
from gui.desktop.setting_change import change_setting
from qnx_hw.api.commands import SetLoop
from qnx_hw.api.loops import ActuatorAxis, LoopState, LoopView

_ROW_PX = 34


class PolarizationPanel(Panel):
    """One loop at a time: state, algorithm, target, axes; hold, resume, re-lock."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("polarization", "Polarization feedback", "sliders-horizontal", desk)
        self.loops = Choice("Loop")
        self.loops.currentTextChanged.connect(lambda _: self.redraw())
        self.state = QLabel("no loop")
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        self.algorithm = Choice("Algorithm")
        self.algorithm.textActivated.connect(self._set_algorithm)
        self.target = QuantityField("Target", "%", 0.0, 100.0)
        self.target.committed.connect(self._set_target)
        self.target.problem.connect(desk.told)
        self.residual = QLabel("–")
        self.residual.setObjectName("mono")
        self.residual.setWordWrap(True)
        self.estimate = QLabel("–")
        self.estimate.setObjectName("mono")
        self.axes = AxesView(desk.look)
        self.hold_button = QPushButton("Hold")
        self.relock_button = QPushButton("Re-lock")
        self.relock_button.setObjectName("primary")
        self.hold_button.clicked.connect(self._hold_or_resume)
        self.relock_button.clicked.connect(lambda: self._send("relock"))
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setVerticalSpacing(6)
        for text, field in (
            ("Loop", self.loops),
            ("State", self.state),
            ("Algorithm", self.algorithm),
            ("Target", self.target),
            ("Residual", self.residual),
            ("Estimate", self.estimate),
        ):
            form.addRow(text, field)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 4, 0)
        column.addLayout(form)
        column.addWidget(self.axes)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setAccessibleName("Polarization loop")
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        buttons = QHBoxLayout()
        buttons.addWidget(self.hold_button, 1)
        buttons.addWidget(self.relock_button, 1)
        self.body.addWidget(area, 1)
        self.body.addLayout(buttons)
        self._waiting = False

    @property
    def loop(self) -> LoopView | None:
        """The loop on show."""
        return self.client.loops.get(self.loops.currentText())

    def refresh(self) -> None:
        """Draw the loop as the node reports it."""
        loops = self.client.loops.values()
        found = sorted(loops, key=lambda each: (each.kind != "polarization", each.name))
        ours = [x.name for x in found if x.link == self.link_name]
        names = tuple(ours or [loop.name for loop in found])
        chosen = self.loops.currentText()
        self.loops.show_choices(names, chosen if chosen in names else next(iter(names), ""))
        loop = self.loop
        if loop is None:
            self.state.setText("no closed loop here")
            self.axes.show_axes(())
            self._enable(loop)
            return
        self.subtitle.setText(loop.node)
        message = f" · {loop.message}" if loop.message else ""
        self.state.setText(f"{loop.state}{message}")
        self.state.setStyleSheet(f"color: {self._tint(loop.state)}")
        self.algorithm.show_choices(loop.algorithms or (loop.algorithm,), loop.algorithm)
        self.target.show_held(None if loop.target is None else loop.target * 100)
        residual = loop.residual.value
        counts = f"{loop.relocks} re-locks, {loop.moves_undone} moves undone"
        sigma = "" if loop.residual.sigma is None else f" ± {loop.residual.sigma:.2g}"
        value = "–" if residual is None else f"{residual:.4g}{sigma} {loop.unit}".strip()
        self.residual.setText(f"{value}   {counts}")
        state = ", ".join(f"{each:.3f}" for each in loop.stokes[-1]) if loop.stokes else ""
        self.estimate.setText(f"state at S = ({state})" if state else "–")
        self.axes.show_axes(loop.axes)
        self._enable(loop)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.axes.update()

    def export_table(self) -> Table | None:
        """Return the axes."""
        loop = self.loop
        if loop is None or not loop.axes:
            return None
        rows = tuple((a.name, a.unit, a.low, a.high, a.requested, a.actual) for a in loop.axes)
        return Table(("axis", "unit", "low", "high", "requested", "actual"), rows)

    def _tint(self, state: LoopState) -> str:
        colours = self.look.colours
        return {
            LoopState.TRACKING: colours.ok,
            LoopState.SEARCHING: colours.accent,
            LoopState.HOLDING: colours.warn,
            LoopState.FAULT: colours.error,
        }.get(state, colours.dim)

    def _enable(self, loop: LoopView | None) -> None:
        can = loop is not None and self.client.is_live and not self._waiting
        is_held = loop is not None and loop.state is LoopState.HOLDING
        self.hold_button.setText("Resume" if is_held else "Hold")
        why = "the node carries out a command" if self._waiting else "no loop answers"
        for control in (self.hold_button, self.relock_button, self.algorithm, self.target):
            control.setEnabled(can)
            control.setToolTip("" if can else f"Not now: {why}")
        if loop is not None and loop.target is None:
            self.target.setEnabled(False)
            self.target.setToolTip("This loop has no target")

    def _hold_or_resume(self) -> None:
        loop = self.loop
        if loop is not None:
            self._send("resume" if loop.state is LoopState.HOLDING else "hold")

    def _send(self, verb: str, change: SetLoop | None = None, name: str = "") -> None:
        """Send a command; the buttons wait for the answer, which is drawn when it comes."""
        self._waiting = True
        path = ("loops", name or self.loops.currentText(), verb)
        requests = self.client.requests
        requests.post(path, LoopView, change, then=self._answered, otherwise=self._refused)
        self._enable(self.loop)

    def _answered(self, loop: LoopView) -> None:
        self._waiting = False
        self.redraw()

    def _refused(self, reason: str) -> None:
        self._waiting = False
        self.desk.told.emit(reason)
        self.redraw()

    def _set_algorithm(self, wanted: str) -> None:
        loop = self.loop
        if loop is None or wanted == loop.algorithm:
            return
        self._change(
            f"Algorithm {wanted}",
            SetLoop(algorithm=wanted, expected_algorithm=loop.algorithm),
            SetLoop(algorithm=loop.algorithm, expected_algorithm=wanted),
        )

    def _set_target(self, percent: float) -> None:
        loop = self.loop
        if loop is None:
            return
        wanted, before = percent / 100, loop.target
        back = SetLoop(target=before, expected_target=wanted)
        self._change(f"Target {percent:g} %", SetLoop(target=wanted, expected_target=before), back)

    def _change(self, text: str, there: SetLoop, back: SetLoop) -> None:
        name = self.loops.currentText()
        change_setting(
            self.desk.undo,
            text,
            lambda: self._send("settings", there, name),
            lambda: self._send("settings", back, name),
        )


class AxesView(QWidget):
    """Each axis as a line from its lowest to its highest value: a ring where it was told to go,
    a dot where it says it stands."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._axes: tuple[ActuatorAxis, ...] = ()
        self.setAccessibleName("Axes of the polarization controller")

    def sizeHint(self) -> QSize:
        """Return the size that shows all axes."""
        return QSize(180, _ROW_PX * len(self._axes))

    def minimumSizeHint(self) -> QSize:
        """Return the size that shows all axes."""
        return self.sizeHint()

    def show_axes(self, axes: tuple[ActuatorAxis, ...]) -> None:
        """Show other values."""
        if axes == self._axes:
            return
        if len(axes) != len(self._axes):
            self.updateGeometry()
        self._axes = axes
        said = (
            f"{a.name}: asked {_written(a.requested, a)}, at {_written(a.actual, a)}" for a in axes
        )
        self.setToolTip("\n".join(said))
        self.setAccessibleDescription(self.toolTip())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint one row for each axis."""
        colours = self._look.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row, axis in enumerate(self._axes):
            top = row * _ROW_PX
            painter.setPen(QColor(colours.dim))
            painter.setFont(text_font(11))
            left = QRectF(0, top, self.width(), 16)
            painter.drawText(left, Qt.AlignmentFlag.AlignLeft, axis.name)
            painter.setFont(mono_font(11))
            painter.setPen(QColor(colours.text))
            actual = _written(axis.actual, axis)
            painter.drawText(left, Qt.AlignmentFlag.AlignRight, actual)
            if axis.requested is not None:
                taken = painter.fontMetrics().horizontalAdvance(actual + "  ")
                painter.setPen(QColor(colours.faint))
                asked = left.adjusted(0, 0, -taken, 0)
                painter.drawText(
                    asked, Qt.AlignmentFlag.AlignRight, f"→ {_number(axis.requested, axis)}"
                )
            self._draw_line(painter, axis, top + 23.0)
        painter.end()

    def _draw_line(self, painter: QPainter, axis: ActuatorAxis, y: float) -> None:
        colours, span = self._look.colours, max(axis.high - axis.low, 1e-12)
        begin, length = 6.0, self.width() - 12.0

        def place(value: float) -> float:
            return begin + length * min(max((value - axis.low) / span, 0.0), 1.0)

        painter.setPen(QPen(QColor(colours.line2), 3, c=Qt.PenCapStyle.RoundCap))
        painter.drawLine(round(begin), round(y), round(begin + length), round(y))
        if axis.actual is not None:
            painter.setPen(QPen(QColor(colours.fill), 3, c=Qt.PenCapStyle.RoundCap))
            painter.drawLine(round(begin), round(y), round(place(axis.actual)), round(y))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.accent))
            painter.drawEllipse(QRectF(place(axis.actual) - 4, y - 4, 8, 8))
        if axis.requested is not None:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(colours.accent2), 1.4))
            painter.drawEllipse(QRectF(place(axis.requested) - 6, y - 6, 12, 12))


def _written(value: float | None, axis: ActuatorAxis) -> str:
    return "–" if value is None else f"{_number(value, axis)} {axis.unit}"


def _number(value: float, axis: ActuatorAxis) -> str:
    """Return one decimal, or three digits where the whole range is small, as in ampere."""
    return f"{value:.1f}" if max(abs(axis.low), abs(axis.high)) >= 1 else f"{value:.3g}"
