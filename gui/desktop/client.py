"""The desktop's connection to a node: the event stream in, commands out, all on Qt's own loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply

from gui.desktop.event_log import EventLog
from gui.desktop.requests import Requests
from qnx_hw.api.loops import LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import VIEWS, Event, LinkView, NodeView, Snapshot, View
from qnx_hw.api.sse import ServerEvent, SseDecoder
from qnx_hw.api.traffic import HopView, PlanView, PoolView, TunnelView
from qnx_hw.errors import UNREADABLE

STALE_S = 1.9
"""Silence after which what is shown is marked as old: the mark is there within two seconds."""
LOST_S = 10.0
"""Silence after which the connection is given up and made anew: a peer may have gone unheard."""
_RECONNECT_MS = (200, 500, 1000, 2000, 3000)
_LOOK_MS = 100
_PIECE_BYTES = 64 * 1024
"""Some milliseconds of work at most."""
_REST_MS = 4
"""Between two pieces, because the network's events come before those of timers and pipes."""
_MOST_BUFFERED_BYTES = 1024 * 1024
"""Beyond this the node has to wait, which keeps only its newest for us."""

_View = TypeVar("_View", bound=View)


class _Named(msgspec.Struct):
    name: str


class Connection(StrEnum):
    """How much of what is shown can be believed."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    LOST = "lost"


class NodeClient(QObject):
    """Keeps the newest state of a network. Values are overwritten, never queued.

    Every kind of view has a store by name; `views(PoolView)` finds any of them.
    """

    connection_changed = Signal(str)
    refused = Signal(str)
    """A command was refused, with the reason in words."""

    def __init__(
        self, url: str, parent: QObject, *, token: str = "", give_up_s: float = LOST_S
    ) -> None:
        super().__init__(parent)
        self._give_up_s = give_up_s
        self.snapshot: Snapshot | None = None
        self.events = EventLog()
        self.connection = Connection.CONNECTING
        self.revision = 0
        """Grows with every change; a view that drew this number has nothing new to draw."""
        # Each store holds its own kind only, which a dictionary's type cannot say.
        self._stores: dict[type[Any], dict[str, Any]] = {kind: {} for kind in VIEWS.values()}
        self._network = QNetworkAccessManager(self)
        self.requests = Requests(url, token, self._network, self.refused.emit)
        self._stream: QNetworkReply | None = None
        self._decoder = SseDecoder()
        self._failures = 0
        self._heard_s = self._opened_s = 0.0
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.timeout.connect(self._open)
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._read)
        self._watch = QTimer(self)
        self._watch.setInterval(_LOOK_MS)
        self._watch.timeout.connect(self._check_age)

    @property
    def url(self) -> str:
        """Where the node is."""
        return self.requests.url

    @property
    def token(self) -> str:
        """What the node knows us by; empty where it has no users."""
        return self.requests.token

    @property
    def is_live(self) -> bool:
        """Whether what is shown is of now."""
        return self.connection is Connection.LIVE

    def views(self, kind: type[_View]) -> dict[str, _View]:
        """Return the newest views of a kind by name; the caller only reads."""
        return self._stores[kind]

    @property
    def links(self) -> dict[str, LinkView]:
        """The links by name."""
        return self.views(LinkView)

    @property
    def nodes(self) -> dict[str, NodeView]:
        """The sites by name."""
        return self.views(NodeView)

    @property
    def loops(self) -> dict[str, LoopView]:
        """The closed loops by name."""
        return self.views(LoopView)

    @property
    def pools(self) -> dict[str, PoolView]:
        """The key pools by name."""
        return self.views(PoolView)

    @property
    def tunnels(self) -> dict[str, TunnelView]:
        """The tunnels by name."""
        return self.views(TunnelView)

    @property
    def hops(self) -> dict[str, HopView]:
        """The hops of user traffic by name."""
        return self.views(HopView)

    @property
    def recordings(self) -> dict[str, RecordingView]:
        """The recordings begun since the node started, by name."""
        return self.views(RecordingView)

    @property
    def plan(self) -> PlanView | None:
        """The routing plan in force, where a controller decides."""
        return next(iter(self.views(PlanView).values()), None)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._watch.start()
        self._open()

    def stop(self) -> None:
        """Let go of the node."""
        self._watch.stop()
        self._retry.stop()
        self._more.stop()
        self._drop_stream()
        self.requests.cancel_all()

    def attach(self, url: str, token: str = "") -> None:
        """Leave this node and show another one."""
        self.stop()
        self.requests.close()
        self.requests = Requests(url, token, self._network, self.refused.emit)
        self.snapshot, self.events = None, EventLog()
        for store in self._stores.values():
            store.clear()
        self._failures, self._heard_s = 0, 0.0
        self._set_connection(Connection.CONNECTING)
        self.start()

    def age_s(self) -> float:
        """Seconds since the node was last heard."""
        return time.monotonic() - self._heard_s if self._heard_s else float("inf")

    def _open(self) -> None:
        self._drop_stream()
        self._opened_s = time.monotonic()
        self._decoder = SseDecoder()
        stream = self.requests.open_stream("/api/v1/stream")
        self._stream = stream
        stream.setReadBufferSize(_MOST_BUFFERED_BYTES)
        stream.readyRead.connect(self._arrived)
        stream.finished.connect(self._finished)

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.readyRead.disconnect(self._arrived)
            stream.finished.disconnect(self._finished)
            stream.abort()
            stream.deleteLater()

    def _arrived(self) -> None:
        if not self._more.isActive():
            self._read()

    def _read(self) -> None:
        """Take what came, a piece at a time: input and frames have their turn in between."""
        stream = self._stream
        if stream is None or not self.requests.is_good(stream):
            return
        self._heard_s = time.monotonic()
        try:
            self.take(self._decoder.feed(bytes(stream.read(_PIECE_BYTES).data())))
        except (ValueError, *UNREADABLE) as error:
            self.refused.emit(f"{self.url} sent something this desktop does not know: {error}")
            self._finished()
            return
        if stream.bytesAvailable():
            self._more.start(_REST_MS)

    def take(self, events: Iterable[ServerEvent]) -> None:
        """Take events of the stream; of several views of one thing only the newest is read."""
        newest: dict[tuple[str, str], ServerEvent] = {}
        for event in events:
            if event.kind in VIEWS:
                name = msgspec.json.decode(event.data, type=_Named).name
                newest[event.kind, name] = event
            elif event.kind == "snapshot":
                newest.clear()
                self._take_all(msgspec.json.decode(event.data, type=Snapshot))
            elif event.kind == "event":
                self.events.add(msgspec.json.decode(event.data, type=Event))
                self.revision += 1
        for (kind, name), event in newest.items():
            view = msgspec.json.decode(event.data, type=VIEWS[kind])
            self._stores[VIEWS[kind]][name] = view
            self.revision += 1
        self._set_connection(Connection.LIVE if self.snapshot else Connection.CONNECTING)

    def _take_all(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for kind, view in VIEWS.items():
            store = self._stores[view]
            store.clear()
            store.update({each.name: each for each in getattr(snapshot, f"{kind}s")})
        self.events.merge(snapshot.events)
        self._failures = 0
        self.revision += 1

    def _finished(self) -> None:
        if self._stream is not None and (why := self.requests.why_refused(self._stream)):
            self.refused.emit(why)
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
        if (
            self._stream is not None
            and min(age, time.monotonic() - self._opened_s) > self._give_up_s
        ):
            self._finished()

    def _set_connection(self, connection: Connection) -> None:
        if connection is not self.connection:
            self.connection = connection
            self.revision += 1
            self.connection_changed.emit(connection)
