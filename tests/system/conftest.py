"""Whole programs on ports of their own."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w
from free_ports import on_free_ports
from programs import started

EXAMPLES = Path(__file__).parents[2] / "examples"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    """Return the example on free ports, with smaller blocks and its keys in a folder of ours."""
    return _moved(tmp_path, "demo.toml", 30_000)


@pytest.fixture(name="e91_file")
def _e91_file(tmp_path: Path) -> Path:
    """Return the example of E91 in the same way."""
    return _moved(tmp_path, "e91.toml", 15_000)


@pytest.fixture(name="decoy_file")
def _decoy_file(tmp_path: Path) -> Path:
    """Return the example of decoy BB84 in the same way."""
    return _moved(tmp_path, "decoy-bb84.toml", 400_000)


def _moved(tmp_path: Path, name: str, block_bits: int) -> Path:
    table = tomllib.loads((EXAMPLES / name).read_text())
    table = on_free_ports(table)
    table["network"]["data_dir"] = str(tmp_path / "data")
    table["links"]["alice-bob"]["block_sifted_bits"] = block_bits
    path = tmp_path / "lab.toml"
    path.write_text(tomli_w.dumps(table))
    return path


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    """Start `qnx …`; what still runs at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        running.append(started(*words))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()
