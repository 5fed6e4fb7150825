"""Quasi-cyclic LDPC codes for the binary symmetric channel, built from degree tables.

A code is a base graph of `COLUMNS` columns, each edge of which stands for a circulant of `lifting`
lanes. Base graphs are grown edge by edge so that new edges close only long cycles (progressive edge
growth, Hu, Eleftheriou and Arnold 2005); shifts are drawn so that no cycle of length 4 is left.
Both are made from fixed seeds: two parties that speak the same version of the protocol hold the
same code. It can have any number of rows, so that few bits need to be punctured to fit a rate.

Which bits may be punctured follows from the code alone. The order is such that each punctured
column has a row in which it is the only one of those not yet set apart, so that the punctured part
of the matrix has full column rank: `p` random punctured bits take exactly `p` bits off what the
syndrome tells (`ldpc.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation.ldpc_tables import Shape, shape_for

COLUMNS = 800
FEWEST_ROWS, MOST_ROWS = 40, 408
_TRIES = 64
_LONGEST_HALF = 5
"""Half the longest cycle of columns of degree two that is avoided."""
_Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A parity-check matrix of `COLUMNS x lifting` bits.

    Edges are sorted by row: those of row `r` are `starts[r]` to `starts[r + 1]`. An edge joins
    check `r * lifting + z` with bit `column * lifting + (z + shift) % lifting`.
    """

    lifting: int
    starts: _Whole
    columns: _Whole
    shifts: _Whole
    puncturable: _Whole
    """Columns that may be punctured, in this order."""

    @property
    def length(self) -> int:
        """Bits of a word."""
        return COLUMNS * self.lifting

    @property
    def syndrome_bits(self) -> int:
        """Parity checks."""
        return (self.starts.size - 1) * self.lifting

    def digest(self) -> bytes:
        """Return what tells this code from any other."""
        hashed = hashlib.sha256(str(self.lifting).encode())
        for array in (self.starts, self.columns, self.shifts, self.puncturable):
            hashed.update(array.astype("<i8").tobytes())
        return hashed.digest()


@lru_cache(maxsize=16)
def code(rows: int, lifting: int) -> Code:
    """Return the code of `rows * lifting` checks; a new number of rows takes a quarter second."""
    graph = _base_graph(rows)
    shifts = _shifts(graph, lifting, _Draws(2009, rows, lifting))
    edges = sorted((row, column) for column, its_rows in enumerate(graph) for row in its_rows)
    counts = np.bincount([row for row, _ in edges], minlength=rows)
    return Code(
        lifting=lifting,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        columns=np.array([column for _, column in edges], np.int64),
        shifts=np.array([shifts[edge] for edge in edges], np.int64),
        puncturable=_puncturable(graph),
    )


class _Draws:
    """Numbers that the seed alone decides, the same with every version of every library."""

    def __init__(self, *seed: int) -> None:
        self._seed = repr(seed).encode()
        self._count = 0

    def below(self, limit: int) -> int:
        """Return the next number, from 0 to `limit` - 1."""
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[:8], "little") % limit


def _column_degrees(shape: Shape) -> list[int]:
    """Turn shares of edges into a degree for each column, small degrees first."""
    total = sum(share / degree for degree, share in shape.items())
    ideal = {degree: COLUMNS * share / degree / total for degree, share in shape.items()}
    counts = {degree: int(number) for degree, number in ideal.items()}
    by_rest = sorted(ideal, key=lambda degree: ideal[degree] - counts[degree], reverse=True)
    for degree in by_rest[: COLUMNS - sum(counts.values())]:
        counts[degree] += 1
    return [degree for degree in sorted(counts) for _ in range(counts[degree])]


@lru_cache(maxsize=16)
def _base_graph(rows: int) -> tuple[tuple[int, ...], ...]:
    """Grow the base graph: the rows of each column.

    Sets of rows are the bits of whole numbers: a hundred or more are joined at once.
    """
    draws = _Draws(2005, rows)
    weights = [0] * rows
    near = [1 << row for row in range(rows)]  # rows that share a column with each
    graph = []
    for degree in _column_degrees(shape_for(100 * rows / COLUMNS)):
        own = 0
        for _ in range(degree):
            far = _rows_in(_farthest(own, near))
            fewest = min(weights[row] for row in far)
            best = [row for row in far if weights[row] == fewest]
            row = best[draws.below(len(best))]
            own |= 1 << row
            weights[row] += 1
            for each in _rows_in(own):
                near[each] |= own
        graph.append(tuple(_rows_in(own)))
    return tuple(graph)


def _farthest(own: int, near: list[int]) -> int:
    """Return the rows that cannot be reached from a column's own, or were reached last."""
    everything = (1 << len(near)) - 1
    reached = front = own
    while True:
        found = reached
        for row in _rows_in(front):
            found |= near[row]
        if found in {reached, everything}:
            return (everything & ~reached) or (everything & ~own)
        reached, front = found, found & ~reached


def _rows_in(mask: int) -> list[int]:
    """Return the rows of a set, in order."""
    return [row for row, bit in enumerate(reversed(bin(mask)[2:])) if bit == "1"]


def _shifts(
    rows_of: tuple[tuple[int, ...], ...], lifting: int, draws: _Draws
) -> dict[tuple[int, int], int]:
    """Draw a shift for each edge, so that no cycle of length 4 closes where that can be.

    Columns of degree two are words of little weight wherever some of them close a cycle: those
    are kept as long as can be.
    """
    used: dict[tuple[int, int], set[int]] = {}
    shifts: dict[tuple[int, int], int] = {}
    ways: _Ways = {}
    for column, rows in enumerate(rows_of):
        drawn: list[tuple[int, int]] = []
        banned = _closing(ways, rows[0], rows[1], lifting) if len(rows) == 2 else set[int]()
        for row in rows:
            shift = 0
            for _ in range(_TRIES):
                shift = draws.below(lifting)
                moves = [(other, (theirs - shift) % lifting) for other, theirs in drawn]
                if not any(
                    move in banned or move in used.get((other, row), ()) for other, move in moves
                ):
                    break
            for other, theirs in drawn:
                used.setdefault((other, row), set()).add((theirs - shift) % lifting)
            drawn.append((row, shift))
            shifts[row, column] = shift
        if len(rows) == 2:
            (first, one), (second, two) = drawn
            ways.setdefault(first, []).append((second, (one - two) % lifting))
            ways.setdefault(second, []).append((first, (two - one) % lifting))
    return shifts


_Ways = dict[int, list[tuple[int, int]]]
"""From each row over a column of degree two: to which row, and by how many lanes."""


def _closing(ways: _Ways, first: int, second: int, lifting: int) -> set[int]:
    """Return by how many lanes one comes from a row to another in few steps, but not in any way."""
    closing: set[int] = set()
    for steps in range(1, _LONGEST_HALF + 1):
        there, back = (_reached(ways, row, lifting, steps) for row in (first, second))
        found = {
            (ours - theirs) % lifting
            for row in there.keys() & back.keys()
            for ours in there[row]
            for theirs in back[row]
        }
        if len(found) > lifting // 2:
            break
        closing = found
    return closing


def _reached(ways: _Ways, row: int, lifting: int, steps: int) -> dict[int, set[int]]:
    """Return the rows that so many steps lead to at most, and by how many lanes."""
    found: dict[int, set[int]] = {row: {0}}
    front = {(row, 0)}
    for _ in range(steps):
        front = {
            (other, (lane + move) % lifting)
            for at, lane in front
            for other, move in ways.get(at, ())
            if (lane + move) % lifting not in found.get(other, ())
        }
        for other, lane in front:
            found.setdefault(other, set()).add(lane)
    return found


def _puncturable(rows_of: tuple[tuple[int, ...], ...]) -> _Whole:
    """Choose columns one by one that have a row which no earlier one touches.

    In that row the new column stands alone among those chosen up to it, so the chosen part of the
    matrix is block triangular with permutations on its diagonal: full column rank. Columns of
    small degree come first: they touch the fewest rows, and the decoder misses them least.
    """
    touched: set[int] = set()
    chosen = []
    # Degree 2 columns hold the graph together; the decoder needs what they know.
    for column in sorted(range(len(rows_of)), key=lambda each: (len(rows_of[each]) < 3, each)):
        if not touched.isdisjoint(rows_of[column]):
            continue
        touched.update(rows_of[column])
        chosen.append(column)
    for column, rows in enumerate(rows_of):
        if column not in chosen and not touched.issuperset(rows):
            touched.update(rows)
            chosen.append(column)
    return np.array(chosen, np.int64)
