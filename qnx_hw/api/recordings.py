"""What the screens see of recordings of time tags."""

from __future__ import annotations

from qnx_hw.api.value import Value


class RecordingView(Value, frozen=True, kw_only=True):
    """A recording that runs, or is finished."""

    name: str
    """Of its folder."""
    folder: str = ""
    """Where that is on the node's machine, in full; for `qnx replay`."""
    is_running: bool
    started_s: float
    """Unix time."""
    duration_s: float
    instruments: tuple[str, ...]
    """`NODE INSTRUMENT` of each tagger in it."""
    tags: int
    size_bytes: int
    gaps: int
    """Places where tags are missing; no key is made across them."""
    is_simulated: bool
    message: str = ""
