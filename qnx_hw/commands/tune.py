"""`qnx tune`: which window and pump a running link should have, and what its loops decided.

Advice comes from what a node shows now; a replay shows a loop's policy what it saw before.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.commands import access
from qnx_hw.errors import ConfigError, QnxError

if TYPE_CHECKING:
    from qnx_hw.api.schema import LinkView

EXAMPLE = """examples:
  qnx tune window alice-bob
  qnx tune window alice-bob --apply
  qnx tune pump alice-bob --block-s 60 --json advice.json
  qnx tune replay .qnx/demo/bob/loops/alice-bob-bob-bias"""
LEAST_WINDOW_PS, MOST_WINDOW_PS = 50.0, 100_000.0
LEAST_PUMP, MOST_PUMP = 0.05, 20.0


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What would give more key."""

    link: str
    what: str
    now: float
    best: float
    unit: str
    gain: float
    """Part by which the secret rate is below the best one, 0 where nothing is lost."""
    reason: str
    applied: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of a replay."""

    time_s: float
    algorithm: str
    values: tuple[float, ...]
    """Where the axes stood."""
    seen: tuple[float, ...]
    state: str
    move_to: tuple[float, ...] | None
    reason: str
    as_then: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    actions = parser.add_subparsers(dest="what", metavar="ACTION", required=True)
    window = actions.add_parser("window", help="the coincidence window with the most key")
    window.add_argument("--apply", action="store_true", help="set the window at both ends")
    pump = actions.add_parser("pump", help="the pump power with the most key")
    for each in (window, pump):
        each.add_argument("link", metavar="LINK", help="a link that makes keys")
        each.add_argument("--block-s", type=float, default=30.0, help="length of a block in s")
        access.declare(each)
        each.add_argument("--json", metavar="FILE", help="write the advice as JSON")
    replay = actions.add_parser("replay", help="show a loop's policy once more what it saw")
    replay.add_argument("folder", type=Path, metavar="FOLDER", help="a loop's decisions")
    replay.add_argument("--json", metavar="FILE", help="write the decisions as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Replay a log; or ask the node, compute, tell, and set the window where told to."""
    if arguments.what == "replay":
        return _replay(arguments.folder, arguments.json)
    client = access.client_at(arguments)
    links = {link.name: link for link in client.state().links}
    if arguments.link not in links:
        known = ", ".join(links) or "none"
        raise ConfigError(f"the node has no link '{arguments.link}'; it has {known}")
    advise = _window if arguments.what == "window" else _pump
    advice = advise(links[arguments.link], arguments.block_s)
    if arguments.what == "window" and arguments.apply and advice.best != advice.now:
        before = links[arguments.link].window_ps
        client.set_window(arguments.link, round(advice.best), expected_ps=before)
        advice = msgspec.structs.replace(advice, applied=True)
    print(
        f"{advice.link}: {advice.what} {advice.now:g} {advice.unit}, best {advice.best:g} "
        f"{advice.unit}, {advice.gain:.1%} of the key is lost: {advice.reason}"
        + ("; set at both ends" if advice.applied else "")
    )
    _write(arguments.json, advice)
    return 0


def _replay(folder: Path, file: str | None) -> int:
    from qnx_hw.node.recipes import replayed

    steps = [
        Step(
            time_s=each.then.time_s,
            algorithm=each.then.chosen.algorithm,
            values=each.then.values,
            seen=each.then.seen,
            state=each.now.state.value,
            move_to=each.now.move_to,
            reason=each.now.reason,
            as_then=each.is_same,
        )
        for each in replayed(folder)
    ]
    if not steps:
        raise ConfigError(f"there are no decisions in {folder}")
    began_s = steps[0].time_s
    for step in steps:
        goal = "stays" if step.move_to is None else f"to {_row(step.move_to)}"
        print(
            f"{step.time_s - began_s:9.1f} s  {step.state:10} at {_row(step.values)} {goal}: "
            f"{step.reason}{'' if step.as_then else '; another move than then'}"
        )
    print(f"{len(steps)} decisions, {sum(each.as_then for each in steps)} of them as then")
    _write(file, steps)
    return 0


def _row(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _write(file: str | None, things: object) -> None:
    if file is None:
        return
    try:
        Path(file).write_bytes(msgspec.json.encode(things) + b"\n")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error


def _window(link: LinkView, block_s: float) -> Advice:
    from qnx_hw.control.window import WindowPolicy, WindowSeen, spread_of
    from qnx_hw.qkd.finite_key.expectation import secret_rate_bps

    coincidences, accidentals, qber = _numbers(link)
    now, known = float(link.window_ps), link.histogram
    spread_ps = spread_of(known, now, link.slots) if known is not None else None
    if spread_ps is None:
        raise QnxError(f"'{link.name}' shows no peak of delays here; ask Alice's node")
    seen = WindowSeen((now,), spread_ps, link.slots, coincidences, accidentals, qber, block_s)
    policy = WindowPolicy(LEAST_WINDOW_PS, MOST_WINDOW_PS, secret_rate_bps)
    decision = policy.observe(seen)
    best = decision.move_to[0] if decision.move_to is not None else now
    return Advice(
        link=link.name, what="window", now=now, best=best, unit="ps",
        gain=decision.excess or 0.0, reason=decision.reason,
    )  # fmt: skip


def _pump(link: LinkView, block_s: float) -> Advice:
    from qnx_hw.control.source import PowerSeen, SourcePower
    from qnx_hw.qkd.finite_key.expectation import secret_rate_bps

    coincidences, accidentals, qber = _numbers(link)
    singles = [
        sum(each.rate_cps for each in link.rates if each.station == station)
        for station in ("alice", "bob")
    ]
    if not all(singles):
        raise QnxError(f"'{link.name}' shows no singles of both ends; ask a node that hosts both")
    # The window that the accidentals speak of: bases that differ are counted too.
    window_s = accidentals / (singles[0] * singles[1])
    policy = SourcePower(LEAST_PUMP, MOST_PUMP, secret_rate_bps)
    seen = PowerSeen(
        (1.0,), singles[0], singles[1], coincidences, accidentals, qber, window_s, block_s
    )
    decision = policy.observe(seen)
    return Advice(
        link=link.name, what="pump", now=1.0, best=decision.move_to[0] if decision.move_to else 1.0,
        unit="of now", gain=decision.excess or 0.0, reason=decision.reason,
    )  # fmt: skip


def _numbers(link: LinkView) -> tuple[float, float, float]:
    found = (link.coincidence_rate_cps, link.accidental_rate_cps, link.qber.value)
    if found[0] is None or found[1] is None or found[2] is None:
        raise QnxError(f"'{link.name}' shows no coincidences and errors yet; let it make a block")
    return found[0], found[1], found[2]
