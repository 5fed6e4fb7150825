"""What everything that crosses the API is made of."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that crosses the API: made once, checked once, passed on."""


class Estimate(Value, frozen=True, kw_only=True):
    """A measured number with its standard error; None where nothing was measured yet."""

    value: float | None = None
    sigma: float | None = None
