"""Programs beside the desktop while it is measured: nodes, a worker on tags, and a clock.

`python benchmarks/desktop_load.py node` prints the address of a node of invented numbers, which
changes its link thirty times a second; `… flood` is one that changes it as fast as it can. Both
end with standard input. `… tags SECONDS` matches ten million tags a second, as a busy node does,
and prints how many it did. `… stamps SECONDS` writes the time every 5 ms.
"""

from __future__ import annotations

import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

TAGS_HZ = 10_000_000
VIEWS_HZ = 30.0
_STAMP_S, _BATCH_S = 0.005, 0.02


def run_node(pause_s: float) -> None:
    """Serve until standard input ends, and change the link with such pauses."""
    import msgspec
    from desktop_pictures import scene
    from fake_node import FakeNode, serve

    node = FakeNode(scene())
    link, is_over = node.snapshot.links[0], threading.Event()

    def change() -> None:
        step = 0
        while not is_over.wait(pause_s):
            step += 1
            rates = tuple(
                msgspec.structs.replace(rate, rate_cps=rate.rate_cps + 300 * ((step + n) % 7))
                for n, rate in enumerate(link.rates)
            )
            changed = msgspec.structs.replace(
                link, rates=rates, block=step, pool_bits=link.pool_bits + step
            )
            node.push("link", changed)

    with serve(node) as url:
        pusher = threading.Thread(target=change)
        pusher.start()
        print(url, flush=True)
        sys.stdin.read()
        is_over.set()
        pusher.join(timeout=5)


def run_tags(seconds: float) -> None:
    """Match in batches, resting where there is time to rest."""
    import numpy as np

    from qnx_hw.timing.coincidence import match, no_delays

    dice, count = np.random.default_rng(1), round(TAGS_HZ * _BATCH_S / 2)
    sides = [
        (
            np.sort(dice.integers(0, round(1e12 * _BATCH_S), count)),
            dice.integers(1, 5, count).astype(np.uint8),
        )
        for _ in range(2)
    ]
    match(*sides[0], *sides[1], no_delays(), 1000)
    print("ready", flush=True)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        match(*sides[0], *sides[1], no_delays(), 1000)
        done += 2 * count
        time.sleep(max(0.0, began + done / TAGS_HZ - time.perf_counter()))
    print(done / (time.perf_counter() - began), flush=True)


def write_stamps(seconds: float) -> None:
    """Write the time to standard output, again and again."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sys.stdout.buffer.write(struct.pack("d", time.perf_counter()))
        sys.stdout.buffer.flush()
        time.sleep(_STAMP_S)


if __name__ == "__main__":
    if sys.argv[1] == "node":
        run_node(1 / VIEWS_HZ)
    elif sys.argv[1] == "flood":
        run_node(0.0)
    else:
        {"tags": run_tags, "stamps": write_stamps}[sys.argv[1]](float(sys.argv[2]))
