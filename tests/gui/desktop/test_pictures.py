"""Every card looks as it did, in both themes and at two scales."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from desktop_pictures import ALLOWED, ROOT, STORED, difference
from PySide6.QtGui import QImage

from gui.theme import Theme

DEADLINE_S = 300.0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2])
def test_all_cards_look_as_they_did(scale: int, tmp_path: Path) -> None:
    roots = os.pathsep.join((str(ROOT / "tests" / "support"), str(ROOT)))
    surroundings = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QT_SCALE_FACTOR": str(scale),
        "PYTHONPATH": roots,
        "TZ": "UTC",
    }
    command = [sys.executable, "-m", "desktop_pictures", "--compare", str(tmp_path)]

    run = subprocess.run(
        command, env=surroundings, cwd=ROOT, stdout=subprocess.PIPE, timeout=DEADLINE_S, check=True
    )

    wrong = json.loads(run.stdout.splitlines()[-1])
    assert not wrong, f"look at {tmp_path}; tests/support/desktop_pictures.py says how to keep them"


def test_a_picture_of_another_theme_is_noticed() -> None:
    dark, light = (QImage(str(STORED / f"matrix-{theme}.png")) for theme in Theme)

    assert difference(dark, dark) == 0.0
    assert difference(dark, light) > ALLOWED
    assert difference(dark, dark.scaled(100, 100)) == 1.0
