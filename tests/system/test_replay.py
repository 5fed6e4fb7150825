"""A recording of a running link makes key once more, without any instrument."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qnx_hw.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

Start = Callable[..., "subprocess.Popen[str]"]


def counts(process: subprocess.Popen[str], out: Path) -> dict[str, int]:
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    table: dict[str, int] = json.loads(out.read_text())["links"]["alice-bob"]
    return table


def test_a_recorded_link_makes_key_again(start: Start, file: Path, tmp_path: Path) -> None:
    assert main(["keys", "init", str(file)]) == 0
    start("sim", str(file))
    out = tmp_path / "out.json"
    words = ("--record", "--blocks", "2", "--seconds", "240", "--json", str(out))
    live = counts(start("run", str(file), *words), out)

    (folder,) = (tmp_path / "data" / "recordings").iterdir()
    again = counts(start("replay", str(folder), "--no-api", "--json", str(out)), out)

    assert live["blocks_done"] >= 2
    assert again["blocks_done"] >= 1
    for run in (live, again):  # which tags make up a block is the run's own, the balance is not
        assert 0 < run["secret_bits"] < run["sifted_bits"] - run["leaked_bits"]
    assert again["sifted_bits"] <= again["pairs"]
    assert not list(folder.glob("*.partial"))
