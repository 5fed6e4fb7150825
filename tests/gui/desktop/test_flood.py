"""A node that sends far more than anybody can look at, and addresses where nobody is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from fake_node import sample_link, sample_snapshot
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QObject, Qt

from gui.desktop.client import Connection, NodeClient
from qnx_hw.api.schema import LinkPhase, LinkView
from qnx_hw.api.sse import ServerEvent

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
BURST = 50


@contextmanager
def flood(desktop: Desktop) -> Iterator[None]:
    """Push views of the link without end, in bursts, as fast as the interpreter lets it."""
    is_over = threading.Event()

    def push() -> None:
        block = 1000
        while not is_over.wait(0.001):
            for _ in range(BURST):
                block += 1
                desktop.node.push("link", sample_link(block=block))

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        yield
    finally:
        is_over.set()
        pusher.join()


def test_stop_is_carried_out_while_a_node_floods(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    with flood(desktop):
        qtbot.waitUntil(lambda: desktop.client.links["alice-bob"].block > 1000, timeout=WAIT_MS)

        qtbot.mouseClick(window.top_bar.stop_button, LEFT)

        assert not window.top_bar.stop_button.isEnabled()
        qtbot.waitUntil(lambda: bool(desktop.node.commands), timeout=WAIT_MS)
    assert desktop.node.commands[0][0].endswith("/links/alice-bob/stop")


def test_a_flood_ends_with_the_newest_view(desktop: Desktop, qtbot: QtBot) -> None:
    with flood(desktop):
        qtbot.waitUntil(lambda: desktop.client.links["alice-bob"].block > 1000, timeout=WAIT_MS)

    desktop.node.push("link", sample_link(phase=LinkPhase.STOPPED, block=7))

    state = desktop.window.top_bar.state
    qtbot.waitUntil(lambda: state.text() == "STOPPED", timeout=WAIT_MS)
    assert desktop.client.connection is Connection.LIVE
    assert desktop.client.links["alice-bob"].block == 7


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 99)), min_size=1, max_size=40))
def test_of_many_views_the_newest_of_each_name_is_kept(blocks: list[tuple[str, int]]) -> None:
    keeper = QObject()
    client = NodeClient("http://127.0.0.1:9", keeper)
    snapshot = msgspec.json.encode(sample_snapshot(links=()))
    views = [sample_link(name=name, block=block) for name, block in blocks]

    client.take(
        [
            ServerEvent("snapshot", snapshot),
            *(ServerEvent("link", msgspec.json.encode(view)) for view in views),
        ]
    )

    assert client.views(LinkView) == {view.name: view for view in views}
    keeper.deleteLater()


def test_a_dead_address_costs_the_window_nothing(desktop: Desktop, qtbot: QtBot) -> None:
    """No wait of the window's is on the network: each frame and key comes while it is dialled."""
    frames: list[int] = []
    desktop.window.clock.ticked.connect(lambda: frames.append(len(frames)))

    desktop.client.attach("http://192.0.2.1:8470")  # RFC 5737: an address that nobody has

    assert desktop.client.connection is Connection.CONNECTING
    qtbot.waitUntil(lambda: len(frames) > 5, timeout=WAIT_MS)
    qtbot.keyClick(desktop.window, "4", Qt.KeyboardModifier.ControlModifier)
    assert desktop.window.workspace.name == "Analyse"
    desktop.client.stop()
