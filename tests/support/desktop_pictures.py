"""The desktop as it is pictured: for the screenshot tests, and for the documentation.

`QT_QPA_PLATFORM=offscreen PYTHONPATH=tests/support:. python -m desktop_pictures` draws all stored
pictures anew; look at them before you keep them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from fake_node import FakeNode, sample_delays, sample_link, sample_loop, serve
from PySide6.QtCore import QEvent
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from sample_network import sample_network

from gui.desktop.client import NodeClient
from gui.desktop.look import Look
from gui.desktop.panels.rates import RatesPanel
from gui.desktop.window import MainWindow
from gui.theme import Theme
from qnx_hw.api.schema import LinkView, Snapshot
from qnx_hw.api.value import Estimate

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "gui" / "desktop" / "pictures"
GALLERY = ROOT / "docs" / "pictures"
CARDS = (
    "instruments", "rates", "histogram", "matrix", "errors", "key_rate", "chsh", "sphere",
    "polarization", "tagger", "detector", "events",
)  # fmt: skip
CARD_SIZE = (420, 300)
NOW_S = 1.78e9
PLAIN = 32
"""A pixel differs where any of its colours is further off than this, of 255."""
ALLOWED = 0.005
"""Part of a picture that may differ: other versions of Qt draw edges a little differently."""
_STEPS = 300
_WAIT_S = 20.0


def scene() -> Snapshot:
    """Return a network with a link that makes key, and its polarization under control."""
    network = sample_network()
    first = sample_link(qber_z=Estimate(value=0.0242, sigma=0.0011))
    links = (first, *network.links[1:])
    return msgspec.structs.replace(
        network, links=links, loops=(sample_loop(),), delays=(sample_delays(),)
    )


@contextmanager
def pictured(app: QApplication, theme: Theme) -> Iterator[MainWindow]:
    """Open the main window on the scene at a fixed moment and wait until all is drawn."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    node = FakeNode(scene())
    node.now = lambda: NOW_S
    with serve(node) as url:
        client, look = NodeClient(url, app), Look(app, theme)
        window = MainWindow(client, look)
        window.desk.now = lambda: NOW_S
        window.resize(1680, 1050)
        window.show()
        client.start()
        wait(lambda: window.desk.link_name == "alice-bob")
        fill_rates(window)
        yield window
        client.stop()
        window.close()
        for each in (window, client, look):
            each.deleteLater()
        app.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def fill_rates(window: MainWindow) -> None:
    """Give the count rates a minute of past: slow drifts and the noise of counting."""
    rates, links = window.panel("rates"), window.client.views(LinkView)
    assert isinstance(rates, RatesPanel)
    window.clock.stop()
    rates.show_link("alice-bob")
    link, dice = links["alice-bob"], np.random.default_rng(1)
    for step in range(_STEPS):
        at = NOW_S - 60.0 * (1.0 - (step + 1) / _STEPS)
        window.desk.now = lambda at=at: at  # type: ignore[misc]
        seen = tuple(
            msgspec.structs.replace(
                rate,
                rate_cps=(41_000 if rate.station == "alice" else 28_000)
                + 500 * math.sin(step / 40 + 2 * number)
                + 400 * (number % 4)
                + dice.normal(0, 250),
            )
            for number, rate in enumerate(link.rates)
        )
        links["alice-bob"] = msgspec.structs.replace(link, rates=seen)
        rates.draw()
    window.desk.now = lambda: NOW_S
    window.clock.start()


def settle(window: MainWindow, name: str) -> None:
    """Wait until a card shows what it asked the node for."""
    panel = window.panel(name)
    panel.redraw()
    window.draw()
    series, held = getattr(panel, "_series", None), getattr(panel, "families", None)
    if series is not None:
        wanted = {curve.quantity for curve, _ in panel._curves}
        wait(lambda: set(panel._series) == wanted)
    if held is not None:
        wait(lambda: panel.held is not None)
    for _ in range(3):
        panel.redraw()
        window.draw()
        QApplication.processEvents()


def card_picture(window: MainWindow, name: str) -> QImage:
    """Draw one card by itself."""
    panel = window.panel(name)
    panel.show()
    panel.setFloating(True)
    panel.resize(*CARD_SIZE)
    window.setFocus()
    settle(window, name)
    picture = panel.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    panel.setFloating(False)
    panel.hide()
    return picture


def difference(one: QImage, other: QImage) -> float:
    """Return the part of pixels that plainly differ; all where the sizes do."""
    if one.size() != other.size():
        return 1.0
    pixels = [
        np.frombuffer(each.convertToFormat(QImage.Format.Format_RGB32).constBits(), np.uint8)
        .reshape(each.height(), each.width(), 4)[:, :, :3]
        .astype(np.int16)
        for each in (one, other)
    ]
    return float((np.abs(pixels[0] - pixels[1]).max(axis=2) > PLAIN).mean())


def wait(condition: Callable[[], bool]) -> None:
    """Let the window work until something holds."""
    deadline_s = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the desktop did not come to show what the picture is of")
        QTest.qWait(10)


def save_small(picture: QImage, path: Path) -> None:
    """Write a picture as small as PNG can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convertToFormat(QImage.Format.Format_RGB888).save(str(path), "PNG", 0)


def main() -> None:
    """Draw the stored pictures and the documentation's."""
    app = QApplication([])
    for theme in Theme:
        with pictured(app, theme) as window:
            for place in ("Run", "Align", "Network", "Analyse"):
                window.use_workspace(place)
                for name, panel in window.panels.items():
                    if panel.can_be_seen:
                        settle(window, name)
                QTest.qWait(300)
                window.draw()
                end = "" if theme is Theme.DARK else "-light"
                if theme is Theme.DARK or place == "Run":
                    path = GALLERY / f"desktop-{place.lower()}{end}.png"
                    save_small(window.grab().toImage(), path)
        with pictured(app, theme) as window:
            for name in CARDS:
                save_small(card_picture(window, name), STORED / f"{name}-{theme}.png")


if __name__ == "__main__":
    main()
