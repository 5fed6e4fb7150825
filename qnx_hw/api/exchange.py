"""Questions to a node over HTTP and its answers; standard library only."""

from __future__ import annotations

import http.client
import ssl
import urllib.parse
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

from qnx_hw.api.commands import Command, Nothing
from qnx_hw.api.schema import Problem
from qnx_hw.errors import UNREADABLE, ConfigError, QnxError

SILENCE_LIMIT_S = 10.0
"""The stream says something each second; this much silence means the node is gone."""

_Answer = TypeVar("_Answer")


class Exchange:
    """Asks one node; each question has a connection of its own, so that threads may share this."""

    def __init__(
        self, url: str, *, name: str, timeout_s: float, token: str, authority: str | None
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' is not a node's address such as http://127.0.0.1:8470")
        self._tls = (
            ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
        )
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._name = name
        self._timeout_s = timeout_s
        self._token = token

    def get(
        self, path: str, answer: type[_Answer], query: Mapping[str, object] | None = None
    ) -> _Answer:
        """Return what stands at a path below the API's."""
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self.ask("GET", f"/api/v1/{path}{asked}", answer)

    def post(
        self, path: tuple[str, ...], answer: type[_Answer], body: Command | None = None
    ) -> _Answer:
        """Send a command to a path below the API's, given in parts; return the answer."""
        return self.ask("POST", f"/api/v1/{quoted(*path)}", answer, body or Nothing())

    def ask(
        self, method: str, path: str, answer: type[_Answer], body: Command | None = None
    ) -> _Answer:
        """Return the answer; `QnxError` with the node's words, or where none came."""
        connection = self._connection(self._timeout_s)
        try:
            response = self._request(connection, method, path, body)
            return msgspec.json.decode(response.read(), type=answer)
        except (OSError, http.client.HTTPException) as error:
            place = f"{self._host}:{self._port}"
            why = getattr(error, "strerror", None) or error
            raise QnxError(
                f"no answer from the node at {place}: {why}; "
                "start it with `qnx run FILE`, or say where it is"
            ) from error
        finally:
            connection.close()

    def listen(self, path: str, headers: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Yield what comes until the node ends it; `QnxError` where it falls silent."""
        connection = self._connection(SILENCE_LIMIT_S)
        try:
            response = self._request(connection, "GET", path, headers=headers)
            while received := response.read1(65536):
                yield received
        except (OSError, http.client.HTTPException) as error:
            raise QnxError(f"the node at {self._host}:{self._port} is gone: {error}") from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_s, context=self._tls
        )

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Command | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> http.client.HTTPResponse:
        ours = {"X-QNX-Client": self._name, "Content-Type": "application/json"}
        if self._token:
            ours["Authorization"] = f"Bearer {self._token}"
        text = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, body=text, headers={**ours, **headers})
        response = connection.getresponse()
        if response.status >= 400:
            raise QnxError(_sentence(response.status, response.read()))
        return response


def quoted(*parts: str) -> str:
    """Return the path of parts that may hold anything."""
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)


def _sentence(status: int, body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error
    except UNREADABLE:
        return f"the node answered with status {status}"
