"""A disk that takes nothing costs what would be kept; afterwards all goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCENE = """
import asyncio, resource, sys
from pathlib import Path
import numpy as np
from qnx_hw.errors import StoreFailed
from qnx_hw.keys import KeyStore
from qnx_hw.node.archive import Archive
from qnx_hw.node.traffic_store import TrafficStore

FILLED, KEY = (1, resource.RLIM_INFINITY), ("link", "a-b", "qber")

def disk(most_bytes=resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

async def scene(folder):
    archive = Archive(folder / "history.db", now=lambda: 1e9)
    with KeyStore(folder / "keys") as keys, TrafficStore(folder / "traffic.db") as traffic:
        keys.start_block("a-b", 1)
        disk(1)
        try:
            keys.start_block("a-b", 2)
        except StoreFailed as error:
            print("refused:", error)
        traffic.add_traffic(1, ("a", "b"), np.ones((2, 2)))
        archive.add(KEY, 1e9, 0.5)
        await archive.flush()
        disk()
        keys.start_block("a-b", 2)
        traffic.add_traffic(2, ("a", "b"), np.ones((2, 2)))
        archive.add(KEY, 1e9 + 20, 0.25)
        await archive.flush()
        print("intervals from", traffic.traffic(("a", "b"), since=0)[0])
        print("history", (await archive.read(KEY, "", 0.0, 2e9)).values)
    await archive.close()

asyncio.run(scene(Path(sys.argv[1])))
"""


def test_what_a_full_disk_costs(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCENE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    refused, intervals, history = ran.stdout.splitlines()
    assert refused.startswith("refused: the key store failed")
    assert intervals == "intervals from 2"
    assert history == "history (0.25,)"
    assert "could not be kept" in ran.stderr
    assert "history could not be written" in ran.stderr
