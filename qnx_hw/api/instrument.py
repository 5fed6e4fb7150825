"""Settings of an instrument as it holds them."""

from __future__ import annotations

import hashlib

import msgspec

from qnx_hw.api.commands import Setting
from qnx_hw.api.value import Value


class InstrumentSettings(Value, frozen=True, kw_only=True):
    """What an instrument said when it was asked for its settings."""

    node: str
    name: str
    revision: str
    """Changes when any setting does, whoever changed it, also at the front panel."""
    settings: dict[str, Setting]
    time_s: float
    """Unix time of the answer."""


def revision_of(settings: object) -> str:
    """Return a short digest of settings."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()[:16]
