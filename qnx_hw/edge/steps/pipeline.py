"""Steps in their order: JSON lines in, batches out, and back at the other end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import msgspec

from qnx_hw.config import StepSection
from qnx_hw.edge.steps.interface import ByteStep, Record, RecordStep
from qnx_hw.edge.steps.octets import (
    MAX_BATCH_BYTES,
    Cache,
    CacheSettings,
    Compress,
    CompressSettings,
)
from qnx_hw.edge.steps.records import (
    Aggregate,
    AggregateSettings,
    Deduplicate,
    DeduplicateSettings,
    Filter,
    FilterSettings,
)
from qnx_hw.errors import UNREADABLE, ConfigError

GROUP = "qnx_hw.steps"
BUILT_IN = {
    "filter": (FilterSettings, Filter),
    "aggregate": (AggregateSettings, Aggregate),
    "deduplicate": (DeduplicateSettings, Deduplicate),
    "compress": (CompressSettings, Compress),
    "cache": (CacheSettings, Cache),
}
BATCH = "batch"
MAX_LINE_BYTES = 1 << 20


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`batch`: how many records travel together, and how long the first waits for the others."""

    records: int = 1
    age_s: float = 1.0


class Pipeline:
    """The steps of one stream at its source; counts what they save and how long records wait."""

    def __init__(self, steps: Sequence[StepSection]) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.records_in = 0
        self.refused_lines = 0
        """Lines that are no JSON objects."""
        self.waited_s = 0.0
        """Sum over batches of the time since the first record in them came."""
        self.batches = 0
        self._steps, self._byte_steps, self._batch = _split(steps)
        self._waiting: list[Record] = []
        self._since_s: float | None = None
        self._first_s: float | None = None

    def feed(self, lines: Sequence[bytes], now_s: float) -> list[bytes]:
        """Take JSON lines; return the batches that are complete."""
        records = []
        for line in lines:
            self.bytes_in += len(line) + 1
            try:
                records.append(msgspec.json.decode(line, type=dict[str, Any]))
            except UNREADABLE:
                self.refused_lines += 1
        self.records_in += len(records)
        if records and self._first_s is None:
            self._first_s = now_s
        return self._run(records, now_s, is_flush=False, is_end=False)

    def tick(self, now_s: float, *, is_end: bool = False) -> list[bytes]:
        """Return the batches that are due without new input; all where the stream ends."""
        return self._run([], now_s, is_flush=True, is_end=is_end)

    def _run(
        self, records: list[Record], now_s: float, *, is_flush: bool, is_end: bool
    ) -> list[bytes]:
        for step in self._steps:
            records = step.take(records, now_s)
            if is_flush:
                records += step.flush(now_s, is_end=is_end)
        if records and self._since_s is None:
            self._since_s = now_s
        self._waiting += records
        batches = []
        while len(self._waiting) >= self._batch.records:
            batches.append(self._pack(self._waiting[: self._batch.records], now_s))
            del self._waiting[: self._batch.records]
        is_due = self._since_s is not None and now_s - self._since_s >= self._batch.age_s
        if self._waiting and (is_end or is_due):
            batches.append(self._pack(self._waiting, now_s))
            self._waiting = []
        if not self._waiting:
            self._since_s = None
        return batches

    def _pack(self, records: Sequence[Record], now_s: float) -> bytes:
        octets = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        for step in self._byte_steps:
            octets = step.encode(octets)
        self.bytes_out += len(octets)
        self.batches += 1
        if self._first_s is not None:
            self.waited_s += now_s - self._first_s
        self._first_s = None
        return octets


class Unpacking:
    """The other end: batches in, JSON lines out."""

    def __init__(self, steps: Sequence[StepSection]) -> None:
        _, self._byte_steps, _ = _split(steps)

    def unpack(self, octets: bytes) -> bytes:
        """Return the lines of a batch; `ValueError` where it is none."""
        for step in reversed(self._byte_steps):
            octets = step.decode(octets)
        if len(octets) > MAX_BATCH_BYTES:
            raise ValueError(f"a batch of {len(octets)} bytes")
        return octets


def make_step(section: StepSection) -> RecordStep | ByteStep:
    """Return a step; `ConfigError` names what is wrong with its settings."""
    try:
        if section.step in BUILT_IN:
            settings, step = BUILT_IN[section.step]
            made = step(msgspec.convert(section.settings, settings))
            assert isinstance(made, RecordStep | ByteStep)
            return made
        found = {point.name: point for point in entry_points(group=GROUP)}
        if section.step in found:
            return _foreign(found[section.step].load(), section.settings)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise ConfigError(f"step '{section.step}': {error}") from error
    known = ", ".join([*BUILT_IN, BATCH, *found])
    raise ConfigError(f"there is no step '{section.step}'; there is {known}")


def _foreign(make: Any, settings: Mapping[str, Any]) -> RecordStep | ByteStep:  # a stranger's code
    step = make(settings)
    if not isinstance(step, RecordStep | ByteStep):
        raise TypeError("it is neither a RecordStep nor a ByteStep")
    return step


def _split(
    steps: Sequence[StepSection],
) -> tuple[list[RecordStep], list[ByteStep], BatchSettings]:
    """Return record steps, byte steps and the batch; records come before batches."""
    first: list[RecordStep] = []
    last: list[ByteStep] = []
    batch = BatchSettings()
    for section in steps:
        if section.step == BATCH:
            try:
                batch = msgspec.convert(section.settings, BatchSettings)
            except msgspec.ValidationError as error:
                raise ConfigError(f"step '{BATCH}': {error}") from error
            continue
        step = make_step(section)
        if isinstance(step, ByteStep):
            last.append(step)
        elif last:
            raise ConfigError(f"step '{section.step}' works on records: put it before the others")
        else:
            first.append(step)
    return first, last, batch
