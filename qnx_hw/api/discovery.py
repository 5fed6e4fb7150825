"""Finding instruments: what is asked of a search, what it found, and a reading to try one."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.api.commands import Command, Setting
from qnx_hw.api.schema import Reading
from qnx_hw.api.value import Value

SearchHost = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*(:[0-9]{1,5})?$", max_length=253)
]


class StartSearch(Command, frozen=True, kw_only=True):
    """Where to look, beside the USB ports of the node's computer."""

    hosts: Annotated[tuple[SearchHost, ...], msgspec.Meta(max_length=32)] = ()
    """`HOST` or `HOST:PORT`."""
    usb: bool = True


class Place(Command, frozen=True, kw_only=True):
    """One instrument that need not be in the network file."""

    driver: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class FoundInstrument(Value, frozen=True, kw_only=True):
    """An instrument, or a port that may be one."""

    driver: str
    url: str
    confidence: str
    """`answered`, `described` (its descriptor says so) or `possible` (it was not asked)."""
    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    note: str = ""
    can_blink: bool = False


class SearchView(Value, frozen=True, kw_only=True):
    """How a search is going."""

    number: int
    """Of the search, counted since the node started; 0 before the first."""
    is_running: bool
    asking: str = ""
    """What is asked just now."""
    done: int = 0
    total: int = 0
    found: tuple[FoundInstrument, ...] = ()
    problems: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Places that were left alone, because the node works with what is there."""


class TestRead(Value, frozen=True, kw_only=True):
    """What an instrument said when it was connected to, read once, and let go."""

    __test__ = False
    maker: str
    model: str
    serial: str
    firmware: str
    family: str
    settings: dict[str, Setting]
    readings: tuple[Reading, ...]
    took_s: float


class DriverView(Value, frozen=True, kw_only=True):
    """A driver that is installed."""

    name: str
    family: str = ""
    can_blink: bool = False
    can_be_found: bool = False
    error: str = ""
    """Why it cannot be used, for example a package of the maker that is missing."""
