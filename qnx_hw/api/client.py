"""A small client of a node's HTTP API for scripts, tests and the command line.

Standard library only. One request, one connection: several threads may share a client, and there
is nothing to clean up.
"""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from qnx_hw.api.schema import VIEWS, Event, LinkView, Problem, Series, Snapshot, View
from qnx_hw.api.sse import SseDecoder
from qnx_hw.errors import ConfigError, QnxError

Update = Snapshot | View | Event
UPDATES: dict[str, type[Update]] = {"snapshot": Snapshot, "event": Event, **VIEWS}
SILENCE_LIMIT_S = 10.0
"""The stream says something each second; this much silence means the node is gone."""

_Answer = TypeVar("_Answer")


class NodeClient:
    """Asks and commands the node process at `url`, e.g. `http://127.0.0.1:8470`."""

    def __init__(self, url: str, *, name: str = "qnx", timeout_s: float = 5.0) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ConfigError(f"'{url}' is not a node's address such as http://127.0.0.1:8470")
        self._host = parts.hostname
        self._port = parts.port or 80
        self._name = name
        self._timeout_s = timeout_s

    def state(self) -> Snapshot:
        """Return everything the node shows."""
        return self._ask("GET", "/api/v1/state", Snapshot)

    def history(self, link: str, name: str, *, seconds: float = 3600.0) -> Series:
        """Return the recent past of one quantity of a link."""
        query = urllib.parse.urlencode({"link": link, "name": name, "seconds": seconds})
        return self._ask("GET", f"/api/v1/history?{query}", Series)

    def start_link(self, name: str) -> LinkView:
        """Let a link make keys."""
        return self._ask("POST", f"/api/v1/links/{urllib.parse.quote(name)}/start", LinkView)

    def stop_link(self, name: str) -> LinkView:
        """Let a link rest."""
        return self._ask("POST", f"/api/v1/links/{urllib.parse.quote(name)}/stop", LinkView)

    def acknowledge(self, number: int) -> Event:
        """Mark an event as seen."""
        return self._ask("POST", f"/api/v1/events/{number}/acknowledge", Event)

    def stream(self) -> Iterator[Update]:
        """Yield a snapshot and then every change; ends where the node ends it."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SILENCE_LIMIT_S)
        decoder = SseDecoder()
        try:
            response = self._request(connection, "GET", "/api/v1/stream")
            while received := response.read1(65536):
                for event in decoder.feed(received):
                    if event.kind in UPDATES:
                        yield msgspec.json.decode(event.data, type=UPDATES[event.kind])
        except (OSError, http.client.HTTPException) as error:
            raise QnxError(f"the node at {self._host}:{self._port} is gone: {error}") from error
        finally:
            connection.close()

    def _ask(self, method: str, path: str, answer: type[_Answer]) -> _Answer:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            return msgspec.json.decode(self._request(connection, method, path).read(), type=answer)
        except (OSError, http.client.HTTPException) as error:
            place = f"{self._host}:{self._port}"
            raise QnxError(f"no answer from the node at {place}: {error}") from error
        finally:
            connection.close()

    def _request(
        self, connection: http.client.HTTPConnection, method: str, path: str
    ) -> http.client.HTTPResponse:
        headers = {"X-QNX-Client": self._name, "Content-Type": "application/json"}
        connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise QnxError(_sentence(response.status, response.read()))
        return response


def _sentence(status: int, body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error
    except msgspec.DecodeError:
        return f"the node answered with status {status}"
