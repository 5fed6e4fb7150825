"""Find drivers by the entry point group `qnx_hw.drivers`; nothing is imported until asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from qnx_hw.errors import ConfigError
from qnx_hw.instruments.families import Instrument
from qnx_hw.transports import Recorder

GROUP = "qnx_hw.drivers"


class DriverFactory(Protocol):
    """What an entry point names: makes an unconnected instrument."""

    def __call__(self, url: str, *, name: str, recorder: Recorder | None = None) -> Instrument: ...


@dataclass(frozen=True, slots=True)
class DriverEntry:
    """A driver that is installed; `error` says why it cannot be loaded, or is empty."""

    driver: str
    target: str
    error: str = ""


def make(driver: str, url: str, name: str, *, recorder: Recorder | None = None) -> Instrument:
    """Return an unconnected instrument; raise `ConfigError` where the driver or url is no good.

    `recorder` sees every byte of its wires.
    """
    entry = _installed().get(driver)
    if entry is None:
        known = ", ".join(sorted(_installed())) or "none"
        raise ConfigError(f"'{name}' wants the driver '{driver}'; installed are: {known}")
    try:
        return _loaded(entry)(url, name=name, recorder=recorder)
    except ImportError as error:
        raise ConfigError(f"the driver '{driver}' of '{name}' cannot be loaded: {error}") from error


def installed(
    entries: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP),
) -> tuple[DriverEntry, ...]:
    """Load every installed driver and report each, also those that fail to load."""
    return tuple(_report(entry) for entry in sorted(entries(), key=lambda entry: entry.name))


def _report(entry: EntryPoint) -> DriverEntry:
    try:
        _loaded(entry)
    except (ImportError, AttributeError) as error:
        return DriverEntry(entry.name, entry.value, str(error))
    return DriverEntry(entry.name, entry.value)


def _loaded(entry: EntryPoint) -> DriverFactory:
    try:
        factory: DriverFactory = entry.load()
    except AttributeError as error:
        raise ImportError(f"{entry.value}: {error}") from error
    return factory


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
