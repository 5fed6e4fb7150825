"""`[controller]`: who decides which way user traffic goes, how often, and what for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qnx_hw.config.section import Name, Section


class ControllerSection(Section, frozen=True, kw_only=True):
    """`[controller]`; absent where nodes route by themselves."""

    node: Name
    """Whose process runs the controller."""
    objective: Literal[
        "least maximum utilisation", "max-min fair", "weighted throughput", "least delay"
    ] = "least maximum utilisation"
    interval_s: Annotated[float, msgspec.Meta(ge=1.0, le=3_600.0)] = 10.0
    """A decision this often; a link that goes down is answered at once."""
    season_s: Annotated[float, msgspec.Meta(ge=0.0, le=604_800.0)] = 86_400.0
    """After this time traffic is likely to repeat; 0 where it is not."""
    worth: Annotated[float, msgspec.Meta(ge=0.0, le=0.5)] = 0.02
    """Least part by which a new plan must be better than the one in force."""
