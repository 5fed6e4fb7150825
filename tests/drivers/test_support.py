"""The table of supported instruments is complete and says what the code says."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from drivers.support import GROUP, PACKAGE, SUPPORT, Level, Support, table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "instruments.md"


def test_every_driver_of_ours_is_described() -> None:
    ours = {entry.name for entry in entry_points(group=GROUP) if entry.value.startswith(PACKAGE)}

    assert set(SUPPORT) == ours


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == table(), "run: python -m drivers.support > that page"


def test_who_is_named_as_a_check_is_run() -> None:
    programs = (ROOT / "tests" / "foreign").glob("*.py")
    run = "\n".join(program.read_text("utf-8") for program in programs)

    for driver, support in SUPPORT.items():
        for name in support.checked_with:
            assert f'"{name}", "{driver}"' in run, f"{name} does not run against {driver}"


@pytest.mark.parametrize(
    ("checked_with", "verified", "level"),
    [((), "", Level.BRONZE), (("other",), "", Level.SILVER), ((), "2026-01-01", Level.GOLD)],
)
def test_the_level_follows_from_the_facts(
    checked_with: tuple[str, ...], verified: str, level: Level
) -> None:
    assert Support("unit", ("TCP",), "manual", checked_with, verified).level is level
