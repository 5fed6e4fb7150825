"""A main window on a fake node, and the promise that nothing is left behind."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from fake_node import FakeNode, sample_snapshot, serve
from sample_network import sample_network
from served_api import ServedApi, Site, served

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

    from gui.desktop.client import NodeClient
    from gui.desktop.desk import Desk
    from gui.desktop.look import Look
    from gui.desktop.window import MainWindow

try:
    importlib.import_module("PySide6.QtWidgets")
except ImportError as missing:
    collect_ignore_glob = ["test_*.py"]
    print(f"desktop tests left out: {missing}")  # noqa: T201

WAIT_MS = 120_000
EXAMPLE = Path(__file__).parents[3] / "examples" / "demo.toml"
FAILED = pytest.StashKey[bool]()


class Desktop(NamedTuple):
    """What a test of the desktop works with."""

    window: MainWindow
    client: NodeClient
    node: FakeNode
    url: str


@pytest.fixture(scope="module", autouse=True)
def _little_to_search() -> Iterator[None]:
    """Leave what is there already out of the search for what a test leaves behind."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no widget, timer or thread outlive its test."""
    from PySide6.QtCore import QCoreApplication, QEvent, QThread, QTimer
    from shiboken6 import isValid

    threads = set(threading.enumerate())
    yield
    request.node.funcargs.clear()  # else pytest holds the windows until after this
    for _ in range(2):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
    if request.node.stash.get(FAILED, False):
        return
    assert [type(widget).__name__ for widget in qapp.allWidgets()] == []
    held = [each for each in gc.get_objects() if isinstance(each, QTimer | QThread)]
    alive = [each for each in held if isValid(each)]
    assert not any(each.isActive() for each in alive if isinstance(each, QTimer))
    assert not any(each.isRunning() for each in alive if isinstance(each, QThread))
    for left in set(threading.enumerate()) - threads:
        left.join(WAIT_MS / 1000)  # one that was told to end may still wait for a silent wire
    assert {each for each in threading.enumerate() if each.is_alive()} <= threads


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    """Remember whether a test failed: what it left behind then says nothing."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def look(qapp: QApplication) -> Iterator[Look]:
    """Fonts and dark colours, for a widget that stands alone."""
    from gui.desktop.look import Look
    from gui.theme import Theme

    look = Look(qapp, Theme.DARK)
    yield look
    look.deleteLater()


@pytest.fixture
def desktop(qtbot: QtBot) -> Iterator[Desktop]:
    """Open the main window on a fake node and wait until it shows the first picture."""
    from PySide6.QtWidgets import QApplication

    from gui.desktop.client import NodeClient
    from gui.desktop.look import Look
    from gui.desktop.window import MainWindow
    from gui.theme import Theme

    app = QApplication.instance()
    assert isinstance(app, QApplication)
    node = FakeNode(sample_snapshot())
    with serve(node) as url:
        client, look = NodeClient(url, app), Look(app, Theme.DARK)
        window = MainWindow(client, look)
        qtbot.addWidget(window)
        window.show()
        client.start()
        try:
            qtbot.waitUntil(lambda: window.top_bar.link_name == "alice-bob", timeout=WAIT_MS)
            qtbot.waitUntil(lambda: window.figures.chsh.value.text() != "–", timeout=WAIT_MS)
            yield Desktop(window, client, node, url)
        finally:
            client.stop()
            window.close()
            client.deleteLater()
            look.deleteLater()


class Lab(NamedTuple):
    """A desk on a real API over an invented network of six sites."""

    desk: Desk
    api: ServedApi
    file: Path

    @property
    def client(self) -> NodeClient:
        """The desk's connection."""
        return self.desk.client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedApi, Path]]:
    """Serve the API of a network file for a whole module."""
    file = tmp_path_factory.mktemp("site") / "lab.toml"
    file.write_text(EXAMPLE.read_text())
    with served(Site(snapshot=sample_network(), file=file)) as api:
        yield api, file


@pytest.fixture
def lab(site: tuple[ServedApi, Path], qtbot: QtBot, look: Look) -> Iterator[Lab]:
    """Connect to the API, back in its first state, for a card or a dialog that stands alone."""
    from gui.desktop.client import NodeClient
    from gui.desktop.desk import Desk

    api, file = site
    file.write_text(EXAMPLE.read_text())
    api.call(lambda: _reset(api))
    client = NodeClient(api.url, look)
    desk = Desk(client, look)
    client.start()
    try:
        qtbot.waitUntil(lambda: client.snapshot is not None, timeout=WAIT_MS)
        yield Lab(desk, api, file)
    finally:
        client.stop()
        desk.deleteLater()
        client.deleteLater()


def _reset(api: ServedApi) -> None:
    network = sample_network()
    for kind in ("nodes", "links", "hops", "pools", "tunnels", "plans", "loops"):
        for view in getattr(network, kind):
            api.hub.set(view)
    api.access.database.execute("DELETE FROM files")
