"""Names of settings as people say them, their units, and which values ask for trouble.

Drivers name settings with the unit at the end and the channel in the middle:
`threshold_v`, `bias_3_A`, `dead_time_ns`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qnx_hw.api.commands import Setting

_UNITS = {
    "v": "V", "mv": "mV", "a": "A", "ma": "mA", "ua": "µA", "ps": "ps", "ns": "ns", "us": "µs",
    "ms": "ms", "s": "s", "c": "°C", "k": "K", "hz": "Hz", "cps": "1/s", "deg": "deg", "db": "dB",
    "dbm": "dBm", "percent": "%",
}  # fmt: skip
_WORDS = {"bias": "bias", "threshold": "threshold", "enabled": "on", "edge": "edge"}
CHOICES = {
    "edge": ("rising", "falling"),
    "reference": ("internal", "external", "auto"),
    "coupling": ("DC", "AC"),
    "resolution": ("HIRES", "LOWRES"),
    "trigger_mode": ("continuous", "start_stop"),
}
SECONDS = {"ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}

LEAST_THRESHOLD_V = 0.05
"""Below it, electronic noise makes tags of its own on every tagger we know."""
BUSIEST = 0.1
"""Above this part of its time dead, a detector's rate no longer follows the light (for a
non-paralysable one, n / (1 + n τ): Knoll, Radiation Detection, 3rd ed., eq. 4.23)."""
LONGEST_DELAY_S = 4e-6
"""Beyond it, taggers hold so many events back that a fast input overflows their buffer."""
WARMEST_C = 0.0


@dataclass(frozen=True, slots=True)
class Word:
    """A setting's name, taken apart."""

    what: str
    channel: int | None
    unit: str

    @property
    def title(self) -> str:
        """What stands before the field."""
        name = _WORDS.get(self.what, self.what.replace("_", " ")).capitalize()
        return name if self.channel is None else f"{name} {self.channel}"


def read_name(name: str) -> Word:
    """Take a setting's name apart.

    >>> read_name("bias_3_A")
    Word(what='bias', channel=3, unit='A')
    """
    stem, _, last = name.rpartition("_")
    unit = _UNITS.get(last.lower(), "") if stem else ""
    what = stem if unit else name
    found = re.fullmatch(r"(.+)_(\d+)", what)
    return Word(found[1], int(found[2]), unit) if found else Word(what, None, unit)


def why_unsafe(word: Word, value: Setting, rate_cps: float | None) -> str:
    """Return why a value asks for trouble, and what to do; empty where it does not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if word.what == "threshold" and word.unit == "V" and abs(value) < LEAST_THRESHOLD_V:
        return f"below {LEAST_THRESHOLD_V * 1e3:.0f} mV noise makes tags: raise it"
    seconds = float(value) * SECONDS.get(word.unit, 0.0)
    if word.what == "dead_time" and seconds and rate_cps:
        busy = rate_cps * seconds
        if busy > BUSIEST:
            most = BUSIEST / seconds
            return f"dead {busy:.0%} of the time at this rate: safe up to {most:,.0f} counts/s"
    if word.what == "delay" and seconds > LONGEST_DELAY_S:
        return "above 4 µs the tagger's buffer may overflow: delay in the cable or coarser"
    if word.what == "temperature" and word.unit == "°C" and value > WARMEST_C:
        return "a warm detector has many dark counts: cool it below 0 °C"
    return ""
