"""The network file as forms show it: what it says, what it may say, what would change."""

from __future__ import annotations

from typing import Any

from qnx_hw.api.value import Value


class Difference(Value, frozen=True, kw_only=True):
    """One value that differs."""

    path: tuple[str, ...]
    before: Any = None
    """As in the file; None where it does not say, so that the default holds."""
    after: Any = None
    is_live: bool = False
    """Whether it is in force at once; everything else from the next start on."""


class Preview(Value, frozen=True, kw_only=True):
    """What a draft, or going back, would change; it was checked and would be taken."""

    revision: str
    differences: tuple[Difference, ...]
    lines: tuple[str, ...]
    """The same as a unified diff of the file."""
    loses_comments: bool = False


class Settings(Value, frozen=True, kw_only=True):
    """The network file."""

    revision: str
    file: str
    """Its name, without the folder."""
    values: dict[str, Any]
    """As the file says; what it does not say has its default."""
    json_schema: dict[str, Any]
    """What it may say, with defaults and limits; JSON Schema 2020-12."""
    needs_restart: bool = False
    """Whether the file says something that is not in force yet."""


class FileVersion(Value, frozen=True, kw_only=True):
    """An earlier network file."""

    number: int
    time_s: float
    """When it was replaced."""
    who: str
    """By whom."""
    words: str
    """What was changed then."""
