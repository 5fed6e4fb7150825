"""The map as a widget: hover for details, click or arrow keys to choose, routes on top."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.desktop.look import Look
from gui.desktop.network_map import drawing
from gui.desktop.network_map.ways import Way, places, ways
from gui.desktop.words import percent, quantity, short
from qnx_hw.api.schema import LinkView, NodeView
from qnx_hw.api.traffic import HopView

Place = tuple[str, ...]
"""A site as (name,), a way as both names."""
_NEAR_WAY = 9.0
_MARGINS = (58.0, 34.0, 58.0, 66.0)
_ARROWS = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, -1.0),
    Qt.Key.Key_Down: (0.0, 1.0),
}


class NetworkMap(QWidget):
    """Draws what it was shown last; says what was chosen, and whose past it would like to have."""

    chosen = Signal(str, str)
    """Kind (`node`, `link`, `hop`) and name of what was clicked or picked with the keyboard."""
    activated = Signal(str, str)
    """The same, on a double click or Enter."""
    past_wanted = Signal(str, str)
    """Kind and name of what the mouse rests on; answer with `show_past`."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._nodes: dict[str, NodeView] = {}
        self._ways: dict[Place, Way] = {}
        self._places: dict[str, tuple[float, float]] = {}
        self._routes: tuple[tuple[tuple[str, ...], float], ...] = ()
        self._hovered: Place = ()
        self._hovered_at = QPointF()
        self._chosen: Place = ()
        self._past: tuple[float | None, ...] = ()
        self._past_of = ("", "")
        self.setMinimumSize(240, 180)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Network map")

    def sizeHint(self) -> QSize:
        """Return a size at which six sites stand well apart."""
        return QSize(520, 360)

    def show_network(
        self, nodes: Iterable[NodeView], links: Iterable[LinkView], hops: Iterable[HopView]
    ) -> None:
        """Show other sites and ways."""
        known = {node.name: node for node in nodes}
        found: dict[Place, Way] = {(way.a, way.b): way for way in ways(links, hops)}
        found = {pair: way for pair, way in found.items() if set(pair) <= known.keys()}
        if known == self._nodes and found == self._ways:
            return
        self._nodes, self._ways = known, found
        self._places = places(known.values())
        self._hovered = self._hovered if self._is_here(self._hovered) else ()
        self._chosen = self._chosen if self._is_here(self._chosen) else ()
        self._describe()
        self.update()

    def show_routes(self, paths: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Lift out the paths of a flow, each with its share; nothing lifts out nothing."""
        shown = tuple(paths)
        if shown != self._routes:
            self._routes = shown
            self.update()

    def show_past(self, kind: str, name: str, values: tuple[float | None, ...]) -> None:
        """Show the last hour of what the mouse rests on; anything else came too late."""
        if (kind, name) == self._past_of:
            self._past = values
            self.update()

    @property
    def selection(self) -> Place:
        """What is chosen: a site as (name,), a way as both names; empty where nothing is."""
        return self._chosen

    def choose(self, place: Place) -> None:
        """Choose a site or a way."""
        self._chosen = place if self._is_here(place) else ()
        self._describe()
        self.update()
        if self._chosen:
            self.chosen.emit(*self._named(self._chosen))

    def words(self, place: Place) -> tuple[str, ...]:
        """Return a heading and lines that describe a site or a way."""
        if len(place) == 1:
            return _node_words(self._nodes[place[0]])
        return _way_words(self._ways[place])

    def point(self, place: Place) -> QPointF:
        """Return where a site, or the middle of a way, is drawn."""
        points = [self._point(name) for name in place]
        return QPointF(
            sum(each.x() for each in points) / len(points),
            sum(each.y() for each in points) / len(points),
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw ways, routes, labels, sites, legend and details, in this order."""
        painter, look = QPainter(self), self._look
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, (path, share) in enumerate(self._routes):
            points = [self._point(name) for name in path if name in self._nodes]
            if len(points) > 1:
                drawing.draw_route(painter, look, points, share, number)
        for place, way in self._ways.items():
            start, end = (self._point(name) for name in place)
            is_lit = place in (self._hovered, self._chosen)
            drawing.draw_way(painter, look, way, start, end, is_lit=is_lit)
        for place, way in self._ways.items():
            words = "down" if way.is_down else short(way.secret_rate_bps)
            drawing.draw_label(painter, look, words, self.point(place), way.is_down)
        for name, node in self._nodes.items():
            drawing.draw_node(
                painter, look, node, self._point(name),
                is_lit=self._hovered == (name,), is_chosen=self._chosen == (name,),
            )  # fmt: skip
        area = QRectF(self.rect())
        drawing.draw_legend(painter, look, QRectF(8, area.bottom() - 20, area.width() - 16, 16))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(look.colours.accent), 1))
            painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        if shown := self._hovered or (self._chosen if self.hasFocus() else ()):
            at = self._hovered_at if self._hovered else self.point(shown)
            past = self._past if self._named(shown) == self._past_of else ()
            inside = area.adjusted(4, 4, -4, -4)
            drawing.draw_details(painter, look, self.words(shown), past, at, inside)
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show details of what lies under the mouse."""
        self._hovered_at = event.position()
        place = self._at(event.position())
        if place != self._hovered:
            self._hovered = place
            self._want_past(place)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Take the details away."""
        self._hovered = ()
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose what was clicked."""
        if event.button() is Qt.MouseButton.LeftButton:
            self.choose(self._at(event.position()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Open what was clicked."""
        if place := self._at(event.position()):
            self.activated.emit(*self._named(place))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Walk with the arrow keys, open with Enter, let go with Esc."""
        key = Qt.Key(event.key())
        if key in _ARROWS:
            self.choose(self._next(_ARROWS[key]))
            self._want_past(self._chosen)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._chosen:
            self.activated.emit(*self._named(self._chosen))
        elif key is Qt.Key.Key_Escape and self._chosen:
            self.choose(())
        else:
            super().keyPressEvent(event)

    def _next(self, way: tuple[float, float]) -> Place:
        """Return the nearest thing in a direction; the first site where nothing is chosen."""
        everything: list[Place] = [*((name,) for name in self._nodes), *self._ways]
        if not self._chosen:
            return everything[0] if everything else ()
        here, best, shortest = self.point(self._chosen), self._chosen, math.inf
        for place in everything:
            step = self.point(place) - here
            along = step.x() * way[0] + step.y() * way[1]
            aside = abs(step.x() * way[1]) + abs(step.y() * way[0])
            # Within 63° of the arrow; what lies aside counts twice.
            if along > 1.0 and aside <= 2 * along and along + 2 * aside < shortest:
                best, shortest = place, along + 2 * aside
        return best

    def _at(self, point: QPointF) -> Place:
        for name in self._nodes:
            gap = point - self._point(name)
            if math.hypot(gap.x(), gap.y()) <= drawing.RADIUS + 4:
                return (name,)
        distances = {
            place: _distance(point, *(self._point(name) for name in place)) for place in self._ways
        }
        nearest = min(distances, key=distances.__getitem__, default=())
        return nearest if nearest and distances[nearest] <= _NEAR_WAY else ()

    def _point(self, name: str) -> QPointF:
        left, top, right, bottom = _MARGINS
        x, y = self._places[name]
        return QPointF(
            left + x * max(self.width() - left - right, 1.0),
            top + y * max(self.height() - top - bottom, 1.0),
        )

    def _named(self, place: Place) -> tuple[str, str]:
        if len(place) == 1:
            return "node", place[0]
        way = self._ways[place]
        if way.link is not None:
            return "link", way.link.name
        return "hop", way.hops[0].name

    def _is_here(self, place: Place) -> bool:
        return place in self._ways or (len(place) == 1 and place[0] in self._nodes)

    def _want_past(self, place: Place) -> None:
        self._past = ()
        self._past_of = self._named(place) if place else ("", "")
        if place:
            self.past_wanted.emit(*self._past_of)

    def _describe(self) -> None:
        lines = self.words(self._chosen) if self._chosen else (f"{len(self._nodes)} sites",)
        self.setAccessibleDescription(". ".join(lines))


def _node_words(node: NodeView) -> tuple[str, ...]:
    state = "online" if node.is_online else "offline"
    part = drawing.pool_part(node)
    lines = [node.name, f"{state}, {len(node.instruments)} instruments"]
    if part is not None:
        lines.append(f"key in stock {quantity(node.pool_bits, 'bit')} ({percent(part)})")
    lines += [
        f"{each.name}: {each.state}" + (f", {each.error}"[:60] if each.error else "")
        for each in node.instruments
        if each.state not in ("ready", "busy", "streaming")
    ]
    return tuple(lines)


def _way_words(way: Way) -> tuple[str, ...]:
    lines = [f"{way.a} – {way.b}" + (", down" if way.is_down else "")]
    if way.link is not None:
        qber = percent(way.link.qber.value, digits=1)
        lines.append(f"{way.link.phase.replace('_', ' ')}, {way.link.protocol.upper()}")
        lines.append(f"secret key {quantity(way.secret_rate_bps, 'bit/s')}, QBER {qber}")
    for hop in way.hops:
        load = quantity(hop.load_bps, "bit/s")
        lines.append(
            f"{hop.source} → {hop.target}  {load} of {quantity(hop.capacity_bps, 'bit/s')}"
        )
    return tuple(lines)


def _distance(point: QPointF, start: QPointF, end: QPointF) -> float:
    """Return how far a point is from a line's stretch."""
    line, gap = end - start, point - start
    length = line.x() ** 2 + line.y() ** 2
    part = 0.0 if length == 0 else (gap.x() * line.x() + gap.y() * line.y()) / length
    near = start + line * min(max(part, 0.0), 1.0)
    return math.hypot(point.x() - near.x(), point.y() - near.y())
