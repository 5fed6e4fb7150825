"""The desktop as it is pictured: for the screenshot tests, and for the documentation.

`QT_QPA_PLATFORM=offscreen PYTHONPATH=tests/support:. python -m desktop_pictures` draws all stored
pictures anew; look at them before you keep them. With QT_SCALE_FACTOR=2 it draws those of a screen
with twice as many pixels, and nothing for the documentation. `… --compare FOLDER` draws none of
them: it says which cards differ from their pictures, and puts what they are into the folder.

A picture may differ in half a percent of its pixels: versions of Qt draw edges a little
differently, some 0.2 % of the pixels, and a word or a colour that changed is more than that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from fake_node import FakeNode, sample_delays, sample_link, sample_loop, serve
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from sample_network import sample_network

from gui.desktop.client import NodeClient
from gui.desktop.figures import SPARK_VALUES
from gui.desktop.look import Look
from gui.desktop.panels.rates import RatesPanel
from gui.desktop.window import MainWindow
from gui.theme import Theme
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import LinkView, Snapshot
from qnx_hw.api.traffic import Forecast
from qnx_hw.api.value import Estimate

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "gui" / "desktop" / "pictures"
GALLERY = ROOT / "docs" / "pictures"
CARD_SIZE, TABLE_SIZE = (420, 300), (720, 300)
TABLES = {"events", "pools", "tunnels", "routing", "recordings"}
NOW_S = 1.78e9
PLAIN = 32
"""A pixel differs where any of its colours is further off than this, of 255."""
ALLOWED = 0.005
"""Part of a picture that may differ."""
_STEPS = 300
_WAIT_S = 120.0


def scene() -> Snapshot:
    """Return a network with a link that makes key, and its polarization under control."""
    network = sample_network()
    first = sample_link(qber_z=Estimate(value=0.0242, sigma=0.0011))
    links = (first, *network.links[1:])
    return msgspec.structs.replace(
        network, links=links, loops=(sample_loop(),), delays=(sample_delays(),)
    )


def recordings() -> tuple[RecordingView, ...]:
    """Return what was recorded on three evenings."""
    names = ("2026-05-26_211500_demo", "2026-05-27_203000_demo", "long fibre")
    return tuple(
        RecordingView(
            name=name, is_running=False, started_s=NOW_S - 86_400.0 * (3 - number),
            duration_s=1800.0 * (number + 1), instruments=("alice tagger", "bob tagger"),
            tags=550_000_000 * (number + 1), size_bytes=1_700_000_000 * (number + 1),
            gaps=number // 2, is_simulated=True,
        )
        for number, name in enumerate(names)
    )  # fmt: skip


def forecast() -> Forecast:
    """Return an hour of a forecast, and what came in most of it."""
    times = tuple(60.0 * step for step in range(60))
    middle = tuple(6e8 + 1.5e8 * math.sin(step / 9) for step in range(60))
    came = tuple(
        value + 4e7 * math.sin(1.7 * step) if step < 48 else None
        for step, value in enumerate(middle)
    )
    return Forecast(
        name="alice edge-2", unit="bit/s", model="seasonal", times_s=times, expected=middle,
        low=tuple(value - 9e7 for value in middle), high=tuple(value + 9e7 for value in middle),
        actual=came,
    )  # fmt: skip


@contextmanager
def pictured(app: QApplication, theme: Theme) -> Iterator[MainWindow]:
    """Open the main window on the scene at a fixed moment and wait until all is drawn."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    node = FakeNode(scene())
    node.now = lambda: NOW_S
    node.recordings, node.forecasts = recordings(), (forecast(),)
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
        window.desk.now = lambda at=at: at
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
        if step % (_STEPS // SPARK_VALUES) == 0:
            window.figures.show_link(_wavering(link, dice))
    window.figures.show_link(link)
    window.desk.now = lambda: NOW_S
    window.clock.start()


def _wavering(link: LinkView, dice: np.random.Generator) -> LinkView:
    """Return a link whose key figures are a little off."""
    near = dice.normal(1.0, 0.01, 5).tolist()
    return msgspec.structs.replace(
        link,
        coincidence_rate_cps=(link.coincidence_rate_cps or 0.0) * near[0],
        qber=Estimate(value=(link.qber.value or 0.0) * near[1]),
        chsh_s=Estimate(value=(link.chsh_s.value or 0.0) * near[2]),
        secret_rate_bps=(link.secret_rate_bps or 0.0) * near[3],
        pool_bits=round(link.pool_bits * near[4]),
    )


def settle(window: MainWindow, name: str) -> None:
    """Wait until a card shows what it asked the node for, and that it is of now."""
    panel, client = window.panel(name), window.client
    panel.redraw()
    window.draw()
    series, held = getattr(panel, "_series", None), getattr(panel, "families", None)
    if series is not None:
        wanted = {curve.quantity for curve, _ in panel._curves}
        wait(lambda: set(panel._series) == wanted)
    if held is not None:
        wait(lambda: panel.held is not None)
    for _ in range(3):
        wait(lambda: client.is_live and not client.requests._pending)
        panel.redraw()
        window.draw()
        QApplication.processEvents()


def card_picture(window: MainWindow, name: str) -> QImage:
    """Draw one card by itself."""
    panel = window.panel(name)
    panel.show()
    panel.setFloating(True)
    panel.resize(*(TABLE_SIZE if name in TABLES else CARD_SIZE))
    settle(window, name)
    if (focused := QApplication.focusWidget()) is not None:
        focused.clearFocus()
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
    picture = picture.convertToFormat(QImage.Format.Format_RGB32)
    colours, often = np.unique(np.frombuffer(picture.constBits(), np.uint32), return_counts=True)
    table = [int(colour) for colour in colours[np.argsort(-often)[:256]]]
    how = Qt.ImageConversionFlag.ThresholdDither | Qt.ImageConversionFlag.AvoidDither
    few = picture.convertToFormat(QImage.Format.Format_Indexed8, table, how)
    is_alike = difference(picture, few) < ALLOWED / 10
    best = few if is_alike else picture.convertToFormat(QImage.Format.Format_RGB888)
    best.save(str(path), "PNG", 0)


def stored(name: str, theme: Theme, scale: float) -> Path:
    """Return where a card's picture lies."""
    return STORED / f"{name}-{theme}{'' if scale == 1 else f'@{scale:g}x'}.png"


def compare(app: QApplication, folder: Path) -> dict[str, str]:
    """Say which cards do not look as they did, in both themes, at this process's scale."""
    wrong = {}
    for theme in Theme:
        with pictured(app, theme) as window:
            for name in window.panels:
                picture = card_picture(window, name)
                path = stored(name, theme, picture.devicePixelRatio())
                part = difference(picture, QImage(str(path)))
                if part > ALLOWED:
                    wrong[path.stem] = f"{part:.2%} of its pixels differ"
                    save_small(picture, folder / path.name)
    return wrong


def draw_gallery(window: MainWindow, theme: Theme) -> None:
    """Draw the documentation's pictures of whole workspaces."""
    for place in ("Run", "Align", "Network", "Analyse"):
        window.use_workspace(place)
        for name, panel in window.panels.items():
            if panel.can_be_seen:
                settle(window, name)
        QTest.qWait(300)
        window.draw()
        end = "" if theme is Theme.DARK else "-light"
        if theme is Theme.DARK or place == "Run":
            save_small(window.grab().toImage(), GALLERY / f"desktop-{place.lower()}{end}.png")


def main() -> None:
    """Draw the stored pictures and the documentation's, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    app = QApplication([])
    if arguments.compare is not None:
        print(json.dumps(compare(app, arguments.compare)))  # noqa: T201
        return
    for theme in Theme:
        if app.devicePixelRatio() == 1:
            with pictured(app, theme) as window:
                draw_gallery(window, theme)
        with pictured(app, theme) as window:
            for name in window.panels:
                picture = card_picture(window, name)
                save_small(picture, stored(name, theme, picture.devicePixelRatio()))


if __name__ == "__main__":
    main()
