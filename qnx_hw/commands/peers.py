"""Other people's programs to measure beside, each in an environment of its own.

An environment is made on demand with pip, in the folder for temporary files, and stays for the next
run. Where it cannot be had, or the program fails, the answer is None and the suite says so.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

INSTALL_TIMEOUT_S = 600.0


def environment(name: str, requirements: Sequence[str]) -> Path | None:
    """Return the Python of an environment with these packages."""
    home = Path(tempfile.gettempdir()) / f"qnx-peer-{name.lower()}"
    python, mark = home / "bin" / "python", home / "is-complete"
    if not mark.exists():
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", *requirements],
        )
        if any(_output(command, INSTALL_TIMEOUT_S) is None for command in commands):
            return None
        mark.touch()
    return python


def number(
    name: str,
    requirements: Sequence[str],
    program: str,
    arguments: Sequence[str] = (),
    *,
    timeout_s: float = 300.0,
) -> float | None:
    """Return the number that a program for a peer prints last."""
    python = environment(name, requirements)
    said = None
    if python is not None:
        said = _output([str(python), "-c", program, *arguments], timeout_s)
    try:
        return None if said is None else float(said.split()[-1])
    except (ValueError, IndexError):
        return None


def _output(command: list[str], timeout_s: float) -> str | None:
    try:
        # What is run stands in the benchmark that asks for it.
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=timeout_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
