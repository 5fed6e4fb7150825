"""Who may ask what, and who changed what: the values of users, tokens and the audit."""

from __future__ import annotations

from enum import StrEnum

from qnx_hw.api.value import Value


class Right(StrEnum):
    """What a user or a token may do; each includes the one before."""

    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, other: Right) -> bool:
        """Whether who has this right may do what `other` allows."""
        order = list(Right)
        return order.index(self) >= order.index(other)


class Me(Value, frozen=True, kw_only=True):
    """The caller, as the node knows it."""

    name: str
    right: Right
    is_login_needed: bool
    """False where the API listens on this machine only and has no users yet."""
    csrf: str = ""
    """What a browser with a session sends back as `X-QNX-Token` with every command."""


class UserView(Value, frozen=True, kw_only=True):
    """A user."""

    name: str
    right: Right
    created_s: float
    last_login_s: float | None = None


class TokenView(Value, frozen=True, kw_only=True):
    """A token for scripts; the token itself is shown once, when it is made."""

    number: int
    name: str
    owner: str
    right: Right
    scopes: tuple[str, ...] = ()
    """The subjects it is good for, e.g. `links`; empty for all."""
    created_s: float
    expires_s: float | None = None
    last_used_s: float | None = None


class NewToken(Value, frozen=True, kw_only=True):
    """A token that was just made; nobody can read it again."""

    token: str
    view: TokenView


class AuditRow(Value, frozen=True, kw_only=True):
    """One change, or one that was refused."""

    number: int
    time_s: float
    who: str
    address: str
    what: str
    """The operation, e.g. `POST /api/v1/links/alice-bob/stop`."""
    before: str = ""
    after: str = ""
    status: int = 200
    error: str = ""


class AuditPage(Value, frozen=True, kw_only=True):
    """Rows of the audit, newest first."""

    rows: tuple[AuditRow, ...]
    more: bool = False
    """Whether older rows exist; ask again with `before` = the last number."""
