"""What a run of chaos brought: values, a table, and a page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """A fault, and how the network came out of it."""

    kind: str
    target: str
    lasted_s: float
    told: bool
    """Whether an event of level warning or alarm was raised."""
    recovered_s: float | None
    """From the end of the fault to the next block of key at both ends; None: not in time."""
    alarms: int = 0
    """Warnings and alarms that were raised meanwhile."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    seed: int
    file: str
    date: str
    machine: str
    minutes: float
    faults: tuple[Recovery, ...]
    broken: tuple[str, ...]
    """Invariants that did not hold, in words; empty in a good run."""
    blocks: int
    """That both stores hold alike at the end."""
    keys_delivered: int
    """Fetched at both ends, equal, and never seen before."""
    tunnel_bytes: int
    """That came back through tunnels as they were sent."""
    searched_bytes: int
    """Captured on wires between nodes and searched for keys and user data."""
    left_open: tuple[str, ...] = ()
    """Warnings and alarms since the first fault that were not over at the end: of few keys."""

    keys_lost: int = 0
    """Whose answer a fault cut off; a key manager gives out none twice."""
    core_ended_by_itself: int = 0
    """How often nats-server was started again without having been killed."""

    @property
    def is_good(self) -> bool:
        """Whether nothing broke and there was something to break."""
        return not self.broken and self.blocks > 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """All faults of a kind."""

    kind: str
    count: int
    survived: int
    median_s: float | None
    p99_s: float | None


def lines(reports: Sequence[Report]) -> list[Line]:
    """Sum up several runs by kind of fault."""
    found = [fault for report in reports for fault in report.faults]
    result = []
    for kind in sorted({fault.kind for fault in found}):
        own = [fault for fault in found if fault.kind == kind]
        times = sorted(each.recovered_s for each in own if each.recovered_s is not None)
        result.append(
            Line(
                kind=kind,
                count=len(own),
                survived=len(times),
                median_s=statistics.median(times) if times else None,
                p99_s=times[min(len(times) - 1, int(0.99 * len(times)))] if times else None,
            )
        )
    return result


def page(reports: Sequence[Report]) -> str:
    """Return the reliability page of the documents."""
    first = reports[0]
    rows = "\n".join(
        f"| {each.kind} | {each.count} | {each.survived} | {_s(each.median_s)} | {_s(each.p99_s)} |"
        for each in lines(reports)
    )
    broken = [f"- seed {each.seed}: {words}" for each in reports for words in each.broken]
    seeds = ", ".join(str(each.seed) for each in reports)
    minutes = sum(each.minutes for each in reports)
    return (
        f"""# Reliability

Written by `qnx chaos` from its own runs; do not edit. {first.date}, {first.machine}.

Network file `{first.file}`, seeds {seeds}, {minutes:.1f} minutes in all.

| fault | injected | survived | median recovery | 99th percentile |
|---|---|---|---|---|
{rows}

Recovery is the time from the end of a fault until every link it touched made another block of key
at both ends, every instrument of the network is in order again, every link makes key, and every
edge follows the newest routes.

| held at all times | |
|---|---|
| blocks of key that both stores held alike at the end | {sum(each.blocks for each in reports):,} |
| keys fetched at both ends, equal, each new | {sum(each.keys_delivered for each in reports):,} |
| keys whose answer a fault cut off, and which were rightly given out no second time | \
{sum(each.keys_lost for each in reports):,} |
| bytes through tunnels, back as they were sent | {sum(each.tunnel_bytes for each in reports):,} |
| bytes captured between nodes, without a key or a user's byte in the clear | \
{sum(each.searched_bytes for each in reports):,} |

Of {sum(fault.alarms for each in reports for fault in each.faults):,} warnings and alarms \
{sum(len(each.left_open) for each in reports):,} were not over at the end;
that keys in stock are few may still be true then, every other had to be over.
nats-server ended by itself {sum(each.core_ended_by_itself for each in reports)} times, and was \
started again as its service does.

Invariants that did not hold: {len(broken)}.

{chr(10).join(broken)}
""".rstrip()
        + "\n"
    )


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
