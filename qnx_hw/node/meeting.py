"""What the two ends of a link say before a session, and the window that it adds up to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.config import LinkSection
from qnx_hw.keys import Purpose
from qnx_hw.keys.ledger import Place

WindowPs = Annotated[int, msgspec.Meta(ge=10, le=1_000_000)]


class Marks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sealed with the initial secret; an old copy says nothing that could harm."""

    used: dict[Purpose, Place]
    """How far the link's pads were used."""
    window_ps: WindowPs
    windows_ps: tuple[WindowPs, WindowPs] | None
    """From which to which window this end follows the other; None is not at all."""


def windows_of(link: LinkSection) -> tuple[int, int] | None:
    """Return which windows an end takes from the other, from its own table."""
    if link.window is None:
        return None
    return int(link.window.low_ps), int(link.window.high_ps)


def agreed_window_ps(alice: Marks, bob: Marks) -> int | None:
    """Return the window that both go on with, the same at both ends; None where there is none.

    Alice sees the delays, so hers comes first; if Bob does not take it she goes back to his.
    """
    if alice.window_ps == bob.window_ps or _takes(bob, alice.window_ps):
        return alice.window_ps
    return bob.window_ps if _takes(alice, bob.window_ps) else None


def _takes(end: Marks, window_ps: int) -> bool:
    low, high = end.windows_ps or (window_ps + 1, window_ps)
    return low <= window_ps <= high
