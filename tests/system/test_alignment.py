"""A fibre that is knocked during BBM92 is aligned over the wires, and keys come again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from knock import LINK, knocked

from qnx_hw.control import decision_log

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(800)]


def test_key_generation_resumes_by_itself_after_a_knock(tmp_path: Path) -> None:
    cost = knocked(math.pi / 2, tmp_path)

    assert cost.settings >= 1
    assert cost.blocks_given_up >= 1
    assert 0 < cost.aligned_s < cost.next_key_s
    assert cost.lost_bits > 0
    rows = list(decision_log.read(tmp_path / "data" / "bob" / "loops" / f"{LINK}-polarization"))
    # Below its target the loop left the fibre alone; the knock made it move.
    assert rows[0].decision.move_to is None
    moves = [row for row in rows if row.decision.move_to is not None]
    assert cost.settings <= len(moves)
    assert all(len(row.values) == 3 for row in rows)
