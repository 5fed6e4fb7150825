"""Other people's drivers, each in an environment of its own that is made on demand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HOME = Path(tempfile.gettempdir())
INSTALL_TIMEOUT_S = 600.0
RUN_TIMEOUT_S = 100.0


def environment(name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of an environment with these packages; it stays for the next run."""
    home = HOME / f"qnx-foreign-{name.lower()}"
    python, mark = home / "bin" / "python", home / "is-complete"
    if not mark.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(home)], INSTALL_TIMEOUT_S)
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements], INSTALL_TIMEOUT_S)
        mark.touch()
    return python


def run(python: Path, program: str, arguments: Sequence[str]) -> str:
    """Run a program there and return what it says; its failure is ours."""
    return _run([str(python), "-c", program, *arguments], RUN_TIMEOUT_S)


def _run(command: list[str], timeout_s: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
