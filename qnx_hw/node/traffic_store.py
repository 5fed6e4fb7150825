"""What the controller learnt from, kept on disk: traffic, plans and what came of them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np

from qnx_hw.api.traffic import PlanView
from qnx_hw.network.knowledge import FEATURES
from qnx_hw.network.topology import Floats, Topology
from qnx_hw.node.audit import Outcome

KEPT_INTERVALS = 800_000
"""About 90 days at one interval each 10 s."""
_TABLES = """
CREATE TABLE IF NOT EXISTS traffic (interval INTEGER PRIMARY KEY, nodes TEXT, mbps BLOB);
CREATE TABLE IF NOT EXISTS plans (revision INTEGER PRIMARY KEY, time_s REAL, plan BLOB);
CREATE TABLE IF NOT EXISTS audit (time_s REAL, revision INTEGER, outcome BLOB);
CREATE TABLE IF NOT EXISTS features (interval INTEGER PRIMARY KEY, links TEXT, numbers BLOB);
"""


log = logging.getLogger(__name__)


class TrafficStore:
    """One SQLite file; used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        # A power cut may cost the last rows, never the file; a decision waits for no disk.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_TABLES)

    def __enter__(self) -> TrafficStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add_traffic(self, interval: int, nodes: tuple[str, ...], matrix: Floats) -> None:
        """Keep one interval's matrix; an earlier one of the same interval is replaced."""
        row = (interval, " ".join(nodes), matrix.astype(np.float32).tobytes())
        with self._keeping():
            self._database.execute("INSERT OR REPLACE INTO traffic VALUES (?, ?, ?)", row)
            self._database.execute(
                "DELETE FROM traffic WHERE interval <= ?", (interval - KEPT_INTERVALS,)
            )

    def traffic(self, nodes: tuple[str, ...], *, since: int) -> tuple[int, Floats]:
        """Return the first kept interval from `since` on, and all matrices `(T, N, N)`.

        What was kept for other nodes than these is left out; gaps are NaN.
        """
        query = "SELECT interval, mbps FROM traffic WHERE interval >= ? AND nodes = ? ORDER BY 1"
        rows = self._database.execute(query, (since, " ".join(nodes))).fetchall()
        if not rows:
            return since, np.empty((0, len(nodes), len(nodes)))
        first, last = rows[0][0], rows[-1][0]
        matrices = np.full((last - first + 1, len(nodes), len(nodes)), np.nan)
        for interval, blob in rows:
            matrix = np.frombuffer(blob, dtype=np.float32).astype(np.float64)
            matrices[interval - first] = matrix.reshape(len(nodes), len(nodes))
        return first, matrices

    def add_plan(self, view: PlanView) -> None:
        """Keep a plan that was pushed, with its reasons."""
        row = (view.revision, view.time_s, msgspec.json.encode(view))
        with self._keeping():
            self._database.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)

    def add_outcome(self, outcome: Outcome) -> None:
        """Keep what a plan was expected to do and what was measured under it."""
        row = (outcome.time_s, outcome.revision, msgspec.json.encode(outcome))
        with self._keeping():
            self._database.execute("INSERT INTO audit VALUES (?, ?, ?)", row)

    def add_features(self, interval: int, topology: Topology, features: Floats) -> None:
        """Keep what was known of each link `(E, FEATURES)` at the end of an interval."""
        row = (interval, _links(topology), features.astype(np.float32).tobytes())
        with self._keeping():
            self._database.execute("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", row)
            self._database.execute(
                "DELETE FROM features WHERE interval <= ?", (interval - KEPT_INTERVALS,)
            )

    def features(self, topology: Topology, *, since: int) -> dict[int, Floats]:
        """Return by interval what was kept of these links; of others nothing."""
        query = "SELECT interval, numbers FROM features WHERE interval >= ? AND links = ?"
        rows = self._database.execute(query, (since, _links(topology)))
        return {
            interval: np.frombuffer(blob, dtype=np.float32)
            .astype(np.float64)
            .reshape(-1, len(FEATURES))
            for interval, blob in rows
        }

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """Commit at the end; a disk that refuses costs what would be kept, no decision."""
        try:
            with self._database:
                yield
        except sqlite3.Error as error:
            log.warning("what the controller saw could not be kept: %s", error)

    def outcomes(self) -> list[Outcome]:
        """Return all judgements that are kept."""
        rows = self._database.execute("SELECT outcome FROM audit ORDER BY time_s")
        return [msgspec.json.decode(row[0], type=Outcome) for row in rows]

    def last_revision(self) -> int:
        """Return the newest plan's revision; 0 where there was none."""
        return int(self._database.execute("SELECT max(revision) FROM plans").fetchone()[0] or 0)


def _links(topology: Topology) -> str:
    return " ".join(" ".join(ends) for ends in topology.ends)
