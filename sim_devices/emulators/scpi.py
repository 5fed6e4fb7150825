"""What instruments that speak SCPI have in common.

Source: SCPI 1999, volume 1, sections 6 (headers) and 21.8 (error queue).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping

from sim_devices.emulators.line_emulator import LineEmulator

UNDEFINED_HEADER = (-113, "Undefined header")
MISSING_PARAMETER = (-109, "Missing parameter")
OUT_OF_RANGE = (-222, "Data out of range")
LONGEST_QUEUE = 32
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
        return ""

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
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
        header, _, argument = single.partition(" ")
        short = short_header(header)
        if short.startswith(("*", "SYST:ERR")):
            common = self._common(short)
            if common is not None:
                return common
        reply = self.obey(short, argument.strip(), now_s)
        return self.complain(UNDEFINED_HEADER) if reply is None else reply

    def _common(self, header: str) -> str | None:
        if header == "*IDN?":
            return self.identity
        if header == "*OPC?":
            return "1"
        if header == "*CLS":
            self._errors.clear()
        elif header == "*RST":
            self.reset()
        elif header in {"SYST:ERR?", "SYST:ERR:NEXT?"}:
            return self._error_text(self._errors.pop(0) if self._errors else (0, "No error"))
        elif header == "SYST:ERR:ALL?":
            everything = self._errors or [(0, "No error")]
            self._errors = []
            return ",".join(self._error_text(error) for error in everything)
        else:
            return None if header != "*WAI" else ""
        return ""

    def _error_text(self, error: tuple[int, str]) -> str:
        number, text = error
        sign = "+" if self.signed_errors and number >= 0 else ""
        return f'{sign}{number},"{text}"'
