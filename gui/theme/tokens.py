"""Colours by name, from `tokens.json`."""

from enum import StrEnum
from pathlib import Path

import msgspec

HERE = Path(__file__).resolve().parent
TOKENS = HERE / "tokens.json"
FONTS = HERE / "fonts"
ICONS = HERE / "icons"


class Theme(StrEnum):
    """The two looks."""

    DARK = "dark"
    LIGHT = "light"


class Palette(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The colours of one theme as `#RRGGBB`."""

    window: str
    panel: str
    raised: str
    line: str
    line2: str
    text: str
    dim: str
    faint: str
    accent: str
    fill: str
    accent2: str
    ok: str
    warn: str
    error: str
    simulated: str
    plot: str


class _PerTheme(msgspec.Struct, frozen=True):
    dark: tuple[str, ...]
    light: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True):
    dark: Palette
    light: Palette
    channels: _PerTheme
    heat: _PerTheme


def palette(theme: Theme) -> tuple[Palette, tuple[str, ...], tuple[str, ...]]:
    """Return a theme's colours, its channel colours (H V D A H' V' D' A') and its heat ramp."""
    table = msgspec.json.decode(TOKENS.read_bytes(), type=_Table)
    if theme is Theme.DARK:
        return table.dark, table.channels.dark, table.heat.dark
    return table.light, table.channels.light, table.heat.light
