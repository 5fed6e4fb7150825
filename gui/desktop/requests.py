"""Questions and commands to a node, answered by a callback on Qt's loop; nothing here waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from PySide6.QtCore import QByteArray, QUrl
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply, QNetworkRequest

from qnx_hw.api.commands import Command, Nothing
from qnx_hw.api.schema import Problem, Series
from qnx_hw.errors import UNREADABLE

ANSWER_MS = 10_000
UNAUTHORIZED = 401

_Answer = TypeVar("_Answer")


class Pending:
    """A request on its way; `cancel` and nobody is called any more."""

    def __init__(
        self, reply: QNetworkReply, finish: Callable[[QNetworkReply | None], None]
    ) -> None:
        self._reply: QNetworkReply | None = reply
        self._finish = finish
        reply.finished.connect(self._finished)

    @property
    def is_done(self) -> bool:
        """Whether it was answered, refused or cancelled."""
        return self._reply is None

    def cancel(self) -> None:
        """Forget the request; what the node does already, it does."""
        reply = self._let_go()
        if reply is not None:
            reply.abort()
            self._finish(None)

    def _finished(self) -> None:
        reply = self._let_go()
        if reply is not None:
            self._finish(reply)

    def _let_go(self) -> QNetworkReply | None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.finished.disconnect(self._finished)
            reply.deleteLater()
        return reply


class Requests:
    """Asks one node. A refusal goes to `otherwise`, or to everybody where none is given.

    >>> client.requests.get(("routing", "forecasts"), tuple[Forecast, ...], then=self.draw)
    >>> client.requests.post(("links", name, "window"), LinkView, SetWindow(window_ps=3000))
    """

    def __init__(
        self, url: str, token: str, network: QNetworkAccessManager, refuse: Callable[[str], None]
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._network = network
        self._refuse = refuse
        # A manager has one thread for all its connections: a stream that floods it would keep
        # commands waiting.
        self._streams = QNetworkAccessManager(network)
        self._pending: set[Pending] = set()

    def get(
        self,
        path: tuple[str, ...],
        answer: type[_Answer],
        *,
        then: Callable[[_Answer], None],
        otherwise: Callable[[str], None] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Pending:
        """Ask for something."""
        asked = f"?{urlencode(query)}" if query else ""
        request = self._request(_path(path) + asked)
        return self._await(self._network.get(request), answer, then, otherwise)

    def post(
        self,
        path: tuple[str, ...],
        answer: Any,
        body: Command | None = None,
        *,
        then: Callable[[Any], None] | None = None,
        otherwise: Callable[[str], None] | None = None,
    ) -> Pending:
        """Send a command."""
        request = self._request(_path(path))
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        text = QByteArray(msgspec.json.encode(body or Nothing()))
        return self._await(self._network.post(request, text), answer, then, otherwise)

    def history(
        self,
        name: str,
        quantity: str,
        seconds: float,
        *,
        then: Callable[[Series], None],
        kind: str = "link",
    ) -> Pending:
        """Ask for the past of a quantity of a link, or another kind of thing; silent on failure."""
        query = {"link": name, "name": quantity, "seconds": seconds, "kind": kind}
        return self.get(("history",), Series, then=then, otherwise=_ignore, query=query)

    def open_stream(self, path: str) -> QNetworkReply:
        """Open a stream of events."""
        request = self._request(path)
        request.setTransferTimeout(0)
        request.setRawHeader(b"Accept", b"text/event-stream")
        return self._streams.get(request)

    def close(self) -> None:
        """Let go of everything; this is not used again."""
        self.cancel_all()
        self._streams.deleteLater()

    def is_good(self, reply: QNetworkReply) -> bool:
        """Whether the node took the request."""
        return _status(reply) in (0, 200)

    def why_refused(self, reply: QNetworkReply) -> str:
        """Return why the node would not have us; empty where it was not asked or is gone."""
        if _status(reply) == UNAUTHORIZED:
            return f"{self.url} wants a token: attach to it again with one"
        return "" if self.is_good(reply) else self._reason(reply)

    def cancel_all(self) -> None:
        """Forget all requests."""
        for pending in tuple(self._pending):
            pending.cancel()
        self._pending.clear()

    def _request(self, path: str) -> QNetworkRequest:
        request = QNetworkRequest(QUrl(self.url + path))
        request.setRawHeader(b"X-QNX-Client", b"desktop")
        request.setTransferTimeout(ANSWER_MS)
        if self.token:
            request.setRawHeader(b"Authorization", f"Bearer {self.token}".encode())
        return request

    def _await(
        self,
        reply: QNetworkReply,
        answer: Any,
        then: Callable[[Any], None] | None,
        otherwise: Callable[[str], None] | None,
    ) -> Pending:
        def finish(finished: QNetworkReply | None) -> None:
            self._pending.discard(pending)
            if finished is None:
                return
            if finished.error() is not QNetworkReply.NetworkError.NoError:
                (otherwise or self._refuse)(self._reason(finished))
                return
            try:
                value = msgspec.json.decode(bytes(finished.readAll().data()), type=answer)
            except UNREADABLE as error:
                words = f"{self.url} answered in words this desktop does not know: {error}"
                (otherwise or self._refuse)(words)
                return
            if then is not None:
                then(value)

        pending = Pending(reply, finish)
        self._pending.add(pending)
        return pending

    def _reason(self, reply: QNetworkReply) -> str:
        try:
            return msgspec.json.decode(bytes(reply.readAll().data()), type=Problem).error
        except UNREADABLE:
            return f"{self.url} did not answer as it should: {reply.errorString()}"


def _path(parts: tuple[str, ...]) -> str:
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def _status(reply: QNetworkReply) -> int:
    return int(reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute) or 0)


def _ignore(reason: str) -> None:
    """Say nothing."""
