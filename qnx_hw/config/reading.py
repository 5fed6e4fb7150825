"""A network file's text and tables, before anything is checked."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from qnx_hw.errors import ConfigError


def read_text(path: Path) -> str:
    """Return what a network file says; `ConfigError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the network file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"cannot read the network file {path}: line {line} is not UTF-8; save it as UTF-8"
        ) from error


def read_tables(path: Path) -> dict[str, Any]:
    """Return a network file's tables, unchecked."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
