"""What one look found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Health(StrEnum):
    """How serious it is."""

    OK = "ok"
    NOTE = "note"
    """Fine as long as nobody needs it."""
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence about what is there, and one about what to do where that is not enough."""

    subject: str
    health: Health
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Finding:
    """Say that all is well."""
    return Finding(subject=subject, health=Health.OK, found=found)


def note(subject: str, found: str, advice: str) -> Finding:
    """Say what is missing for some uses."""
    return Finding(subject=subject, health=Health.NOTE, found=found, advice=advice)


def problem(subject: str, found: str, advice: str) -> Finding:
    """Say what will fail."""
    return Finding(subject=subject, health=Health.PROBLEM, found=found, advice=advice)
