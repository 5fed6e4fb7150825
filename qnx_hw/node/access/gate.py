"""The gate: who sends a request, and whether it may pass.

How it thinks: a bearer token speaks for itself. A browser's cookie speaks for its user, and a
command that comes with it needs the session's own token in a header, which no other site can read.
Without users, and only where nobody but this machine can reach the API, everybody is let in.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from qnx_hw.node.access.accounts import Accounts
from qnx_hw.node.access.caller import EVERYBODY_HERE, NOBODY, Caller
from qnx_hw.node.access.limits import Limit

COOKIE = "__Host-qnx"
CSRF_HEADER = "X-QNX-Token"


@dataclass(frozen=True, slots=True)
class Limits:
    """How often one address, or one caller, may ask."""

    requests: Limit = field(default_factory=lambda: Limit(per_s=100.0, burst=600.0))
    commands: Limit = field(default_factory=lambda: Limit(per_s=10.0, burst=60.0))
    attempts: Limit = field(default_factory=lambda: Limit(per_s=0.1, burst=10.0))
    """Of logging in, and of tokens that are none."""


class Gate:
    """Knows callers by what they send."""

    def __init__(
        self, accounts: Accounts, *, is_loopback: bool, limits: Limits | None = None
    ) -> None:
        self.accounts = accounts
        self.limits = limits or Limits()
        self._is_loopback = is_loopback

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the API is let in."""
        return self._is_loopback and not self.accounts.has_users

    def identify(self, headers: Headers, address: str) -> Caller | None:
        """Return who asks; None for somebody who shows something that is not good (any more)."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.accounts.token(token.strip(), address)
        if self.is_open:
            return replace(EVERYBODY_HERE, address=address)
        cookie = _cookie(headers.get("cookie", ""))
        if cookie:
            return self.accounts.session(cookie, address)
        return replace(NOBODY, address=address)

    def is_forged(self, caller: Caller, headers: Headers) -> bool:
        """Whether a command comes with a session's cookie and without the session's token."""
        given = headers.get(CSRF_HEADER, "")
        return bool(caller.csrf) and not hmac.compare_digest(given.encode(), caller.csrf.encode())


def _cookie(header: str) -> str:
    try:
        cookies = SimpleCookie(header)
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
