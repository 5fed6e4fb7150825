"""Compile, or load from disk, everything a session computes with."""

from __future__ import annotations

import numpy as np

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import reconciliation
from qnx_hw.qkd.parameters import StationInputs
from qnx_hw.qkd.privacy_amplification import amplify, seed_length
from qnx_hw.qkd.sifting import EventFinder


def warm_up() -> None:
    """Use each compiled kernel of this package once; takes seconds where nothing is cached.

    Call it in a thread while a node starts, beside `qnx_hw.timing`'s own.
    """
    block = TagBlock(np.arange(3, dtype=np.int64), np.ones(3, dtype=np.uint8), 0, 10)
    EventFinder(StationInputs(), window_ps=10, dead_time_ps=0).find(block)
    reconciliation.warm_up()
    amplify(np.zeros(256, np.uint8), np.zeros(seed_length(256, 64), np.uint8), 64)
