"""`qnx routes`: what the routing engine decides, and how well."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.api.commands import WhatIf
from qnx_hw.api.traffic import PLAN, PlanView
from qnx_hw.commands import access
from qnx_hw.errors import ConfigError, QnxError

if TYPE_CHECKING:
    from qnx_hw.commands.traffic_file import TrafficRecord


EXAMPLE = """examples:
  qnx routes plan                                    the plan of the running controller
  qnx routes plan --url lab.toml                     the same, where the file names its address
  qnx routes explain alice bob                       why this traffic goes where it goes
  qnx routes what-if --down "alice carol" --demand-factor 1.5
  qnx routes audit                                   what was predicted, and what came
  qnx routes plan --data traffic.npz --at 500        a plan from recorded traffic
  qnx routes evaluate --data traffic.npz --json score.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in (
        ("plan", "show the routes in force, or what recorded traffic asks for"),
        ("explain", "say in words why traffic goes where it goes"),
        ("what-if", "show what would be decided; nothing is put into force"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        if name == "explain":
            action.add_argument("source", metavar="SOURCE")
            action.add_argument("destination", metavar="DESTINATION")
        if name == "what-if":
            action.add_argument(
                "--down",
                action="append",
                default=[],
                metavar="HOP",
                help="a hop, one way ('SOURCE TARGET'), or a node to think away; repeat",
            )
            action.add_argument("--demand-factor", type=float, default=1.0, metavar="F")
            action.add_argument("--objective", metavar="OBJECTIVE", help="aim at this instead")
        access.declare(action)
        action.add_argument("--data", type=Path, metavar="FILE.npz", help="recorded traffic")
        action.add_argument("--at", type=int, metavar="T", help="plan for this step of the record")
        action.add_argument("--json", type=Path, metavar="OUT", help="write the plan there")
    audit = actions.add_parser(
        "audit",
        help="what the plans were expected to do, beside what was measured",
        description="Show what the running controller's plans were expected to do, and what came: "
        "the fullest link, goodput, delay, loss, and key drawn.",
    )
    access.declare(audit)
    audit.add_argument("--last", type=int, default=10, metavar="N", help="intervals (default: 10)")
    audit.add_argument("--json", type=Path, metavar="OUT", help="write all that is shown there")
    evaluate = actions.add_parser(
        "evaluate",
        help="score the engine on recorded traffic",
        description="Plan every step from the steps before it alone, and compare the largest link "
        "utilisation with the clairvoyant optimum. FILE holds tm_mbps (T,N,N), and edge_src, "
        "edge_dst, edge_cap_mbps (E,), each link one way; nodes (N,), edge_weight (E,) and t_unix "
        "(T,) may be left out.",
    )
    evaluate.add_argument("--data", type=Path, required=True, metavar="FILE.npz")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write the scores there")
    evaluate.add_argument(
        "--first", type=int, metavar="T", help="first step (default: 64, or half)"
    )
    evaluate.add_argument("--stop", type=int, metavar="T", help="step after the last")


def run(arguments: argparse.Namespace) -> int:
    """Show, explain, suppose or score."""
    if arguments.action == "evaluate":
        return _evaluate(arguments)
    if arguments.action == "audit":
        return _audit(arguments)
    plan = _plan(arguments)
    if arguments.action == "explain":
        ends = (arguments.source, arguments.destination)
        route = next((r for r in plan.routes if (r.source, r.destination) == ends), None)
        if route is None:
            known = ", ".join(sorted({each.source for each in plan.routes})) or "no node"
            raise QnxError(
                f"the plan has no route from '{ends[0]}' to '{ends[1]}'; it has some from {known}"
            )
        print(f"{route.source} to {route.destination}: {route.reason}")
    else:
        if arguments.action == "what-if":
            print(_supposed(arguments))
        _show(plan)
    if arguments.json is not None:
        _write(arguments.json, msgspec.json.encode(plan))
    return 0


def _supposed(arguments: argparse.Namespace) -> str:
    """Say what was supposed, in words."""
    parts = [f"'{name}' were down" for name in arguments.down]
    if arguments.demand_factor != 1.0:
        parts.append(f"demand were {arguments.demand_factor:g} times what is expected")
    if arguments.objective is not None:
        parts.append(f"the aim were '{arguments.objective}'")
    return f"if {' and '.join(parts) or 'all stayed as it is'} (nothing is put into force):"


def _plan(arguments: argparse.Namespace) -> PlanView:
    """Ask the running controller, or plan from the record."""
    question = WhatIf()
    if arguments.action == "what-if":
        if not 0.0 <= arguments.demand_factor <= 100.0:
            raise QnxError(f"--demand-factor {arguments.demand_factor:g} is not between 0 and 100")
        question = WhatIf(
            objective=arguments.objective,
            down=tuple(arguments.down),
            demand_factor=arguments.demand_factor,
        )
    if arguments.data is not None:
        return _from_record(arguments, question)
    client = access.client_at(arguments)
    return client.plan() if arguments.action != "what-if" else client.what_if(question)


def _from_record(arguments: argparse.Namespace, question: WhatIf) -> PlanView:
    from qnx_hw.network.objectives import Objective
    from qnx_hw.network.policy import Policy, Situation
    from qnx_hw.node.controller import links_named, objective_named
    from qnx_hw.node.plan_views import plan_view

    record = _read(arguments.data)
    topology, matrices = record.topology, record.matrices
    at = len(matrices) if arguments.at is None else arguments.at
    if not 1 <= at <= len(matrices):
        raise QnxError(f"--at {at} is not a step from 1 to {len(matrices)}")
    objective = objective_named(question.objective or Objective.UTILISATION)
    past = matrices[max(0, at - 1024) : at]
    situation = Situation(past, topology.demands(past[-1]), links_named(topology, question.down))
    decision = Policy(topology, objective=objective).suppose(
        situation, factor=question.demand_factor
    )
    return plan_view(decision, revision=0, time_s=0.0)


def _show(plan: PlanView) -> None:
    used = (
        f"{plan.expected_utilisation:.1%}" if plan.expected_utilisation is not None else "unknown"
    )
    print(f"revision {plan.revision}, {plan.objective}; fullest link expected {used} full")
    if plan.reason:
        print(plan.reason)
    for route in plan.routes:
        ways = "  ".join(
            f"{share:4.0%} {'-'.join(way)}"
            for way, share in zip(route.paths, route.shares, strict=True)
        )
        ends = f"{route.source} {route.destination}"
        print(f"{ends:24} {route.demand_bps / 1e6:10.3f} Mbit/s  {ways or 'no way'}")
    for refusal in plan.refused:
        print(f"refused by {refusal}")


def _audit(arguments: argparse.Namespace) -> int:
    """Show what was expected of the plans beside what came."""
    forecasts = access.client_at(arguments).forecasts()
    figures = [each for each in forecasts if each.model == PLAN]
    if not any(each.times_s for each in figures):
        raise QnxError("the controller has not judged a plan yet; it does after its first interval")
    print("time      " + "".join(f"{each.name.removeprefix('plan: '):>24}" for each in figures))
    for place in range(len(figures[0].times_s))[-max(1, arguments.last) :]:
        moment = time.strftime("%H:%M:%S", time.localtime(figures[0].times_s[place]))
        pairs = ((each.expected[place], each.actual[place]) for each in figures)
        print(f"{moment}  " + "".join(f"{_figure(a):>11} / {_figure(b):>10}" for a, b in pairs))
    print("expected / came; " + ", ".join(f"{each.name} {each.unit}" for each in figures))
    if arguments.json is not None:
        _write(arguments.json, msgspec.json.encode(figures))
    return 0


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content + b"\n")
    except OSError as error:
        raise QnxError(f"cannot write {path}: {error.strerror}") from error


def _evaluate(arguments: argparse.Namespace) -> int:
    """Score the engine on a traffic file."""
    from qnx_hw.network.evaluation import Score, evaluate
    from qnx_hw.network.planner import Planner

    record = _read(arguments.data)
    matrices = record.matrices
    stop = len(matrices) if arguments.stop is None else arguments.stop
    first = min(64, stop // 2) if arguments.first is None else arguments.first

    def show(done: int, ratio: float) -> None:
        if sys.stderr.isatty():
            line = f"\rstep {done} of {stop - first}, last score {ratio:.3f} "
            print(line, end="", file=sys.stderr, flush=True)

    try:
        planner = Planner(record.topology)
        if not planner.paths.has_path.all():
            apart = int((~planner.paths.has_path).sum())
            _note(
                arguments.data,
                f"{apart} of {planner.paths.has_path.size} pairs have no way, and their demand "
                "counts for nobody; links lead one way, so both directions have to be given",
            )
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
        _write(arguments.json, msgspec.json.encode(content))
    return 0


def _read(path: Path) -> TrafficRecord:
    """Read a traffic file and tell what was odd in it."""
    from qnx_hw.commands.traffic_file import read

    record = read(path)
    for note in record.notes:
        _note(path, note)
    return record


def _note(path: Path, words: str) -> None:
    print(f"{path}: {words}", file=sys.stderr)
