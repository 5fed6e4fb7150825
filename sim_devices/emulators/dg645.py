"""The SRS DG645 digital delay generator.

Source: SRS, "DG645 User Manual", remote programming. Lines end with a line feed, replies with
CR LF. Settings are silent; what went wrong waits in the queue that `LERR?` reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy

from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import Station

IDENTITY = "Stanford Research Systems,DG645,s/n001013,ver1.10.00E"
ILLEGAL_VALUE, ILLEGAL_DELAY, ILLEGAL_LINK, NOTHING_TO_RECALL = 10, 12, 13, 14
ILLEGAL_COMMAND, UNDEFINED, ILLEGAL_QUERY, ILLEGAL_SET = 110, 111, 112, 113
EXTRA_PARAMETER, MISSING_PARAMETER, BAD_FLOAT = 115, 116, 118
COMMAND_EVENT, EXECUTION_EVENT, POWER_ON = 32, 16, 128
N_EDGES, N_OUTPUTS = 10, 5
STEP_S = 5e-12
LONGEST_S = 2000.0
LONGEST_QUEUE = 20
LAST_PAGE = 15
T1 = 1
_ZEROS = ("INSR", "*STB", "*TST")
_MNEMONIC = re.compile(r"\*[A-Z]{3}|[A-Z]{4}")
# The blank behind a mnemonic may be left out.
_COMPACT = re.compile(r"(\*[A-Za-z]{3}|[A-Za-z]{4})([-+.\d].*)")
_SET_ONLY = frozenset({"*CLS", "*RST", "*TRG", "*WAI", "*SAV", "*RCL"})
_QUERY_ONLY = frozenset({"*IDN", "*ESR", "LERR", *_ZEROS})
_WITH_NUMBERS = frozenset({"DLAY", "LINK", "DISP", "*SAV", "*RCL"})

# Numbers and outputs by name, and what each edge refers to, with its delay.
_Settings = tuple[dict[str, float], dict[str, list[float]], list[tuple[int, float]]]
# Name: (lowest, highest, at start, how it is shown).
_NUMBERS = {
    "TSRC": (0, 6, 0, "d"),
    "TRAT": (1e-4, 1e7, 1e3, "+.6f"),
    "TLVL": (-3.5, 3.5, 1.0, "+.2f"),
    "BURM": (0, 1, 0, "d"),
    "BURC": (1, 2**32 - 1, 5, "d"),
    "BURP": (1e-7, 42.9, 1e-5, "+.12f"),
    "BURD": (0, LONGEST_S, 0.0, "+.12f"),
    "HOLD": (0, 10.0, 0.0, "+.12f"),
    "INHB": (0, 5, 0, "d"),
    "ADVT": (0, 1, 0, "d"),
    "BURT": (0, 1, 0, "d"),
    "*ESE": (0, 255, 0, "d"),
    "*SRE": (0, 255, 0, "d"),
    "INSE": (0, 255, 0, "d"),
}
_OUTPUTS = {
    "LAMP": (0.5, 5.0, 2.5, "+.2f"),
    "LOFF": (-2.0, 2.0, 0.0, "+.2f"),
    "LPOL": (0, 1, 1, "d"),
    # 0 is the trigger here; a host that names none means it.
    "PRES": (1, 2**32 - 1, 1, "d"),
}


class Dg645Emulator(LineEmulator):
    """Options: `faults`."""

    ends = b"\n"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._errors: list[int] = []
        self._events = POWER_ON
        self._saved: dict[int, _Settings] = {}
        self._reset()

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey the commands of one line; each query is answered by a line."""
        shown = [self._obey(single.strip()) for single in command.split(";") if single.strip()]
        return b"".join(reply.encode() + b"\r\n" for reply in shown if reply)

    def _reset(self) -> None:
        self._numbers = {name: float(entry[2]) for name, entry in _NUMBERS.items()}
        self._outputs = {name: [float(entry[2])] * N_OUTPUTS for name, entry in _OUTPUTS.items()}
        self._delays = [(0, 0.0)] * N_EDGES
        self._display = (0, 0)

    def _obey(self, single: str) -> str:
        name, mark, rest = single.partition("?")
        if mark:
            return self._shown(name.strip().upper(), rest.strip())
        compact = _COMPACT.fullmatch(single)
        name, _, rest = (" ".join(compact.groups()) if compact else single).partition(" ")
        self._set(name.upper(), [as_number(word) for word in rest.split(",")] if rest else [])
        return ""

    def _shown(self, name: str, argument: str) -> str:
        argument = "0" if name == "PRES" and not argument else argument
        index = int(argument) if argument.isascii() and argument.isdigit() else -1
        if name == "LERR":
            return str(self._errors.pop(0) if self._errors else 0)
        if name == "*ESR":
            events, self._events = self._events, 0
            return str(events)
        if name in _NUMBERS:
            return _format(self._numbers[name], _NUMBERS[name][3])
        if name in _OUTPUTS and 0 <= index < N_OUTPUTS:
            return _format(self._outputs[name][index], _OUTPUTS[name][3])
        if name in {"DLAY", "LINK"} and 0 <= index < N_EDGES:
            reference, delay_s = self._delays[index]
            return str(reference) if name == "LINK" else f"{reference},{delay_s:+.12f}"
        display = f"{self._display[0]},{self._display[1]}"
        plain = {"*IDN": IDENTITY, "DISP": display, "*OPC": "1", **dict.fromkeys(_ZEROS, "0")}
        if name in _OUTPUTS or name in {"DLAY", "LINK"}:
            self._complain(ILLEGAL_VALUE if argument else MISSING_PARAMETER)
        elif name not in plain:
            self._complain(ILLEGAL_QUERY if name in _SET_ONLY else _unknown(name))
        return plain.get(name, "")

    def _set(self, name: str, values: list[float | None]) -> None:
        if name in {"*CLS", "*RST", "*TRG", "*OPC", "*WAI"}:
            if name == "*CLS":
                self._errors.clear()
                self._events = 0
            elif name == "*RST":
                self._reset()
        elif name in _NUMBERS or name in _OUTPUTS or name in _WITH_NUMBERS:
            self._set_numbers(name, values)
        else:
            self._complain(ILLEGAL_SET if name in _QUERY_ONLY else _unknown(name))

    def _set_numbers(self, name: str, given: list[float | None]) -> None:
        given = [0.0, *given] if name == "PRES" and len(given) == 1 else given
        values = [value for value in given if value is not None]
        needed = {"DLAY": 3, "LINK": 2, "DISP": 2, **dict.fromkeys(_OUTPUTS, 2)}.get(name, 1)
        if len(given) != needed:
            self._complain(MISSING_PARAMETER if len(given) < needed else EXTRA_PARAMETER)
        elif len(values) != needed:
            self._complain(BAD_FLOAT)
        elif name in {"DLAY", "LINK"}:
            self._set_delay(name, values)
        elif name in _OUTPUTS:
            if values[0] in range(N_OUTPUTS) and _fits(values[1], _OUTPUTS[name]):
                self._outputs[name][int(values[0])] = values[1]
            else:
                self._complain(ILLEGAL_VALUE)
        elif name in {"*SAV", "*RCL"}:
            self._store(name, values[0])
        elif name == "DISP":
            self._show(*values)
        elif _fits(values[0], _NUMBERS[name]):
            self._numbers[name] = values[0]
        else:
            self._complain(ILLEGAL_VALUE)

    def _set_delay(self, name: str, values: list[float]) -> None:
        edge, reference = values[0], values[1]
        # T0 and T1 are fixed, and no edge refers to itself, by whatever way.
        if edge not in range(2, N_EDGES) or reference not in range(N_EDGES):
            self._complain(ILLEGAL_VALUE)
            return
        if self._refers_to(int(reference), int(edge)):
            self._complain(ILLEGAL_LINK)
            return
        delay_s = values[2] if name == "DLAY" else self._delays[int(edge)][1]
        if abs(delay_s) > LONGEST_S:
            self._complain(ILLEGAL_DELAY)
            return
        self._delays[int(edge)] = (int(reference), round(delay_s / STEP_S) * STEP_S)

    def _refers_to(self, edge: int, other: int) -> bool:
        """Tell whether an edge hangs on another, directly or by edges between, or is it."""
        while edge > T1 and edge != other:
            edge = self._delays[edge][0]
        return edge == other

    def _show(self, page: float, channel: float) -> None:
        if page in range(LAST_PAGE + 1) and channel in range(N_EDGES):
            self._display = (int(page), int(channel))
        else:
            self._complain(ILLEGAL_VALUE)

    def _store(self, name: str, place: float) -> None:
        if place not in range(10):
            self._complain(ILLEGAL_VALUE)
        elif name == "*SAV":
            self._saved[int(place)] = deepcopy((self._numbers, self._outputs, self._delays))
        elif int(place) in self._saved:
            self._numbers, self._outputs, self._delays = deepcopy(self._saved[int(place)])
        else:
            self._complain(NOTHING_TO_RECALL)

    def _complain(self, code: int) -> None:
        if len(self._errors) < LONGEST_QUEUE:
            self._errors.append(code)
        self._events |= EXECUTION_EVENT if code < ILLEGAL_COMMAND else COMMAND_EVENT


def _fits(value: float, entry: tuple[float, float, float, str]) -> bool:
    low, high, _, shape = entry
    return low <= value <= high and (shape != "d" or value.is_integer())


def _unknown(name: str) -> int:
    return UNDEFINED if _MNEMONIC.fullmatch(name) else ILLEGAL_COMMAND


def _format(value: float, shape: str) -> str:
    return str(int(value)) if shape == "d" else format(value, shape)
