"""A small HTTP/1.1 server that hands over the client's certificate with each request.

How it thinks: no ASGI server gives an application the certificate of its client, so this one sits
on httptools (llhttp, in its strict mode) and the transport. A connection has one task that answers
its requests in order; what a client can announce or delay has a limit, and a client that breaks
one is answered where HTTP has a word for it, and cut off.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools

from qnx_hw.errors import ChannelError

log = logging.getLogger(__name__)

MAX_PATH_BYTES = 2048
MAX_HEADER_BYTES = 16 << 10
MAX_BODY_BYTES = 64 << 10
MAX_HEAD_BYTES = 64 << 10
"""What may be read ahead of a body, spaces and half a piece of another request included."""
MAX_CHUNKING = 8
"""How many times its own length a body may take on the wire: a chunk of one byte takes six."""
PIECE_BYTES = 16 << 10
"""What is looked at in one go: what arrives together may hold many requests."""
MAX_CONNECTIONS = 1024
MAX_PIPELINED = 16
"""Requests that may wait on one connection before it is no longer read."""
REQUEST_DEADLINE_S = 10.0
HANDSHAKE_DEADLINE_S = 5.0
QUIET_S = 0.5
"""After this long without another byte nothing more of what is too large is expected."""
SWEEP_INTERVAL_S = 0.5
TOO_LARGE = (413, 431)
"""Answers to clients that may still be sending."""
RETRY_AFTER_S = 1
"""What a client is asked to wait after a 503."""
_ABSOLUTE = re.compile(rb"^https://[^/?]*", re.IGNORECASE)
"""Before the path of a request in absolute form (RFC 9112, section 3.2.2)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: bytes
    """Raw, still percent-encoded."""
    query: bytes
    body: bytes
    client: str | None
    """Who the client's certificate says it is; None where it says nothing that counts."""


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer; JSON, where the status allows a body."""

    status: int
    body: bytes
    allow: tuple[str, ...] = ()
    """The methods that the path takes, where that was asked or the request had another."""

    def __repr__(self) -> str:
        return f"<response {self.status} with {len(self.body)} bytes>"


Handler = Callable[[Request], Awaitable[Response]]
Identify = Callable[[ssl.SSLObject], str | None]
Refuse = Callable[[int, str], Response]


@dataclass(frozen=True, slots=True)
class Service:
    """What a listener serves: how it answers, whom it knows, how it says no."""

    answer: Handler
    identify: Identify
    refuse: Refuse
    max_body_bytes: int = MAX_BODY_BYTES
    request_deadline_s: float = REQUEST_DEADLINE_S
    """For a whole request to arrive, for the next to begin, and for an answer to be taken."""
    handshake_deadline_s: float = HANDSHAKE_DEADLINE_S


@asynccontextmanager
async def serving(
    service: Service, host: str, port: int, tls: ssl.SSLContext
) -> AsyncIterator[str]:
    """Serve while the context lasts; yields the address really bound."""
    async with asyncio.TaskGroup() as tasks:
        connections: set[_Connection] = set()

        def connect() -> _Connection:
            return _Connection(service, connections, tasks)

        try:
            server = await asyncio.get_running_loop().create_server(
                connect, host, port, ssl=tls, ssl_handshake_timeout=service.handshake_deadline_s
            )
        except OSError as error:
            raise ChannelError(f"cannot listen at {host}:{port}: {error.strerror}") from error
        sweeping = tasks.create_task(_sweep(connections))
        try:
            yield f"{host}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            sweeping.cancel()
            for connection in tuple(connections):
                connection.abort()


async def _sweep(connections: set[_Connection]) -> None:
    """Cut off who is too slow."""
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_S)
        for connection in tuple(connections):
            if now() > connection.deadline_s:
                connection.abort()


class _Connection(asyncio.Protocol):
    """One client; httptools calls the `on_` methods."""

    def __init__(
        self, service: Service, connections: set[_Connection], tasks: asyncio.TaskGroup
    ) -> None:
        self._service = service
        self._connections = connections
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)  # it has no types
        self._waiting: deque[tuple[Request | Response, bool]] = deque()
        self._hosts = 0
        self._is_expected = False
        self._is_answering = False
        self._bell = asyncio.Event()
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_ended = False
        self._client: str | None = None
        self._url = bytearray()
        self._body = bytearray()
        self._header_bytes = 0
        self._fed_bytes = 0
        self._is_in_body = False
        self.deadline_s = self._loop.time() + service.request_deadline_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._connections.add(self)
        self._client = self._service.identify(transport.get_extra_info("ssl_object"))
        self._worker = self._tasks.create_task(self._work())

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._connections:
            self._connections.discard(self)
            self._worker.cancel()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """Cut the client off."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._more.set()
        for start in range(0, len(data), PIECE_BYTES):
            if self._is_ended:
                return
            self._feed(data[start : start + PIECE_BYTES])

    def _feed(self, piece: bytes) -> None:
        self._fed_bytes += len(piece)
        limit = MAX_HEAD_BYTES
        if self._is_in_body:
            limit += MAX_CHUNKING * self._service.max_body_bytes
        if self._fed_bytes > limit:
            self._refuse(431, "the header of the request is too large")
            return
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._is_ended = True  # answered as if it had not asked for another protocol
        except httptools.HttpParserCallbackError as error:
            reason = error.__context__
            if not isinstance(reason, _Unfit):
                raise
            self._refuse(reason.status, str(reason))
        except httptools.HttpParserError:
            self._refuse(400, "the request is not HTTP/1.1 as RFC 9112 writes it")

    def on_message_begin(self) -> None:
        self._url.clear()
        self._body.clear()
        self._header_bytes = 0
        self._hosts = 0
        self._is_expected = False
        self._is_in_body = False

    def on_url(self, piece: bytes) -> None:
        self._url += piece
        if len(self._url) > MAX_PATH_BYTES:
            raise _Unfit(414, f"a path has {MAX_PATH_BYTES} bytes at most")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _Unfit(431, f"a header has {MAX_HEADER_BYTES} bytes at most")
        self._hosts += name.lower() == b"host"
        # What is no number is llhttp's to refuse.
        is_length = name.lower() == b"content-length" and value.isdigit()
        if is_length and int(value[:20]) > self._service.max_body_bytes:
            raise _Unfit(413, f"a body has {self._service.max_body_bytes} bytes at most")
        if name.lower() == b"expect":
            if value.lower() != b"100-continue":
                raise _Unfit(417, "a client may expect 100-continue and nothing else")
            self._is_expected = True

    def on_headers_complete(self) -> None:
        if self._hosts > 1 or (self._hosts == 0 and self._parser.get_http_version() == "1.1"):
            raise _Unfit(400, "a request names its host once")  # RFC 9112, section 3.2
        self._is_in_body = True
        # Ahead of earlier answers it would be taken for one of theirs (RFC 9110, section 10.1.1).
        is_next = not (self._waiting or self._is_answering)
        if self._is_expected and is_next and self._parser.get_http_version() == "1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        self._body += piece
        if len(self._body) > self._service.max_body_bytes:
            raise _Unfit(413, f"a body has {self._service.max_body_bytes} bytes at most")

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._fed_bytes = 0
        path, _, query = _ABSOLUTE.sub(b"", bytes(self._url)).partition(b"?")
        method = self._parser.get_method().decode()
        request = Request(method, path, query, bytes(self._body), self._client)
        is_kept = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._put(request, is_kept)

    def _refuse(self, status: int, reason: str) -> None:
        self._is_ended = True
        self._put(self._service.refuse(status, reason), False)

    def _put(self, item: Request | Response, is_kept: bool) -> None:
        self._waiting.append((item, is_kept))
        if len(self._waiting) >= MAX_PIPELINED:
            self._transport.pause_reading()
        self._bell.set()

    async def _work(self) -> None:
        """Answer one request after the other until the client is gone."""
        while True:
            await self._bell.wait()
            item, is_kept = self._waiting.popleft()
            if not self._waiting:
                self._bell.clear()
                self._transport.resume_reading()
            # The answer has deadlines of its own; nobody is cut off for how long it takes.
            self.deadline_s = float("inf")
            self._is_answering = True
            response = await self._answer(item) if isinstance(item, Request) else item
            self._is_answering = False
            self.deadline_s = self._loop.time() + self._service.request_deadline_s
            # An answer to HEAD ends with its header (RFC 9110, section 9.3.2).
            is_bodiless = isinstance(item, Request) and item.method == "HEAD"
            body = b"" if is_bodiless else response.body
            self._transport.write(_head(response, is_kept) + body)
            await self._writable.wait()
            if not is_kept:
                self._is_ended = True
                if response.status in TOO_LARGE:
                    await self._quiet()
                self._transport.close()
                return

    async def _quiet(self) -> None:
        """Let what is not wanted go by: who is cut off while sending reads no answer."""
        while True:
            self._more.clear()
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._more.wait()
            except TimeoutError:
                if not self._more.is_set():
                    return

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._service.answer(request)
        except Exception:
            # The listener's supervisor: a fault in one request must not end the others.
            log.exception("a request failed")
            return self._service.refuse(503, "the key manager failed to answer")


class _Unfit(Exception):
    """A request that HTTP itself refuses."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _head(response: Response, is_kept: bool) -> bytes:
    return (
        _start(response.status, response.allow, is_kept)
        + (f"Date: {_date(int(time.time()))}\r\n{_length(response)}\r\n").encode()
    )


@lru_cache(64)
def _start(status_code: int, allow: tuple[str, ...], is_kept: bool) -> bytes:
    """Return what the answers of one kind begin with."""
    status = HTTPStatus(status_code)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Cache-Control: no-store"]
    lines += [f"Allow: {', '.join(allow)}"] * bool(allow)
    lines += ["WWW-Authenticate: Certificate"] * (status is HTTPStatus.UNAUTHORIZED)
    lines += [f"Retry-After: {RETRY_AFTER_S}"] * (status is HTTPStatus.SERVICE_UNAVAILABLE)
    lines += [f"Connection: {'keep-alive' if is_kept else 'close'}", ""]
    return "\r\n".join(lines).encode()


def _length(response: Response) -> str:
    if response.status == HTTPStatus.NO_CONTENT:
        return ""
    return f"Content-Type: application/json\r\nContent-Length: {len(response.body)}\r\n"


@lru_cache(1)
def _date(now_s: int) -> str:
    """RFC 9110, section 6.6.1."""
    return formatdate(now_s, usegmt=True)
