"""A short run of chaos: programs are killed and wires cut, and no invariant breaks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(600)]

Start = Callable[..., "subprocess.Popen[str]"]


def test_a_killed_node_and_a_cut_channel_break_nothing(
    start: Start, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "chaos.json"

    process = start(
        *("chaos", str(file), "--seed", "3", "--minutes", "9", "--faults", "2"),
        *("--only", "kill", "cut", "--json", str(out)),
    )
    printed, _ = process.communicate(timeout=500)

    assert process.returncode == 0, printed
    (report,) = json.loads(out.read_text())
    assert report["broken"] == []
    assert len(report["faults"]) == 2
    assert all(fault["told"] and fault["recovered_s"] for fault in report["faults"])
    # Blocks that applications drew key from are not counted: what is compared is whole.
    assert report["blocks"] >= 1
    assert report["keys_delivered"] >= 1 + len(report["faults"])
    assert report["searched_bytes"] > 1000
