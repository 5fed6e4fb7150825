"""What instruments that speak SCPI have in common.

Source: SCPI 1999, volume 1, sections 6 (headers, 6.2.4 for what `;` leaves out), 20 (STATus) and
21.8 (error queue); IEEE 488.2, sections 10 and 11.5 (common commands, event register).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping

from sim_devices.emulators.line_emulator import LineEmulator

UNDEFINED_HEADER = (-113, "Undefined header")
WRONG_TYPE = (-104, "Data type error")
MISSING_PARAMETER = (-109, "Missing parameter")
OUT_OF_RANGE = (-222, "Data out of range")
QUEUE_OVERFLOW = (-350, "Queue overflow")
LONGEST_QUEUE = 32
OPERATION_COMPLETE, EXECUTION_EVENT, COMMAND_EVENT, POWER_ON = 1, 16, 32, 128
ERROR_WAITS = 4
# Registers of STATus, in which nothing ever happens here, and the filters that hosts set on them.
_REGISTER = re.compile(r"STAT:(OPER|QUES)(:(EVEN|COND))?\?")
_FILTER = re.compile(r"STAT:(OPER|QUES):(ENAB|PTR|NTR)")
_SUFFIX = re.compile(r"\[\d*\]|(?<=SENS)1|(?<=SENSE)1")


def short_header(header: str) -> str:
    """Return a header in short form: four letters a node, three if the fourth is a vowel."""
    nodes = _SUFFIX.sub("", header.strip().upper()).lstrip(":").split(":")
    return ":".join(_short(node) for node in nodes)


def _short(node: str) -> str:
    query = "?" if node.endswith("?") else ""
    name = node.removesuffix("?")
    if len(name) > 4 and name.isalpha():
        name = name[:3] if name[3] in "AEIOU" else name[:4]
    return name + query


class ScpiEmulator(LineEmulator):
    """Commands are chained by `;`; the replies of a line come in one line, joined by `;`."""

    ends = b"\n"
    reply_end = b"\n"
    signed_errors = False
    identity = ""

    def __init__(self, options: Mapping[str, object]) -> None:
        super().__init__(options)
        self._errors: list[tuple[int, str]] = []
        self._events = POWER_ON
        self._masks = {"*ESE": 0, "*SRE": 0}
        self._node = ""

    @abstractmethod
    def obey(self, header: str, argument: str, now_s: float) -> str | None:
        """Obey one command with a short header; return a query's reply.

        Settings return nothing; None means that there is no such header.
        """

    @abstractmethod
    def reset(self) -> None:
        """Take the settings after `*RST`."""

    def ready_at(self, now_s: float) -> float:
        """Return when the replies of a line may be sent."""
        return now_s

    def complain(self, error: tuple[int, str]) -> str:
        """Put an error into the queue."""
        if len(self._errors) < LONGEST_QUEUE:
            self._errors.append(error)
        else:
            self._errors[-1] = QUEUE_OVERFLOW
        self._events |= COMMAND_EVENT if error[0] > -200 else EXECUTION_EVENT
        return ""

    def complain_of(self, argument: str) -> str:
        """Complain of an argument that is no value: it is missing, or of a wrong type."""
        return self.complain(WRONG_TYPE if argument else MISSING_PARAMETER)

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
        self._node = ""
        shown = [
            self._one(single.strip(), now_s) for single in command.split(";") if single.strip()
        ]
        text = ";".join(reply for reply in shown if reply)
        if not text:
            return b""
        reply = text.encode("latin-1") + self.reply_end
        due_s = self.ready_at(now_s)
        if due_s <= now_s:
            return reply
        self.reply_at(due_s, client, reply)
        return b""

    def _one(self, single: str, now_s: float) -> str:
        header, argument = (*single.split(None, 1), "")[:2]
        short = short_header(header)
        if short.startswith(("*", "SYST:", "STAT:")):
            common = self._common(short, argument)
            if common is not None:
                return common
        reply = self.obey(short, argument.strip(), now_s)
        if reply is None and self._node and not header.startswith((":", "*")):
            # A header after `;` may go on in the node of the one before.
            short = f"{self._node}:{short}"
            reply = self.obey(short, argument.strip(), now_s)
        if not header.startswith("*"):
            self._node = short.rpartition(":")[0]
        return self.complain(UNDEFINED_HEADER) if reply is None else reply

    def _common(self, header: str, argument: str) -> str | None:
        plain = {
            "*IDN?": self.identity,
            "*OPC?": "1",
            "*TST?": "0",
            "*STB?": str(ERROR_WAITS if self._errors else 0),
            "SYST:VERS?": "1999.0",
            "SYST:ERR:COUN?": str(len(self._errors)),
            "*WAI": "",
            "STAT:PRES": "",
        }
        if header in plain:
            return plain[header]
        if _REGISTER.fullmatch(header):
            return "0"
        name = header.removesuffix("?")
        if name in self._masks or _FILTER.fullmatch(name):
            return self._mask(header, argument)
        if header == "*ESR?":
            return self._read_events()
        if header == "*OPC":
            self._events |= OPERATION_COMPLETE
        elif header == "*CLS":
            self._errors.clear()
            self._events = 0
        elif header == "*RST":
            self.reset()
        else:
            return self._read_errors(header)
        return ""

    def _read_events(self) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _read_errors(self, header: str) -> str | None:
        counts = {"SYST:ERR?": 1, "SYST:ERR:NEXT?": 1, "SYST:ERR:ALL?": LONGEST_QUEUE}
        if header not in counts:
            return None
        read = self._errors[: counts[header]] or [(0, "No error")]
        del self._errors[: counts[header]]
        return ",".join(self._error_text(error) for error in read)

    def _mask(self, header: str, argument: str) -> str:
        if header.endswith("?"):
            return str(self._masks.get(header[:-1], 0))
        largest = 255 if header.startswith("*") else 65_535
        if not argument.isdigit() or int(argument) > largest:
            return self.complain(OUT_OF_RANGE if argument.isdigit() else MISSING_PARAMETER)
        self._masks[header] = int(argument)
        return ""

    def _error_text(self, error: tuple[int, str]) -> str:
        number, text = error
        sign = "+" if self.signed_errors and number >= 0 else ""
        return f'{sign}{number},"{text}"'
