"""What loops saw and decided, as Parquet files, and replaying it against a policy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qnx_hw.api.loops import LoopState
from qnx_hw.control.policy import Decision, Policy, Seen
from qnx_hw.errors import RecordingError

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

ROWS_PER_FILE = 256
"""A file is written when so many decisions wait, or one so long, and when the loop ends."""
LONGEST_WAIT_S = 300.0

RECIPE = b"recipe"
What = TypeVar("What", bound=Seen)


class Knows(StrEnum):
    """What a policy knew of the rows before."""

    ALL = "all"
    NOTHING = "nothing"
    """It was just made: the loop was opened, or another algorithm or target chosen."""
    LITTLE = "little"
    """It was told to search anew."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which policy decided."""

    algorithm: str
    target: float = 0.0
    knows: Knows = Knows.ALL


class DecisionLog:
    """Writes numbered Parquet files into a folder; `now` gives the time of a decision in s."""

    def __init__(self, folder: Path, now: Callable[[], float], recipe: bytes = b"") -> None:
        """`recipe` says what the loop's policies are made from; every file keeps it."""
        self._folder = folder
        self._now = now
        self._recipe = recipe
        self._rows: list[dict[str, object]] = []
        self._waits_since_s = 0.0

    def add(
        self,
        chosen: Chosen,
        seen: Seen,
        decision: Decision,
        actual: tuple[float, ...] | None,
        trouble: str,
    ) -> None:
        """Note a decision, where the axes stood after it, and what went wrong."""
        now_s = self._now()
        self._waits_since_s = now_s if not self._rows else self._waits_since_s
        row: dict[str, object] = {
            "time_s": now_s,
            "algorithm": chosen.algorithm,
            "target": chosen.target,
            "knows": chosen.knows.value,
            "values": list(seen.values),
            "seen": list(seen.numbers()),
            "state": decision.state.value,
            "move_to": None if decision.move_to is None else list(decision.move_to),
            "actual": None if actual is None else list(actual),
            "reason": decision.reason,
            "excess": decision.excess,
            "excess_sigma": decision.excess_sigma,
            "undoes": decision.undoes,
            "finds": decision.finds,
            "trouble": trouble,
        }
        self._rows.append(row)
        is_late = now_s - self._waits_since_s >= LONGEST_WAIT_S
        if is_late or len(self._rows) >= ROWS_PER_FILE:
            self.close()

    def close(self) -> None:
        """Write what waits; more may be added afterwards."""
        if not self._rows:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _schema().with_metadata({RECIPE: self._recipe})
        table = pa.Table.from_pylist(self._rows, schema=schema)
        self._rows = []
        scratch = self._folder / "unfinished"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number = 1 + max((int(each.stem) for each in self._folder.glob("*.parquet")), default=0)
            pq.write_table(table, scratch)
            scratch.replace(self._folder / f"{number:06}.parquet")
        except OSError as error:  # the loop goes on; a full disk costs what would be kept
            log.warning("%d decisions are not kept in %s: %s", len(table), self._folder, error)


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of a log."""

    time_s: float
    recipe: bytes
    chosen: Chosen
    values: tuple[float, ...]
    seen: tuple[float, ...]
    decision: Decision
    actual: tuple[float, ...] | None
    trouble: str


def read(folder: Path) -> Iterator[Logged]:
    """Yield the decisions of a folder in their order; `RecordingError` where a file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path)
            recipe = (table.schema.metadata or {}).get(RECIPE, b"")
            rows = table.cast(_schema()).to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise RecordingError(f"{path} holds no decisions: {error}") from error
        for row in rows:
            yield Logged(
                row["time_s"],
                recipe,
                Chosen(row["algorithm"], row["target"], Knows(row["knows"])),
                tuple(row["values"]),
                tuple(row["seen"]),
                Decision(
                    LoopState(row["state"]),
                    None if row["move_to"] is None else tuple(row["move_to"]),
                    row["reason"],
                    row["excess"],
                    row["excess_sigma"],
                    row["undoes"],
                    row["finds"],
                ),
                None if row["actual"] is None else tuple(row["actual"]),
                row["trouble"],
            )


def replay(
    logged: Iterable[Logged],
    make: Callable[[Logged], Policy[What]],
    see: Callable[[Logged], What],
) -> Iterator[tuple[Logged, What, Decision]]:
    """Show policies what was seen then, and yield what they decide beside what was decided.

    `make` makes a policy where the loop had a new one; `see` rebuilds what a row was about.
    """
    policy: Policy[What] | None = None
    for row in logged:
        if policy is None or row.chosen.knows is Knows.NOTHING:
            policy = make(row)
        elif row.chosen.knows is Knows.LITTLE:
            policy.restart()
        seen = see(row)
        yield row, seen, policy.observe(seen)


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = pa.list_(pa.float64())
    return pa.schema(
        {
            "time_s": pa.float64(),
            "algorithm": pa.string(),
            "target": pa.float64(),
            "knows": pa.string(),
            "values": numbers,
            "seen": numbers,
            "state": pa.string(),
            "move_to": numbers,
            "actual": numbers,
            "reason": pa.string(),
            "excess": pa.float64(),
            "excess_sigma": pa.float64(),
            "undoes": pa.bool_(),
            "finds": pa.bool_(),
            "trouble": pa.string(),
        }
    )
