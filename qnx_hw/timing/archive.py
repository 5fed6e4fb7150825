"""Our own recordings of time tags: Parquet with the blocks, their losses and where they came from.

Times are delta-packed (about 3 bytes a tag). Which blocks there were, and what is missing from
them, stands in the file's metadata, so that what is read back is what the tagger gave: bit by bit
and gap by gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qnx_hw.errors import UNREADABLE, RecordingError
from qnx_hw.instruments.tags import TagBlock

MAGIC = b"PAR1"
VERSION = 1
_ORIGIN_KEY = b"qnx.origin"
_BLOCKS_KEY = b"qnx.blocks"
_SCHEMA = pa.schema([("time_ps", pa.int64()), ("channel", pa.uint8())])
_TAGS_PER_GROUP = 1 << 20
"""Tags that are written together: 3 MB on the disk."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tags of a file came from."""

    node: str
    instrument: str
    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    resolution_ps: int | None = None
    """Of the tagger; None where it is not known. Times are in picoseconds all the same."""
    is_simulated: bool = False
    started_s: float = 0.0
    """Unix time at which the recording was begun."""
    part: int = 1
    """Counts the files of one recording."""
    version: int = VERSION


class _BlockRow(msgspec.Struct, frozen=True, array_like=True):
    start_ps: int
    end_ps: int
    tags: int
    lost: int
    overflow: bool


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """A file's tags, in its blocks."""

    origin: Origin
    blocks: tuple[TagBlock, ...]

    @property
    def gaps(self) -> int:
        """Blocks with losses, and places where two blocks do not join."""
        pairs = zip(self.blocks, self.blocks[1:], strict=False)
        torn = sum(before.end_ps != after.start_ps for before, after in pairs)
        return torn + sum(not block.is_complete for block in self.blocks)


class ArchiveWriter:
    """Writes blocks to an open binary file; what was not closed cannot be read back."""

    def __init__(self, sink: BinaryIO, origin: Origin) -> None:
        self._writer = pq.ParquetWriter(
            sink,
            _SCHEMA,
            compression="none",
            use_dictionary=["channel"],
            column_encoding={"time_ps": "DELTA_BINARY_PACKED"},
        )
        self._origin = origin
        self._rows: list[_BlockRow] = []
        self._waiting: list[TagBlock] = []
        self._waiting_tags = 0
        self.tags = 0

    def write(self, block: TagBlock) -> None:
        """Add a block."""
        self._rows.append(
            _BlockRow(block.start_ps, block.end_ps, len(block), block.lost, block.overflow)
        )
        self._waiting.append(block)
        self._waiting_tags += len(block)
        self.tags += len(block)
        if self._waiting_tags >= _TAGS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what waits, and the list of blocks."""
        self._flush()
        self._writer.add_key_value_metadata(
            {
                _ORIGIN_KEY: msgspec.json.encode(self._origin),
                _BLOCKS_KEY: msgspec.json.encode(self._rows),
            }
        )
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting_tags:
            times_ps = np.concatenate([block.times_ps for block in self._waiting])
            channels = np.concatenate([block.channels for block in self._waiting])
            self._writer.write_table(
                pa.table({"time_ps": times_ps, "channel": channels}, schema=_SCHEMA)
            )
        self._waiting.clear()
        self._waiting_tags = 0


def read_archive(content: bytes) -> Archive:
    """Read a whole archive back; `RecordingError` where it is none of ours, or damaged."""
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordingError(
            f"the Parquet file is damaged or was never finished: {error}"
        ) from error
    known = table.schema.metadata or {}
    if _ORIGIN_KEY not in known or _BLOCKS_KEY not in known or not _fits(table):
        raise RecordingError("the Parquet file is no recording of qnx: it lists no tag blocks")
    try:
        origin = msgspec.json.decode(known[_ORIGIN_KEY], type=Origin)
        rows = msgspec.json.decode(known[_BLOCKS_KEY], type=list[_BlockRow])
    except UNREADABLE as error:
        raise RecordingError(f"the recording's list of blocks is damaged: {error}") from error
    if origin.version > VERSION:
        raise RecordingError(
            f"the recording has layout {origin.version}; this qnx reads up to {VERSION}"
        )
    times_ps = table.column("time_ps").to_numpy()
    channels = table.column("channel").to_numpy()
    return Archive(origin, tuple(_blocks(rows, times_ps, channels)))


def _fits(table: pa.Table) -> bool:
    return bool(table.schema.names == _SCHEMA.names and table.schema.types == _SCHEMA.types)


def _blocks(
    rows: list[_BlockRow],
    times_ps: np.ndarray[tuple[int], np.dtype[np.int64]],
    channels: np.ndarray[tuple[int], np.dtype[np.uint8]],
) -> Iterator[TagBlock]:
    if sum(row.tags for row in rows) != times_ps.size or any(row.tags < 0 for row in rows):
        raise RecordingError("the recording's list of blocks does not fit its tags")
    first = 0
    for row in rows:
        part = slice(first, first + row.tags)
        first += row.tags
        try:
            yield TagBlock(
                times_ps[part], channels[part], row.start_ps, row.end_ps, row.lost, row.overflow
            )
        except ValueError as error:
            raise RecordingError(f"the recording's list of blocks is damaged: {error}") from error
