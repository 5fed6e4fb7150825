"""What a node compiles before the first tag, and how it shares that between two cores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIRST_TIME = "from qnx_hw.timing.arrays import is_first_time; print(is_first_time())"


@pytest.mark.slow
def test_a_machine_compiles_once(tmp_path: Path) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", FIRST_TIME],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        ).stdout.strip()
        for _ in range(2)
    ]

    assert said == ["True", "False"]


def test_the_other_process_compiles_what_links_name() -> None:
    for methods in (["auto", "cascade"], ["ldpc"]):
        command = [sys.executable, "-m", "qnx_hw.node.warming", *methods]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
