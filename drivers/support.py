"""What is known of each of our drivers; `python -m drivers.support` prints the table of the docs.

The level follows from the facts, see `Support.level`; a name in `checked_with` is that of a program
by other people which the opt-in test group `foreign` runs against our emulator of the instrument.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points

from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.discovery import Discovery, known
from qnx_hw.instruments.families import Instrument

GROUP = "qnx_hw.drivers"
PACKAGE = "drivers."
SERIAL = ("serial", "TCP")
SCPI = ("TCP", "serial", "VISA")


class Level(StrEnum):
    """How far a driver can be trusted."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


@dataclass(frozen=True, slots=True)
class Support:
    """The facts about one driver."""

    models: str
    wires: tuple[str, ...]
    source: str
    checked_with: tuple[str, ...] = ()
    last_verified: str = ""
    """When it last ran on a real instrument, and which; empty if it never did."""

    @property
    def level(self) -> Level:
        """Gold: verified on a real instrument. Silver: others' drivers pass. Bronze: ours do."""
        if self.last_verified:
            return Level.GOLD
        return Level.SILVER if self.checked_with else Level.BRONZE


SUPPORT = {
    "agiltron": Support(
        "Agiltron 1xN switches", SERIAL, "Agiltron, Command List for CL-LB Switch Driver", ("QMI",)
    ),
    "cc1": Support("Qubitekk CC1", SERIAL, "its users' command set, firmware 2.2"),
    "dd100": Support("OZ Optics DD-100", SERIAL, "OZ Optics, DD-100-MC commands"),
    "dg645": Support("SRS DG645", SCPI, "SRS, DG645 User Manual", ("srsinst",)),
    "ell14": Support(
        "Thorlabs ELL14, ELL16, ELL18, ELL21",
        SERIAL,
        "Thorlabs, ELLx modules protocol manual, Issue 10",
        ("tl-elliptec",),
    ),
    "epc400": Support("OZ Optics EPC-400", SERIAL, "OZ Optics, EPC-400 command list", ("QMI",)),
    "fpga-tagger": Support("tagger boards on FPGAs", SERIAL, "[our protocol](fpga-boards.md)"),
    "fpga-transmitter": Support(
        "transmitter boards on FPGAs", SERIAL, "[our protocol](fpga-boards.md)"
    ),
    "id120": Support("ID Quantique ID120", SCPI, "a laboratory's driver; one source only"),
    "id900": Support(
        "ID Quantique ID900, ID1000", ("ZeroMQ",), "ID Quantique, ID900 Time Controller User Guide"
    ),
    "kdc101": Support(
        "Thorlabs KDC101 with PRM1-Z8, K10CR1",
        SERIAL,
        "Thorlabs, Host-Controller Communications Protocol, Issue 28",
        ("QMI", "pyKDC101"),
    ),
    "lcc25": Support("Thorlabs LCC25", SERIAL, "Thorlabs, LCC25 User Guide"),
    "mpc320": Support(
        "Thorlabs MPC320, MPC220",
        SERIAL,
        "Thorlabs, Host-Controller Communications Protocol, Issue 28",
        ("QMI",),
    ),
    "osw": Support("Thorlabs OSW switches", SERIAL, "Thorlabs, OSW Series Operating Manual"),
    "pax1000": Support("Thorlabs PAX1000", SCPI, "Thorlabs, PAX1000 commands"),
    "pm100": Support(
        "Thorlabs PM100D, PM100USB, PM101",
        SCPI,
        "Thorlabs, PM100D Operation Manual",
        ("pymeasure", "QMI"),
    ),
    "polatis": Support("Polatis (HUBER+SUHNER) matrix switches", SCPI, "Polatis, SCPI User Guide"),
    "s15spd": Support(
        "S-Fifteen SPD", SERIAL, "S-Fifteen, S15lib (the maker's library)", ("S15lib",)
    ),
    "sim900": Support(
        "SRS SIM900 with SIM928 and Quantum Opus modules",
        SCPI,
        "SRS, SIM900 and SIM928 Operation and Service Manuals",
        ("QMI", "qcodes"),
    ),
    "swabian": Support(
        "Swabian Time Tagger 20, Ultra, X",
        ("maker's package",),
        "Swabian Instruments, Time Tagger User Manual",
    ),
    "tdc1": Support(
        "S-Fifteen TDC1", SERIAL, "S-Fifteen, TDC1 command list and scripts", ("S15lib",)
    ),
    "websq": Support(
        "Single Quantum WebSQ (EOS, Atlas)",
        ("TCP",),
        "Single Quantum, WebSQ driver (the maker's)",
        ("qcodes",),
    ),
}


def table() -> str:
    """Return the page of supported instruments."""
    rows = sorted(
        (_family(entry.load()), entry.name)
        for entry in entry_points(group=GROUP)
        if entry.value.startswith(PACKAGE)
    )
    lines = [_row(family, name, SUPPORT[name]) for family, name in rows]
    found = [_found(name, ways) for name, ways in sorted(known().items()) if name in SUPPORT]
    return PAGE + "\n".join([*lines, FOUND, *found, ERRORS, *_errors()]) + "\n"


def _family(driver: type[Instrument]) -> str:
    return driver.family.value.replace("_", " ")


def _errors() -> list[str]:
    kinds: list[type[InstrumentError]] = [InstrumentError, *InstrumentError.__subclasses__()]
    return [f"| `{kind.__name__}` | {(kind.__doc__ or '').strip()} |" for kind in kinds]


def _found(name: str, ways: Discovery) -> str:
    tells = "blinks" if ways.blink else "–"
    if ways.test_read:
        asked = ways.test_read.decode("latin-1").strip()
        question = "".join(letter for letter in asked if letter.isprintable())
        tells = f"reads `{question}`"
    return f"| `{name}` | {ways.ways} | {tells} |"


def _row(family: str, name: str, support: Support) -> str:
    cells = (
        family,
        f"`{name}`",
        support.models,
        ", ".join(support.wires),
        support.level.value,
        ", ".join(support.checked_with) or "–",
        support.source,
        support.last_verified or "not yet",
    )
    return f"| {' | '.join(cells)} |"


PAGE = """# Supported instruments

Made by `python -m drivers.support`; a test holds it to the code.

- **bronze**: written from the maker's document; the driver passes the conformance suite of its
  family and every fault of the fault matrix on an emulator that was written from the same document
  and shares no code with it (a vendor package: on a stand-in for it).
- **silver**: as bronze, and drivers by other people run against our emulator
  (`pytest tests/foreign --foreign`): two independent readings of the document agree on the bytes.
- **gold**: `qnx check` passed on a real instrument as well, on the date given.

The drivers of other people are S15lib and srsinst (by the makers of their instruments), the maker's
WebSQ code in qcodes' collection, QMI, pymeasure, tl-elliptec and pyKDC101. Each runs in an
environment of its own, which the tests make with pip below the temporary folder
(`qnx-foreign-NAME`) and keep for the next run; nothing of ours imports them.

Every serial wire can also be a serial server (`tcp://`) or a VISA resource (`visa://ASRL...`),
every TCP wire a VISA socket (`visa://TCPIP0::...::SOCKET`), see
[connect hardware](../how-to/connect-hardware.md).

`qnx devices` finds them as the second table says; `qnx devices --identify` has one blink or shows
what it reads, so that two of a kind are told apart.

| family | driver | instruments | wires | level | checked with | source | on hardware |
|---|---|---|---|---|---|---|---|
"""

FOUND = """
| driver | found by | tells itself |
|---|---|---|"""

ERRORS = """
## What a call may raise

All are in `qnx_hw.errors`; a driver raises nothing else. A deadline (`timeout_s`) holds for the
whole call, see [decision 7](../decisions/0007-finding-and-checking-instruments.md).

| error | when |
|---|---|"""

if __name__ == "__main__":
    sys.stdout.write(table())
