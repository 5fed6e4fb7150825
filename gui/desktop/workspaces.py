"""The four workspaces and how their cards stand before anybody moves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow


@dataclass(frozen=True, slots=True)
class Row:
    """Parts beside each other, each with its share of the width."""

    parts: tuple[tuple[int, Part], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Parts below each other, each with its share of the height."""

    parts: tuple[tuple[int, Part], ...]


@dataclass(frozen=True, slots=True)
class Tabs:
    """Cards behind each other; the first is in front."""

    names: tuple[str, ...]


Part = str | Tabs | Row | Column


@dataclass(frozen=True, slots=True)
class Workspace:
    """Cards for one kind of work; names that no card bears are left out."""

    name: str
    keys: str
    icon: str
    plan: Part


WORKSPACES = (
    Workspace(
        "Align", "Ctrl+1", "sliders-horizontal",
        Row((
            (290, Column(((430, "instruments"), (320, "detector")))),
            (800, Column((
                (320, "rates"),
                (430, Row(((420, "histogram"), (380, "matrix")))),
            ))),
            (390, Column(((360, "sphere"), (400, "polarization")))),
        )),
    ),
    Workspace(
        "Run", "Ctrl+2", "activity",
        Row((
            (272, Column(((470, "instruments"), (330, "polarization")))),
            (1150, Column((
                (270, Row(((780, "rates"), (370, "sphere")))),
                (290, Row(((440, "histogram"), (340, "matrix"), (370, Tabs(("map", "chsh")))))),
                (220, Row(((520, Tabs(("errors", "key_rate"))), (630, "events")))),
            ))),
        )),
    ),
    Workspace(
        "Network", "Ctrl+3", "waypoints",
        Row((
            (820, Column(((470, "map"), (300, Row(((400, "tunnels"), (420, "events"))))))),
            (560, Column(((420, "routing"), (350, "pools")))),
        )),
    ),
    Workspace(
        "Analyse", "Ctrl+4", "chart-line",
        Row((
            (300, Column(((400, "recordings"), (380, "tagger")))),
            (1100, Column((
                (280, Row(((550, "errors"), (550, "key_rate")))),
                (280, Row(((550, "chsh"), (550, "histogram")))),
                (220, "events"),
            ))),
        )),
    ),
)  # fmt: skip


def leaves(part: Part) -> Iterator[str]:
    """Yield the names of all cards in a plan."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, Tabs):
        yield from part.names
    else:
        for _, inner in part.parts:
            yield from leaves(inner)


def arrange(window: QMainWindow, docks: Mapping[str, QDockWidget], plan: Part) -> None:
    """Put the cards where a plan wants them and hide all others."""
    kept = _known(plan, docks)
    if kept is None:
        return
    wanted = set(leaves(kept))
    for name, dock in docks.items():
        window.removeDockWidget(dock)
        dock.setFloating(False)
        if name not in wanted:
            # Hidden, but part of the window: a saved layout then tells of every card.
            window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            dock.hide()
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks[_first(kept)])
    _split(window, docks, kept)
    for name in leaves(kept):
        docks[name].show()
    _raise(docks, kept)
    _resize(window, docks, kept)


def _known(part: Part, docks: Mapping[str, QDockWidget]) -> Part | None:
    """Return a plan without the cards that do not exist."""
    if isinstance(part, str):
        return part if part in docks else None
    if isinstance(part, Tabs):
        names = tuple(name for name in part.names if name in docks)
        return Tabs(names) if names else None
    kept = [(size, inner) for size, each in part.parts if (inner := _known(each, docks))]
    return type(part)(tuple(kept)) if kept else None


def _first(part: Part) -> str:
    return next(leaves(part))


def _split(window: QMainWindow, docks: Mapping[str, QDockWidget], part: Part) -> None:
    if isinstance(part, Tabs):
        for name in part.names[1:]:
            window.tabifyDockWidget(docks[part.names[0]], docks[name])
    elif not isinstance(part, str):
        anchors = [docks[_first(inner)] for _, inner in part.parts]
        for before, after in pairwise(anchors):
            window.splitDockWidget(before, after, _direction(part))
        for _, inner in part.parts:
            _split(window, docks, inner)


def _raise(docks: Mapping[str, QDockWidget], part: Part) -> None:
    if isinstance(part, Tabs):
        docks[part.names[0]].raise_()
    elif not isinstance(part, str):
        for _, inner in part.parts:
            _raise(docks, inner)


def _resize(window: QMainWindow, docks: Mapping[str, QDockWidget], part: Part) -> None:
    if isinstance(part, str | Tabs):
        return
    direction = _direction(part)
    # Qt resizes the innermost row or column that holds a card, so each part needs one that is
    # not inside another row (or column) of its own.
    sized = [(size, anchor) for size, inner in part.parts if (anchor := _anchor(inner, type(part)))]
    window.resizeDocks([docks[name] for _, name in sized], [size for size, _ in sized], direction)
    for _, inner in part.parts:
        _resize(window, docks, inner)


def _anchor(part: Part, outer: type) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Tabs):
        return part.names[0]
    if isinstance(part, outer):
        return ""
    return next((name for _, inner in part.parts if (name := _anchor(inner, outer))), "")


def _direction(part: Row | Column) -> Qt.Orientation:
    return Qt.Orientation.Horizontal if isinstance(part, Row) else Qt.Orientation.Vertical
