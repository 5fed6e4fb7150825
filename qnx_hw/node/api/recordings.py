"""Recordings of time tags: begin, end, list. The tags themselves stay where they are.

Tags are the raw material of keys, so no operation gives them out.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import StartRecording
from qnx_hw.api.recordings import RecordingView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.worker import Worker


class RecordingCommands(Protocol):
    """What clients may ask about recordings; `Conflict` where it does not fit what runs."""

    @abstractmethod
    async def start_recording(self, name: str = "") -> RecordingView:
        """Record the tags of all links' taggers here."""

    @abstractmethod
    async def stop_recording(self) -> RecordingView:
        """End the recording and finish its files."""

    @abstractmethod
    def recordings(self) -> tuple[RecordingView, ...]:
        """Return the finished recordings, newest first; reads the disk."""


class Recordings:
    """Passes commands on to the recorder."""

    def __init__(self, commands: RecordingCommands | None) -> None:
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/recordings", handler=self._list,
                answers=tuple[RecordingView, ...], summary="Finished recordings, newest first.",
            ),
            Operation(
                method="POST", path="/recordings/start", handler=self._start,
                answers=RecordingView, takes=StartRecording, needs=Right.OPERATE,
                summary="Record the tags of all links' taggers at this node.",
            ),
            Operation(
                method="POST", path="/recordings/stop", handler=self._stop,
                answers=RecordingView, needs=Right.OPERATE, summary="End the recording.",
            ),
        ]  # fmt: skip

    async def _list(self, call: Call) -> tuple[RecordingView, ...]:
        worker = Worker("list recordings")
        try:
            return await worker.call(self._here().recordings)
        finally:
            worker.close()

    async def _start(self, call: Call) -> RecordingView:
        view = await self._here().start_recording(call.body.name)
        call.note("", view.name)
        return view

    async def _stop(self, call: Call) -> RecordingView:
        view = await self._here().stop_recording()
        call.note("", f"{view.name}: {view.tags} tags")
        return view

    def _here(self) -> RecordingCommands:
        if self._commands is None:
            raise Refused(404, "nothing is recorded here")
        return self._commands
