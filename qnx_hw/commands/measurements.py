"""What a suite of measurements says: numbers with their goals and peers, and on what and when."""

from __future__ import annotations

import math
import os
import platform
import sqlite3
import ssl
from importlib import metadata
from pathlib import Path

import msgspec

PROCESSORS = Path("/proc/cpuinfo")
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "cryptography", "msgspec")
"""Those that figures depend on most."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number; `goal` and the peer's numbers are None where there are none."""

    name: str
    value: float | None
    """None, or NaN in a suite, where what was waited for did not come within the run."""
    unit: str
    goal: float | None = None
    met: bool | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    """Ours over the peer's."""

    @property
    def said(self) -> tuple[str, str]:
        """The value in four digits, and its unit; `never` where it did not come."""
        is_there = self.value is not None and not math.isnan(self.value)
        return (f"{self.value:.4g}", self.unit) if is_there else ("never", "")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a suite measured, and on what."""

    machine: dict[str, str | int]
    results: list[Result]
    begun: str = ""
    """UTC, ISO 8601."""
    lasted_s: float = 0.0
    load: float | None = None
    """Processes that ran or waited for a processor in the minute before; None where none says."""


def machine() -> dict[str, str | int]:
    """Return on what numbers are measured here."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
    }


def load() -> float | None:
    """Return the machine's load over the last minute, where the system counts it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    if PROCESSORS.exists():
        for line in PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
