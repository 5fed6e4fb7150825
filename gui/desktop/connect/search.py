"""A search for instruments at the node, as the desktop sees it: started, followed, cancelled."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from gui.desktop.client import NodeClient
from gui.desktop.requests import Pending
from qnx_hw.api.discovery import SearchView, StartSearch

LOOK_MS = 250


class Search(QObject):
    """Asks the node how its search goes while it runs; one question at a time is on its way."""

    changed = Signal(object)
    """The newest `SearchView`."""
    failed = Signal(str)

    def __init__(self, client: NodeClient, parent: QObject) -> None:
        super().__init__(parent)
        self._client = client
        self._pending: Pending | None = None
        self.is_running = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    def start(self, hosts: tuple[str, ...], *, usb: bool) -> None:
        """Have the node search anew."""
        self._forget()
        self.is_running = True
        self._pending = self._client.requests.post(
            ("discovery", "start"),
            SearchView,
            StartSearch(hosts=hosts, usb=usb),
            then=self._take,
            otherwise=self._fail,
        )
        self._timer.start()

    def cancel(self) -> None:
        """End the search now; the node is told, and not waited for."""
        if not self.is_running:
            return
        self._forget()
        self._client.requests.post(
            ("discovery", "cancel"), SearchView, then=self.changed.emit, otherwise=lambda _: None
        )

    def _look(self) -> None:
        if self._pending is None or self._pending.is_done:
            self._pending = self._client.requests.get(
                ("discovery",), SearchView, then=self._take, otherwise=self._fail
            )

    def _take(self, view: SearchView) -> None:
        if not view.is_running:
            self._forget()
        self.changed.emit(view)

    def _fail(self, reason: str) -> None:
        self._forget()
        self.failed.emit(reason)

    def _forget(self) -> None:
        self._timer.stop()
        self.is_running = False
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
