"""What stands before the HTTP API: who may ask, from where, and what browsers are told.

The API listens on this machine only. Against web pages that a user has open beside it: `Host` must
be ours (DNS rebinding), a command needs a header no foreign page can set without asking first, and
a browser that says the request comes from another site is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qnx_hw.api.schema import Problem
from qnx_hw.errors import ConfigError
from qnx_hw.node.access.caller import EVERYBODY_HERE

CLIENT_HEADER = "X-QNX-Client"
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_SITE = frozenset({"same-origin", "none"})
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class JsonResponse(Response):
    """A value of the API as JSON, never kept by caches."""

    media_type = "application/json"

    def __init__(self, value: object, status_code: int = 200) -> None:
        super().__init__(
            msgspec.json.encode(value), status_code, headers={"Cache-Control": "no-store"}
        )


def problem(status_code: int, sentence: str, field: str = "") -> JsonResponse:
    """Return a refusal in words."""
    return JsonResponse(Problem(error=sentence, field=field), status_code)


def own_hosts(host: str, port: int) -> frozenset[str]:
    """Return the `Host` values under which an API bound to `host:port` may be asked for."""
    if not is_loopback(host):
        raise ConfigError(
            f"[api] listen: {host} can be reached from other machines; the API has no login yet, "
            f"so it serves 127.0.0.1 only (from afar use: ssh -L {port}:127.0.0.1:{port} …)"
        )
    names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    return frozenset(f"{name}:{port}" for name in names)


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that refuses what `why_refused` names and adds the headers."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        scope.setdefault("state", {})["caller"] = EVERYBODY_HERE
        refusal = why_refused(scope["method"], Headers(scope=scope), self._hosts)
        answer = refusal if refusal is not None else self._app
        await answer(scope, receive, send_with_headers)


def why_refused(method: str, headers: Headers, hosts: frozenset[str]) -> JsonResponse | None:
    """Return the refusal a request deserves by its head alone, or None."""
    if headers.get("host", "").lower() not in hosts:
        return problem(421, f"this API answers to {', '.join(sorted(hosts))} only", "Host")
    if method in SAFE_METHODS:
        return None
    if headers.get("sec-fetch-site", "none") not in OWN_SITE:
        return problem(403, "commands are not taken from other sites", "Sec-Fetch-Site")
    if not headers.get(CLIENT_HEADER, "").strip():
        return problem(403, f"a command needs the header {CLIENT_HEADER}", CLIENT_HEADER)
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return problem(415, "a command's body is JSON", "Content-Type")
    return None
