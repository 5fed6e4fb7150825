"""Users, their browsers' sessions, and tokens for scripts.

Sessions and tokens are kept as digests: who reads the file can use neither. There is always a user
with the right `admin` once there is any user, so nobody is locked out and nothing opens by itself.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from qnx_hw.api.access import NewToken, Right, TokenView, UserView
from qnx_hw.errors import ConfigError, Conflict
from qnx_hw.node.access.caller import Caller
from qnx_hw.node.access.passwords import COST, fits, hashed, nobodys

IDLE_S = 3_600.0
LONGEST_SESSION_S = 12 * 3_600.0
TOUCH_S = 30.0
"""A session's last use is written down no more often than this."""
TOKEN_PREFIX = "qnx_"  # noqa: S105 - it marks tokens, for scanners of leaked secrets


class Accounts:
    """Who may come in; short calls on a small file, from one thread."""

    def __init__(
        self,
        database: sqlite3.Connection,
        now: Callable[[], float] = time.time,
        *,
        cost: int = COST,
    ) -> None:
        self._database = database
        self._now = now
        self._cost = cost

    @property
    def has_users(self) -> bool:
        """Whether anybody must log in."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM users)")[0])

    def users(self) -> tuple[UserView, ...]:
        """Return all users."""
        rows = self._database.execute(
            "SELECT name, rights, created_s, last_login_s FROM users ORDER BY name"
        )
        return tuple(
            UserView(name=name, right=Right(right), created_s=created, last_login_s=last)
            for name, right, created, last in rows
        )

    def user(self, name: str) -> UserView:
        """Return a user; `KeyError` where there is none."""
        return next(user for user in self.users() if user.name == name)

    def add_user(self, name: str, password: str, right: Right) -> UserView:
        """Add a user; slow, on purpose."""
        if not self.has_users and right is not Right.ADMIN:
            raise ConfigError("the first user must have the right admin")
        kept = hashed(password, cost=self._cost)
        try:
            self._database.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, NULL)", (name, right, kept, self._now())
            )
        except sqlite3.IntegrityError:
            raise Conflict(f"there is a user '{name}' already") from None
        return self.user(name)

    def change_user(
        self, name: str, *, right: Right | None = None, password: str | None = None
    ) -> UserView:
        """Change a user, whose sessions end; slow where the password changes."""
        kept = None if password is None else hashed(password, cost=self._cost)
        self._require(name)
        if right is not None:
            if right is not Right.ADMIN:
                self._keep_an_admin(name)
            self._database.execute("UPDATE users SET rights = ? WHERE name = ?", (right, name))
        if kept is not None:
            self._database.execute("UPDATE users SET password = ? WHERE name = ?", (kept, name))
        self._database.execute("DELETE FROM sessions WHERE user = ?", (name,))
        return self.user(name)

    def remove_user(self, name: str) -> UserView:
        """Remove a user, whose sessions and tokens end."""
        self._require(name)
        self._keep_an_admin(name)
        user = self.user(name)
        for table, column in (("sessions", "user"), ("tokens", "owner"), ("users", "name")):
            self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))  # noqa: S608 - ours
        return user

    def check(self, name: str, password: str) -> bool:
        """Whether this is a user with this password; takes as long where there is no such user."""
        row = self._one("SELECT password FROM users WHERE name = ?", name)
        return fits(password, row[0] if row else nobodys(self._cost)) and bool(row)

    def begin_session(self, name: str) -> str:
        """Begin a session and return what the browser's cookie holds."""
        cookie, now_s = secrets.token_urlsafe(32), self._now()
        self._database.execute(
            "DELETE FROM sessions WHERE began_s < ? OR used_s < ?",
            (now_s - LONGEST_SESSION_S, now_s - IDLE_S),
        )
        self._database.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            (_digest(cookie), name, secrets.token_urlsafe(32), now_s, now_s),
        )
        self._database.execute("UPDATE users SET last_login_s = ? WHERE name = ?", (now_s, name))
        return cookie

    def session(self, cookie: str, address: str = "") -> Caller | None:
        """Return who holds a cookie, while its session lasts."""
        return self._session(_digest(cookie), address)

    def is_still_good(self, caller: Caller) -> bool:
        """Whether a caller that came in by a session or token would still come in."""
        if caller.session.startswith("session "):
            return self._session(caller.session.partition(" ")[2], caller.address) is not None
        if caller.session.startswith("token "):
            number = caller.session.partition(" ")[2]
            row = self._one("SELECT expires_s FROM tokens WHERE number = ?", int(number))
            return row is not None and (row[0] is None or row[0] > self._now())
        return not self.has_users

    def end_session(self, caller: Caller) -> None:
        """End a browser's session."""
        digest = caller.session.partition(" ")[2]
        self._database.execute("DELETE FROM sessions WHERE digest = ?", (digest,))

    def add_token(
        self, owner: str, name: str, right: Right, scopes: tuple[str, ...], days: float | None
    ) -> NewToken:
        """Make a token; what is returned is the only copy."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now_s = self._now()
        expires_s = None if days is None else now_s + 86_400.0 * days
        cursor = self._database.execute(
            "INSERT INTO tokens (digest, name, owner, rights, scopes, created_s, expires_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_digest(token), name, owner, right, " ".join(scopes), now_s, expires_s),
        )
        return NewToken(token=token, view=self.token_view(int(cursor.lastrowid or 0)))

    def tokens(self, owner: str | None = None) -> tuple[TokenView, ...]:
        """Return all tokens, or one owner's."""
        rows = self._database.execute(
            "SELECT number, name, owner, rights, scopes, created_s, expires_s, used_s "
            "FROM tokens WHERE owner = coalesce(?, owner) ORDER BY number",
            (owner,),
        )
        return tuple(
            TokenView(
                number=row[0],
                name=row[1],
                owner=row[2],
                right=Right(row[3]),
                scopes=tuple(row[4].split()),
                created_s=row[5],
                expires_s=row[6],
                last_used_s=row[7],
            )
            for row in rows
        )

    def token_view(self, number: int) -> TokenView:
        """Return a token as it is shown; `StopIteration` where there is none."""
        return next(token for token in self.tokens() if token.number == number)

    def remove_token(self, number: int) -> None:
        """End a token."""
        self._database.execute("DELETE FROM tokens WHERE number = ?", (number,))

    def token(self, token: str, address: str = "") -> Caller | None:
        """Return who a token speaks for, never with more right than its owner has by now."""
        row = self._one(
            "SELECT number, owner, rights, scopes, expires_s, used_s FROM tokens WHERE digest = ?",
            _digest(token),
        )
        now_s = self._now()
        if row is None or (row[4] is not None and row[4] <= now_s):
            return None
        number, owner, right, scopes, _, used_s = row
        held = self._one("SELECT rights FROM users WHERE name = ?", owner)
        if held is None:
            return None
        if used_s is None or now_s - used_s > TOUCH_S:
            self._database.execute("UPDATE tokens SET used_s = ? WHERE number = ?", (now_s, number))
        right = Right(right) if Right(held[0]).includes(Right(right)) else Right(held[0])
        return Caller(
            f"{owner} (token {number})",
            right,
            address,
            tuple(scopes.split()),
            "",
            f"token {number}",
        )

    def _session(self, digest: str, address: str) -> Caller | None:
        row = self._one(
            "SELECT user, csrf, began_s, used_s, users.rights FROM sessions "
            "JOIN users ON users.name = sessions.user WHERE digest = ?",
            digest,
        )
        now_s = self._now()
        if row is None or now_s - row[2] > LONGEST_SESSION_S or now_s - row[3] > IDLE_S:
            return None
        if now_s - row[3] > TOUCH_S:
            self._database.execute(
                "UPDATE sessions SET used_s = ? WHERE digest = ?", (now_s, digest)
            )
        return Caller(row[0], Right(row[4]), address, (), row[1], f"session {digest}")

    def _require(self, name: str) -> None:
        if self._one("SELECT 1 FROM users WHERE name = ?", name) is None:
            raise ConfigError(f"there is no user '{name}'")

    def _keep_an_admin(self, name: str) -> None:
        others = self._one("SELECT count(*) FROM users WHERE rights = 'admin' AND name != ?", name)
        if not others[0]:
            raise Conflict(f"'{name}' is the last user with the right admin")

    def _one(
        self, statement: str, *values: object
    ) -> Any:  # a row of whatever is selected, or None
        return self._database.execute(statement, values).fetchone()


def _digest(secret: str) -> str:
    """A fast hash is enough: what is hashed has 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
