"""The look that desktop and dashboard share: one token table, fonts and icons."""

from gui.theme.tokens import FONTS, ICONS, TOKENS, Palette, Theme, palette

__all__ = ["FONTS", "ICONS", "TOKENS", "Palette", "Theme", "palette"]
