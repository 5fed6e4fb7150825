"""The HTTP API of a node process, and the dashboard's pages beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from qnx_hw.api.access import AuditRow
from qnx_hw.node.access import Access
from qnx_hw.node.access.audit import Audit
from qnx_hw.node.access.caller import Caller
from qnx_hw.node.api.accounts import People
from qnx_hw.node.api.discovery import Discoveries, DiscoveryCommands
from qnx_hw.node.api.document import openapi, reference
from qnx_hw.node.api.events import Events
from qnx_hw.node.api.history import Past
from qnx_hw.node.api.instruments import InstrumentCommands, Instruments
from qnx_hw.node.api.keylength import KeyLengths
from qnx_hw.node.api.links import LinkCommands, Links
from qnx_hw.node.api.loops import LoopCommands, Loops
from qnx_hw.node.api.operation import Call, Operation
from qnx_hw.node.api.recordings import RecordingCommands, Recordings
from qnx_hw.node.api.routing import Routing, RoutingCommands
from qnx_hw.node.api.settings import NetworkFileSettings
from qnx_hw.node.api.state import State
from qnx_hw.node.api.surface import Journal, routes
from qnx_hw.node.guard import Guard, JsonResponse, problem
from qnx_hw.node.history import History
from qnx_hw.node.metrics import metrics_route
from qnx_hw.node.network_file import Keeper
from qnx_hw.node.state import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Who carries out what clients ask; None where this process has no such part."""

    links: LinkCommands | None = None
    instruments: InstrumentCommands | None = None
    loops: LoopCommands | None = None
    routing: RoutingCommands | None = None
    recordings: RecordingCommands | None = None
    discovery: DiscoveryCommands | None = None
    network_file: Keeper | None = None


class Api:
    """All operations, over one hub and one history."""

    def __init__(self, hub: Hub, history: History, commands: Commands, access: Access) -> None:
        self._access = access
        self._metrics = metrics_route(hub)
        self._state = State(hub, access.gate.accounts)
        self._people = People(access.gate, access.audit)
        parts = (
            self._state,
            Links(hub, commands.links),
            KeyLengths(),
            Instruments(hub, commands.instruments),
            Loops(hub, commands.loops),
            Routing(hub, commands.routing),
            Events(hub),
            Past(hub, history),
            Recordings(commands.recordings),
            Discoveries(commands.discovery),
            NetworkFileSettings(commands.network_file, commands.links, commands.instruments),
            self._people,
        )
        self.operations: list[Operation] = [each for part in parts for each in part.operations()]
        self.operations.append(
            Operation(
                method="GET",
                path="/openapi.json",
                handler=self._document,
                answers=None,
                summary="This API as an OpenAPI 3.1 document.",
            )
        )
        self._openapi: dict[str, Any] = {}

    def application(
        self, pages: Sequence[BaseRoute], hosts: Sequence[str], *, is_tls: bool = False
    ) -> Starlette:
        """Return the ASGI application for an address whose `Host` values are `hosts`."""
        gate = self._access.gate
        return Starlette(
            routes=[
                *routes(self.operations, _Book(self._access.audit)),
                self._metrics,
                *pages,
            ],
            middleware=[Middleware(Guard, hosts=hosts, gate=gate, is_tls=is_tls)],
            exception_handlers={HTTPException: _refused},
        )

    def close(self) -> None:
        """End all streams and threads, so that the server can stop."""
        self._state.close()
        self._people.close()

    async def _document(self, call: Call) -> Response:
        self._openapi = self._openapi or openapi(self.operations)
        return JsonResponse(self._openapi)


def reference_page() -> str:
    """Return the reference page of the whole API."""
    hub = Hub("", is_simulated=False)
    with Access.open(":memory:", is_loopback=True) as access:
        return reference(Api(hub, History(), Commands(), access).operations)


class _Book(Journal):
    """Writes changes into the audit."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def write(self, caller: Caller, what: str, call: Call | None, status: int, error: str) -> None:
        """Write down that somebody changed something, or tried to."""
        before, after = (call.before, call.after) if call is not None else ("", "")
        self._audit.add(
            AuditRow(
                number=0,
                time_s=0.0,
                who=caller.name,
                address=caller.address,
                what=what,
                before=before,
                after=after,
                status=status,
                error=error,
            )
        )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    response.headers.update(error.headers or {})
    return response
