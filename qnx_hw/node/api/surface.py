"""From operations to routes: reads, checks, answers, and writes the audit."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from qnx_hw.api.commands import Command, Nothing
from qnx_hw.errors import UNREADABLE, ConfigError, QnxError
from qnx_hw.node.access.caller import Caller
from qnx_hw.node.api.operation import PREFIX, Call, Operation, Refused
from qnx_hw.node.guard import JsonResponse, problem

MAX_BODY_BYTES = 64 << 10
LONGEST_NAME = 200

_Taken = TypeVar("_Taken", bound=Command)


class Journal(Protocol):
    """Where changes are written down."""

    @abstractmethod
    def write(self, caller: Caller, what: str, call: Call | None, status: int, error: str) -> None:
        """Write down that somebody changed something, or tried to."""


def routes(operations: Iterable[Operation], journal: Journal) -> list[BaseRoute]:
    """Return the routes of operations; of two on one path, each method finds its own."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return [
        Route(PREFIX + path, _endpoint(each, journal), methods=[one.method for one in each])
        for path, each in by_path.items()
    ]


def _endpoint(
    operations: list[Operation], journal: Journal
) -> Callable[[Request], Awaitable[Response]]:
    by_method = {operation.method: operation for operation in operations}

    async def endpoint(request: Request) -> Response:
        operation = by_method["POST" if request.method == "POST" else "GET"]
        if operation.method == "GET":
            _, answer, _ = await _answer(operation, request)
            return answer
        call, answer, error = await _answer(operation, request)
        what = f"{request.method} {request.url.path}"
        journal.write(request.state.caller, what, call, answer.status_code, error)
        return answer

    return endpoint


async def _answer(operation: Operation, request: Request) -> tuple[Call | None, Response, str]:
    """Return the call as far as it came, the answer, and why it was refused."""
    call = None
    try:
        call = await _call(operation, request)
        result = await operation.handler(call)
        return call, result if isinstance(result, Response) else JsonResponse(result), ""
    except Refused as error:
        return call, problem(error.status, str(error), error.field), str(error)
    except ConfigError as error:
        return call, problem(400, str(error), error.place), str(error)
    except QnxError as error:
        return call, problem(409, str(error)), str(error)


async def _call(operation: Operation, request: Request) -> Call:
    caller: Caller = request.state.caller
    if not operation.is_public and (why := caller.why_not(operation.needs, operation.subject)):
        raise Refused(403, why)
    body: Command = Nothing()
    if operation.method == "POST":
        body = decode(await _body(request), operation.takes)
    if any(len(str(each)) > LONGEST_NAME for each in request.path_params.values()):
        raise Refused(404, f"a name has at most {LONGEST_NAME} characters")
    return Call(
        caller,
        {name: str(value) for name, value in request.path_params.items()},
        _query(request, operation.query),
        body,
        request.headers.get("last-event-id", ""),
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise Refused(413, f"a command has at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        raise Refused(400, "the request ended early") from None
    return bytes(body)


def decode(body: bytes, type_: type[_Taken]) -> _Taken:
    """Return what a body says, or `Refused` with the field that is wrong."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise Refused(400, *_wrong(error)) from error
    except UNREADABLE:
        words = "a command's body is a JSON object, {} where it has no arguments"
        raise Refused(400, words) from None


def _query(request: Request, type_: type[Command]) -> Command:
    given: dict[str, Any] = dict(request.query_params)
    try:
        return msgspec.convert(given, type_, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, *_wrong(error)) from error


def _wrong(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the sentence and the field of a value that does not fit."""
    words = str(error)
    place = re.search(r" - at `\$\.?([^`]*)`", words)
    name = re.search(r"field `([^`]*)`", words)
    field = place[1] if place and place[1] else name[1] if name else ""
    sentence = words.split(" - at ", maxsplit=1)[0]
    return (f"{field}: {sentence}" if field and field not in sentence else sentence), field
