"""A long run needs no more memory than a short one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from desktop_pictures import ROOT

DEADLINE_S = 300.0


@pytest.mark.slow
def test_minutes_add_no_memory() -> None:
    """The whole day is `qnx bench desktop_soak`; the first minutes fill what is bounded."""
    command = [sys.executable, str(ROOT / "benchmarks" / "desktop_soak.py")]

    run = subprocess.run(
        [*command, "--hours", "0.2", "--filling-hours", "0.1"],
        stdout=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=False,
    )

    assert run.returncode == 0, run.stdout.decode()
    assert b" MB in 0.1 h" in run.stdout
