"""A fibre that was knocked is aligned over the wires, and key generation begins by itself."""

from __future__ import annotations

import math
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from qnx_hw.api.client import NodeClient, Update
from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.api.schema import Snapshot
from qnx_hw.cli import main
from qnx_hw.control import decision_log

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

Start = Callable[..., "subprocess.Popen[str]"]


def test_a_knocked_fibre_is_aligned_over_the_wires(start: Start, file: Path) -> None:
    table = tomllib.loads(file.read_text())
    table["bench"]["stations"]["bob"] |= {"knock_at_s": 0.05, "knock_rad": math.pi / 2}
    table["links"]["alice-bob"]["alignment"] = {"end": "bob", "target": 0.03}
    file.write_text(tomli_w.dumps(table))
    assert main(["keys", "init", str(file)]) == 0
    laboratory = start("sim", str(file))
    _line_with(laboratory, "endpoints")

    run = start("run", str(file), "--seconds", "300")
    url = re.search(r"http://\S+", _line_with(run, "API"))[0]  # type: ignore[index]
    _line_with(run, "secret bits in")

    client = NodeClient(url)
    # The loop may still look for the last half percent when the first key is made.
    next(view for view in client.stream() if _tracks(view))
    state = client.state()
    (loop,) = state.loops
    assert loop.settings_used >= 1
    assert [axis.unit for axis in loop.axes] == ["deg"] * 3
    assert state.links[0].qber.value is not None
    assert state.links[0].qber.value < 0.05
    run.terminate()
    run.wait(60)
    rows = list(
        decision_log.read(
            Path(table["network"]["data_dir"]) / "bob" / "loops" / "alice-bob-polarization"
        )
    )
    assert sum(row.decision.move_to is not None for row in rows) >= 1


def _tracks(update: Update) -> bool:
    loops = update.loops if isinstance(update, Snapshot) else (update,)
    return any(isinstance(loop, LoopView) and loop.state is LoopState.TRACKING for loop in loops)


def _line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if words in line:
            return line
    pytest.fail(f"ended without '{words}':\n{''.join(heard)}")
