"""Python, packages, Qt's libraries, drivers and the programs that qnx starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from qnx_hw.node.doctor.finding import Finding, note, ok, problem

Version = tuple[int, ...]
LEAST_PYTHON = (3, 11)
QT_DEADLINE_S = 60.0
REINSTALL = "run `python3 start.py setup`, which installs the locked versions"
# Debian's package of each library that Qt's wheels expect from the system.
QT_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon.so.0": "libxkbcommon0",
}
PROGRAMS = {
    "nats-server": "processes on several machines need a NATS server; install `nats-server` there",
}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)(?:;(.*))?")
_MARKER = re.compile(r'python_version\s*(<|>=)\s*"([0-9.]+)"')
_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    ">=": lambda have, want: have >= want,
    "<": lambda have, want: have < want,
    "!=": lambda have, want: have != want,
    "==": lambda have, want: have == want,
}


def installation(python: Version = sys.version_info[:3]) -> Iterator[Finding]:
    """Look at what was installed."""
    words = ".".join(map(str, python))
    if python[:2] < LEAST_PYTHON:
        yield problem("Python", f"this is {words}", "use Python 3.11 or newer")
    else:
        yield ok("Python", words)
    yield from packages(requires("qnx-hw") or (), _installed, python)
    yield qt()
    yield from drivers()
    for program, advice in PROGRAMS.items():
        place = shutil.which(program)
        yield ok(program, place) if place else note(program, "not installed", advice)


def packages(
    requirements: Iterable[str], installed: Callable[[str], str | None], python: Version
) -> Iterator[Finding]:
    """Compare what is installed with what is required; known bad versions are required absent."""
    wanted: dict[str, list[str]] = {}
    for line in requirements:
        match = _REQUIREMENT.fullmatch(line.strip())
        if match is None or not _applies(match[3] or "", python):
            continue
        wanted.setdefault(match[1], []).extend(
            each.strip() for each in match[2].split(",") if each.strip()
        )
    fine = 0
    for name, limits in wanted.items():
        have = installed(name)
        if have is None:
            yield problem(f"package {name}", "not installed", REINSTALL)
        elif not all(_meets(have, limit) for limit in limits):
            yield problem(
                f"package {name}", f"{have} is installed, needed is {', '.join(limits)}", REINSTALL
            )
        else:
            fine += 1
    yield ok("packages", f"{fine} of {len(wanted)} are installed in a good version")


def qt(program: str = sys.executable) -> Finding:
    """Load Qt in a process of its own: where a library is missing it may take the process along."""
    try:
        tried = subprocess.run(  # noqa: S603 (our own interpreter)
            [program, "-c", "import PySide6.QtWidgets, PySide6.QtSvg"],
            capture_output=True,
            text=True,
            timeout=QT_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return note("Qt", f"cannot be tried: {error}", "the desktop app needs it, nothing else")
    if tried.returncode == 0:
        return ok("Qt", "loads")
    said = (tried.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    missing = next((name for name in QT_PACKAGES if name in said), None)
    advice = f"`apt-get install {QT_PACKAGES[missing]}`" if missing else REINSTALL
    return note("Qt", said, f"the desktop app needs it: {advice}")


def drivers() -> Iterator[Finding]:
    """Load every installed driver."""
    from qnx_hw.instruments import registry

    entries = registry.installed()
    for entry in entries:
        if entry.error:
            advice = "install what it names, or take the package away that brings this driver"
            yield problem(f"driver {entry.driver}", entry.error, advice)
    yield ok("drivers", f"{sum(not entry.error for entry in entries)} of {len(entries)} load")


def _applies(marker: str, python: Version) -> bool:
    if "extra" in marker:
        return False
    match = _MARKER.search(marker)
    return match is None or _COMPARE[match[1]](python[:2], _numbers(match[2]))


def _meets(have: str, limit: str) -> bool:
    match = re.fullmatch(r"(>=|<|!=|==)\s*([0-9.]+)", limit)
    if match is None:
        return True
    ours, theirs = _numbers(have), _numbers(match[2])
    length = max(len(ours), len(theirs))
    return _COMPARE[match[1]](_padded(ours, length), _padded(theirs, length))


def _padded(numbers: Version, length: int) -> Version:
    return numbers + (0,) * (length - len(numbers))


def _numbers(text: str) -> Version:
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
