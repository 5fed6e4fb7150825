"""The recordings of a network: begin one, end it, list what there is, open one to run it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from qnx_hw.api.recordings import RecordingView
from qnx_hw.errors import UNREADABLE, RecordingError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.node.recorder import DESCRIPTION, Description
from qnx_hw.node.scores import SUFFIX, read_score
from qnx_hw.qkd.pulses import Score
from qnx_hw.timing.archive import Archive, Origin, read_archive


def folder_name(network: str, now_s: float) -> str:
    """Return the folder name of a recording begun now: local date and time, then the network."""
    return time.strftime("%Y-%m-%d_%H%M%S", time.localtime(now_s)) + f"_{network}"


def finished(folder: Path) -> tuple[RecordingView, ...]:
    """Return the recordings in a folder, newest first; what is no recording is passed over."""
    if not folder.is_dir():
        return ()
    found = []
    for path in sorted(folder.iterdir(), reverse=True):
        try:
            found.append(StoredRecording.open(path).view())
        except RecordingError:
            continue
    return tuple(found)


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording on the disk."""

    folder: Path
    description: Description

    @classmethod
    def open(cls, folder: Path) -> StoredRecording:
        """Read a recording's description; `RecordingError` where there is none."""
        path = folder / DESCRIPTION
        try:
            description = msgspec.json.decode(path.read_bytes(), type=Description)
        except OSError as error:
            raise RecordingError(f"{folder} is no recording: {error.strerror}") from error
        except UNREADABLE as error:
            raise RecordingError(f"{path} is damaged: {error}") from error
        return cls(folder, description)

    def parts(self, node: str, instrument: str) -> tuple[Path, ...]:
        """Return a tagger's files in order."""
        return tuple(sorted(self.folder.glob(f"{node}-{instrument}-[0-9]*.parquet")))

    def blocks(self, node: str, instrument: str) -> Iterator[TagBlock]:
        """Yield a tagger's blocks; reads one file at a time."""
        for part in self.parts(node, instrument):
            yield from read_part(part).blocks

    def origin(self, node: str, instrument: str) -> Origin:
        """Return where a tagger's blocks came from; `RecordingError` where there are none."""
        parts = self.parts(node, instrument)
        if not parts:
            raise RecordingError(f"{self.folder} holds nothing of {node} {instrument}")
        return read_part(parts[0]).origin

    def scores(self, node: str, transmitter: str) -> Iterator[Score]:
        """Yield what a transmitter played in each session that began meanwhile."""
        for path in sorted(self.folder.glob(f"{node}-{transmitter}-[0-9]*{SUFFIX}")):
            yield read_score(path)

    def view(self) -> RecordingView:
        """Return what is known of it."""
        about = self.description
        files = list(self.folder.glob("*.parquet"))
        ended_s = about.finished_s
        return RecordingView(
            name=self.folder.name,
            folder=str(self.folder.resolve()),
            is_running=False,
            started_s=about.started_s,
            duration_s=0.0 if ended_s is None else ended_s - about.started_s,
            instruments=about.instruments,
            tags=about.tags,
            size_bytes=sum(file.stat().st_size for file in files),
            gaps=about.gaps,
            is_simulated=about.is_simulated,
            message="" if ended_s is not None else "it broke off before its end",
        )


def read_part(path: Path) -> Archive:
    """Read one file of a recording; `RecordingError` names it."""
    try:
        return read_archive(path.read_bytes())
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from error
