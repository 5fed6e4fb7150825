"""One ELL14 on its bus: how it obeys and how it turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

FULL_SPEED_DEG_S = 430.0
START_S = 0.05
SEARCH_S = 1.0
CURVE_S = 2.0
CLEANING_S = 5.0
CURVE = bytes(522)
USUAL_PERIODS = {"f1": 0xBD, "b1": 0xAA, "f2": 0xBD, "b2": 0xAA}

PERIOD_BITS = 0x0FFF
COMMAND_ERROR, OUT_OF_VALUE, BUSY, OUT_OF_RANGE = 0x03, 0x04, 0x09, 0x0C

# Characters of data behind each command (manual, sections of the single messages).
DATA_LENGTHS = {
    **dict.fromkeys(("ma", "mr", "sj", "so"), 8),
    **dict.fromkeys(("f1", "b1", "f2", "b2"), 4),
    **dict.fromkeys(("sv", "is"), 2),
    **dict.fromkeys(("ho", "ca", "ga"), 1),
}


@dataclass(slots=True)
class Unit:
    """A rotation mount; positions in pulses."""

    address: str
    serial: int
    pulses: int
    error: int = 0
    velocity: int = 100
    jog: int = 0
    home_offset: int = 0
    backlash: int = 0
    """By how many pulses a move forward or backward falls short."""
    position: float = 0.0
    also: str = ""
    """Another address it listens to until it has been told to move."""
    silent_until_s: float = 0.0
    origin: float = 0.0
    target: float = 0.0
    began_s: float = 0.0
    ends_s: float | None = None
    direction: int = 0
    """Of a continuous rotation."""
    busy: str = ""
    """What it is doing other than turning: the reply at its end."""
    periods: dict[str, int] = field(default_factory=lambda: dict(USUAL_PERIODS))
    """Of the motors' drives, by the command that sets them."""

    @property
    def is_moving(self) -> bool:
        """Whether it turns."""
        return (self.ends_s is not None and not self.busy) or self.direction != 0

    @property
    def angle_deg(self) -> float:
        """Where it stands."""
        return self.position * 360.0 / self.pulses

    def listens_to(self, address: str) -> bool:
        """Whether a packet to this address is for it."""
        return address in (self.address, self.also)

    def obey(self, command: str, argument: str, now_s: float) -> bytes:
        """Obey one packet and return the reply."""
        if now_s < self.silent_until_s:
            return b""
        self.elapse_position(now_s)
        self.also = "" if command in _MOVES else self.also
        if command not in _COMMANDS:
            return self._refuse(COMMAND_ERROR)
        try:
            value = int(argument, 16) if argument else 0
        except ValueError:
            return self._refuse(COMMAND_ERROR)
        is_busy = self.ends_s is not None or self.direction != 0
        if is_busy and command not in _ALWAYS:
            return self.reply("GS", f"{BUSY:02X}")
        return _COMMANDS[command](self, command, value, now_s)

    def elapse(self, now_s: float) -> bytes:
        """Let time pass and return what is reported."""
        self.elapse_position(now_s)
        if self.ends_s is None or now_s < self.ends_s:
            return b""
        self.ends_s = None
        if self.busy:
            report, self.busy = self.busy, ""
            return self._curve(report) if report in {"C1", "C2"} else self.reply("GS", "00")
        return self._position()

    def elapse_position(self, now_s: float) -> None:
        """Be where the motion is by now."""
        if self.direction:
            turned_s = now_s - self.began_s
            speed = FULL_SPEED_DEG_S * self.velocity / 100.0 * self.pulses / 360.0
            self.position = (self.origin + self.direction * turned_s * speed) % self.pulses
        elif self.ends_s is not None and not self.busy:
            done = min((now_s - self.began_s) / (self.ends_s - self.began_s), 1.0)
            self.position = self.origin + done * (self.target - self.origin)

    def fail(self, code: int) -> bytes:
        """Stop where it is with an error."""
        self.ends_s = None
        self.direction = 0
        return self._refuse(code)

    def pressed_button(self) -> bytes:
        """Report where it is, as after a press on the hand-set's button."""
        return self.reply("BO", self._shown_position())

    def reply(self, mnemonic: str, fields: str = "") -> bytes:
        """Write a reply."""
        return f"{self.address}{mnemonic}{fields}\r\n".encode()

    def _refuse(self, code: int) -> bytes:
        self.error = code
        return self.reply("GS", f"{code:02X}")

    def _position(self) -> bytes:
        return self.reply("PO", self._shown_position())

    def _shown_position(self) -> str:
        return f"{round(self.position) & 0xFFFFFFFF:08X}"

    def _curve(self, report: str) -> bytes:
        return self.address.encode() + report.encode() + CURVE + b"\r\n"

    def _info(self, command: str, value: int, now_s: float) -> bytes:
        fields = f"0E{self.serial:08d}2023" + "1701" + f"{360:04X}{self.pulses:08X}"
        return self.reply("IN", fields)

    def _status(self, command: str, value: int, now_s: float) -> bytes:
        if self.ends_s is not None or self.direction:
            return self.reply("GS", f"{BUSY:02X}")
        error, self.error = self.error, 0
        return self.reply("GS", f"{error:02X}")

    def _move(self, command: str, value: int, now_s: float) -> bytes:
        steps = value - (1 << 32) if value >> 31 else value
        target = {
            "ma": float(steps),
            "mr": self.position + steps,
            "ho": 0.0,
            "fw": self.position + self.jog,
            "bw": self.position - self.jog,
        }[command]
        if command == "ma" and not -self.pulses <= target <= self.pulses:
            return self._refuse(OUT_OF_RANGE)
        if command == "ho" and value > 1:
            return self._refuse(OUT_OF_VALUE)
        self.origin, self.began_s = self.position, now_s
        if command in {"fw", "bw"} and self.jog == 0:
            self.direction = 1 if command == "fw" else -1
            return b""
        way = 0.0 if command == "ho" else target - self.origin
        self.target = target - (math.copysign(self.backlash, way) if way else 0.0)
        angle_deg = abs(target - self.origin) * 360.0 / self.pulses
        speed_deg_s = FULL_SPEED_DEG_S * max(self.velocity, 1) / 100.0
        self.ends_s = now_s + START_S + angle_deg / speed_deg_s
        return b""

    def _where(self, command: str, value: int, now_s: float) -> bytes:
        return self._position()

    def _stop(self, command: str, value: int, now_s: float) -> bytes:
        if self.direction or self.busy:
            self.direction, self.busy, self.ends_s = 0, "", None
            return self.reply("GS", "00")
        return self.reply("GS", f"{BUSY:02X}" if self.ends_s is not None else "00")

    def _show(self, command: str, value: int, now_s: float) -> bytes:
        if command == "gv":
            return self.reply("GV", f"{self.velocity:02X}")
        if command == "gj":
            return self.reply("GJ", f"{self.jog & 0xFFFFFFFF:08X}")
        if command == "go":
            return self.reply("HO", f"{self.home_offset & 0xFFFFFFFF:08X}")
        forward, backward = (self.periods[way + command[1]] for way in "fb")
        return self.reply(command.upper(), f"1104B2FFFFFFFF{forward:04X}{backward:04X}")

    def _set(self, command: str, value: int, now_s: float) -> bytes:
        if command == "sv":
            if value > 100:
                return self._refuse(OUT_OF_VALUE)
            self.velocity = value
        elif command == "sj":
            self.jog = value - (1 << 32) if value >> 31 else value
        elif command == "so":
            self.home_offset = value
        elif command in self.periods:
            # All bits set brings the usual period back; drivers leave the top bit out, too.
            is_usual = value & PERIOD_BITS == PERIOD_BITS
            self.periods[command] = USUAL_PERIODS[command] if is_usual else value & PERIOD_BITS
        return self.reply("GS", "00")

    def _work(self, command: str, value: int, now_s: float) -> bytes:
        spans_s = {"s": SEARCH_S, "c1": CURVE_S, "c2": CURVE_S}
        span_s = spans_s.get(command, spans_s.get(command[0], CLEANING_S))
        self.ends_s = now_s + span_s
        self.busy = command.upper()
        if command in {"c1", "c2"}:
            return self.reply("GS", "00")
        return self.reply("GS", f"{BUSY:02X}") if command in {"om", "cm"} else b""

    def _address(self, command: str, value: int, now_s: float) -> bytes:
        if command == "ca":
            self.address = f"{value:X}"
            return self.reply("GS", "00")
        self.also = f"{value:X}"
        return f"{self.also}GS00\r\n".encode()

    def _isolate(self, command: str, value: int, now_s: float) -> bytes:
        self.silent_until_s = now_s + 60.0 * value
        return b""


_MOVES = ("ma", "mr", "ho", "fw", "bw")
_Action = Callable[[Unit, str, int, float], bytes]
_COMMANDS: Mapping[str, _Action] = {
    "in": Unit._info,
    "gs": Unit._status,
    "gp": Unit._where,
    "st": Unit._stop,
    "is": Unit._isolate,
    **dict.fromkeys(_MOVES, Unit._move),
    **dict.fromkeys(("gv", "gj", "go", "i1", "i2"), Unit._show),
    **dict.fromkeys(("sv", "sj", "so", "us", "sk", "f1", "b1", "f2", "b2"), Unit._set),
    **dict.fromkeys(("s1", "s2", "c1", "c2", "om", "cm"), Unit._work),
    **dict.fromkeys(("ca", "ga"), Unit._address),
}
# What is answered also while it is busy.
_ALWAYS = frozenset({"in", "gs", "gp", "gv", "gj", "go", "i1", "i2", "st"})
