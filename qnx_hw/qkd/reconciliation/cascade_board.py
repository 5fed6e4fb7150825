"""One party's working memory of Cascade, and how its kernels are compiled.

numba keeps compiled kernels as long as their own file is unchanged; it does not see a change of
what they take from another. After a change of a constant here, touch `cascade_kernels.py`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation.cascade_plan import PASSES
from qnx_hw.timing import arrays

# They allocate nothing; without reference counts for the board's arrays they are 3 times faster.
kernel = partial(arrays.kernel, _nrt=False)
inner = partial(arrays.inner, _nrt=False)

UNKNOWN, EVEN, ODD = 0, 2, 3
QUEUED = 4
"""Flag of a node that waits to be searched."""

SUBSET, SUBSET_NODE = 6, 7
"""Kinds of question beside the passes' own numbers: a whole subset, part of the searched one."""
MAX_SUBSETS = 1024
WHOLE = 40
"""A level above the largest string."""

# A node or question in one number: pass or kind, level, index in the level.
KIND_SHIFT, LEVEL_SHIFT = 56, 48
INDEX_MASK = (1 << LEVEL_SHIFT) - 1

# Registers: counters and flags, the seed of the subsets, how many blocks of the second pass are
# halved at once, each pass' block level, and where each level begins in a row of `states`.
OPENED, QUESTIONS, ERRORS, FAILED, SUBSETS, FRESH, SEARCHED, OWNER, WAITING, OVERLAP = range(10)
SEED, HALVED = 10, 11
TOP = 12
FIRST = TOP + PASSES
N_REGISTERS = FIRST + 32
# Rows of `words` behind those of the passes, of `maps`, and of `states`.
FIXED, SCRATCH, WORD_ROWS = PASSES, PASSES + 1, PASSES + 2
ORDER, SLOTS, MAP_ROWS = 0, PASSES, 2 * PASSES
SUBSET_ROW, STATE_ROWS = PASSES, PASSES + 1


class Board(NamedTuple):
    """One party's working memory, in few arrays: each costs time in every call."""

    registers: npt.NDArray[np.int64]
    """Passes opened, questions pending, errors found, contradiction seen, subsets asked, subsets
    still wanted, subset searched (-1: none), whether to correct the words, nodes waiting,
    questions so few that the next pass is opened beside them; then what stands above."""
    words: npt.NDArray[np.uint64]
    """The party's string in each pass' order; corrected bits, in pass-0 order; spare room."""
    states: npt.NDArray[np.uint8]
    """What is known of each pass' nodes, level by level; the difference parity of each subset."""
    maps: npt.NDArray[np.int64]
    """Which word stands where in each pass, and where each word stands."""
    lanes: npt.NDArray[np.int64]
    """Each pass' offset, source and place of every lane; with `maps` the shuffles."""
    questions: npt.NDArray[np.int64]
    waiting: npt.NDArray[np.int64]
