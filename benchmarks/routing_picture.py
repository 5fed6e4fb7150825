"""Pictures of two rules over time, as SVG: rows of tracks, and what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qnx_hw.network.topology import Floats

WIDE, HIGH, LEFT = 760, 170, 60
OURS, STATIC = "#0a6e5c", "#c2562d"


@dataclass(frozen=True)
class Row:
    """One diagram: the learning controller's track and the static paths', equally spaced."""

    title: str
    ours: Floats
    static: Floats


def drawing(rows: Sequence[Row], marks: Sequence[tuple[float, str]], span: str) -> str:
    """Return the picture; `marks` are parts of the time, with words, and `span` names all of it."""
    tall = len(rows) * (HIGH + 30) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE + 90}" height="{tall}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for place, row in enumerate(rows):
        parts += _row(row, 40 + place * (HIGH + 30), marks)
    parts.append(
        f'<text x="{LEFT}" y="{tall - 15}" fill="{OURS}">learning controller</text>'
        f'<text x="{LEFT + 150}" y="{tall - 15}" fill="{STATIC}">static shortest path</text>'
        f'<text x="{LEFT + WIDE}" y="{tall - 15}" text-anchor="end">{span}</text></svg>\n'
    )
    return "".join(parts)


def _row(row: Row, top: int, marks: Sequence[tuple[float, str]]) -> list[str]:
    tracks = (row.ours, OURS), (row.static, STATIC)
    low = min(float(np.nanmin(track)) for track, _ in tracks)
    span = max(max(float(np.nanmax(track)) for track, _ in tracks) - low, 1e-9)
    parts = [f'<text x="{LEFT}" y="{top - 8}">{row.title}</text>']
    for share in (0.0, 0.5, 1.0):
        y = top + HIGH * (1 - share)
        parts.append(
            f'<path d="M{LEFT} {y}H{LEFT + WIDE}" stroke="#ddd"/><text x="{LEFT - 8}" '
            f'y="{y + 4}" text-anchor="end">{low + span * share:.0f}</text>'
        )
    for part, words in marks:
        x = LEFT + WIDE * part
        parts.append(
            f'<path d="M{x} {top}V{top + HIGH}" stroke="#888" stroke-dasharray="4"/>'
            f'<text x="{x + 4}" y="{top + 12}" fill="#555">{words}</text>'
        )
    for track, colour in tracks:
        points = " ".join(
            f"{LEFT + WIDE * (place + 0.5) / len(track):.1f},"
            f"{top + HIGH * (1 - (value - low) / span):.1f}"
            for place, value in enumerate(track)
            if np.isfinite(value)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
    return parts
