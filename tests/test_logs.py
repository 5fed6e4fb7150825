"""All details are our own: other people's log lines come from warnings on."""

from __future__ import annotations

import logging
import subprocess
import sys

LINES = """
import logging
from qnx_hw import logs
logs.configure({level})
logging.getLogger("asyncio").warning(logs.EMPTY_WORDS)
for name in ("qnx_hw.node", "numba.core.byteflow", "asyncio"):
    for level in (logging.DEBUG, logging.WARNING):
        logging.getLogger(name).log(level, "%s said %d", name, level)
"""


def said(level: int) -> list[str]:
    words = [sys.executable, "-c", LINES.format(level=level)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    return [line.partition(": ")[2] for line in ran.stderr.splitlines()]


def test_details_are_ours_alone() -> None:
    assert said(logging.DEBUG) == [
        "qnx_hw.node said 10",
        "qnx_hw.node said 30",
        "numba.core.byteflow said 30",
        "asyncio said 30",
    ]


def test_a_quieter_level_holds_for_everybody() -> None:
    assert said(logging.ERROR) == []
