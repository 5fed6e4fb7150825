"""The state at one moment, and the stream of what changes after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response, StreamingResponse

from qnx_hw.api.schema import Snapshot
from qnx_hw.node.access.accounts import Accounts
from qnx_hw.node.api.operation import Call, Operation
from qnx_hw.node.state import KINDS, Hub

STREAM_INTERVAL_S = 0.04
"""What changes within it is sent together."""
KEEP_ALIVE_S = 1.0


class State:
    """Shows the hub."""

    def __init__(self, hub: Hub, accounts: Accounts) -> None:
        self._hub = hub
        self._accounts = accounts
        self._closing = False
        self._told: tuple[tuple[int, int], bytes] = ((0, 0), b"")

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/state", handler=self._state, answers=Snapshot,
                summary="Everything the node shows, at this moment.",
            ),
            Operation(
                method="GET", path="/stream", handler=self._stream, answers=None,
                media_type="text/event-stream",
                summary="Server-sent events: `snapshot`, then each change under the name of its "
                "kind, numbered. A client that comes back with `Last-Event-ID` gets what it "
                "missed, or a new snapshot where the node cannot know.",
            ),
        ]  # fmt: skip

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closing = True

    async def _state(self, call: Call) -> Snapshot:
        return self._hub.snapshot()

    async def _stream(self, call: Call) -> Response:
        return StreamingResponse(
            self._events(call),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(self, call: Call) -> AsyncIterator[bytes]:
        number, last_event_id = self._hub.number, call.last_event_id
        if last_event_id.isdecimal() and self._hub.remembers(int(last_event_id[:18])):
            number = int(last_event_id)
            yield b": welcome back\n\n"
        else:
            yield _event("snapshot", number, self._hub.snapshot())
        while not self._closing and self._accounts.is_still_good(call.caller):
            if not await self._hub.changed(number, timeout_s=KEEP_ALIVE_S):
                yield b"event: alive\ndata: {}\n\n"
                continue
            number, text = self._since(number)
            yield text
            await asyncio.sleep(STREAM_INTERVAL_S)

    def _since(self, number: int) -> tuple[int, bytes]:
        """Return what changed; clients that are equally far share one text."""
        reach = (number, self._hub.number)
        if reach != self._told[0]:
            changes = self._hub.since(number)
            parts = [_event(KINDS[type(view)], reach[1], view) for view in changes.views]
            parts += [_event("event", reach[1], event) for event in changes.events]
            self._told = (reach, b"".join(parts))
        return reach[1], self._told[1]


def _event(kind: str, number: int, value: msgspec.Struct) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (kind.encode(), number, msgspec.json.encode(value))
