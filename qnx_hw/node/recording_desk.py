"""Recordings of what one process hosts: begun, ended, and listed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.config import NetworkFile
from qnx_hw.errors import Conflict
from qnx_hw.node.api import RecordingCommands
from qnx_hw.node.node import Node
from qnx_hw.node.recorder import Description, Recorder, versions
from qnx_hw.node.recordings import finished, folder_name
from qnx_hw.node.state import Hub
from qnx_hw.node.worker import Worker


class RecordingDesk(RecordingCommands):
    """Records the taggers of a process' nodes, one recording at a time."""

    def __init__(
        self, network: NetworkFile, nodes: Mapping[str, Node], hub: Hub, tell: Teller
    ) -> None:
        """`nodes` fills up as they are opened."""
        self._network = network
        self._nodes = nodes
        self._hub = hub
        self._tell = tell
        self._recorder: Recorder | None = None

    def publish(self) -> None:
        """Show how a recording that runs gets on."""
        if self._recorder is not None:
            self._hub.set(self._recorder.view())

    async def end(self) -> None:
        """End the recording, where one runs."""
        if self._recorder is not None:
            await self.stop_recording()

    @property
    def folder(self) -> Path:
        """Where this network's recordings are kept."""
        return Path(self._network.network.data_dir) / "recordings"

    async def start_recording(self, name: str = "") -> RecordingView:
        """Record the tags of all links' taggers here; `Conflict` where a recording runs."""
        if self._recorder is not None:
            raise Conflict(f"recording '{self._recorder.view().name}' runs already; end it first")
        now_s = time.time()
        name = name or folder_name(self._network.network.name, now_s)
        about = Description(
            network_file=self._network.text,
            nodes=tuple(self._nodes),
            started_s=now_s,
            versions=versions(),
            is_simulated=self._hub.is_simulated,
        )
        self._recorder = Recorder(self.folder / name, about)
        for node in self._nodes.values():
            for instrument, feed in node.feeds.items():
                origin = partial(node.origin, instrument)
                feed.tap = self._recorder.tap(node.name, instrument, origin)
            node.on_played = partial(self._recorder.score, node.name)
        self._tell(Level.INFO, "recording", f"recording to {name}")
        return self._show(self._recorder.view())

    async def stop_recording(self) -> RecordingView:
        """End the recording and finish its files; `Conflict` where none runs."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            raise Conflict("no recording runs")
        for node in self._nodes.values():
            for feed in node.feeds.values():
                feed.tap = None
            node.on_played = None
        worker = Worker("end recording")
        view = await worker.call(recorder.close)
        worker.close()
        self._tell(Level.OK, "recording", f"{view.tags:,} tags recorded to {view.name}")
        return self._show(view)

    def recordings(self) -> tuple[RecordingView, ...]:
        """Return the finished recordings, newest first; reads the disk."""
        return finished(self.folder)

    def _show(self, view: RecordingView) -> RecordingView:
        self._hub.set(view)
        return view
