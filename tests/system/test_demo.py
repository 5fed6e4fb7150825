"""`qnx demo` makes the same key at both ends, also the second time, and leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qnx_hw.commands.ports import is_free, local_ports

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

Start = Callable[..., "subprocess.Popen[str]"]


def demo(start: Start, file: Path, *words: str) -> dict[str, Any]:
    out = file.with_name("out.json")
    process = start(
        *("demo", str(file), "--headless", "--seconds", "240", "--json", str(out), *words)
    )
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "Both parties hold the same" in printed
    table: dict[str, Any] = json.loads(out.read_text())
    return table


def test_both_parties_hold_the_same_key_and_it_fits_the_physics(start: Start, file: Path) -> None:
    first = demo(start, file, "--blocks", "2")

    assert first["keys_equal"]
    assert first["blocks"] >= 2
    assert 0 < first["secret_bits"] < first["sifted_bits"] < first["pairs"]
    assert first["leaked_bits"] > 0
    assert first["qber"] == pytest.approx(first["qber_expected"], abs=0.01)
    assert first["chsh_s"] == pytest.approx(first["chsh_s_expected"], abs=0.1)
    assert first["seconds_to_first_key"] > 0

    second = demo(start, file, "--blocks", "1")

    assert second["keys_equal"]
    ports = local_ports(tomllib.loads(file.read_text()))
    assert [port for port in sorted(ports) if not is_free(port)] == []


def test_e91_is_demonstrated_like_the_first_example(start: Start, e91_file: Path) -> None:
    made = demo(start, e91_file, "--blocks", "1")

    assert made["keys_equal"]
    assert made["chsh_s"] == pytest.approx(made["chsh_s_expected"], abs=0.1)
    assert made["qber"] == pytest.approx(made["qber_expected"], abs=0.01)


def test_decoy_bb84_is_demonstrated_like_the_first_example(start: Start, decoy_file: Path) -> None:
    made = demo(start, decoy_file, "--blocks", "1")

    assert made["keys_equal"]
    assert made["secret_bits"] > 1000
    assert made["qber"] == pytest.approx(made["qber_expected"], abs=0.004)
    assert made["chsh_s_expected"] is None


def test_ctrl_c_ends_everything(start: Start, file: Path) -> None:
    process = start("demo", str(file), "--headless")
    assert process.stdout is not None
    for line in process.stdout:
        if "synchronising" in line or "collecting" in line:
            break

    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)

    assert "Traceback" not in printed
    assert process.returncode in (0, 1)
    ports = local_ports(tomllib.loads(file.read_text()))
    assert [port for port in sorted(ports) if not is_free(port)] == []


def test_a_network_file_that_is_missing_is_told_in_one_sentence(start: Start) -> None:
    process = start("demo", "/nowhere/lab.toml")
    printed, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert len(printed.strip().splitlines()) == 1
