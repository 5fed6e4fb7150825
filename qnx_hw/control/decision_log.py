"""What loops saw and decided, as Parquet files, and replaying it against a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qnx_hw.api.loops import LoopState
from qnx_hw.control.policy import Decision, Policy, Seen
from qnx_hw.errors import RecordingError

ROWS_PER_FILE = 256
"""A file is written when so many decisions wait, and when the loop ends."""

What = TypeVar("What", bound=Seen)


class DecisionLog:
    """Writes numbered Parquet files into a folder; `now` gives the time of a decision in s."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._rows: list[dict[str, object]] = []

    def add(
        self,
        algorithm: str,
        seen: Seen,
        decision: Decision,
        actual: tuple[float, ...] | None,
        trouble: str,
    ) -> None:
        """Note a decision, where the axes stood after it, and what went wrong."""
        row: dict[str, object] = {
            "time_s": self._now(),
            "algorithm": algorithm,
            "values": list(seen.values),
            "seen": list(seen.numbers()),
            "state": decision.state.value,
            "move_to": None if decision.move_to is None else list(decision.move_to),
            "actual": None if actual is None else list(actual),
            "reason": decision.reason,
            "excess": decision.excess,
            "excess_sigma": decision.excess_sigma,
            "undoes": decision.undoes,
            "trouble": trouble,
        }
        self._rows.append(row)
        if len(self._rows) >= ROWS_PER_FILE:
            self.close()

    def close(self) -> None:
        """Write what waits; more may be added afterwards."""
        if not self._rows:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(each.stem) for each in self._folder.glob("*.parquet")), default=0)
        table = pa.Table.from_pylist(self._rows, schema=_schema())
        pq.write_table(table, self._folder / f"{number:06}.parquet")
        self._rows = []


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of a log."""

    time_s: float
    algorithm: str
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
            rows = pq.read_table(path, schema=_schema()).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise RecordingError(f"{path} holds no decisions: {error}") from error
        for row in rows:
            yield Logged(
                row["time_s"],
                row["algorithm"],
                tuple(row["values"]),
                tuple(row["seen"]),
                Decision(
                    LoopState(row["state"]),
                    None if row["move_to"] is None else tuple(row["move_to"]),
                    row["reason"],
                    row["excess"],
                    row["excess_sigma"],
                    row["undoes"],
                ),
                None if row["actual"] is None else tuple(row["actual"]),
                row["trouble"],
            )


def replay(
    logged: Iterable[Logged],
    policy: Policy[What],
    make: Callable[[tuple[float, ...], tuple[float, ...]], What],
) -> Iterator[tuple[Logged, Decision]]:
    """Show a policy what was seen then, and yield what it decides beside what was decided.

    `make` rebuilds what was seen from where the axes stood and the logged numbers.
    """
    for row in logged:
        yield row, policy.observe(make(row.values, row.seen))


def _schema() -> object:
    import pyarrow as pa

    numbers = pa.list_(pa.float64())
    return pa.schema(
        {
            "time_s": pa.float64(),
            "algorithm": pa.string(),
            "values": numbers,
            "seen": numbers,
            "state": pa.string(),
            "move_to": numbers,
            "actual": numbers,
            "reason": pa.string(),
            "excess": pa.float64(),
            "excess_sigma": pa.float64(),
            "undoes": pa.bool_(),
            "trouble": pa.string(),
        }
    )
