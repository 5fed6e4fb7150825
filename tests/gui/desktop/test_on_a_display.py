"""The same window on a display server: Xvfb, without a window manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from desktop_pictures import ROOT

DEADLINE_S = 300.0
CHOSEN = "stop_sends or theme_switches or badge or typing_a_width or detached"
"""None of them by a shortcut: without a window manager no window is the active one."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="xvfb-run is not installed")
def test_real_clicks_work_on_an_x_server() -> None:
    tests = ROOT / "tests" / "gui" / "desktop"
    files = [str(tests / f"test_{name}.py") for name in ("window", "signal_cards", "layouts")]
    command = ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", sys.executable, "-m", "pytest"]

    run = subprocess.run(
        [*command, "-q", "-x", "-p", "no:cacheprovider", "-k", CHOSEN, *files],
        env={**os.environ, "QT_QPA_PLATFORM": "xcb"}, cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout.decode()[-3000:]
    assert b"5 passed" in run.stdout
