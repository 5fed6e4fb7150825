"""Quasi-cyclic LDPC codes for the binary symmetric channel, built from published degree tables.

A code is a base graph of `COLUMNS` columns, each edge of which stands for a circulant of `lifting`
lanes. Base graphs are grown edge by edge so that new edges close only long cycles (progressive edge
growth, Hu, Eleftheriou and Arnold 2005); shifts are drawn so that no cycle of length 4 is left.
Both are made from fixed seeds: two parties with the same version hold the same code, and a digest
of it stands in their greeting.

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

COLUMNS = 800
Shape = dict[int, float]
"""Fraction of a code's edges by degree of the node at their end."""

# Elkouss, Leverrier, Alléaume and Boutros, "Efficient reconciliation protocol for discrete-variable
# quantum key distribution", ISIT 2009, table I: variable degrees by share of edges, for syndromes
# of 1 - rate of the length. Check degrees are made as equal as the number of edges allows.
DEGREES: dict[int, Shape] = {
    10: {2: 0.07689, 3: 0.28096, 5: 0.08933, 9: 0.19620, 12: 0.30631, 21: 0.05031},
    15: {
        2: 0.04528,
        3: 0.20537,
        4: 0.05878,
        5: 0.09427,
        6: 0.08454,
        7: 0.01176,
        9: 0.05137,
        21: 0.50015,
    },
    20: {2: 0.09420, 3: 0.18088, 6: 0.11972, 7: 0.08550, 8: 0.09816, 17: 0.07194, 26: 0.34960},
    25: {
        2: 0.10805,
        3: 0.09511,
        4: 0.01449,
        5: 0.13764,
        6: 0.10667,
        7: 0.05288,
        28: 0.01107,
        31: 0.47408,
    },
    30: {
        2: 0.05343,
        3: 0.29406,
        6: 0.00896,
        9: 0.15571,
        12: 0.12189,
        25: 0.19872,
        46: 0.09572,
        62: 0.02741,
        65: 0.04056,
        73: 0.00354,
    },
    35: {
        2: 0.10451,
        3: 0.15652,
        4: 0.08057,
        5: 0.00056,
        9: 0.12151,
        13: 0.10485,
        15: 0.10719,
        21: 0.00771,
        51: 0.31656,
    },
    40: {
        2: 0.11040,
        3: 0.20804,
        8: 0.14163,
        9: 0.14858,
        26: 0.14438,
        27: 0.08909,
        46: 0.00748,
        71: 0.15038,
    },
    45: {
        2: 0.16880,
        3: 0.20994,
        6: 0.18095,
        15: 0.03846,
        16: 0.02635,
        18: 0.23454,
        19: 0.05815,
        31: 0.08280,
    },
    50: {
        2: 0.14438,
        3: 0.19026,
        4: 0.01836,
        5: 0.00233,
        6: 0.04697,
        8: 0.05394,
        9: 0.05590,
        10: 0.01290,
        11: 0.00162,
        14: 0.06159,
        15: 0.13115,
        17: 0.01481,
        47: 0.00879,
        49: 0.00650,
        55: 0.00210,
        56: 0.00099,
        57: 0.11178,
        58: 0.06238,
        59: 0.05094,
        66: 0.02230,
    },
}
"""By syndrome bits per 100 bits of the code's length."""

_TRIES = 64
_Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A parity-check matrix of `COLUMNS x lifting` bits.

    Edges are sorted by row: those of row `r` are `starts[r]` to `starts[r + 1]`. An edge joins
    check `r * lifting + z` with bit `column * lifting + (z + shift) % lifting`.
    """

    percent: int
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
        hashed = hashlib.sha256(f"{self.percent} {self.lifting}".encode())
        for array in (self.starts, self.columns, self.shifts, self.puncturable):
            hashed.update(array.astype("<i8").tobytes())
        return hashed.digest()


@lru_cache(maxsize=16)
def code(percent: int, lifting: int) -> Code:
    """Return the code with `percent` of syndrome; the first call for a size takes a second."""
    rows = _base_graph(percent)
    shifts = _shifts(rows, lifting, _Draws(2009, percent, lifting))
    edges = [(row, column) for column, its_rows in enumerate(rows) for row in its_rows]
    order = sorted(range(len(edges)), key=lambda index: edges[index])
    counts = np.bincount([row for row, _ in edges], minlength=_row_count(percent))
    return Code(
        percent=percent,
        lifting=lifting,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        columns=np.array([edges[index][1] for index in order], np.int64),
        shifts=np.array([shifts[edges[index]] for index in order], np.int64),
        puncturable=_puncturable(rows),
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


def _row_count(percent: int) -> int:
    return COLUMNS * percent // 100


def _column_degrees(shape: Shape) -> list[int]:
    """Turn shares of edges into a degree for each column, small degrees first."""
    total = sum(share / degree for degree, share in shape.items())
    ideal = {degree: COLUMNS * share / degree / total for degree, share in shape.items()}
    counts = {degree: int(number) for degree, number in ideal.items()}
    by_rest = sorted(ideal, key=lambda degree: ideal[degree] - counts[degree], reverse=True)
    for degree in by_rest[: COLUMNS - sum(counts.values())]:
        counts[degree] += 1
    return [degree for degree in sorted(counts) for _ in range(counts[degree])]


@lru_cache(maxsize=len(DEGREES))
def _base_graph(percent: int) -> tuple[tuple[int, ...], ...]:
    """Grow the base graph: the rows of each column."""
    draws = _Draws(2005, percent)
    n_rows = _row_count(percent)
    columns_of: list[list[int]] = [[] for _ in range(n_rows)]
    rows_of: list[list[int]] = []
    for column, degree in enumerate(_column_degrees(DEGREES[percent])):
        rows_of.append([])
        for _ in range(degree):
            far = _farthest(column, rows_of, columns_of)
            fewest = min(len(columns_of[row]) for row in far)
            best = [row for row in far if len(columns_of[row]) == fewest]
            row = best[draws.below(len(best))]
            rows_of[column].append(row)
            columns_of[row].append(column)
    return tuple(tuple(sorted(rows)) for rows in rows_of)


def _farthest(column: int, rows_of: list[list[int]], columns_of: list[list[int]]) -> list[int]:
    """Return the rows that cannot be reached from a column, or were reached last."""
    reached = set(rows_of[column])
    front = list(reached)
    while True:
        near = {other for row in front for other in columns_of[row]}
        fresh = {row for other in near for row in rows_of[other]} - reached
        if not fresh or len(reached) + len(fresh) == len(columns_of):
            left = [row for row in range(len(columns_of)) if row not in reached]
            return left or [row for row in range(len(columns_of)) if row not in rows_of[column]]
        reached |= fresh
        front = list(fresh)


def _shifts(
    rows_of: tuple[tuple[int, ...], ...], lifting: int, draws: _Draws
) -> dict[tuple[int, int], int]:
    """Draw a shift for each edge; differences in each pair of rows differ where they can."""
    used: dict[tuple[int, int], set[int]] = {}
    shifts: dict[tuple[int, int], int] = {}
    for column, rows in enumerate(rows_of):
        drawn: list[tuple[int, int]] = []
        for row in rows:
            shift = 0
            for _ in range(_TRIES):
                shift = draws.below(lifting)
                if not any(
                    (theirs - shift) % lifting in used.get((other, row), ())
                    for other, theirs in drawn
                ):
                    break
            for other, theirs in drawn:
                used.setdefault((other, row), set()).add((theirs - shift) % lifting)
            drawn.append((row, shift))
            shifts[row, column] = shift
    return shifts


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
