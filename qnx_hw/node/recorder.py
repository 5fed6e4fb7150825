"""Recording what the taggers of a process give, for looking at it and for running it again.

A recording is a folder: `recording.json` tells where it came from, and each tagger has numbered
files, each finished and renamed before the next is begun, so that a crash costs the newest one at
most. It holds the raw key of the blocks made meanwhile: files are private to the user.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

import qnx_hw
from qnx_hw.api.recordings import RecordingView
from qnx_hw.errors import RecordingError
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.instruments.values import PulseScore
from qnx_hw.node.scores import SUFFIX, write_score
from qnx_hw.node.tags import Tap
from qnx_hw.timing.archive import ArchiveWriter, Origin

DESCRIPTION = "recording.json"
PART_TAGS = 20_000_000
"""Tags of one file, 60 MB."""
PART_PS = 60 * 1_000_000_000_000
"""Time of one file."""
WAITING_BLOCKS = 256
"""Blocks that may wait for the disk, some 25 s of them; then a gap is marked instead."""
CLOSE_DEADLINE_S = 10.0


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """`recording.json`"""

    network_file: str
    """Text of the network file that was running."""
    nodes: tuple[str, ...]
    started_s: float
    versions: Mapping[str, str]
    is_simulated: bool
    finished_s: float | None = None
    tags: int = 0
    gaps: int = 0
    instruments: tuple[str, ...] = ()


class Recorder:
    """Writes blocks in a thread of its own; taps and `close` belong to the event loop's thread."""

    def __init__(self, folder: Path, description: Description, *, part_ps: int = PART_PS) -> None:
        self._folder = folder
        self._part_ps = part_ps
        self._description = description
        try:
            folder.mkdir(parents=True, mode=0o700)
            self._describe()
        except OSError as error:
            raise RecordingError(f"cannot record into {folder}: {error.strerror}") from error
        self._tracks: dict[str, _Track] = {}
        self._scores: dict[str, int] = {}
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_BLOCKS)
        self._failure = ""
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def tap(self, node: str, instrument: str, origin: Callable[[], Origin]) -> Tap:
        """Return what a tagger's feed shall show its blocks to.

        `origin` is asked at the first block, when the instrument has said who it is.
        """
        track = _Track(self._folder, node, instrument, self._part_ps)
        self._tracks[track.name] = track
        return _Tap(track, origin, self._offer)

    def score(self, node: str, transmitter: str, played: PulseScore) -> None:
        """Keep what a transmitter plays for a session that begins now."""
        name = f"{node}-{transmitter}"
        number = self._scores[name] = self._scores.get(name, 0) + 1
        path = self._folder / f"{name}-{number:05d}{SUFFIX}"
        if not self._offer(partial(write_score, path, played)):
            self._failure = self._failure or f"the disk did not keep up: {path.name} is missing"

    def view(self) -> RecordingView:
        """Return how the recording goes."""
        tracks = self._tracks.values()
        return RecordingView(
            name=self._folder.name,
            folder=str(self._folder.resolve()),
            is_running=self._thread.is_alive(),
            started_s=self._description.started_s,
            duration_s=time.time() - self._description.started_s,
            instruments=tuple(self._tracks),
            tags=sum(track.tags for track in tracks),
            size_bytes=sum(track.size_bytes for track in tracks),
            gaps=sum(track.gaps for track in tracks),
            is_simulated=self._description.is_simulated,
            message=self._failure,
        )

    def close(self) -> RecordingView:
        """Finish the files; blocks until they are on the disk."""
        try:
            self._waiting.put(None, timeout=CLOSE_DEADLINE_S)
        except queue.Full:
            self._failure = self._failure or "the disk did not keep up"
        self._thread.join(CLOSE_DEADLINE_S)
        return msgspec.structs.replace(self.view(), is_running=False)

    def _offer(self, write: Callable[[], None]) -> bool:
        try:
            self._waiting.put_nowait(write)
        except queue.Full:
            return False
        return not self._failure

    def _write(self) -> None:
        try:
            while (write := self._waiting.get()) is not None:
                write()
            for track in self._tracks.values():
                track.finish()
            self._describe(time.time())
        except OSError as error:
            self._failure = f"the recording broke off: {error.strerror}"

    def _describe(self, finished_s: float | None = None) -> None:
        tracks = self._tracks.values() if finished_s is not None else ()
        full = msgspec.structs.replace(
            self._description,
            finished_s=finished_s,
            tags=sum(track.tags for track in tracks),
            gaps=sum(track.gaps for track in tracks),
            instruments=tuple(track.name for track in tracks),
        )
        text = msgspec.json.format(msgspec.json.encode(full)) + b"\n"
        partial = self._folder / f"{DESCRIPTION}.partial"
        with _private(partial) as sink:
            sink.write(text)
        partial.replace(self._folder / DESCRIPTION)


@dataclass(slots=True, eq=False)
class _Track:
    """One tagger's files; belongs to the recorder's thread once it has blocks."""

    folder: Path
    node: str
    instrument: str
    part_ps: int
    origin: Origin | None = None
    tags: int = 0
    gaps: int = 0
    size_bytes: int = 0
    _part: int = 0
    _sink: BinaryIO | None = None
    _writer: ArchiveWriter | None = None
    _since_ps: int = 0
    _end_ps: int | None = None

    @property
    def name(self) -> str:
        return f"{self.node} {self.instrument}"

    def write(self, block: TagBlock) -> None:
        writer = self._writer or self._begin(block.start_ps)
        writer.write(block)
        torn = self._end_ps is not None and self._end_ps != block.start_ps
        self.tags += len(block)
        self.gaps += torn or not block.is_complete
        self._end_ps = block.end_ps
        if writer.tags >= PART_TAGS or block.end_ps - self._since_ps >= self.part_ps:
            self.finish()

    def finish(self) -> None:
        """Close the file that is open, and give it its name."""
        if self._writer is None or self._sink is None:
            return
        self._writer.close()
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self.size_bytes += self._sink.tell()
        self._sink.close()
        self._path(".partial").replace(self._path(".parquet"))
        self._writer = self._sink = None

    def _begin(self, start_ps: int) -> ArchiveWriter:
        self._part += 1
        self._since_ps = start_ps
        assert self.origin is not None
        self._sink = _private(self._path(".partial"))
        origin = msgspec.structs.replace(self.origin, part=self._part)
        self._writer = ArchiveWriter(self._sink, origin)
        return self._writer

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self.node}-{self.instrument}-{self._part:05d}{suffix}"


class _Tap(Tap):
    """Offers blocks to the recorder; what it could not take is a gap in front of the next."""

    def __init__(
        self,
        track: _Track,
        origin: Callable[[], Origin],
        offer: Callable[[Callable[[], None]], bool],
    ) -> None:
        self._track = track
        self._origin = origin
        self._offer = offer
        self._missed_from_ps: int | None = None
        self._end_ps = 0

    def deliver(self, block: TagBlock) -> None:
        if self._track.origin is None:
            now_s = time.time()
            self._track.origin = msgspec.structs.replace(self._origin(), started_s=now_s)
        if self._missed_from_ps is not None:
            gap = _gap(self._missed_from_ps, block.start_ps)
            if not self._offer(partial(self._track.write, gap)):
                return
            self._missed_from_ps = None
        if not self._offer(partial(self._track.write, block)):
            self._missed_from_ps = block.start_ps
        self._end_ps = block.end_ps

    def interrupt(self, reason: str) -> None:
        if self._missed_from_ps is None:
            self._missed_from_ps = self._end_ps


def _gap(start_ps: int, end_ps: int) -> TagBlock:
    nothing = np.empty(0, np.int64), np.empty(0, np.uint8)
    return TagBlock(*nothing, min(start_ps, end_ps), end_ps, UNKNOWN_LOSS)


def _private(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def versions() -> dict[str, str]:
    """Return what made a recording: our version and those below it."""
    below = {name: version(name) for name in ("numpy", "numba", "pyarrow")}
    return {"qnx": qnx_hw.__version__, "python": platform.python_version(), **below}
