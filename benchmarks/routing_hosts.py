"""Five hosts, shaped wires, replayed traffic: the learning controller beside static shortest paths.

Every host is a network namespace with one real node; users' transfers follow the matrices of a
traffic record, sped up, through real tunnels. Both rules carry the same transfers, one after the
other on networks made anew. Then a hot spot opens, and later the key of one link slows down, with
one-time-pad traffic that its relayed key cannot all feed. `python benchmarks/routing_hosts.py
PICTURE.svg [RECORD.npz]` also draws what happened.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from replayed_users import Transfer, users
from routing_picture import Row, drawing
from shaped_sites import Shape, Sites, Tunnel, lacking, sites

from qnx_hw.commands.bench import Result
from qnx_hw.commands.traffic_file import read
from qnx_hw.network.paths import candidates
from qnx_hw.network.planner import utilisation
from qnx_hw.network.topology import Floats, Topology

NODES = "abcde"
WIRES = ("ab", "ac", "ae", "bc", "cd", "de")
LINK_BPS, WAY_S, QUEUE_S = 3e6, 0.005, 0.25
SHAPE = Shape(delay_s=WAY_S, rate_bps=LINK_BPS, queue_s=QUEUE_S)
HOT = Tunnel("a", "c")
HOT_BPS = 0.85 * LINK_BPS
USUAL = 0.5
"""What static shortest paths make of their fullest link before anything happens."""
STEP_S = 5.0
"""One matrix of the record lasts so long here."""
MEAN_BYTES, LEAST_BYTES, MOST_BYTES = 100_000, 10_000, 400_000
SLOW = "a-c"
KEY_BPS = 120e3
BEFORE_KEY_BPS, USUAL_KEY_BPS, SLOW_KEY_BPS = 3e3, 30e3, 6e3
"""Of the link that slows down: until users come, while they draw about 24 kbit/s from it, and then.
It never has much in stock, so that users feel it within the run."""
PADDED = {Tunnel("a", "d", "otp"): 16e3, Tunnel("a", "c", "otp"): 4e3}
"""Traffic under one-time pad, in bit/s: over two hops, where two ways are alike, and over one."""
PADDED_BYTES = 2_000
BIN_S = 10.0
CONTROLLER = '[controller]\nnode = "b"\ninterval_s = 2.0\nseason_s = 0\n'


@dataclass(frozen=True)
class Span:
    """When what happens, in seconds."""

    counted_from: float
    hot_at: float
    slow_at: float
    end: float

    @classmethod
    def told(cls) -> Span:
        """Return the spans; `QNX_HOSTS_S` has a whole run's seconds."""
        end = float(os.environ.get("QNX_HOSTS_S", "360"))
        return cls(end / 12, end / 4, end / 2, end)


@dataclass
class Ran:
    """What one rule made of the traffic."""

    transfers: list[Transfer]
    log: str


def schedule(matrices: Floats, span: Span, seed: int = 3) -> list[Transfer]:
    """Return all transfers in order of time, from demands `(T, 5, 5)` in any unit."""
    rng = np.random.default_rng(seed)
    rates = matrices * _unit(matrices.mean(axis=0))
    found: list[Transfer] = []
    for row, near in enumerate(NODES):
        for column, far in enumerate(NODES):
            if near == far:
                continue
            own = rates[:, row, column]
            tunnel = Tunnel(near, far)

            def rate(at_s: float, own: Floats = own, tunnel: Tunnel = tunnel) -> float:
                hot = HOT_BPS if tunnel == HOT and at_s >= span.hot_at else 0.0
                return float(own[int(at_s / STEP_S) % own.size]) + hot

            found += _arrivals(tunnel, rate, rng, span.end, MEAN_BYTES)
    for tunnel, padded_bps in PADDED.items():
        found += _arrivals(tunnel, lambda _, bps=padded_bps: bps, rng, span.end, PADDED_BYTES)
    return sorted(found, key=lambda each: each.at_s)


def _unit(mean: Floats) -> float:
    """Return the factor that fills the fullest link of the shortest paths to `USUAL`."""
    ends = [pair for a, b in WIRES for pair in ((a, b), (b, a))]
    places = np.array([[NODES.index(end) for end in pair] for pair in ends])
    ones = np.ones(len(ends))
    topology = Topology(tuple(NODES), places[:, 0], places[:, 1], ones * LINK_BPS, ones)
    paths = candidates(topology)
    splits = np.zeros(len(paths))
    splits[paths.first[:-1]] = 1.0
    return USUAL / float(utilisation(paths, splits, topology.demands(mean)).max())


def _arrivals(
    tunnel: Tunnel,
    rate: Callable[[float], float],
    rng: np.random.Generator,
    end_s: float,
    mean_bytes: int,
) -> Iterator[Transfer]:
    """Yield transfers whose bytes follow a rate in bit/s: of random size, at random times."""
    at_s = 0.0
    while True:
        size = mean_bytes
        if mean_bytes > LEAST_BYTES:
            size = int(np.clip(rng.exponential(mean_bytes), LEAST_BYTES, MOST_BYTES))
        # Steps of a second at most, so that a rate that changes is followed.
        work = rng.exponential() * 8 * size
        while work > 0 and at_s < end_s:
            step_s = min(1.0, work / max(rate(at_s), 1.0))
            work -= step_s * rate(at_s) if step_s == 1.0 else work
            at_s += step_s
        if at_s >= end_s:
            return
        yield Transfer(at_s, tunnel, size)


def replayed(record: str) -> Floats:
    """Return the traffic of a record's five busiest nodes; of a made-up week without one."""
    if not record:
        rng = np.random.default_rng(4)
        mass = rng.lognormal(0, 0.5, 5)
        return np.outer(mass, mass) * rng.lognormal(0, 0.3, (600, 5, 5))
    matrices = read(Path(record.partition("@")[0].partition("+")[0])).matrices
    if matrices.shape[1] < len(NODES):
        return replayed("")
    mean = np.nanmean(matrices, axis=0)
    chosen = np.argsort(-(mean.sum(axis=0) + mean.sum(axis=1)))[: len(NODES)]
    return np.nan_to_num(matrices[:, chosen][:, :, chosen].astype(np.float64))


async def _play(made: Sites, transfers: list[Transfer], span: Span) -> None:
    async with users(made) as them, asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(them.play(transfers))
        made.key_rate(SLOW, USUAL_KEY_BPS)
        await asyncio.sleep(span.slow_at)
        made.key_rate(SLOW, SLOW_KEY_BPS)
        await playing


def run(folder: Path, matrices: Floats, span: Span, *, learns: bool) -> Ran:
    """Carry the traffic with the controller, or without it."""
    transfers = schedule(matrices, span)
    tunnels = (*(Tunnel(a, b) for a in NODES for b in NODES if a != b), *PADDED)
    wires = dict.fromkeys(map(_ends, WIRES), SHAPE)
    with sites(folder, wires, tunnels, more=CONTROLLER if learns else "") as made:
        made.start(KEY_BPS, {SLOW: BEFORE_KEY_BPS})
        asyncio.run(_play(made, transfers, span))
        log = "".join(made.said(node) for node in NODES)
    return Ran(transfers, log)


def _ends(wire: str) -> tuple[str, str]:
    return wire[0], wire[1]


def hosts_results() -> Iterator[Result]:
    """Yield delay, goodput, and times to learn."""
    if reason := lacking():
        yield Result(name=f"five hosts: not measured: {reason}", value=math.nan, unit="")
        return
    record = os.environ.get("QNX_TRAFFIC", "").split(os.pathsep)[0]
    yield from results(*_both(record), Span.told())


def _both(record: str) -> tuple[Ran, Ran]:
    matrices, span = replayed(record), Span.told()
    # Key stores wait for the disk at each pad; in memory the machine's other work does not count.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        static = run(Path(folder) / "static", matrices, span, learns=False)
        ours = run(Path(folder) / "ours", matrices, span, learns=True)
    return ours, static


def results(ours: Ran, static: Ran, span: Span) -> Iterator[Result]:
    """Yield what both rules made of it."""
    for word, is_padded, begin in (
        ("all data", False, span.counted_from),
        ("one-time pad, after its key slowed down", True, span.slow_at),
    ):
        one, other = (_counted(ran.transfers, is_padded, begin) for ran in (ours, static))
        for name, unit, values in (
            ("p95 delay", "ms", (_p95_s(one) * 1e3, _p95_s(other) * 1e3)),
            ("goodput", "of offered", (_goodput(one), _goodput(other))),
        ):
            yield Result(
                name=f"five hosts, {word}: {name}",
                value=values[0],
                unit=unit,
                goal=values[1],
                met=values[0] < values[1] if unit == "ms" else values[0] > values[1],
                peer="static shortest path",
                peer_value=values[1],
                ratio=values[0] / values[1] if values[1] else None,
            )
    for word, is_padded, begin, end in (
        ("hot spot", False, span.hot_at, span.slow_at),
        ("slow key", True, span.slow_at, span.end),
    ):
        for who, ran in (("learning", ours), ("static paths", static)):
            after_s = settled_s(ran.transfers, is_padded, begin, end)
            what = f"five hosts, {word}, {who}: no 10 s over twice the usual delay from"
            yield Result(name=what, value=after_s, unit="s after")


def _counted(transfers: Sequence[Transfer], is_padded: bool, begin: float) -> list[Transfer]:
    return [
        each for each in transfers if each.at_s >= begin and (each.tunnel in PADDED) is is_padded
    ]


def _p95_s(transfers: Sequence[Transfer]) -> float:
    return float(np.quantile([each.delay_s for each in transfers], 0.95))


def _goodput(transfers: Sequence[Transfer]) -> float:
    return sum(each.arrived_bytes for each in transfers) / sum(each.size for each in transfers)


def settled_s(transfers: Sequence[Transfer], is_padded: bool, begin: float, end: float) -> float:
    """Return the time from a change until p95 of delay stays near that before it to the end.

    Near is below twice that, in windows of 10 s; NaN where it never does.
    """
    window_s = 10.0
    own = _counted(transfers, is_padded, 0.0)
    usual_s = _p95_s([each for each in own if begin / 2 <= each.at_s < begin])
    settled = math.nan
    for start in np.arange(end - window_s, begin - 1e-9, -window_s / 2):
        inside = [each for each in own if start <= each.at_s < start + window_s]
        if inside and _p95_s(inside) > 2 * usual_s:
            break
        settled = float(start) - begin
    return settled


def picture(ours: Ran, static: Ran, span: Span) -> str:
    """Return an SVG of delay, arrivals, and delay under one-time pad."""

    def track(ran: Ran, is_padded: bool, of: Callable[[list[Transfer]], float]) -> Floats:
        own = _counted(ran.transfers, is_padded, 0.0)
        bins = [
            [each for each in own if begin <= each.at_s < begin + BIN_S]
            for begin in np.arange(0.0, span.end, BIN_S)
        ]
        return np.array([of(each) if each else math.nan for each in bins])

    rows = [
        Row(title, *(track(ran, is_padded, of) for ran in (ours, static)))
        for title, is_padded, of in (
            ("p95 delay of a transfer, ms", False, lambda each: _p95_s(each) * 1e3),
            ("arrived, %", False, lambda each: _goodput(each) * 100),
            ("p95 delay under one-time pad, ms", True, lambda each: _p95_s(each) * 1e3),
        )
    ]
    marks = ((span.hot_at / span.end, "hot spot a-c"), (span.slow_at / span.end, "slow key a-c"))
    return drawing(rows, marks, f"{span.end:.0f} s")


def main() -> None:
    """Draw the picture where asked, and print the figures."""
    record = sys.argv[2] if len(sys.argv) > 2 else ""
    if reason := lacking():
        raise SystemExit(f"five hosts cannot be had here: {reason}")
    ours, static = _both(record)
    Path(sys.argv[1]).with_suffix(".log").write_text(ours.log)
    for result in results(ours, static, Span.told()):
        print(f"{result.name:60} {result.value:10.3f} {result.unit:10} {result.peer_value}")
    Path(sys.argv[1]).write_text(picture(ours, static, Span.told()))


if __name__ == "__main__":
    main()
