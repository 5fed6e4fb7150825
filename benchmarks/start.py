"""Measure how long a newcomer waits: `qnx bench start`, wall clock, so on an idle machine.

Cold is with no compiled kernel, warm with all of them. Some of the time to the first key no program
can save: the demonstration's photons come in real time, and its first block takes 200,000 pairs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from qnx_hw.commands.bench import Result

COMPILE = "from qnx_hw.node.warming import compile_all; compile_all(lambda what, part: None)"
DEMO = "from qnx_hw.cli import main; raise SystemExit(main())"
FIRST_KEY = re.compile(r"block \d+: \d+ secret bits")
GOALS_S = {"cold": 20.0, "warm": 5.0}


def suite() -> Iterator[Result]:
    """Yield the figures; the imports come first, so that Python's own bytecode is there."""
    yield Result(name="imports", value=_lasts_s("import qnx_hw.node.host"), unit="s")
    with tempfile.TemporaryDirectory() as folder:
        for name in GOALS_S:
            yield Result(name=f"kernels ready, {name}", value=_lasts_s(COMPILE, folder), unit="s")
    with tempfile.TemporaryDirectory() as folder:
        for name, goal_s in GOALS_S.items():
            waited_s = _first_key_s(folder)
            yield Result(
                name=f"qnx demo to its first key, {name}",
                value=waited_s,
                unit="s",
                goal=goal_s,
                met=waited_s <= goal_s,
            )


def _environment(kernels: str | None) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept if kernels is None else kept | {"NUMBA_CACHE_DIR": kernels}


def _lasts_s(program: str, kernels: str | None = None) -> float:
    start_s = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, env=_environment(kernels))
    return time.monotonic() - start_s


def _first_key_s(kernels: str) -> float:
    """Return how long the demonstration takes from its start to the word of a key."""
    with tempfile.TemporaryDirectory() as keys:
        options = ["demo", "--headless", "--blocks", "1", "--data-dir", str(Path(keys) / "keys")]
        start_s = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-c", DEMO, *options],
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(kernels),
        ) as demo:
            assert demo.stdout is not None
            said = []
            waited_s = None
            for line in demo.stdout:
                said.append(line)
                if waited_s is None and FIRST_KEY.search(line):
                    waited_s = time.monotonic() - start_s
    if waited_s is None or demo.returncode:
        raise SystemExit("the demonstration made no key:\n" + "".join(said))
    return waited_s
