"""The settings of an ID900 by name: what each sends, and what the controller holds."""

from __future__ import annotations

from drivers.id900_line import Id900Line
from drivers.knobs import Setting, number_within
from qnx_hw.errors import RangeError, Unsupported

CHANNELS = (1, 2, 3, 4)
THRESHOLD_RANGE_V = (-2.0, 2.0)
LONGEST_DELAY_PS = 10**12
_ON_OFF = {True: "ON", False: "OFF"}
_CLOCKS, _RESOLUTIONS = ("INTERNAL", "EXTERNAL"), ("HIRES", "LOWRES")
_WORDS = {
    "coupling": ("COUP", ("DC", "AC")),
    "edge": ("EDGE", ("RISING", "FALLING")),
}


def read(line: Id900Line) -> dict[str, Setting]:
    """Return what the controller holds."""
    held: dict[str, Setting] = {
        "reference": line.word("DEVI:SYNC", _CLOCKS),
        "resolution": line.word("DEVI:RES", _RESOLUTIONS),
    }
    for n in CHANNELS:
        held[f"enabled_{n}"] = line.is_enabled(n)
        held[f"threshold_{n}_v"] = line.number(f"INPU{n}:THRE?", "V")
        for key, (node, choices) in _WORDS.items():
            held[f"{key}_{n}"] = line.word(f"INPU{n}:{node}", choices)
        held[f"delay_{n}_ps"] = line.delay_ps(n)
    return held


def commands(name: str, key: str, value: Setting) -> list[tuple[str, str]]:
    """Return headers and arguments of one setting, or refuse it."""
    if key == "reference":
        return [("DEVI:SYNC", _word(key, value, _CLOCKS))]
    if key == "resolution":
        return [("DEVI:RES", _word(key, value, _RESOLUTIONS))]
    words = key.split("_")
    n = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
    if n not in CHANNELS:
        raise Unsupported(f"'{name}' has no setting {key}")
    what = key.replace(f"_{n}", "", 1)
    if what == "enabled" and isinstance(value, bool):
        return [(f"INPU{n}:ENAB", _ON_OFF[value])]
    if what in _WORDS:
        node, choices = _WORDS[what]
        return [(f"INPU{n}:{node}", _word(key, value, choices))]
    if what == "threshold_v":
        return [(f"INPU{n}:THRE", f"{number_within(name, key, value, *THRESHOLD_RANGE_V):g}V")]
    if what == "delay_ps":
        delay_ps = round(number_within(name, key, value, 0, LONGEST_DELAY_PS))
        return [(f"DELA{n}:LINK", f"INPU{n}"), (f"DELA{n}:VALU", f"{delay_ps}TB")]
    if what == "enabled":
        raise RangeError(f"{key} is true or false, not {value!r}")
    raise Unsupported(f"'{name}' has no setting {key}")


def _word(key: str, value: Setting, choices: tuple[str, ...]) -> str:
    word = str(value).upper()
    if word not in choices:
        raise RangeError(f"{key} is one of {', '.join(choices).lower()}, not {value!r}")
    return word
