"""Modules for the SIM900: the SIM928 isolated voltage source, the Quantum Opus bias module.

Sources: SRS, "SIM928 Operation and Service Manual", remote commands; for the Quantum Opus module
its command letters as its users know them.
"""

from __future__ import annotations

import re

from sim_devices.emulators.line_emulator import as_number

LARGEST_V = 20.0
POWER_ON, COMMAND_ERROR, EXECUTION_ERROR, OPERATION_COMPLETE = 128, 32, 16, 1
BATTERY_SWITCHOVER = 4
# What LEXE? and LCME? call them.
ILLEGAL_VALUE, WRONG_TOKEN = 1, 2
ILLEGAL_COMMAND, UNDEFINED, ILLEGAL_QUERY, ILLEGAL_SET = 1, 2, 3, 4
MISSING_PARAMETER, EXTRA_PARAMETER, BAD_FLOAT, UNKNOWN_TOKEN = 5, 6, 9, 14
_MNEMONIC = re.compile(r"(\*[A-Z]{3}|[A-Z]{4})\??")
_SET_ONLY = frozenset({"OPON", "OPOF", "TERM", "*CLS", "*RST"})
_QUERY_ONLY = frozenset({"*IDN", "*ESR", "CESR", "OVSR", "LEXE", "LCME", "BATS"})
_WITH_PARAMETER = frozenset({"VOLT", "EXON", "TERM"})
_ENDS = {"NONE": b"", "CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "LFCR": b"\n\r"}
_END_NUMBERS = dict(zip("01234", _ENDS, strict=True))


class Sim928:
    """An isolated source, -20 to 20 V in steps of 1 mV."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._volt = 0.0
        self._is_on = False
        self._end = b"\r\n"
        self._override = 0
        # Registers that a query reads and clears.
        self._events = {"*ESR?": POWER_ON, "CESR?": 0, "OVSR?": 0, "LEXE?": 0, "LCME?": 0}

    def answer(self, text: str) -> bytes:
        """Obey the commands of one line."""
        replies = [self._obey(command.strip()) for command in text.split(";") if command.strip()]
        return b"".join(reply.encode() + self._end for reply in replies if reply)

    def switch_battery(self) -> None:
        """Go over to the other battery, as it does by itself now and then."""
        self._events["OVSR?"] |= BATTERY_SWITCHOVER

    def _obey(self, command: str) -> str:
        name, _, argument = command.upper().partition(" ")
        if (wrong := _wrong_form(name, argument.strip())) is not None:
            self._complain("LCME?", wrong)
            return ""
        if name.endswith("?"):
            return self._query(name)
        if name == "VOLT":
            self._set_volt(argument)
        elif name in {"OPON", "OPOF"}:
            self._is_on = name == "OPON"
        elif name == "EXON":
            self._set_on(argument.strip())
        elif name == "TERM":
            self._set_end(argument.strip())
        elif name == "BCOL":
            self._override = 1
        elif name == "*CLS":
            self._events = dict.fromkeys(self._events, 0)
        elif name == "*OPC":
            self._events["*ESR?"] |= OPERATION_COMPLETE
        elif name == "*RST":
            self._volt, self._is_on = 0.0, False
        else:
            self._complain("LCME?", UNDEFINED)
        return ""

    def _query(self, name: str) -> str:
        if name in self._events:
            value, self._events[name] = self._events[name], 0
            return str(value)
        shown = {
            "*IDN?": f"Stanford_Research_Systems,SIM928,{self._serial},ver2.2",
            "VOLT?": f"{self._volt:+.3f}",
            "EXON?": str(int(self._is_on)),
            "BATS?": "1,3,0",
            "BCOL?": str(self._override),
            "*OPC?": "1",
        }
        if name not in shown:
            self._complain("LCME?", UNDEFINED)
        return shown.get(name, "")

    def _set_volt(self, argument: str) -> None:
        volt = as_number(argument)
        if volt is None:
            self._complain("LCME?", BAD_FLOAT)
        elif abs(volt) > LARGEST_V:
            self._complain("LEXE?", ILLEGAL_VALUE)
        else:
            self._volt = round(volt, 3) + 0.0

    def _set_on(self, argument: str) -> None:
        if argument in {"0", "1", "ON", "OFF"}:
            self._is_on = argument in {"1", "ON"}
        else:
            self._complain("LEXE?", WRONG_TOKEN)

    def _set_end(self, argument: str) -> None:
        name = _END_NUMBERS.get(argument, argument)
        if name in _ENDS:
            self._end = _ENDS[name]
        else:
            self._complain("LCME?", UNKNOWN_TOKEN)

    def _complain(self, register: str, code: int) -> None:
        self._events[register] = code
        self._events["*ESR?"] |= EXECUTION_ERROR if register == "LEXE?" else COMMAND_ERROR


def _wrong_form(name: str, argument: str) -> int | None:
    """Return what LCME? says of a command that does not even look right."""
    if _MNEMONIC.fullmatch(name) is None:
        return ILLEGAL_COMMAND
    is_query, mnemonic = name.endswith("?"), name.removesuffix("?")
    if is_query and mnemonic in _SET_ONLY:
        return ILLEGAL_QUERY
    if not is_query and mnemonic in _QUERY_ONLY:
        return ILLEGAL_SET
    if not is_query and mnemonic in _WITH_PARAMETER and not argument:
        return MISSING_PARAMETER
    return EXTRA_PARAMETER if "," in argument else None


class QuantumOpus:
    """An amplifier with a bias source: DAC counts 0..65535 are 0..25 uA."""

    IDENTITY = "Quantum Opus QO-AMP-SIM"
    _HOT_SPOT_FRACTION = 0.8
    _LARGEST = 65535

    def __init__(self) -> None:
        self._bias = 0
        self._stored_bias = 52428
        self._duration = 10
        self._is_low_gain = False
        self._resets_itself = False
        self._is_latched = False

    def answer(self, text: str) -> bytes:
        """Obey the commands of one line; a semicolon ends each."""
        return b"".join(self._obey(command.strip()) for command in text.split(";"))

    def _obey(self, command: str) -> bytes:
        if command.upper() == "*IDN?":
            # Drivers that look for other modules ask every slot this and wait for a line.
            return f"{self.IDENTITY}\r\n".encode()
        if len(command) < 2 or command[0] != "+":
            return b""
        letter, argument = command[1].upper(), command[2:].strip()
        if argument == "?":
            shown = self._shown(letter)
            return f"{shown}\r\n".encode() if shown else b""
        self._set(letter, int(argument) if argument.isascii() and argument.isdigit() else None)
        return b""

    def _shown(self, letter: str) -> str:
        values = {
            "A": self.IDENTITY,
            "B": str(self._bias),
            "C": str(self._adc()),
            "D": str(self._duration),
            "E": str(int(self._resets_itself)),
            # The firmware shows the stored value as a decimal number.
            "H": f"{self._stored_bias}.0",
        }
        return values.get(letter, "")

    def _set(self, letter: str, value: int | None) -> None:
        if value is not None and value > self._LARGEST:
            return
        if letter == "B" and value is not None:
            self._bias = value
            # Far above the switching current the wire stays resistive until it is reset.
            self._is_latched = self._is_latched or value > 0.95 * self._LARGEST
        elif letter == "C" and value in {0, 1}:
            self._is_low_gain = value == 1
        elif letter == "D" and value is not None and value <= 255:
            self._duration = value
        elif letter == "E" and value in {0, 1}:
            self._resets_itself = value == 1
        elif letter == "F":
            self._is_latched = False
        elif letter == "G":
            self._bias, self._is_latched = 52428, False
        elif letter == "H" and value is not None:
            self._stored_bias = value
        elif letter == "H":
            self._bias = self._stored_bias

    def _adc(self) -> int:
        """Return the converter's counts: full scale is 1.1 V (high gain) or 5 V (low gain)."""
        bias_V = 2.5 * self._bias / self._LARGEST
        volt = self._HOT_SPOT_FRACTION * bias_V if self._is_latched else 0.002 * bias_V
        full_V = 5.0 if self._is_low_gain else 1.1
        return min(round(volt / full_V * self._LARGEST), self._LARGEST)
