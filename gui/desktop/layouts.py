"""Where cards stand, kept from one start to the next.

Qt crashes on a damaged layout, and Python cannot catch that. So a file is believed only where its
checksum holds, and a cookie that is still there at the next start says that the last layout
brought the program down: then it is thrown away.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from qnx_hw.errors import UNREADABLE

VERSION = 1
"""Of the cards and their names; a layout of another version is not restored."""
_MAGIC = b"QNXL"
_LARGEST = 1 << 20


class SavedLayout(msgspec.Struct, frozen=True, kw_only=True):
    """What the window looked like when it was closed."""

    version: int = VERSION
    qt: str
    screens: str
    """What screens there were; with others the window's place means nothing."""
    workspace: str
    theme: str = ""
    """Empty to follow the system."""
    geometry: bytes = b""
    states: dict[str, bytes] = {}
    """Of each workspace that was changed."""


class LayoutStore:
    """One file in a folder, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "layout.bin"
        self._cookie = folder / "layout.restoring"
        self.broke_last_time = self._cookie.exists()

    def load(self, qt: str) -> SavedLayout | None:
        """Return what was saved; None where there is nothing to be trusted."""
        if self.broke_last_time:
            self.forget()
            return None
        try:
            if self.path.stat().st_size > _LARGEST:
                return None
            stored = self.path.read_bytes()
        except OSError:
            return None
        body = stored[8:]
        if stored[:4] != _MAGIC or stored[4:8] != zlib.crc32(body).to_bytes(4, "big"):
            return None
        try:
            saved = msgspec.msgpack.decode(body, type=SavedLayout)
        except UNREADABLE:
            return None
        return saved if (saved.version, saved.qt) == (VERSION, qt) else None

    def save(self, layout: SavedLayout) -> None:
        """Replace what was saved."""
        body = msgspec.msgpack.encode(layout)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body)
        fresh.replace(self.path)

    def forget(self) -> None:
        """Throw away what was saved."""
        self.path.unlink(missing_ok=True)
        self._cookie.unlink(missing_ok=True)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Leave the cookie while Qt restores; who does not come back never takes it away."""
        self._cookie.parent.mkdir(parents=True, exist_ok=True)
        self._cookie.touch()
        yield
        self._cookie.unlink(missing_ok=True)
