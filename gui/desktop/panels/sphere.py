"""The Poincaré sphere with the way that polarization took on it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QRadialGradient,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.look import Look, text_font
from gui.desktop.panels.panel import Panel
from qnx_hw.api.loops import LoopView

Floats = npt.NDArray[np.float64]
Path = tuple[tuple[float, float, float], ...]

POLES = {"H": (1, 0, 0), "V": (-1, 0, 0), "D": (0, 1, 0), "A": (0, -1, 0), "R": (0, 0, 1),
         "L": (0, 0, -1)}  # fmt: skip
_COLOURS = {"H": 0, "V": 1, "D": 2, "A": 3}
_START = (-0.6, 0.32)
_TURN_RAD = 0.1
_PIECES = 10
"""A trajectory is drawn in so many pieces, older ones fainter."""
_CIRCLE = np.linspace(0.0, 2.0 * math.pi, 97)


class SpherePanel(Panel):
    """Trajectories of all polarization loops of the link, each in a colour of its own."""

    every = 1

    def __init__(self, desk: Desk) -> None:
        super().__init__("sphere", "Poincaré sphere", "orbit", desk)
        self.sphere = Sphere(desk.look)
        self.numbers = QLabel()
        self.numbers.setObjectName("mono")
        self.body.addWidget(self.sphere, 1)
        self.body.addWidget(self.numbers)

    def refresh(self) -> None:
        """Draw the newest states."""
        paths = [loop.stokes for loop in self._loops() if loop.stokes]
        self.sphere.show_paths(tuple(paths))
        lines = []
        for path in paths:
            s1, s2, s3 = path[-1]
            lines.append(f"S = ({s1:.3f}, {s2:.3f}, {s3:.3f})   DOP {math.hypot(*path[-1]):.3f}")
        self.numbers.setText("\n".join(lines) or "no estimate of the state")

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.sphere.forget_grid()

    def export_table(self) -> Table | None:
        """Return all states on show."""
        rows = [(loop.name, *state) for loop in self._loops() for state in loop.stokes]
        return Table(("loop", "S1", "S2", "S3"), tuple(rows)) if rows else None

    def _loops(self) -> list[LoopView]:
        loops = self.client.loops.values()
        return [x for x in loops if x.kind == "polarization" and x.link in ("", self.link_name)]


class Sphere(QWidget):
    """Paints the sphere: the grid once for each view, the trajectories with every change.

    Drag, or the arrow keys, turn it; Home turns it back.
    """

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._paths: tuple[Path, ...] = ()
        self._azimuth, self._elevation = _START
        self._grid: QPixmap | None = None
        self._dragged_from: QPointF | None = None
        self.setMinimumSize(180, 160)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Poincaré sphere")
        self.setAccessibleDescription("Drag or use the arrow keys to turn it, Home turns it back")

    @property
    def view(self) -> tuple[float, float]:
        """From where it is seen: azimuth and elevation."""
        return self._azimuth, self._elevation

    def show_paths(self, paths: tuple[Path, ...]) -> None:
        """Show other trajectories."""
        if paths != self._paths:
            self._paths = paths
            self.update()

    def forget_grid(self) -> None:
        """Paint the grid anew."""
        self._grid = None
        self.update()

    def turn(self, azimuth: float, elevation: float) -> None:
        """Turn the sphere by angles in radian."""
        self._azimuth += azimuth
        self._elevation = min(max(self._elevation + elevation, -1.5), 1.5)
        self.forget_grid()

    def resizeEvent(self, event: object) -> None:
        """Paint the grid at the new size."""
        self.forget_grid()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to turn."""
        self._dragged_from = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn with the mouse."""
        if self._dragged_from is not None:
            moved = event.position() - self._dragged_from
            self._dragged_from = event.position()
            self.turn(-moved.x() / self._radius(), moved.y() / self._radius())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Stop turning."""
        self._dragged_from = None

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to others."""
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Turn with the arrows."""
        turns = {
            Qt.Key.Key_Left: (_TURN_RAD, 0.0),
            Qt.Key.Key_Right: (-_TURN_RAD, 0.0),
            Qt.Key.Key_Up: (0.0, _TURN_RAD),
            Qt.Key.Key_Down: (0.0, -_TURN_RAD),
        }
        key = Qt.Key(event.key())
        if key in turns:
            self.turn(*turns[key])
        elif key == Qt.Key.Key_Home:
            self._azimuth, self._elevation = _START
            self.forget_grid()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lay the trajectories over the grid."""
        if self._grid is None:
            self._grid = self._draw_grid()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._grid)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index, path in enumerate(self._paths):
            self._draw_path(painter, path, QColor(self._look.channels[(0, 2, 4, 6)[index % 4]]))
        painter.end()

    def _radius(self) -> float:
        return max(10.0, min(self.width(), self.height()) / 2.0 - 18.0)

    def project(self, states: Floats) -> tuple[Floats, Floats]:
        """Return where states (n, 3) are painted, and their depth; in front is positive."""
        turn, lift = self._azimuth, self._elevation
        s1, s2, s3 = states.T
        across = -s1 * math.sin(turn) + s2 * math.cos(turn)
        ahead = s1 * math.cos(turn) + s2 * math.sin(turn)
        up = s3 * math.cos(lift) - ahead * math.sin(lift)
        depth = ahead * math.cos(lift) + s3 * math.sin(lift)
        radius = self._radius()
        at = np.stack([self.width() / 2 + radius * across, self.height() / 2 - radius * up], 1)
        return at, depth

    def _draw_grid(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        drawn = QPixmap(self.size() * ratio)
        drawn.setDevicePixelRatio(ratio)
        drawn.fill(Qt.GlobalColor.transparent)
        painter = QPainter(drawn)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, radius = self._look.colours, self._radius()
        middle = QPointF(self.width() / 2, self.height() / 2)
        ball = QRadialGradient(middle - QPointF(radius * 0.35, radius * 0.4), radius * 1.5)
        near, far = QColor(colours.accent), QColor(colours.accent)
        near.setAlpha(62)
        far.setAlpha(14)
        ball.setColorAt(0.0, near)
        ball.setColorAt(1.0, far)
        painter.setBrush(ball)
        painter.setPen(QPen(QColor(colours.line2), 1))
        painter.drawEllipse(middle, radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for circle, is_main in _grid():
            self._draw_circle(painter, circle, is_main=is_main)
        for name, state in POLES.items():
            self._draw_pole(painter, name, np.asarray([state], dtype=np.float64))
        painter.end()
        return drawn

    def _draw_circle(self, painter: QPainter, circle: Floats, *, is_main: bool) -> None:
        at, depth = self.project(circle)
        for in_front in (False, True):
            colour = QColor(self._look.colours.dim)
            colour.setAlpha((150 if in_front else 55) if is_main else (60 if in_front else 22))
            painter.setPen(QPen(colour, 1))
            for part in _runs((depth >= 0) == in_front):
                painter.drawPolyline(_polygon(at[part]))

    def _draw_pole(self, painter: QPainter, name: str, state: Floats) -> None:
        (place,), (depth,) = self.project(state)
        index = _COLOURS.get(name)
        tint = self._look.colours.dim if index is None else self._look.channels[index]
        colour = QColor(tint)
        colour.setAlpha(255 if depth >= -0.05 else 110)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        spot = QPointF(*place)
        painter.drawEllipse(spot, 3, 3)
        painter.setPen(colour)
        painter.setFont(text_font(11))
        away = spot - QPointF(self.width() / 2, self.height() / 2)
        length = max(1.0, math.hypot(away.x(), away.y()))
        text = spot + away * (11.0 / length)
        painter.drawText(QPointF(text.x() - 4, text.y() + 4), name)

    def _draw_path(self, painter: QPainter, path: Path, colour: QColor) -> None:
        at, depth = self.project(np.asarray(path, dtype=np.float64))
        count = len(path)
        for piece in range(_PIECES):
            begin, end = piece * count // _PIECES, (piece + 1) * count // _PIECES + 1
            if end - begin < 2:
                continue
            faded = QColor(colour)
            faded.setAlpha(40 + 200 * (piece + 1) // _PIECES)
            painter.setPen(QPen(faded, 1.6))
            painter.drawPolyline(_polygon(at[begin:end]))
        halo = QColor(colour)
        halo.setAlpha(70)
        spot, size = QPointF(*at[-1]), 4.5 if depth[-1] >= 0 else 3.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(halo)
        painter.drawEllipse(spot, 2 * size, 2 * size)
        painter.setBrush(colour)
        painter.drawEllipse(spot, size, size)


def _grid() -> list[tuple[Floats, bool]]:
    """Return circles of latitude and longitude, and whether each is a main one."""
    cos, sin, zero = np.cos(_CIRCLE), np.sin(_CIRCLE), np.zeros_like(_CIRCLE)
    circles = []
    for degrees in (-60, -30, 0, 30, 60):
        lift = math.radians(degrees)
        flat = math.cos(lift)
        ring = np.stack([flat * cos, flat * sin, zero + math.sin(lift)], 1)
        circles.append((ring, degrees == 0))
    for degrees in (0, 30, 60, 90, 120, 150):
        turn = math.radians(degrees)
        ring = np.stack([cos * math.cos(turn), cos * math.sin(turn), sin], 1)
        circles.append((ring, degrees in (0, 90)))
    return circles


def _runs(inside: npt.NDArray[np.bool_]) -> list[slice]:
    """Return the spans in which something holds, each with a point more at its end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [slice(int(begin), min(int(end) + 1, inside.size)) for begin, end in pairs]


def _polygon(points: Floats) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y in points.tolist()])
