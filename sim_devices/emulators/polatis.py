"""The Polatis optical matrix switch: any ingress fibre to any egress fibre.

Source: Polatis, "SCPI User Guide". Ingress ports are 1..n, egress ports n+1..n+m. Settings are
silent; `*opc?` answers when the mirrors have settled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.faults import FaultKind
from sim_devices.emulators.scpi import MISSING_PARAMETER, OUT_OF_RANGE, ScpiEmulator
from sim_devices.emulators.station import Station

SETTLING_S = 0.02
EXECUTION_ERROR = (-200, "Execution error")
LARGEST_SIDE = 384
# What the power meters show: light that comes in, a dark fibre, and the loss of a path.
INPUT_DBM, DARK_DBM, LOSS_DB = 0.0, -60.0, 1.0
_LIST = re.compile(r"\(@([\d\s,:]*)\)")


class PolatisEmulator(ScpiEmulator):
    """Options: `ingress`, `egress` (port counts), `faults` (device-error: a port fails).

    Every port has a power meter; each ingress sees the same light.
    """

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._n_ingress = min(int(number_option(options, "ingress", 16)), LARGEST_SIDE)
        self._n_egress = min(int(number_option(options, "egress", 16)), LARGEST_SIDE)
        self.identity = (
            f"Polatis,I-OST-{self._n_ingress}x{self._n_egress}-LU1-DMHNS,002414,6.5.2.18"
        )
        self._boot_mode = "AUT"
        self._settled_s = 0.0
        self._is_failing = False
        self._states = dict.fromkeys(range(1, self._n_ingress + self._n_egress + 1), "E")
        self.reset()

    def reset(self) -> None:
        """Clear all connections."""
        self._egress_of: dict[int, int] = {}

    def ready_at(self, now_s: float) -> float:
        """Return when the last move is over."""
        return max(now_s, self._settled_s)

    def elapse(self, now_s: float) -> None:
        """Let a port fail when it is time, for as long as the fault lasts, or for good."""
        if self.faults.lasts(FaultKind.DEVICE_ERROR, now_s):
            self._is_failing = True
            self._fail()
        elif self._is_failing:
            self._is_failing = False
            self._states[1] = "E"
        elif self.faults.strikes(FaultKind.DEVICE_ERROR, now_s):
            self._fail()

    def _fail(self) -> None:
        self._states[1] = "F"
        self._egress_of.pop(1, None)

    def obey(self, header: str, argument: str, now_s: float) -> str | None:
        """Obey one command."""
        if header.startswith("OXC:SWIT:CONN:"):
            return self._connection(header.removeprefix("OXC:SWIT:CONN:"), argument, now_s)
        if header.startswith("OXC:SWIT:PORT:"):
            return self._port(header.removeprefix("OXC:SWIT:PORT:"), argument)
        if header == "OPM:POW?":
            return self._powers(argument)
        shown = {
            "OXC:SWIT:SIZE?": f"{self._n_ingress},{self._n_egress}",
            "OXC:BOOT:MODE?": self._boot_mode,
        }
        if header == "OXC:SWIT:DISC:ALL":
            self.reset()
            self._settled_s = now_s + SETTLING_S
            return ""
        if header == "OXC:BOOT:MODE":
            return self._set_boot_mode(argument.upper())
        return shown.get(header)

    def _set_boot_mode(self, mode: str) -> str:
        known = {"AUT": "AUT", "AUTO": "AUT", "REST": "REST", "RESTORE": "REST", "DARK": "DARK"}
        if mode not in known:
            return self.complain(OUT_OF_RANGE)
        self._boot_mode = known[mode]
        return ""

    def _connection(self, action: str, argument: str, now_s: float) -> str | None:
        if action == "STAT?":
            ingress = sorted(self._egress_of)
            return f"{_listed(ingress)},{_listed([self._egress_of[port] for port in ingress])}"
        if action == "PORT?":
            return self._peer(argument)
        if action not in {"ADD", "ONLY", "SUB", "SUBT"}:
            return None
        lists = _LIST.findall(argument)
        if len(lists) != 2:
            return self.complain(MISSING_PARAMETER)
        pairs = self._pairs(lists[0], lists[1])
        return self.complain(OUT_OF_RANGE) if pairs is None else self._change(action, pairs, now_s)

    def _pairs(self, first: str, second: str) -> list[tuple[int, int]] | None:
        """Return ingress and egress ports in pairs; None if that is not what they are."""
        ingress, egress = self._ports(first), self._ports(second)
        if ingress is None or egress is None or len(ingress) != len(egress):
            return None
        if max(ingress, default=0) > self._n_ingress:
            return None
        if min(egress, default=self._n_ingress + 1) <= self._n_ingress:
            return None
        return list(zip(ingress, egress, strict=True))

    def _change(self, action: str, pairs: list[tuple[int, int]], now_s: float) -> str:
        self._settled_s = now_s + SETTLING_S
        if action == "ONLY":
            self._egress_of.clear()
        for ingress, egress in pairs:
            if action in {"SUB", "SUBT"}:
                if self._egress_of.get(ingress) == egress:
                    del self._egress_of[ingress]
                continue
            if self._states[ingress] + self._states[egress] != "EE":
                self.complain(EXECUTION_ERROR)
                continue
            self._egress_of = {a: b for a, b in self._egress_of.items() if b != egress}
            self._egress_of[ingress] = egress
        return ""

    def _powers(self, argument: str) -> str:
        lists = _LIST.findall(argument)
        ports = self._ports(lists[0]) if len(lists) == 1 else None
        if ports is None:
            return self.complain(OUT_OF_RANGE if lists else MISSING_PARAMETER)
        return f"({','.join(f'{self._power_dbm(port):.2f}' for port in ports)})"

    def _power_dbm(self, port: int) -> float:
        if port <= self._n_ingress:
            return INPUT_DBM
        sources = [a for a, b in self._egress_of.items() if b == port]
        # Paths differ a little, each always in the same way.
        return INPUT_DBM - LOSS_DB - 0.01 * ((7 * port + sources[0]) % 50) if sources else DARK_DBM

    def _peer(self, argument: str) -> str:
        if not argument:
            return self.complain(MISSING_PARAMETER)
        if not argument.isdigit() or int(argument) not in self._states:
            return self.complain(OUT_OF_RANGE)
        port = int(argument)
        peers = self._egress_of | {b: a for a, b in self._egress_of.items()}
        return f'"{peers[port]}"' if port in peers else '""'

    def _port(self, action: str, argument: str) -> str | None:
        lists = _LIST.findall(argument)
        if not lists:
            return self.complain(MISSING_PARAMETER)
        ports = self._ports(lists[0])
        if ports is None:
            return self.complain(OUT_OF_RANGE)
        if action == "STAT?":
            return f"({','.join(self._states[port] for port in ports)})"
        if action not in {"DIS", "ENAB"}:
            return None
        for port in ports:
            if self._states[port] != "F":
                self._states[port] = "D" if action == "DIS" else "E"
            if action == "DIS":
                self._egress_of = {a: b for a, b in self._egress_of.items() if port not in {a, b}}
        return ""

    def _ports(self, text: str) -> list[int] | None:
        """Return the ports of a list such as `1, 3:5`; None if one of them does not exist."""
        ports: list[int] = []
        for part in text.split(","):
            ends = [word.strip() for word in part.split(":")]
            if ends == [""]:
                continue
            if len(ends) > 2 or not all(word.isdigit() and len(word) < 5 for word in ends):
                return None
            ports += range(int(ends[0]), int(ends[-1]) + 1)
        return ports if all(port in self._states for port in ports) else None


def _listed(ports: list[int]) -> str:
    return f"(@{','.join(str(port) for port in ports)})"
