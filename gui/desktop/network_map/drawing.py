"""How the map is drawn: ways as coloured lines, sites as rings, labels, legend and details."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QLinearGradient,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
)

from gui.desktop.look import Look, mono_font, text_font
from gui.desktop.network_map.ways import Way
from gui.desktop.words import short
from qnx_hw.api.schema import NodeView

RADIUS = 19.0
LOW_POOL = 0.15
MIDDLE_POOL = 0.4
_THINNEST, _THICKEST = 2.0, 6.0
_WELL = {"ready", "busy", "streaming"}


def mixed(low: QColor, high: QColor, part: float) -> QColor:
    """Mix two colours."""
    return QColor(
        round(low.red() + (high.red() - low.red()) * part),
        round(low.green() + (high.green() - low.green()) * part),
        round(low.blue() + (high.blue() - low.blue()) * part),
    )


def load_colour(look: Look, load: float) -> QColor:
    """Return the colour of a load: good, watch, full."""
    colours = look.colours
    if load < 0.6:
        return mixed(QColor(colours.ok), QColor(colours.warn), (load / 0.6) ** 2)
    return mixed(QColor(colours.warn), QColor(colours.error), (min(load, 1.0) - 0.6) / 0.4)


def draw_route(
    painter: QPainter, look: Look, points: list[QPointF], share: float, number: int
) -> None:
    """Draw a band below the ways of a path, broader for a larger share, with its direction."""
    colour = QColor(look.colours.accent if number == 0 else look.colours.accent2)
    band = QColor(colour)
    band.setAlpha(85)
    pen = QPen(band, 9.0 + 9.0 * share)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(points)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for start, end in itertools.pairwise(points):
        painter.drawPolygon(_arrow(QLineF(start, end)))


def draw_way(
    painter: QPainter, look: Look, way: Way, start: QPointF, end: QPointF, *, is_lit: bool
) -> None:
    """Draw a way; each end has the colour of the load that leaves it."""
    if is_lit:
        halo = QColor(look.colours.accent)
        halo.setAlpha(110)
        painter.setPen(QPen(halo, 12.0, c=Qt.PenCapStyle.RoundCap))
        painter.drawLine(start, end)
    if way.is_down:
        painter.setPen(QPen(QColor(look.colours.faint), 1.5, Qt.PenStyle.DashLine))
        painter.drawLine(start, end)
        return
    there, back = way.loads
    paint = QLinearGradient(start, end)
    if way.load is None:
        paint.setColorAt(0.0, QColor(look.colours.accent))
        paint.setColorAt(1.0, QColor(look.colours.accent))
    else:
        first = there if there is not None else back or 0.0
        second = back if back is not None else first
        paint.setColorAt(0.2, load_colour(look, first))
        paint.setColorAt(0.8, load_colour(look, second))
    width = _THINNEST + (_THICKEST - _THINNEST) * (way.load or 0.0)
    painter.setPen(QPen(paint, width, c=Qt.PenCapStyle.RoundCap))
    painter.drawLine(start, end)


def draw_label(painter: QPainter, look: Look, words: str, middle: QPointF, dim: bool) -> QRectF:
    """Write on a pill in the middle of a way, and return the pill."""
    font = mono_font(10)
    painter.setFont(font)
    width = QFontMetricsF(font).horizontalAdvance(words) + 14
    pill = QRectF(middle.x() - width / 2, middle.y() - 9, width, 18)
    painter.setPen(QPen(QColor(look.colours.line2), 1))
    painter.setBrush(QColor(look.colours.panel))
    painter.drawRoundedRect(pill, 9, 9)
    painter.setPen(QColor(look.colours.faint if dim else look.colours.text))
    painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, words)
    return pill


def pool_part(node: NodeView) -> float | None:
    """Return how full a site's pool of key is; None where it holds none."""
    if node.pool_capacity_bits <= 0:
        return None
    return min(node.pool_bits / node.pool_capacity_bits, 1.0)


def faults(node: NodeView) -> int:
    """Return how many of a site's instruments do not do what they should."""
    return sum(each.state not in _WELL for each in node.instruments)


def draw_node(
    painter: QPainter, look: Look, node: NodeView, at: QPointF, *, is_lit: bool, is_chosen: bool
) -> None:
    """Draw a site: a ring as full as its pool, the percentage, its name, and what is wrong."""
    colours, part = look.colours, pool_part(node)
    disc = QRectF(at.x() - RADIUS, at.y() - RADIUS, 2 * RADIUS, 2 * RADIUS)
    if is_lit or is_chosen:
        halo = QColor(colours.accent)
        halo.setAlpha(70)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(halo)
        painter.drawEllipse(disc.adjusted(-6, -6, 6, 6))
    painter.setBrush(QColor(colours.raised))
    painter.setPen(QPen(QColor(colours.line2), 3.5))
    painter.drawEllipse(disc)
    ring, words = colours.faint, "off"
    if node.is_online:
        words = "–" if part is None else f"{part * 100:.0f}"
        if part is not None:
            ring = colours.error if part < LOW_POOL else colours.ok
            ring = colours.warn if LOW_POOL <= part < MIDDLE_POOL else ring
            painter.setPen(QPen(QColor(ring), 3.5, c=Qt.PenCapStyle.RoundCap))
            painter.drawArc(disc, 90 * 16, round(-part * 360 * 16))
    painter.setPen(QColor(colours.text if node.is_online else colours.faint))
    painter.setFont(text_font(11))
    painter.drawText(disc, Qt.AlignmentFlag.AlignCenter, words)
    name = text_font(12)
    if is_chosen:
        name.setWeight(name.Weight.DemiBold)
    painter.setFont(name)
    painter.setPen(QColor(colours.text if node.is_online else colours.dim))
    painter.drawText(
        QRectF(at.x() - 80, disc.bottom() + 5, 160, 16), Qt.AlignmentFlag.AlignCenter, node.name
    )
    if faults(node):
        _draw_mark(painter, QColor(colours.error), QPointF(disc.right() - 3, disc.top() + 3))


def draw_legend(painter: QPainter, look: Look, area: QRectF) -> None:
    """Say what colours, rings and labels mean."""
    colours, font = look.colours, text_font(10)
    painter.setFont(font)
    painter.setPen(QColor(colours.dim))
    metrics, x, y = QFontMetricsF(font), area.left(), area.center().y()
    for words in (
        "load 0 %",
        None,
        "100 %",
        "   ring: key pool %",
        "   label: secret bit/s",
        "   ┄ down",
    ):
        if words is None:
            ramp = QLinearGradient(x, y, x + 70, y)
            for step in range(6):
                ramp.setColorAt(step / 5, load_colour(look, step / 5))
            painter.fillRect(QRectF(x, y - 2, 70, 4), ramp)
            x += 78
            continue
        wide = metrics.horizontalAdvance(words)
        if x + wide > area.right():
            return
        painter.drawText(QPointF(x, y + 4), words)
        x += wide + 8


def draw_details(
    painter: QPainter,
    look: Look,
    lines: tuple[str, ...],
    past: tuple[float | None, ...],
    at: QPointF,
    inside: QRectF,
) -> None:
    """Draw a small card with a heading, lines of text and the last hour as a curve."""
    colours = look.colours
    heading, body = text_font(12), text_font(11)
    heading.setWeight(heading.Weight.DemiBold)
    widest = max(
        QFontMetricsF(body if row else heading).horizontalAdvance(line)
        for row, line in enumerate(lines)
    )
    width, height = max(widest + 24, 150.0), 14 + 17.0 * len(lines) + (54 if past else 0)
    left = min(max(at.x() + 16, inside.left()), inside.right() - width)
    top = min(max(at.y() + 16, inside.top()), inside.bottom() - height)
    card = QRectF(left, top, width, height)
    painter.setPen(QPen(QColor(colours.line2), 1))
    painter.setBrush(QColor(colours.raised))
    painter.drawRoundedRect(card, 6, 6)
    for row, line in enumerate(lines):
        painter.setFont(body if row else heading)
        painter.setPen(QColor(colours.dim if row else colours.text))
        painter.drawText(QPointF(left + 12, top + 20 + 17 * row), line)
    if past:
        _draw_curve(painter, look, past, QRectF(left + 12, card.bottom() - 42, width - 24, 34))


def _draw_curve(
    painter: QPainter, look: Look, past: tuple[float | None, ...], area: QRectF
) -> None:
    known = [value for value in past if value is not None]
    if len(known) < 2:
        return
    low, high = min(known), max(known)
    reach = (high - low) or 1.0
    path, is_down = QPainterPath(), False
    for step, value in enumerate(past):
        if value is None:
            is_down = False
            continue
        x = area.left() + area.width() * step / (len(past) - 1)
        point = QPointF(x, area.bottom() - area.height() * (value - low) / reach)
        path.lineTo(point) if is_down else path.moveTo(point)
        is_down = True
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(look.colours.accent2), 1))
    painter.drawPath(path)
    painter.setFont(mono_font(9))
    painter.setPen(QColor(look.colours.faint))
    words = f"last hour {short(low)} to {short(high)}"
    painter.drawText(QPointF(area.left(), area.top() - 5), words)


def _draw_mark(painter: QPainter, colour: QColor, at: QPointF) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(at, 7, 7)
    font = text_font(10)
    font.setWeight(font.Weight.Bold)
    painter.setFont(font)
    painter.setPen(QColor("#FFFFFF"))
    painter.drawText(QRectF(at.x() - 7, at.y() - 7, 14, 14), Qt.AlignmentFlag.AlignCenter, "!")


def _arrow(line: QLineF) -> QPolygonF:
    """Return a small head at two thirds of a line, pointing to its end."""
    tip = line.pointAt(0.72)
    back = QLineF(tip, line.p1())
    back.setLength(11)
    left, right = QLineF(back), QLineF(back)
    left.setAngle(back.angle() + 26)
    right.setAngle(back.angle() - 26)
    return QPolygonF([tip, left.p2(), right.p2()])
