"""The past: series of quantities, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from starlette.responses import Response

from qnx_hw.api.commands import Command
from qnx_hw.api.schema import Quantity, Series
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.history import KINDS_KEPT, QUANTITIES, History
from qnx_hw.node.state import Hub

LONGEST_HISTORY_S = 31 * 86_400.0


class Span(Command, frozen=True, kw_only=True):
    """Which series, and how far back."""

    link: str
    """Name of the link, or of the thing of this `kind`."""
    name: str
    kind: str = "link"
    seconds: Annotated[float, msgspec.Meta(gt=0.0, le=LONGEST_HISTORY_S)] = 3600.0
    end_s: Annotated[float, msgspec.Meta(gt=0.0, le=1e11)] | None = None
    """Unix time of the newest point; now where not given."""


class Past:
    """Reads the history."""

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/history", handler=self._series, answers=Series, query=Span,
                summary="The past of one quantity of one thing, thinned to what a screen shows.",
            ),
            Operation(
                method="GET", path="/history.csv", handler=self._csv, answers=None, query=Span,
                media_type="text/csv", summary="The same as a table.",
            ),
            Operation(
                method="GET", path="/history/quantities", handler=self._quantities,
                answers=tuple[Quantity, ...], summary="Everything that has a history.",
            ),
        ]  # fmt: skip

    async def _series(self, call: Call) -> Series:
        span: Span = call.query
        known = QUANTITIES.get(span.kind)
        if known is None:
            raise Refused(400, f"kind is one of {', '.join(QUANTITIES)}", "kind")
        if all(view.name != span.link for view in self._hub.latest(KINDS_KEPT[span.kind])):
            raise Refused(404, f"there is no {span.kind} '{span.link}'", "link")
        if span.name not in known:
            raise Refused(400, f"no history of '{span.name}'; there is {', '.join(known)}", "name")
        end_s = time.time() if span.end_s is None else span.end_s
        return await self._history.read(
            span.link, span.name, kind=span.kind, since_s=end_s - span.seconds, until_s=span.end_s
        )

    async def _csv(self, call: Call) -> Response:
        series = await self._series(call)
        table = io.StringIO()
        rows = csv.writer(table)
        unit = f" ({series.unit})" if series.unit else ""
        rows.writerow(["time (UTC)", f"{series.name}{unit}", "low", "high"])
        lows, highs = series.low or series.values, series.high or series.values
        for at, value, low, high in zip(series.times_s, series.values, lows, highs, strict=True):
            stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            rows.writerow([stamp, value, low, high])
        return Response(
            table.getvalue(),
            media_type="text/csv",
            headers={
                "Content-Disposition": 'attachment; filename="history.csv"',
                "Cache-Control": "no-store",
            },
        )

    async def _quantities(self, call: Call) -> tuple[Quantity, ...]:
        return tuple(
            Quantity(kind=kind, name=name, unit=unit)
            for kind, known in QUANTITIES.items()
            for name, (unit, _) in known.items()
        )
