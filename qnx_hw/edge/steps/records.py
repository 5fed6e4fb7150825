"""Steps on records: filter, aggregate, deduplicate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from qnx_hw.edge.steps.interface import Record, RecordStep

MAX_GROUPS = 100_000


class FilterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`filter`: all conditions that are given must hold."""

    field: str = ""
    """The field that `minimum`, `maximum` and `change` look at."""
    minimum: float | None = None
    maximum: float | None = None
    change: float | None = None
    """Pass only what differs by at least this from the last one that passed, per `by`."""
    by: list[str] = []
    keep: list[str] = []
    """The fields that go on; all where empty."""
    most_per_s: float | None = None
    """Records per second that pass, per `by`."""


class Filter(RecordStep):
    """Drops records and fields."""

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self._last: OrderedDict[tuple[Any, ...], tuple[float, float]] = OrderedDict()

    def take(self, records: Sequence[Record], now_s: float) -> list[Record]:
        """Return the records that pass."""
        return [self._cut(record) for record in records if self._passes(record, now_s)]

    def flush(self, now_s: float, *, is_end: bool) -> list[Record]:
        """Nothing waits here."""
        return []

    def _passes(self, record: Record, now_s: float) -> bool:
        wanted = self._settings
        value = _number(record.get(wanted.field)) if wanted.field else math.nan
        if wanted.minimum is not None and not value >= wanted.minimum:
            return False
        if wanted.maximum is not None and not value <= wanted.maximum:
            return False
        if wanted.change is None and wanted.most_per_s is None:
            return True
        place = tuple(str(record.get(name)) for name in wanted.by)
        before_s, before = self._last.get(place, (-math.inf, math.nan))
        if wanted.most_per_s is not None and now_s - before_s < 1.0 / wanted.most_per_s:
            return False
        if wanted.change is not None and abs(value - before) < wanted.change:
            return False
        self._last[place] = now_s, value
        _limit(self._last)
        return True

    def _cut(self, record: Record) -> Record:
        keep = self._settings.keep
        return {name: record[name] for name in keep if name in record} if keep else record


class AggregateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`aggregate`: one record per window and group."""

    window_s: float
    fields: list[str]
    by: list[str] = []
    statistics: tuple[str, ...] = ("mean", "min", "max", "count")
    """Of `mean`, `min`, `max`, `count`, and percentiles such as `p95`."""
    digits: int = 6
    """Significant digits of what is computed."""


class Aggregate(RecordStep):
    """Replaces the records of a window by what they have in common."""

    def __init__(self, settings: AggregateSettings) -> None:
        self._settings = settings
        self._started_s: float | None = None
        self._groups: dict[tuple[Any, ...], dict[str, list[float]]] = {}
        self._counts: dict[tuple[Any, ...], int] = {}
        for statistic in settings.statistics:
            _statistic(np.zeros(1), statistic)  # refuses an unknown name at the start

    def take(self, records: Sequence[Record], now_s: float) -> list[Record]:
        """Add to the window; return the one before where its time is over."""
        done = self.flush(now_s, is_end=False)
        if records and self._started_s is None:
            self._started_s = now_s
        for record in records:
            place = tuple(record.get(name) for name in self._settings.by)
            if not all(isinstance(part, str | int | float | bool | None) for part in place):
                place = tuple(str(part) for part in place)
            values = self._groups.setdefault(place, {name: [] for name in self._settings.fields})
            self._counts[place] = self._counts.get(place, 0) + 1
            for name, into in values.items():
                if not math.isnan(value := _number(record.get(name))):
                    into.append(value)
        if len(self._groups) > MAX_GROUPS:
            done += self.flush(now_s, is_end=True)
        return done

    def flush(self, now_s: float, *, is_end: bool) -> list[Record]:
        """Return the window where it is over."""
        started_s = self._started_s
        if started_s is None or not (is_end or now_s - started_s >= self._settings.window_s):
            return []
        done = [self._sum(place, values) for place, values in self._groups.items()]
        self._started_s = None
        self._groups, self._counts = {}, {}
        return done

    def _sum(self, place: tuple[Any, ...], values: dict[str, list[float]]) -> Record:
        record: Record = dict(zip(self._settings.by, place, strict=True))
        for name, numbers in values.items():
            for statistic in self._settings.statistics:
                if statistic != "count" and numbers:
                    value = _statistic(np.array(numbers), statistic)
                    record[f"{name}_{statistic}"] = float(f"{value:.{self._settings.digits}g}")
        if "count" in self._settings.statistics:
            record["count"] = self._counts[place]
        return record


class DeduplicateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`deduplicate`: records that were seen before go no further."""

    by: list[str] = []
    """The fields that make two records the same; all where empty."""
    within_s: float = 60.0
    most: int = 10_000
    """How many are remembered; the oldest are forgotten first."""


class Deduplicate(RecordStep):
    """Drops repetitions."""

    def __init__(self, settings: DeduplicateSettings) -> None:
        self._settings = settings
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def take(self, records: Sequence[Record], now_s: float) -> list[Record]:
        """Return the records that are new."""
        return [record for record in records if self._is_new(record, now_s)]

    def flush(self, now_s: float, *, is_end: bool) -> list[Record]:
        """Nothing waits here."""
        return []

    def _is_new(self, record: Record, now_s: float) -> bool:
        by = self._settings.by
        compared = {name: record.get(name) for name in by} if by else record
        key = msgspec.json.encode(compared, order="sorted")
        seen_s = self._seen.pop(key, -math.inf)
        is_new = now_s - seen_s > self._settings.within_s
        self._seen[key] = now_s if is_new else seen_s
        if len(self._seen) > self._settings.most:
            self._seen.popitem(last=False)
        return is_new


def _number(value: object) -> float:
    """Return a finite number, or NaN for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return math.nan


def _statistic(numbers: np.ndarray[Any, np.dtype[np.float64]], name: str) -> float:
    if name in ("mean", "min", "max"):
        return float(getattr(np, name)(numbers))
    if name == "count":
        return float(numbers.size)
    if name.startswith("p") and name[1:].isdigit() and int(name[1:]) <= 100:
        return float(np.percentile(numbers, int(name[1:])))
    raise ValueError(f"there is no statistic '{name}'; there is mean, min, max, count and pNN")


def _limit(places: OrderedDict[tuple[Any, ...], tuple[float, float]]) -> None:
    while len(places) > MAX_GROUPS:
        places.popitem(last=False)
