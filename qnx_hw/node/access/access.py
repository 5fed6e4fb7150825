"""The gate and the audit over one file."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from qnx_hw.node.access.accounts import Accounts
from qnx_hw.node.access.audit import Audit
from qnx_hw.node.access.database import open_database
from qnx_hw.node.access.gate import Gate, Limits
from qnx_hw.node.access.passwords import COST


@dataclass(frozen=True, slots=True)
class Access:
    """What decides about callers, and what they did; leaving the context closes the file."""

    database: sqlite3.Connection
    gate: Gate
    audit: Audit

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        is_loopback: bool,
        limits: Limits | None = None,
        cost: int = COST,
    ) -> Access:
        """Open the file at `path`, or `:memory:`; `cost` is that of new passwords' hashes."""
        database = open_database(path)
        gate = Gate(Accounts(database, cost=cost), is_loopback=is_loopback, limits=limits)
        return cls(database, gate, Audit(database))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.database.close()
