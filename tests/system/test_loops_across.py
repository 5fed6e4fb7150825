"""Loops of a link whose ends are programs of their own, over the wires: window and delays."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from programs import Listener
from replaying import assert_replayed

from qnx_hw.api.client import NodeClient
from qnx_hw.api.loops import LoopView
from qnx_hw.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(800)]

LATE_PS = 500
WIDE_PS = 30_000


def _with_loops(file: Path) -> None:
    """Give both ends late detectors and loops, and the link a window that is far too wide."""
    table: dict[str, Any] = tomllib.loads(file.read_text())
    link = table["links"]["alice-bob"]
    del link["alignment"]
    link |= {"coincidence_window_ps": WIDE_PS, "window": {"low_ps": 3000.0, "high_ps": 40_000.0}}
    link["block_sifted_bits"] = 10_000
    # Few pairs and much noise: little to compute, and a reason for a narrow window.
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = 150_000.0
    for end, late in (("alice", 2), ("bob", 1)):
        link[end]["delays"] = {}
        table["bench"]["stations"][end] |= {
            "delay_ps": [LATE_PS * (n == late) for n in range(4)],
            "background_cps": 15_000.0,
        }
    file.write_text(tomli_w.dumps(table))


def _await_delays(url: str, name: str, axis: int) -> None:
    """Return once a loop takes most of a late input's delay off."""
    for update in NodeClient(url, timeout_s=240.0).stream():
        if isinstance(update, LoopView) and update.name == name and update.axes:
            actual = [each.actual or 0.0 for each in update.axes]
            if actual[axis] - min(actual) > LATE_PS / 2:
                return
    pytest.fail(f"the node ended before '{name}' had found its delays")


def test_both_ends_follow_window_and_delays_in_programs_of_their_own(
    start: Any, file: Path, tmp_path: Path
) -> None:
    _with_loops(file)
    assert main(["keys", "init", str(file)]) == 0
    Listener(start("sim", str(file))).line_with("endpoints")
    run = ("run", str(file), "--seconds", "1000", "--node")
    alice, bob = (Listener(start(*run, name)) for name in ("alice", "bob"))

    bob.line_with("as the other end wants it", timeout_s=600.0)
    urls = [re.search(r"http://\S+", end.line_with("API"))[0] for end in (alice, bob)]
    _await_delays(urls[0], "alice-bob alice delays", 2)
    _await_delays(urls[1], "alice-bob bob delays", 1)

    for url in urls:
        assert NodeClient(url, timeout_s=240.0).state().links[0].window_ps < WIDE_PS
    for end in (alice, bob):
        assert "Traceback" not in end.finish()
    for node, loop in (("alice", "window"), ("alice", "alice-delays"), ("bob", "bob-delays")):
        assert_replayed(tmp_path / "data" / node / "loops" / f"alice-bob-{loop}")
