"""The codes are what their construction promises: shape, girth, rank, and the same everywhere."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.qkd.reconciliation import ldpc_kernels as kernels
from qnx_hw.qkd.reconciliation.ldpc_codes import (
    COLUMNS,
    FEWEST_ROWS,
    MOST_ROWS,
    Code,
    code,
)
from qnx_hw.qkd.reconciliation.ldpc_tables import DEGREES, shape_for

ROWS = [8 * percent for percent in DEGREES]


def dense(own: Code) -> np.ndarray:
    matrix = np.zeros((own.syndrome_bits, own.length), np.uint8)
    lanes = np.arange(own.lifting)
    for row in range(own.starts.size - 1):
        for edge in range(own.starts[row], own.starts[row + 1]):
            turned = (lanes + own.shifts[edge]) % own.lifting
            matrix[row * own.lifting + lanes, own.columns[edge] * own.lifting + turned] ^= 1
    return matrix


def rank(matrix: np.ndarray) -> int:
    rows = [int.from_bytes(np.packbits(row).tobytes()) for row in matrix]
    found = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            found += 1
            low = pivot & -pivot
            rows = [row ^ pivot if row & low else row for row in rows]
    return found


@pytest.mark.parametrize("rows", [FEWEST_ROWS, *ROWS, 303, MOST_ROWS])
def test_the_degrees_are_those_of_the_table(rows: int) -> None:
    own = code(rows, 64)
    shape = shape_for(100 * rows / COLUMNS)
    degrees = np.bincount(own.columns, minlength=COLUMNS)
    edges_of = {d: d * int(np.count_nonzero(degrees == d)) for d in shape}

    assert sum(edges_of.values()) == own.columns.size
    for degree, share in shape.items():
        assert edges_of[degree] / own.columns.size == pytest.approx(share, abs=0.03)
    row_degrees = np.diff(own.starts)
    assert row_degrees.max() - row_degrees.min() <= 3


@pytest.mark.parametrize("rows", ROWS)
def test_no_two_bits_share_two_checks(rows: int) -> None:
    own = code(rows, 256)
    seen: dict[tuple[int, int], set[int]] = defaultdict(set)
    of_column: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in range(own.starts.size - 1):
        for edge in range(own.starts[row], own.starts[row + 1]):
            of_column[int(own.columns[edge])].append((row, int(own.shifts[edge])))
    cycles = 0
    for edges in of_column.values():
        for first in range(len(edges)):
            for second in range(first):
                rows = edges[second][0], edges[first][0]
                difference = (edges[second][1] - edges[first][1]) % own.lifting
                cycles += difference in seen[rows]
                seen[rows].add(difference)

    assert cycles == 0


@pytest.mark.parametrize("rows", [80, 240, 400])
def test_punctured_columns_have_full_rank(rows: int) -> None:
    own = code(rows, 2)
    bits = (own.puncturable[:, None] * 2 + np.arange(2)).ravel()
    part = dense(own)[:, bits]

    assert bits.size >= 0.03 * own.length
    assert rank(part.T) == bits.size


@settings(max_examples=20)
@given(st.sampled_from(ROWS), st.integers(0, 2**32))
def test_the_kernel_multiplies_like_the_matrix(rows: int, seed: int) -> None:
    own = code(rows, 3)
    word = np.random.default_rng(seed).integers(0, 2, own.length, dtype=np.uint8)

    found = kernels.syndrome(word, own.starts, own.columns, own.shifts, own.lifting)

    assert np.array_equal(found, dense(own) @ word % 2)


def test_a_code_is_the_same_with_every_library() -> None:
    assert code(160, 16).digest().hex().startswith("b93d5ec3bdd9634c")
    assert code(360, 8).digest().hex().startswith("17090b6ea787ba03")
    assert kernels.shuffle(8, np.uint64(7)).tolist() == [1, 4, 5, 2, 6, 0, 3, 7]
