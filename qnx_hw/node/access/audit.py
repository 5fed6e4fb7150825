"""The audit: every change, and every one that was refused."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from qnx_hw.api.access import AuditPage, AuditRow

MOST_ROWS = 100_000
PAGE_ROWS = 100


class Audit:
    """Rows are added and never changed; beyond `MOST_ROWS` the oldest leave."""

    def __init__(self, database: sqlite3.Connection, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def add(self, row: AuditRow) -> None:
        """Add a row; its number and time are given here."""
        cursor = self._database.execute(
            "INSERT INTO audit (time_s, who, address, what, was, became, status, error) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._now(), row.who, row.address, row.what[:500], row.before, row.after,
                row.status, row.error[:1000],
            ),
        )  # fmt: skip
        number = int(cursor.lastrowid or 0)
        if number % 1000 == 0:
            self._database.execute("DELETE FROM audit WHERE number <= ?", (number - MOST_ROWS,))

    def page(self, before: int | None = None, words: str = "") -> AuditPage:
        """Return the newest rows with `words` in them, or those before a number."""
        like = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._database.execute(
            "SELECT number, time_s, who, address, what, was, became, status, error FROM audit "
            "WHERE number < ? AND who || ' ' || what || ' ' || became || error LIKE ? ESCAPE '\\' "
            "ORDER BY number DESC LIMIT ?",
            (before if before is not None else 1 << 62, like, PAGE_ROWS + 1),
        ).fetchall()
        shown = tuple(
            AuditRow(
                number=row[0], time_s=row[1], who=row[2], address=row[3], what=row[4],
                before=row[5], after=row[6], status=row[7], error=row[8],
            )
            for row in rows[:PAGE_ROWS]
        )  # fmt: skip
        return AuditPage(rows=shown, more=len(rows) > PAGE_ROWS)
