"""The HTTP API of a node process: state, events, history, commands; and the dashboard's pages."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from qnx_hw.api.schema import LinkView
from qnx_hw.errors import QnxError
from qnx_hw.node.guard import Guard, JsonResponse, problem
from qnx_hw.node.history import QUANTITIES, History
from qnx_hw.node.state import KINDS, Hub

STREAM_INTERVAL_S = 0.2
KEEP_ALIVE_S = 1.0
MAX_BODY_BYTES = 64 << 10
LONGEST_HISTORY_S = 7 * 86_400.0


class LinkCommands(Protocol):
    """What clients may ask of the node's links."""

    @abstractmethod
    async def start_link(self, name: str) -> LinkView:
        """Let a link make keys; `KeyError` where no such link is here."""

    @abstractmethod
    async def stop_link(self, name: str) -> LinkView:
        """Let a link rest; `KeyError` where no such link is here."""


class Api:
    """The handlers; they read the hub and the history and pass commands on."""

    def __init__(self, hub: Hub, history: History, commands: LinkCommands) -> None:
        self._hub = hub
        self._history = history
        self._commands = commands
        self._closing = False

    def application(self, pages: Sequence[BaseRoute], hosts: Sequence[str]) -> Starlette:
        """Return the ASGI application for an address whose `Host` values are `hosts`."""
        routes: list[BaseRoute] = [
            Route("/api/v1/state", self._state),
            Route("/api/v1/stream", self._stream),
            Route("/api/v1/history", self._series),
            Route("/api/v1/links/{name}/start", self._start, methods=["POST"]),
            Route("/api/v1/links/{name}/stop", self._stop, methods=["POST"]),
            Route("/api/v1/events/{number:int}/acknowledge", self._acknowledge, methods=["POST"]),
            *pages,
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, hosts=hosts)],
            exception_handlers={HTTPException: _refused, QnxError: _failed},
        )

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closing = True

    async def _state(self, request: Request) -> Response:
        return JsonResponse(self._hub.snapshot())

    async def _stream(self, request: Request) -> Response:
        return StreamingResponse(
            self._events(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(self) -> AsyncIterator[bytes]:
        number = self._hub.number
        yield _event("snapshot", number, self._hub.snapshot())
        while not self._closing:
            if not await self._hub.changed(number, timeout_s=KEEP_ALIVE_S):
                yield b": alive\n\n"
                continue
            changes = self._hub.since(number)
            number = changes.number
            parts = [_event(KINDS[type(view)], number, view) for view in changes.views]
            parts += [_event("event", number, event) for event in changes.events]
            yield b"".join(parts)
            # The rate limit of the stream: what changes meanwhile is sent together afterwards.
            await asyncio.sleep(STREAM_INTERVAL_S)

    async def _series(self, request: Request) -> Response:
        link = request.query_params.get("link", "")
        name = request.query_params.get("name", "")
        if self._hub.link(link) is None:
            return problem(404, f"there is no link '{link}'", "link")
        if name not in QUANTITIES:
            return problem(400, f"no history of '{name}'; there is {', '.join(QUANTITIES)}", "name")
        try:
            seconds = float(request.query_params.get("seconds", "3600"))
        except ValueError:
            seconds = 0.0
        if not 0.0 < seconds <= LONGEST_HISTORY_S:
            return problem(400, "seconds is a number above 0 and up to 604800", "seconds")
        return JsonResponse(self._history.series(link, name, since_s=time.time() - seconds))

    async def _start(self, request: Request) -> Response:
        return await self._command(request, start=True)

    async def _stop(self, request: Request) -> Response:
        return await self._command(request, start=False)

    async def _command(self, request: Request, *, start: bool) -> Response:
        if (refusal := await _refuse_body(request)) is not None:
            return refusal
        name = request.path_params["name"]
        command = self._commands.start_link if start else self._commands.stop_link
        try:
            return JsonResponse(await command(name))
        except KeyError:
            return problem(404, f"there is no link '{name}' at this node")

    async def _acknowledge(self, request: Request) -> Response:
        if (refusal := await _refuse_body(request)) is not None:
            return refusal
        number = request.path_params["number"]
        event = self._hub.acknowledge(number)
        if event is None:
            return problem(404, f"there is no event {number}")
        return JsonResponse(event)


async def _refuse_body(request: Request) -> Response | None:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                return problem(413, f"a command has at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        return problem(400, "the request ended early")
    try:
        msgspec.json.decode(bytes(body), type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return problem(400, "a command's body is a JSON object, {} where it has no arguments")
    return None


def _event(kind: str, number: int, value: msgspec.Struct) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (kind.encode(), number, msgspec.json.encode(value))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    response.headers.update(error.headers or {})
    return response


async def _failed(request: Request, error: Exception) -> Response:
    return problem(409, str(error))
