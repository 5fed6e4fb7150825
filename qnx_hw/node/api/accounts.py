"""Users, logging in and out, tokens for scripts, and the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from starlette.responses import Response

from qnx_hw.api.access import AuditPage, Me, NewToken, Right, TokenView, UserView
from qnx_hw.api.commands import (
    AddToken,
    AddUser,
    ChangePassword,
    ChangeUser,
    Command,
    Login,
    RowNumber,
)
from qnx_hw.node.access.audit import Audit
from qnx_hw.node.access.caller import Caller
from qnx_hw.node.access.gate import COOKIE, Gate
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.guard import JsonResponse
from qnx_hw.node.worker import Worker

HASH_DEADLINE_S = 20.0

_Result = TypeVar("_Result")


class Rows(Command, frozen=True, kw_only=True):
    """Which rows of the audit."""

    before: RowNumber | None = None
    """Rows older than this number; the newest where not given."""
    words: Annotated[str, msgspec.Meta(max_length=100)] = ""


class People:
    """Speaks with the accounts; passwords are checked one at a time, off the event loop."""

    def __init__(self, gate: Gate, audit: Audit) -> None:
        self._gate = gate
        self._accounts = gate.accounts
        self._audit = audit
        self._worker = Worker("passwords")

    def close(self) -> None:
        """Let the thread end that checks passwords."""
        self._worker.close()

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/me", handler=self._me, answers=Me,
                summary="Who the caller is, and what they may.",
            ),
            Operation(
                method="POST", path="/login", handler=self._login, answers=Me, takes=Login,
                is_public=True, summary="Begin a browser's session; sets its cookie.",
            ),
            Operation(
                method="POST", path="/logout", handler=self._logout, answers=Me,
                summary="End a browser's session.",
            ),
            Operation(
                method="POST", path="/password", handler=self._password, answers=Me,
                takes=ChangePassword, summary="Change one's own password; all sessions end.",
            ),
            Operation(
                method="GET", path="/users", handler=self._users, answers=tuple[UserView, ...],
                needs=Right.ADMIN, summary="All users.",
            ),
            Operation(
                method="POST", path="/users", handler=self._add_user, answers=UserView,
                takes=AddUser, needs=Right.ADMIN,
                summary="Add a user. From the first on, everybody must log in.",
            ),
            Operation(
                method="POST", path="/users/{name}", handler=self._change_user,
                answers=UserView, takes=ChangeUser, needs=Right.ADMIN,
                summary="Change a user's right or password; their sessions end.",
            ),
            Operation(
                method="POST", path="/users/{name}/remove", handler=self._remove_user,
                answers=UserView, needs=Right.ADMIN,
                summary="Remove a user with all sessions and tokens.",
            ),
            Operation(
                method="GET", path="/tokens", handler=self._tokens,
                answers=tuple[TokenView, ...],
                summary="The caller's tokens; everybody's for an admin.",
            ),
            Operation(
                method="POST", path="/tokens", handler=self._add_token, answers=NewToken,
                takes=AddToken, summary="Make a token for scripts; it is shown this once.",
            ),
            Operation(
                method="POST", path="/tokens/{number}/remove", handler=self._remove_token,
                answers=TokenView, summary="End a token.",
            ),
            Operation(
                method="GET", path="/audit", handler=self._rows, answers=AuditPage, query=Rows,
                needs=Right.ADMIN, summary="Who changed what, newest first.",
            ),
        ]  # fmt: skip

    async def _me(self, call: Call) -> Me:
        return self._known(call.caller)

    async def _login(self, call: Call) -> Response:
        wish: Login = call.body
        call.note("", f"login as {wish.name}")
        for name in (f"address {call.caller.address}", f"user {wish.name}"):
            if (wait_s := self._gate.limits.attempts.wait_s(name)) > 0:
                raise Refused(429, f"too many attempts; wait {wait_s:.0f} s")
        if not await self._slow(lambda: self._accounts.check(wish.name, wish.password)):
            raise Refused(401, "no user has this name and password")
        self._accounts.end_session(call.caller)
        cookie = self._accounts.begin_session(wish.name)
        caller = self._accounts.session(cookie)
        assert caller is not None
        return _with_cookie(self._known(caller), cookie)

    async def _logout(self, call: Call) -> Response:
        self._accounts.end_session(call.caller)
        return _with_cookie(self._known(call.caller), "")

    async def _password(self, call: Call) -> Response:
        wish: ChangePassword = call.body
        name = self._require_user(call.caller)
        if (wait_s := self._gate.limits.attempts.wait_s(f"user {name}")) > 0:
            raise Refused(429, f"too many attempts; wait {wait_s:.0f} s")
        if not await self._slow(lambda: self._accounts.check(name, wish.old)):
            raise Refused(403, "the old password is another one", "old")
        await self._slow(lambda: self._accounts.change_user(name, password=wish.new))
        call.note("", "password changed")
        return _with_cookie(self._known(call.caller), "")

    async def _users(self, call: Call) -> tuple[UserView, ...]:
        return self._accounts.users()

    async def _add_user(self, call: Call) -> UserView:
        wish: AddUser = call.body
        user = await self._slow(
            lambda: self._accounts.add_user(wish.name, wish.password, wish.right)
        )
        call.note("", f"{user.name}: {user.right}")
        return user

    async def _change_user(self, call: Call) -> UserView:
        name, wish = call.path["name"], call.body
        before = self._user(name)
        after = await self._slow(
            lambda: self._accounts.change_user(name, right=wish.right, password=wish.password)
        )
        changed = "" if wish.password is None else ", password changed"
        call.note(before.right, f"{after.right}{changed}")
        return after

    async def _remove_user(self, call: Call) -> UserView:
        before = self._user(call.path["name"])
        call.note(before.right, "")
        return self._accounts.remove_user(before.name)

    async def _tokens(self, call: Call) -> tuple[TokenView, ...]:
        is_admin = call.caller.right is Right.ADMIN
        return self._accounts.tokens(None if is_admin else call.caller.name)

    async def _add_token(self, call: Call) -> NewToken:
        wish: AddToken = call.body
        owner = self._require_user(call.caller)
        if not call.caller.right.includes(wish.right):
            raise Refused(403, f"'{owner}' has the right to {call.caller.right} only", "right")
        made = self._accounts.add_token(owner, wish.name, wish.right, wish.scopes, wish.days)
        call.note("", made.view)
        return made

    async def _remove_token(self, call: Call) -> TokenView:
        number = call.path["number"]
        for view in await self._tokens(call):
            if str(view.number) == number:
                self._accounts.remove_token(view.number)
                call.note(view, "")
                return view
        raise Refused(404, f"there is no token {number} of yours")

    async def _rows(self, call: Call) -> AuditPage:
        return self._audit.page(call.query.before, call.query.words)

    async def _slow(self, function: Callable[[], _Result]) -> _Result:
        try:
            async with asyncio.timeout(HASH_DEADLINE_S):
                return await self._worker.call(function)
        except TimeoutError:
            raise Refused(503, "too many people log in at once; try again") from None

    def _known(self, caller: Caller) -> Me:
        return Me(
            name=caller.name,
            right=caller.right,
            is_login_needed=not self._gate.is_open,
            csrf=caller.csrf,
        )

    def _user(self, name: str) -> UserView:
        for user in self._accounts.users():
            if user.name == name:
                return user
        raise Refused(404, f"there is no user '{name}'")

    def _require_user(self, caller: Caller) -> str:
        """Return the name of a caller that came in by a browser's session."""
        if not caller.csrf:
            raise Refused(403, "this is for users who logged in with their password")
        return caller.name


def _with_cookie(me: Me, cookie: str) -> Response:
    """Return an answer that sets the session's cookie, or takes it away."""
    response = JsonResponse(me)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=None if cookie else 0,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return response
