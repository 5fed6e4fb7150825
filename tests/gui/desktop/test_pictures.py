"""Every card looks as it did, in both themes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from desktop_pictures import ALLOWED, CARDS, STORED, card_picture, difference, pictured
from PySide6.QtGui import QImage

from gui.theme import Theme

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write times as they were written when the pictures were taken."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.slow
@pytest.mark.parametrize("theme", list(Theme))
def test_all_cards_look_as_they_did(
    theme: Theme, qapp: QApplication, utc: None, tmp_path: Path
) -> None:
    wrong = {}
    with pictured(qapp, theme) as window:
        for name in CARDS:
            picture = card_picture(window, name)
            part = difference(picture, QImage(str(STORED / f"{name}-{theme}.png")))
            if part > ALLOWED:
                wrong[name] = f"{part:.2%} of its pixels differ"
                picture.save(str(tmp_path / f"{name}-{theme}.png"))

    assert not wrong, f"look at {tmp_path}; tests/support/desktop_pictures.py says how to keep them"


def test_a_picture_of_another_theme_is_noticed() -> None:
    dark, light = (QImage(str(STORED / f"matrix-{theme}.png")) for theme in Theme)

    assert difference(dark, dark) == 0.0
    assert difference(dark, light) > ALLOWED
    assert difference(dark, dark.scaled(100, 100)) == 1.0
