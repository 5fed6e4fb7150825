"""The desktop's connection to a node: the event stream in, commands out, all on Qt's own loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import quote

import msgspec
from PySide6.QtCore import QByteArray, QObject, QTimer, QUrl, Signal
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply, QNetworkRequest

from qnx_hw.api.schema import Event, LinkView, NodeView, Problem, Series, Snapshot
from qnx_hw.api.sse import ServerEvent, SseDecoder

STALE_S = 2.0
"""Silence after which what is shown is marked as old."""
LOST_S = 10.0
_RECONNECT_MS = (200, 500, 1000, 2000, 5000)
_EVENTS_KEPT = 5000


class Connection(StrEnum):
    """How much of what is shown can be believed."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    LOST = "lost"


class NodeClient(QObject):
    """Keeps the newest state of a network. Values are overwritten, never queued."""

    connection_changed = Signal(str)
    refused = Signal(str)
    """A command was refused, with the reason in words."""

    def __init__(self, url: str, parent: QObject) -> None:
        super().__init__(parent)
        self.url = url.rstrip("/")
        self.snapshot: Snapshot | None = None
        self.links: dict[str, LinkView] = {}
        self.nodes: dict[str, NodeView] = {}
        self.events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self.connection = Connection.CONNECTING
        self.revision = 0
        """Grows with every change; a view that drew this number has nothing new to draw."""
        self._network = QNetworkAccessManager(self)
        self._commands: set[QNetworkReply] = set()
        self._histories: dict[QNetworkReply, Callable[[Series], None]] = {}
        self._stream: QNetworkReply | None = None
        self._decoder = SseDecoder()
        self._failures = 0
        self._heard_s = 0.0
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.timeout.connect(self._open)
        self._watch = QTimer(self)
        self._watch.setInterval(250)
        self._watch.timeout.connect(self._check_age)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._watch.start()
        self._open()

    def stop(self) -> None:
        """Let go of the node."""
        self._watch.stop()
        self._retry.stop()
        self._drop_stream()

    def start_link(self, name: str) -> None:
        """Ask the node to make key on a link."""
        self.command(f"/api/v1/links/{quote(name, safe='')}/start")

    def stop_link(self, name: str) -> None:
        """Ask the node to stop making key on a link."""
        self.command(f"/api/v1/links/{quote(name, safe='')}/stop")

    def command(self, path: str) -> None:
        """Post a command; a refusal arrives by the `refused` signal."""
        request = self._request(path)
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        request.setTransferTimeout(10_000)
        reply = self._network.post(request, QByteArray(b"{}"))
        self._commands.add(reply)
        reply.finished.connect(self._commands_done)

    def history(self, link: str, name: str, seconds: int, then: Callable[[Series], None]) -> None:
        """Ask for the history of a quantity; `then` gets it, and is not called on failure."""
        query = f"link={quote(link)}&name={quote(name)}&seconds={seconds}"
        request = self._request(f"/api/v1/history?{query}")
        request.setTransferTimeout(10_000)
        reply = self._network.get(request)
        self._histories[reply] = then
        reply.finished.connect(self._histories_done)

    def age_s(self) -> float:
        """Seconds since the node was last heard."""
        return time.monotonic() - self._heard_s if self._heard_s else float("inf")

    def _request(self, path: str) -> QNetworkRequest:
        request = QNetworkRequest(QUrl(self.url + path))
        request.setRawHeader(b"X-QNX-Client", b"desktop")
        return request

    def _open(self) -> None:
        self._drop_stream()
        self._decoder = SseDecoder()
        request = self._request("/api/v1/stream")
        request.setRawHeader(b"Accept", b"text/event-stream")
        stream = self._network.get(request)
        self._stream = stream
        stream.readyRead.connect(self._read)
        stream.finished.connect(self._finished)

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.readyRead.disconnect(self._read)
            stream.finished.disconnect(self._finished)
            stream.abort()
            stream.deleteLater()

    def _read(self) -> None:
        stream = self._stream
        if stream is None:
            return
        self._heard_s = time.monotonic()
        try:
            for event in self._decoder.feed(bytes(stream.readAll().data())):
                self._take(event)
        except (msgspec.DecodeError, ValueError) as error:
            self.refused.emit(f"{self.url} sent something this desktop does not know: {error}")
            self._finished()

    def _take(self, event: ServerEvent) -> None:
        if event.kind == "snapshot":
            snapshot = msgspec.json.decode(event.data, type=Snapshot)
            self.snapshot = snapshot
            self.links = {link.name: link for link in snapshot.links}
            self.nodes = {node.name: node for node in snapshot.nodes}
            self.events = deque(snapshot.events, maxlen=_EVENTS_KEPT)
            self._failures = 0
        elif event.kind == "link":
            link = msgspec.json.decode(event.data, type=LinkView)
            self.links[link.name] = link
        elif event.kind == "node":
            node = msgspec.json.decode(event.data, type=NodeView)
            self.nodes[node.name] = node
        elif event.kind == "event":
            self.events.append(msgspec.json.decode(event.data, type=Event))
        self.revision += 1
        self._set_connection(Connection.LIVE if self.snapshot else Connection.CONNECTING)

    def _finished(self) -> None:
        self._drop_stream()
        pause = _RECONNECT_MS[min(self._failures, len(_RECONNECT_MS) - 1)]
        self._failures += 1
        self._retry.start(pause)

    def _check_age(self) -> None:
        age = self.age_s()
        if age > LOST_S and self.snapshot is not None:
            self._set_connection(Connection.LOST)
        elif age > STALE_S and self.snapshot is not None:
            self._set_connection(Connection.STALE)

    def _set_connection(self, connection: Connection) -> None:
        if connection is not self.connection:
            self.connection = connection
            self.revision += 1
            self.connection_changed.emit(connection)

    def _commands_done(self) -> None:
        for reply in [reply for reply in self._commands if reply.isFinished()]:
            self._commands.remove(reply)
            self._check_answer(reply)
            reply.deleteLater()

    def _check_answer(self, reply: QNetworkReply) -> None:
        if reply.error() is not QNetworkReply.NetworkError.NoError:
            body = bytes(reply.readAll().data())
            try:
                reason = msgspec.json.decode(body, type=Problem).error
            except msgspec.DecodeError:
                reason = f"{self.url} did not take the command: {reply.errorString()}"
            self.refused.emit(reason)

    def _histories_done(self) -> None:
        for reply in [reply for reply in self._histories if reply.isFinished()]:
            then = self._histories.pop(reply)
            if reply.error() is QNetworkReply.NetworkError.NoError:
                then(msgspec.json.decode(bytes(reply.readAll().data()), type=Series))
            reply.deleteLater()
