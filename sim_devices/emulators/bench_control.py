"""The bench's own control port: lines of text that disturb fibres, clocks and light while it runs.

One command a line, words apart by blanks; each is answered by one line, `OK …` or `ERROR why`.
What is told holds from the next 10 ms of the bench on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.physics.bench import Bench
from sim_devices.physics.description import USUAL_SHIFT_PS, Eavesdropper, Fibre
from sim_devices.physics.station import BenchStation

PS_PER_S = 1e12
LONGEST_JUMP_S = 1.0
HELP = {
    "knock": "STATION RAD: turn the light at once",
    "drift": "STATION RAD_PER_SQRT_S: random walk of the fibre, a storm or calm",
    "ramp": "STATION RAD_PER_S: steady turning, as with temperature",
    "loss": "STATION DB: loss of the fibre",
    "eavesdropper": "STATION FRACTION|blinding|off: somebody in front of a station",
    "clock-jump": f"STATION SECONDS: put its clock forward, at most {LONGEST_JUMP_S:g} s",
    "clock-drift": "STATION PPM: rate of its clock",
    "dark": "STATION CPS: dark counts of each detector",
    "status": "what holds now, as JSON",
    "help": "these lines, as JSON",
}


class BenchControl(LineEmulator):
    """Speaks for a bench; a wrong command changes nothing."""

    def __init__(self, bench: Bench, options: Mapping[str, object] | None = None) -> None:
        super().__init__(options or {})
        self._bench = bench
        self._commands: dict[str, Callable[[BenchStation, float], None]] = {
            "knock": lambda station, rad: station.channel.knock(rad),
            "drift": lambda at, rate: _lay(at, replace(_fibre(at), drift_rad_per_sqrt_s=rate)),
            "ramp": lambda at, rate: _lay(at, replace(_fibre(at), ramp_rad_per_s=rate)),
            "loss": lambda at, loss_db: _lay(at, replace(_fibre(at), loss_db=loss_db)),
            "clock-jump": lambda station, span_s: station.clock.disturb(round(span_s * PS_PER_S)),
            "clock-drift": lambda station, ppm: station.clock.disturb(0, ppm),
            "dark": _darken,
        }

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
        try:
            said = self._obey(command.split())
        except ValueError as error:
            return f"ERROR {error}\n".encode()
        return f"OK {said}".rstrip().encode() + b"\n"

    def _obey(self, words: list[str]) -> str:
        name = words[0].lower()
        if name == "help":
            return json.dumps(HELP)
        if name == "status":
            return json.dumps(self._status())
        if name not in HELP:
            raise ValueError(f"no command '{words[0]}'; there are {', '.join(HELP)}")
        if len(words) != 3:
            raise ValueError(f"say '{name} {HELP[name].partition(':')[0]}'")
        station = self._station(words[1])
        if name == "eavesdropper":
            station.eavesdropper = _eavesdropper(words[1], words[2].lower())
        else:
            self._commands[name](station, _number(name, words[2]))
        return " ".join((name, *words[1:]))

    def _station(self, name: str) -> BenchStation:
        if name not in self._bench.stations:
            raise ValueError(f"no station '{name}'; there are {', '.join(self._bench.stations)}")
        return self._bench.station(name)

    def _status(self) -> dict[str, object]:
        stations = {name: _told(self._bench.station(name)) for name in self._bench.stations}
        return {"now_s": self._bench.now_s, "stations": stations}


def _told(station: BenchStation) -> dict[str, object]:
    fibre, eve = station.channel.fibre, station.eavesdropper
    return {
        "loss_db": fibre.loss_db,
        "drift_rad_per_sqrt_s": fibre.drift_rad_per_sqrt_s,
        "ramp_rad_per_s": fibre.ramp_rad_per_s,
        "dark_rate_cps": list(station.setup.dark_rate_cps),
        "clock_drift_ppm": 1e6 * (station.clock.segment().stamps_per_ps - 1.0),
        "eavesdropper": _attack(eve),
    }


def _attack(eve: Eavesdropper | None) -> str | float:
    if eve is None:
        return "off"
    return eve.fraction if eve.kind == "intercept-resend" else eve.kind


_LIMITS = {
    "knock": (-3.1416, 3.1416),
    "drift": (0.0, 1e4),
    "ramp": (0.0, 1e4),
    "loss": (0.0, 200.0),
    "clock-jump": (0.0, LONGEST_JUMP_S),
    "clock-drift": (-1000.0, 1000.0),
    "dark": (0.0, 1e8),
}


def _number(name: str, text: str) -> float:
    low, high = _LIMITS[name]
    value = as_number(text)
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} needs a number from {low:g} to {high:g}, not '{text}'")
    return value


def _fibre(station: BenchStation) -> Fibre:
    return station.channel.fibre


def _lay(station: BenchStation, fibre: Fibre) -> None:
    station.channel.fibre = fibre


def _darken(station: BenchStation, rate_cps: float) -> None:
    station.setup = replace(station.setup, dark_rate_cps=(rate_cps,) * station.n_detectors)


def _eavesdropper(station: str, what: str) -> Eavesdropper | None:
    if what == "off":
        return None
    if what in ("blinding", "time-shift"):
        return Eavesdropper(station, what, 1.0, 0.0, USUAL_SHIFT_PS)
    fraction = as_number(what)
    if fraction is None or not 0.0 <= fraction <= 1.0:
        raise ValueError(
            f"eavesdropper needs 0 to 1, 'blinding', 'time-shift' or 'off', not '{what}'"
        )
    return Eavesdropper(station, "intercept-resend", fraction, 0.0, USUAL_SHIFT_PS)
