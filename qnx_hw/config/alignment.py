"""`[links.LINK.alignment]`: the loop that keeps a link's polarization aligned."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qnx_hw.config.section import Name, Section

Algorithm = Literal[
    "model", "coordinate", "spsa", "spgd", "line", "nelder-mead", "gaussian-process"
]
Degrees = Annotated[float, msgspec.Meta(gt=0.0, lt=360.0)]
Slack = Annotated[float, msgspec.Meta(ge=0.0)]


class AlignmentSection(Section, frozen=True, kw_only=True):
    """The end named here moves its `polarization` instrument; one end is enough for both fibres."""

    end: Literal["alice", "bob"] = "bob"
    instruments: tuple[Name, ...] = ()
    """Where a controller is joined of several instruments: all of them, as the light passes."""
    algorithm: Algorithm = "model"
    target: Annotated[float, msgspec.Meta(ge=0.0, le=0.5)] = 0.0
    """Where both bases' error rates are at or below it nothing is moved; 0 follows every drift."""
    starts_held: bool = False
    retardances_deg: tuple[Degrees, ...] = ()
    """Of rotating elements, one for each axis; quarter, half and quarter wave where not given."""
    backlash: tuple[Slack, ...] = ()
    """How far each axis falls short when it comes from above, in its unit."""
