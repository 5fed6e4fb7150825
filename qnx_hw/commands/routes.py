"""`qnx routes`: what the routing engine decides, and how well."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.errors import ConfigError, QnxError

if TYPE_CHECKING:
    from qnx_hw.network.topology import Floats, Topology


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  qnx routes evaluate --data traffic.npz --json score.json"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    evaluate = actions.add_parser(
        "evaluate",
        help="score the engine on recorded traffic",
        description="Plan every step from the steps before it alone, and compare the largest link "
        "utilisation with the clairvoyant optimum. FILE holds tm_mbps (T,N,N), nodes, and "
        "edge_src, edge_dst, edge_cap_mbps, edge_weight (E,).",
    )
    evaluate.add_argument("--data", type=Path, required=True, metavar="FILE.npz")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write the scores there")
    evaluate.add_argument("--first", type=int, metavar="T", help="first step (default: 64)")
    evaluate.add_argument("--stop", type=int, metavar="T", help="step after the last")


def run(arguments: argparse.Namespace) -> int:
    """Score the engine on a traffic file."""
    from qnx_hw.network.evaluation import Score, evaluate
    from qnx_hw.network.planner import Planner

    topology, matrices = load(arguments.data)
    stop = len(matrices) if arguments.stop is None else arguments.stop
    first = min(64, stop - 1) if arguments.first is None else arguments.first

    def show(done: int, ratio: float) -> None:
        if sys.stderr.isatty():
            line = f"\rstep {done} of {stop - first}, last score {ratio:.3f} "
            print(line, end="", file=sys.stderr, flush=True)

    try:
        planner = Planner(topology)
        planner.decide(matrices[:1])  # the kernels are compiled before the clock runs
        ratios, taken_s = evaluate(
            planner, matrices, range(first, stop), clock=time.process_time, progress=show
        )
    except ValueError as error:
        raise ConfigError(f"{arguments.data}: {error}") from error
    if sys.stderr.isatty():
        print(file=sys.stderr)
    score = Score.of(ratios)
    print(
        f"{arguments.data.name}: mean {score.mean:.4f}  p95 {score.p95:.3f}  p99 {score.p99:.3f}  "
        f"worst {score.worst:.3f} over {score.steps} steps, {len(planner.paths)} paths, "
        f"{taken_s.mean() * 1e3:.1f} ms of processor a decision"
    )
    if arguments.json is not None:
        content = {
            **msgspec.structs.asdict(score),
            "first": first,
            "cpu_ms": float(taken_s.mean() * 1e3),
            "scores": ratios.tolist(),
        }
        try:
            arguments.json.write_bytes(msgspec.json.encode(content) + b"\n")
        except OSError as error:
            raise QnxError(f"cannot write {arguments.json}: {error}") from error
    return 0


def load(path: Path) -> tuple[Topology, Floats]:
    """Read a traffic file; raise `ConfigError` where something is missing or does not fit."""
    import numpy as np

    from qnx_hw.network.topology import Topology

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read {path} as an npz archive: {error}") from error
    needed = ("tm_mbps", "nodes", "edge_src", "edge_dst", "edge_cap_mbps", "edge_weight")
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ConfigError(f"{path} has no {', '.join(missing)}")
    try:
        topology = Topology(
            tuple(map(str, arrays["nodes"])),
            arrays["edge_src"].astype(np.int64),
            arrays["edge_dst"].astype(np.int64),
            arrays["edge_cap_mbps"].astype(np.float64),
            arrays["edge_weight"].astype(np.float64),
        )
        matrices = arrays["tm_mbps"]
        topology.demands(matrices[:1])
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return topology, matrices
