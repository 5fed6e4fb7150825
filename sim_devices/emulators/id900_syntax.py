"""The ID900's command language: headers, and what each setting accepts.

Source: ID Quantique, "ID900 Time Controller User Guide", SCPI commands. Mnemonics have four
letters in short form; `;` stays in the node of the last command, `;:` returns to the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

INVALID_COMMAND = "SCPI_ERR_INVALID_CMD"
INVALID_PARAMETER = "SCPI_ERR_PARAM_TYPE"
NO_CONNECTION = "No connection"
"""To a link whose other end there is not."""
# The threshold DAC has 2048 steps per volt, each 0.488 mV high.
STEPS_PER_V, STEP_V = 2048, 0.000488
LARGEST_V = 2.0

_IRREGULAR = {
    "RECO": "REC",
    "FIRS": "FIR",
    "MINI": "MIN",
    "RESO": "RES",
    "GENE": "GEN",
    "DURA": "DUR",
    "DELA": "DELA",
}
_NODE = re.compile(r"([A-Z]+)(\d*)(\?)?")
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?(?:E[+-]?\d+)?)\s*([A-Z]*)", re.IGNORECASE)
_PS = {"": 1, "TB": 1, "PS": 1, "NS": 10**3, "US": 10**6, "MS": 10**9, "S": 10**12}
LINKS = r"NONE|STAR|REC|INPU[1-4]|DELA[1-8]|TSCO\d\d?|TSGE[1-8]|HIST[1-4]|GEN[1-8]"
_NUMBERED = frozenset({"INPU", "DELA", "TSCO", "TSGE", "HIST", "RAW", "GEN"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command: full header in short form, its argument, and whether it is a query."""

    header: str
    argument: str
    is_query: bool


def commands(request: str) -> Iterator[Command]:
    """Cut a request into commands with full headers."""
    node: list[str] = []
    for part in request.split(";"):
        text = part.strip()
        if not text:
            continue
        header, _, argument = text.partition(" ")
        if header.startswith("*"):
            yield Command(header.upper().rstrip("?"), argument, header.endswith("?"))
            continue
        if header.startswith(":"):
            node = []
        path = node + [_short(name) for name in header.strip(":").split(":")]
        # A block without its number is the first (SCPI 1999, volume 1, 6.2.5.2).
        path[0] += "1" if path[0] in _NUMBERED else ""
        node = path[:-1]
        # The inputs of a block have two names.
        joined = ":".join(path).replace(":INPO:", ":")
        yield Command(joined.rstrip("?"), argument.strip(), joined.endswith("?"))


def _short(name: str) -> str:
    found = _NODE.fullmatch(name.upper())
    if found is None:
        return name.upper()
    letters = found[1][:4]
    return _IRREGULAR.get(letters, letters) + found[2] + (found[3] or "")


def _choice(*words: str) -> Mapping[str, str]:
    """Return long and short forms of words, all pointing at the long form."""
    return {form: word for word in words for form in (word, word[:4])}


_ON_OFF = _choice("ON", "OFF")
_CHOICES: list[tuple[str, Mapping[str, str]]] = [
    (r"(STAR|INPU[1-4]|HIST[1-4]|TSCO\d+:WIND|TSGE[1-8]|REC|GEN[1-8]):ENAB", _ON_OFF),
    (r"RAW[1-4]:SEND", _ON_OFF),
    (r"(STAR|INPU[1-4]):COUP", _choice("DC", "AC")),
    (r"(STAR|INPU[1-4]|TSCO\d+:WIND:(BEGI|END)):EDGE", _choice("RISING", "FALLING")),
    (r"(STAR|INPU[1-4]):SELE", _choice("UNSHAPED", "SHAPED", "OUTPUT", "LOOP")),
    (r"(STAR|INPU[1-4]):RESY", _choice("AUTO", "MANUAL")),
    (r"(STAR|INPU[1-4]|TSCO\d+):COUN:MODE", _choice("CYCLE", "ACCUM")),
    (r"TSCO\d+:(OPIN|OPOU)", _choice("AND", "OR", "ONLYFIR", "ONLYSEC", "MUTE")),
    (r"(REC|GEN[1-8]):TRIG:ARM:MODE", _choice("MANUAL", "AUTO")),
    (r"DEVI:SYNC", _choice("INTERNAL", "EXTERNAL")),
    (r"DEVI:RES", _choice("HIRES", "LOWRES")),
    (r"DEVI:CONF:LOAD", _choice("INIT", "HISTO", "COUNT", "BLANK")),
]
_LINKED = re.compile(
    r"(DELA[1-8]|TSCO\d+:(FIR|SECO|WIND:BEGI|WIND:END)"
    r"|HIST[1-4]:(REF|STOP|ENAB)|RAW[1-4]:(REF|STOP)|GEN[1-8]:TRIG):LINK"
)
# Header, smallest and largest picoseconds.
_TIMES = [
    (r"DELA[1-8]:VALU|STAR:DELA", -(10**12), 10**12),
    (r"TSCO\d+:WIND:(BEGI|END):DELA", -(10**12), 10**12),
    (r"HIST[1-4]:MIN", 0, 10**12),
    (r"HIST[1-4]:BWID", 1, 10**12),
    (r"REC:(DUR|PWID|PPER)", 1, 10**18),
    (r"GEN[1-8]:(PWID|PPER)", 1, 10**12),
]
_COUNTS = [
    (r"(STAR|INPU[1-4]|TSCO\d+):COUN:INTE", 1, 65_535),
    (r"HIST[1-4]:BCOU", 1, 16_384),
    (r"(REC|GEN[1-8]):NUM", 1, 2**31),
]


def is_setting(header: str) -> bool:
    """Tell whether there is a setting of this name."""
    names = [r"(STAR|INPU[1-4]):THRE", *(entry[0] for entry in _CHOICES)]
    names += [entry[0] for entry in (*_TIMES, *_COUNTS)]
    return bool(_LINKED.fullmatch(header)) or any(re.fullmatch(name, header) for name in names)


def accepted(header: str, argument: str) -> str | None:
    """Return what the device makes of a setting's argument; None if it refuses it."""
    word = argument.strip().upper()
    for name, words in _CHOICES:
        if re.fullmatch(name, header):
            return words.get(word)
    if _LINKED.fullmatch(header):
        linked = ":".join(_short(node) for node in word.split(":"))
        return linked if re.fullmatch(LINKS, linked) else None
    if header.endswith(":NUM") and word == "INF":
        return "INF"
    number = _NUMBER.fullmatch(word)
    return None if number is None else _quantity(header, float(number[1]), number[2])


def _quantity(header: str, value: float, unit: str) -> str | None:
    if header.endswith(":THRE"):
        volt = value * {"": 1.0, "V": 1.0, "MV": 1e-3}.get(unit, float("inf"))
        return f"{int(volt * STEPS_PER_V) * STEP_V:.6f}V" if abs(volt) <= LARGEST_V else None
    for name, low, high in _TIMES:
        if re.fullmatch(name, header):
            ps = value * _PS.get(unit, float("inf"))
            return f"{round(ps)}TB" if low <= ps <= high else None
    for name, low, high in _COUNTS:
        if re.fullmatch(name, header):
            return str(int(value)) if low <= value <= high and not unit else None
    return None


def first_value(header: str) -> str:
    """Return a setting's value after power-up."""
    last = header.rpartition(":")[2]
    values = {
        "ENAB": "ON" if header.startswith("INPU") else "OFF",
        "SEND": "OFF",
        "COUP": "DC",
        "EDGE": "RISING",
        "SELE": "UNSHAPED",
        "RESY": "AUTO",
        "OPIN": "AND",
        "OPOU": "MUTE",
        "SYNC": "INTERNAL",
        "RES": "HIRES",
        "LOAD": "INIT",
        "THRE": "0.499712V",
        "INTE": "1000",
        "BCOU": "16384",
        "BWID": "100TB",
        "NUM": "1",
        "LINK": "NONE",
        "DUR": "1000000000000TB",
    }
    if last == "MODE":
        return "CYCLE" if ":COUN:" in header else "MANUAL"
    return values.get(last, "0TB")
