"""The shared colours can be read by people."""

import pytest

from gui.theme import Theme, palette


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.1."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", list(Theme))
@pytest.mark.parametrize("name", ["text", "dim", "faint", "ok", "warn", "error", "simulated"])
def test_text_stands_out_on_every_background(theme: Theme, name: str) -> None:
    colours, _, _ = palette(theme)

    for background in (colours.panel, colours.window):
        assert contrast(getattr(colours, name), background) >= 4.5


@pytest.mark.parametrize("theme", list(Theme))
def test_channels_stand_out_on_plots(theme: Theme) -> None:
    colours, channels, _ = palette(theme)

    assert len(set(channels)) == 8
    assert min(contrast(channel, colours.plot) for channel in channels) >= 4.0
