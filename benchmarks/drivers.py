"""The driver layer: decoding, threads that share an instrument, and lost instruments.

Run `qnx bench drivers`, or one `--part` of it: `decoding`, `race`, `drop`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

# In this folder, `drivers` is this suite; its parts lie in another, where that is the package.
sys.path.insert(0, str(Path(__file__).parent / "driver_layer"))

from drivers_decoding import decoding
from drivers_drop import drop
from drivers_race import race

from qnx_hw.commands.bench import Result

PARTS = {"decoding": decoding, "race": race, "drop": drop}


def suite() -> Iterator[Result]:
    """Measure all parts."""
    return chain.from_iterable(part() for part in PARTS.values())
