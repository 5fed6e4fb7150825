"""What a step is; third parties add theirs by the entry point group `qnx_hw.steps`.

An entry point's name is the step's name in the network file, its value is called with the step's
`settings` and the clock's reading, and returns a `RecordStep` or a `ByteStep`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

Record = dict[str, Any]
"""One JSON object: its values are whatever users put there."""
Settings = Mapping[str, Any]
"""As the network file has them; each step checks its own."""


@runtime_checkable
class RecordStep(Protocol):
    """Works on records, in order; times are seconds of any steady clock."""

    @abstractmethod
    def take(self, records: Sequence[Record], now_s: float) -> list[Record]:
        """Return what goes on now."""

    @abstractmethod
    def flush(self, now_s: float, *, is_end: bool) -> list[Record]:
        """Return what is due without new input; everything where the stream ends."""


@runtime_checkable
class ByteStep(Protocol):
    """Works on whole batches; what `encode` makes, the other end's `decode` undoes, in order."""

    @abstractmethod
    def encode(self, octets: bytes) -> bytes:
        """Return what is sent."""

    @abstractmethod
    def decode(self, octets: bytes) -> bytes:
        """Return what was encoded; `ValueError` for anything else."""
