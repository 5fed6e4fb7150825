"""What stands before the HTTP API: who may ask, from where, and what browsers are told.

Against web pages that a user has open beside it: `Host` must be ours (DNS rebinding), a command
needs headers no foreign page can set without asking first, and a browser that says the request
comes from another site is refused. Whoever passes is a `Caller`; the operations look at rights.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qnx_hw.api.schema import Problem
from qnx_hw.node.access.caller import NOBODY, Caller
from qnx_hw.node.access.gate import CSRF_HEADER, Gate

CLIENT_HEADER = "X-QNX-Client"
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_SITE = frozenset({"same-origin", "none"})
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
PUBLIC = ("/login", "/static/", "/icons/", "/theme.css", "/api/v1/login")
"""What is shown before anybody logged in; nothing of it tells about the network."""


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


def own_hosts(host: str, port: int, names: Sequence[str] = ()) -> frozenset[str]:
    """Return the `Host` values of an API bound to `host:port`, known by `names` too."""
    known = {*names, f"[{host}]" if ":" in host else host}
    if is_loopback(host):
        known |= {"localhost", "127.0.0.1", "[::1]"}
    return frozenset(f"{name.lower()}:{port}" for name in known)


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that lets callers in, refuses what `why_refused` names, and adds headers."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], gate: Gate, *, is_tls: bool) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._gate = gate
        self._headers = {**HEADERS, **(TLS_HEADERS if is_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._let_in(scope, Headers(scope=scope))
        answer = refusal if refusal is not None else self._app
        await answer(scope, receive, send_with_headers)

    def _let_in(self, scope: Scope, headers: Headers) -> Response | None:
        """Put the caller into the scope, or return why not."""
        address = str((scope.get("client") or ("", 0))[0])
        if (wait_s := self._gate.limits.requests.wait_s(address)) > 0:
            return too_many(wait_s)
        if (refusal := why_refused(scope["method"], headers, self._hosts)) is not None:
            return refusal
        caller = self._gate.identify(headers, address)
        if caller is None and "authorization" in headers:
            wait_s = self._gate.limits.attempts.wait_s(f"address {address}")
            return too_many(wait_s) if wait_s else problem(401, "this token is not good (any more)")
        known: Caller = caller or NOBODY
        if known.name == NOBODY.name and not scope["path"].startswith(PUBLIC):
            return _sent_to_login(scope["path"])
        scope.setdefault("state", {})["caller"] = known
        return None if scope["method"] in SAFE_METHODS else self._stop(known, headers)

    def _stop(self, caller: Caller, headers: Headers) -> Response | None:
        """Return why a caller's command goes no further, or None."""
        if self._gate.is_forged(caller, headers):
            return problem(403, f"a command needs the session's {CSRF_HEADER}", CSRF_HEADER)
        wait_s = self._gate.limits.commands.wait_s(f"{caller.name} {caller.address}")
        return too_many(wait_s) if wait_s else None


def too_many(wait_s: float) -> JsonResponse:
    """Return the refusal of somebody who asks too often."""
    response = problem(429, f"too many requests; wait {max(wait_s, 1.0):.0f} s")
    response.headers["Retry-After"] = f"{max(wait_s, 1.0):.0f}"
    return response


def _sent_to_login(path: str) -> Response:
    if path.startswith("/api/") or path == "/metrics":
        response = problem(401, "log in first, or send an API token")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return RedirectResponse("/login", status_code=303)


def why_refused(method: str, headers: Headers, hosts: frozenset[str]) -> JsonResponse | None:
    """Return the refusal a request deserves by its head alone, or None."""
    if headers.get("host", "").lower() not in hosts:
        return problem(421, f"this API answers to {', '.join(sorted(hosts))} only", "Host")
    if method in SAFE_METHODS:
        return None
    if headers.get("sec-fetch-site", "none") not in OWN_SITE:
        return problem(403, "commands are not taken from other sites", "Sec-Fetch-Site")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() not in hosts:
        return problem(403, "commands are not taken from other sites", "Origin")
    return _why_no_command(headers)


def _why_no_command(headers: Headers) -> JsonResponse | None:
    if not headers.get(CLIENT_HEADER, "").strip():
        return problem(403, f"a command needs the header {CLIENT_HEADER}", CLIENT_HEADER)
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return problem(415, "a command's body is JSON", "Content-Type")
    return None
