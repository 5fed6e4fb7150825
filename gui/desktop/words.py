"""Numbers as people read them: few digits, a fitting prefix, and an honest word for no data."""

from __future__ import annotations

from datetime import datetime

NO_DATA = "–"
_RATE_UNITS = {"cps", "1/s"}
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def quantity(value: float | None, unit: str, *, digits: int = 1) -> str:
    """Write a number of something countable, e.g. `3.4 kbit/s`."""
    if value is None:
        return NO_DATA
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.{digits}f} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def measured(value: float, unit: str) -> str:
    """Write what an instrument measured in few digits, a rate with a prefix."""
    if unit in _RATE_UNITS and abs(value) >= 1e3:
        return quantity(value, "cps")
    return f"{value:.4g} {unit}".strip()


def short(value: float | None) -> str:
    """Write a number with a prefix and no unit, e.g. `3.4k`."""
    return quantity(value, "").replace(" ", "")


def percent(part: float | None, *, digits: int = 0) -> str:
    """Write a part of one."""
    return NO_DATA if part is None else f"{part * 100:.{digits}f} %"


def span(seconds: float | None) -> str:
    """Write how long something takes, in its two largest units."""
    if seconds is None:
        return NO_DATA
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


def clock(time_s: float) -> str:
    """Write a Unix time as local date and time of day."""
    return f"{datetime.fromtimestamp(time_s).astimezone():%Y-%m-%d %H:%M:%S}"
