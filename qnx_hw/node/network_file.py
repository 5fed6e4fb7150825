"""The network file on the disk: drafts are checked, it is replaced whole, old ones are kept."""

from __future__ import annotations

import difflib
import hashlib
import os
import sqlite3
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from qnx_hw.api.commands import Change
from qnx_hw.api.settings import Difference, FileVersion, Preview, Settings
from qnx_hw.config import NetworkFile, parse
from qnx_hw.config.editing import Edited, edit
from qnx_hw.errors import ConfigError, Conflict

KEPT_VERSIONS = 200


class Keeper:
    """Reads and replaces one network file; all methods block shortly."""

    def __init__(
        self, path: Path, database: sqlite3.Connection, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._database = database
        self._now = now
        self._started_with = self.text()
        self._live: set[tuple[str, ...]] = set()

    def text(self) -> str:
        """Return what the file says."""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the network file {self._path.name}: {error}") from error

    def settings(self) -> Settings:
        """Return the file as forms need it."""
        text = self.text()
        pending = {each.path for each in differences(self._started_with, text)} - self._live
        return Settings(
            revision=revision_of(text),
            file=self._path.name,
            values=tomllib.loads(text),
            json_schema=msgspec.json.schema(NetworkFile),
            needs_restart=bool(pending),
        )

    def draft(self, revision: str, changes: Sequence[Change]) -> str:
        """Return the text that changes lead to; `Conflict` or `ConfigError` where they do not."""
        text = self._text_of(revision)
        return self._edited(text, changes).text

    def preview(self, revision: str, changes: Sequence[Change]) -> Preview:
        """Return what changes would do, after the same checks."""
        text = self._text_of(revision)
        edited = self._edited(text, changes)
        return _preview(text, edited.text, loses_comments=edited.is_rewritten)

    def preview_version(self, number: int) -> Preview:
        """Return what going back to an earlier file would change."""
        return _preview(self.text(), self.version(number))

    def replace(self, revision: str, text: str, *, who: str, live: Sequence[Difference]) -> None:
        """Replace the file and keep the old one."""
        old = self._text_of(revision)
        parse(text, source="the new network file")
        words = ", ".join(".".join(each.path) for each in differences(old, text))
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(self._path.stat().st_mode & 0o777)
            fresh.replace(self._path)
        except OSError as error:
            raise ConfigError(f"cannot write {self._path.name}: {error.strerror}") from error
        self._live |= {each.path for each in live}
        self._database.execute(
            "INSERT INTO files (time_s, who, words, content) VALUES (?, ?, ?, ?)",
            (self._now(), who, words[:1000], old),
        )
        self._database.execute(
            "DELETE FROM files WHERE number <= (SELECT max(number) FROM files) - ?",
            (KEPT_VERSIONS,),
        )

    def versions(self) -> tuple[FileVersion, ...]:
        """Return the earlier files, newest first."""
        rows = self._database.execute(
            "SELECT number, time_s, who, words FROM files ORDER BY number DESC"
        )
        return tuple(
            FileVersion(number=number, time_s=time_s, who=who, words=words)
            for number, time_s, who, words in rows
        )

    def version(self, number: int) -> str:
        """Return an earlier file's text; `ConfigError` where it is not kept."""
        row = self._database.execute(
            "SELECT content FROM files WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            raise ConfigError(f"there is no earlier network file {number}")
        return str(row[0])

    def _text_of(self, revision: str) -> str:
        text = self.text()
        if revision_of(text) != revision:
            raise Conflict("somebody changed the network file meanwhile; load it and try again")
        return text

    def _edited(self, text: str, changes: Sequence[Change]) -> Edited:
        if any(not change.path for change in changes):
            raise ConfigError("a change needs a path such as links.alice-bob.autostart")
        edited = edit(text, [(change.path, _plain(change.value)) for change in changes])
        parse(edited.text, source="the network file")
        return edited


def revision_of(text: str) -> str:
    """Return a short digest of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(before: str, after: str) -> tuple[Difference, ...]:
    """Return the values that differ between two files."""
    old, new = _flat(tomllib.loads(before)), _flat(tomllib.loads(after))
    return tuple(
        Difference(path=path, before=old.get(path), after=new.get(path), is_live=is_live(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def is_live(path: tuple[str, ...]) -> bool:
    """Whether a value is put into force while the nodes run."""
    match path:
        case ("links", _, "coincidence_window_ps"):
            return True
        case ("nodes", _, "instruments", _, "settings", _):
            return True
    return False


def _preview(before: str, after: str, *, loses_comments: bool = False) -> Preview:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "now", "then", "", "", 2)
    return Preview(
        revision=revision_of(before),
        differences=differences(before, after),
        lines=tuple(line.rstrip("\n") for line in lines),
        loses_comments=loses_comments,
    )


def _flat(table: dict[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    flat: dict[tuple[str, ...], Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, (*above, name))
        else:
            flat[*above, name] = value
    return flat


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
