"""`qnx align`: rehearse alignment, steer a running loop, replay what a loop decided."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.commands import access
from qnx_hw.errors import ConfigError

if TYPE_CHECKING:
    from qnx_hw.api.loops import LoopView

EXAMPLE = """examples:
  qnx align rehearse --actuator paddles --coincidences 1000 --drift 0.02
  qnx align rehearse --algorithm spsa --settings 200 --json steps.json
  qnx align show --url http://127.0.0.1:8470
  qnx align relock "alice-bob polarization"
  qnx align replay .qnx/demo/bob/loops/alice-bob-polarization
  qnx align replay .qnx/demo/bob/loops/alice-bob-polarization --algorithm spsa --target 0.02"""
ACTUATORS = ("plates", "paddles", "squeezers", "crystals")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a rehearsal or a replay."""

    setting: int
    qber: float
    state: str
    reason: str
    believed_excess: float | None
    true_excess: float | None
    values: tuple[float, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    rehearse = actions.add_parser("rehearse", help="align a random fibre, here and now")
    rehearse.add_argument("--coincidences", type=float, default=1000.0, help="for each setting")
    rehearse.add_argument("--visibility", type=float, default=0.97)
    rehearse.add_argument("--drift", type=float, default=0.0, help="rad for each setting")
    rehearse.add_argument("--settings", type=int, default=10, help="how many (default: 10)")
    rehearse.add_argument("--seed", type=int, default=1)
    replay = actions.add_parser("replay", help="show a policy what a loop saw")
    replay.add_argument("folder", type=Path, metavar="FOLDER", help="a loop's decisions")
    for each, usual in ((rehearse, ("paddles", "model", 0.0)), (replay, (None, None, None))):
        actuator, algorithm, target = usual
        words = "(default: %(default)s)" if each is rehearse else "(default: as it was)"
        each.add_argument("--actuator", choices=ACTUATORS, default=actuator, help=words)
        each.add_argument("--algorithm", default=algorithm, help=words)
        each.add_argument(
            "--target", type=float, default=target, help=f"error rate at which it rests {words}"
        )
        each.add_argument("--json", metavar="FILE", help="write the steps as JSON")
    for name, words in (
        ("show", "show the loops of a running node"),
        ("hold", "have a loop leave its actuator alone"),
        ("resume", "let a held loop go on"),
        ("relock", "have a loop search anew"),
    ):
        child = actions.add_parser(name, help=words)
        if name != "show":
            child.add_argument("loop", metavar="LOOP", help="such as 'alice-bob polarization'")
        access.declare(child)
        child.add_argument("--json", metavar="FILE", help="write the loops as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Rehearse, replay or steer."""
    if arguments.action in {"rehearse", "replay"}:
        steps = _rehearsed(arguments) if arguments.action == "rehearse" else _replayed(arguments)
        print(f"{'setting':>7} {'QBER':>8} {'believed':>9} {'true':>8}  state      reason")
        for step in steps:
            print(
                f"{step.setting:7} {step.qber:8.2%} {_share(step.believed_excess):>9} "
                f"{_share(step.true_excess):>8}  {step.state:10} {step.reason}"
            )
        _write(arguments.json, steps)
        return 0
    loops = _steered(arguments)
    for loop in loops:
        axes = ", ".join(
            f"{axis.actual:g} {axis.unit}" for axis in loop.axes if axis.actual is not None
        )
        print(f"{loop.name}: {loop.state}, {loop.algorithm}, {_excess(loop)}, at {axes or '?'}")
        print(f"    {loop.message or 'nothing to say'}")
    if not loops:
        print("this node runs no loops; see [links.LINK.alignment] of the network file")
    _write(arguments.json, loops)
    return 0


def _rehearsed(arguments: argparse.Namespace) -> list[Step]:
    import numpy as np

    from qnx_hw.control.polarization import make
    from qnx_hw.control.polarization.rehearsal import Rehearsal
    from qnx_hw.control.polarization.usual import usual

    if arguments.coincidences <= 0 or not 0 < arguments.visibility <= 1:
        raise ConfigError("coincidences must be above 0, and the visibility above 0 and at most 1")
    actuator = usual(arguments.actuator)
    rng = np.random.default_rng(arguments.seed)
    fibre = Rehearsal(actuator, rng, visibility=arguments.visibility)
    policy = make(arguments.algorithm, actuator, target=arguments.target)
    steps = []
    for number in range(1, arguments.settings + 1):
        seen, true = fibre.measure(arguments.coincidences), fibre.excess
        decision = policy.observe(seen)
        steps.append(
            Step(
                setting=number,
                qber=seen.qber,
                state=decision.state.value,
                reason=decision.reason,
                believed_excess=decision.excess,
                true_excess=true,
                values=seen.values,
            )
        )
        if decision.move_to is not None:
            fibre.move(decision.move_to)
        if arguments.drift:
            fibre.drift(arguments.drift)
    return steps


def _replayed(arguments: argparse.Namespace) -> list[Step]:
    from qnx_hw.control.polarization import Measurement
    from qnx_hw.control.polarization.usual import CAPABILITIES
    from qnx_hw.node.recipes import PolarizationRecipe, replayed

    actuator = arguments.actuator
    steps = []
    for number, each in enumerate(
        replayed(
            arguments.folder,
            algorithm=arguments.algorithm,
            target=arguments.target,
            instead=actuator and PolarizationRecipe(capabilities=CAPABILITIES[actuator]),
        ),
        start=1,
    ):
        if not isinstance(each.seen, Measurement):
            raise ConfigError(
                f"{arguments.folder} is the log of another loop: `qnx tune replay` shows it"
            )
        steps.append(
            Step(
                setting=number,
                qber=each.seen.qber,
                state=each.now.state.value,
                reason=each.now.reason + ("" if each.is_same else "; another move than then"),
                believed_excess=each.now.excess,
                true_excess=None,
                values=each.seen.values,
            )
        )
    if not steps:
        raise ConfigError(f"there are no decisions in {arguments.folder}")
    return steps


def _steered(arguments: argparse.Namespace) -> list[LoopView]:
    client = access.client_at(arguments)
    if arguments.action == "show":
        return list(client.state().loops)
    commands: dict[str, Callable[[str], LoopView]] = {
        "hold": client.hold_loop,
        "resume": client.resume_loop,
        "relock": client.relock_loop,
    }
    return [commands[arguments.action](arguments.loop)]


def _excess(loop: LoopView) -> str:
    """Say how far from the best a loop believes that it stands, in its own unit."""
    excess = loop.residual.value
    if excess is None:
        return "excess ?"
    return f"excess {excess:.2%}" if loop.unit == "QBER" else f"off by {excess:.3g} {loop.unit}"


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value:.2%}"


def _write(path: str | None, things: object) -> None:
    if path is None:
        return
    try:
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(things)) + b"\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
