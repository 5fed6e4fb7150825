"""Fonts, colours and icons of the desktop, from the shared theme; switched live."""

from __future__ import annotations

from pathlib import Path
from string import Template

from PySide6.QtCore import QByteArray, QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from gui.theme import FONTS, ICONS, Palette, Theme, palette

_STYLE = Template((Path(__file__).parent / "style.qss").read_text(encoding="utf-8"))
_MARKS = Path(__file__).parent / "marks"
"""The theme's icons in fixed colours, because a style sheet cannot tint them."""


class Look(QObject):
    """The theme in force. Everything that paints by itself listens to `changed`."""

    changed = Signal()

    def __init__(self, app: QApplication, theme: Theme | None = None) -> None:
        super().__init__(app)
        self._app = app
        for path in sorted(FONTS.glob("*.woff2")):
            QFontDatabase.addApplicationFont(str(path))
        app.setStyle("Fusion")
        app.setFont(text_font())
        self.follows_system = theme is None
        self.theme = theme or self._system_theme()
        self.style = ""
        """The style sheet, for a main window and all that belongs to it.

        One for the whole application would take three times as long to reach the same widgets.
        """
        self.colours: Palette
        self.channels: tuple[str, ...]
        self.heat: tuple[str, ...]
        self._paint()
        app.styleHints().colorSchemeChanged.connect(self._system_changed)

    def use(self, theme: Theme) -> None:
        """Paint the whole app in a theme, now, whatever the system prefers."""
        self.follows_system = False
        self.theme = theme
        self._paint()

    def follow_system(self) -> None:
        """Use the theme that the system prefers, now and whenever it changes."""
        self.follows_system = True
        self._system_changed()

    def _system_theme(self) -> Theme:
        is_light = self._app.styleHints().colorScheme() is Qt.ColorScheme.Light
        return Theme.LIGHT if is_light else Theme.DARK

    def _system_changed(self) -> None:
        if self.follows_system and self._system_theme() is not self.theme:
            self.theme = self._system_theme()
            self._paint()

    def _paint(self) -> None:
        self.colours, self.channels, self.heat = palette(self.theme)
        self._app.setPalette(self._qt_palette())
        self.style = _STYLE.substitute(
            {field: getattr(self.colours, field) for field in self.colours.__struct_fields__},
            theme=self.theme.value,
            marks=_MARKS.as_posix(),
        )
        self.changed.emit()

    def toggle(self) -> None:
        """Switch between dark and light."""
        self.use(Theme.LIGHT if self.theme is Theme.DARK else Theme.DARK)

    def icon(self, name: str, colour: str = "") -> QIcon:
        """Return an icon in a colour of the theme, text colour unless said otherwise."""
        return QIcon(self.pixmap(name, colour or self.colours.dim))

    def pixmap(self, name: str, colour: str, size: int = 32) -> QPixmap:
        """Draw an icon in one colour."""
        shape = (ICONS / f"{name}.svg").read_bytes()
        drawn = QPixmap(size, size)
        drawn.fill(Qt.GlobalColor.transparent)
        painter = QPainter(drawn)
        QSvgRenderer(QByteArray(shape.replace(b"currentColor", colour.encode()))).render(painter)
        painter.end()
        return drawn

    def _qt_palette(self) -> QPalette:
        colours, roles = self.colours, QPalette.ColorRole
        made = QPalette()
        for role, colour in {
            roles.Window: colours.window,
            roles.Base: colours.panel,
            roles.AlternateBase: colours.raised,
            roles.Text: colours.text,
            roles.WindowText: colours.text,
            roles.ButtonText: colours.text,
            roles.Button: colours.raised,
            roles.Highlight: colours.raised,
            roles.Link: colours.accent,
            roles.HighlightedText: colours.text,
            roles.ToolTipBase: colours.raised,
            roles.ToolTipText: colours.text,
            roles.PlaceholderText: colours.faint,
        }.items():
            made.setColor(role, QColor(colour))
        return made


def text_font(size_px: int = 13) -> QFont:
    """Return the interface font with figures of equal width."""
    font = QFont("Inter")
    font.setPixelSize(size_px)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def mono_font(size_px: int = 11) -> QFont:
    """Return the font of readings and logs."""
    font = QFont("JetBrains Mono")
    font.setPixelSize(size_px)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font
