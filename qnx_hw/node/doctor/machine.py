"""Clock, entropy, disk and serial ports of this machine."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from qnx_hw.node.doctor.finding import Finding, note, ok, problem

# A day of recordings fills more; below the second even key stores and history stop.
LITTLE_BYTES, TOO_LITTLE_BYTES = 5 << 30, 200 << 20
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 1024  # more than struct timex has anywhere; zeroed it asks and sets nothing


def machine(data_dir: Path) -> Iterator[Finding]:
    """Look at what qnx finds around it; `data_dir` is where it will write."""
    yield clock()
    yield entropy()
    yield disk(data_dir)
    yield from serial_ports(_ports())


def clock() -> Finding:
    """Say whether something keeps the system's clock right; key life times and logs need it."""
    if sys.platform != "linux":
        return note("clock", "cannot be looked at here", "keep it right by NTP")
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state in (-1, _TIME_ERROR):
        return note(
            "clock",
            "nothing synchronises it",
            "run chrony or systemd-timesyncd; keys expire and certificates are checked by it",
        )
    return ok("clock", "synchronised")


def entropy() -> Finding:
    """Say whether the system's random generator is ready."""
    if sys.platform != "linux":
        return ok("entropy", "the system's random generator")
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return problem(
            "entropy", "the system's random generator is not ready", "wait, or install `rng-tools`"
        )
    return ok("entropy", "the system's random generator is ready")


def disk(folder: Path, need: int = TOO_LITTLE_BYTES) -> Finding:
    """Say whether there is room, and leave to write, where qnx keeps its files."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return problem("disk", f"{place} may not be written", "give its owner the right")
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free < need:
        return problem("disk", found, "make room: key stores cannot commit on a full disk")
    if free < LITTLE_BYTES:
        return note("disk", found, "recordings of tags need more")
    return ok("disk", found)


def serial_ports(ports: Iterable[Path]) -> Iterator[Finding]:
    """Say which serial ports this user may not open."""
    usable = 0
    for port in ports:
        if os.access(port, os.R_OK | os.W_OK):
            usable += 1
            continue
        group = _group(port)
        yield problem(
            f"serial port {port}",
            "this user may not open it",
            f"`sudo usermod -aG {group} $USER`, then log in again",
        )
    yield ok("serial ports", f"{usable} may be opened")


def _ports() -> list[Path]:
    from serial.tools.list_ports import comports

    return [Path(port.device) for port in comports()]


def _group(port: Path) -> str:
    try:
        return port.group()
    except (KeyError, OSError):
        return "dialout"
