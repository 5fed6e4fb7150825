"""Our own archives as recordings, for looking into them with the same commands."""

from __future__ import annotations

import numpy as np

from qnx_hw.timing.archive import MAGIC, read_archive
from qnx_hw.timing.recordings.recording import Recording, in_order

__all__ = ["MAGIC", "read"]


def read(content: bytes) -> Recording:
    """Decode one file of a recording made by qnx."""
    archive = read_archive(content)
    blocks, origin = archive.blocks, archive.origin
    times_ps = np.concatenate([np.empty(0, np.int64), *(block.times_ps for block in blocks)])
    channels = np.concatenate([np.empty(0, np.uint8), *(block.channels for block in blocks)])
    times_ps, channels, backward = in_order(times_ps, channels)
    device = " ".join(word for word in (origin.maker, origin.model, origin.serial) if word)
    return Recording(
        format="qnx archive",
        resolution_ps=float(origin.resolution_ps or 1),
        times_ps=times_ps,
        channels=channels,
        records=int(times_ps.size),
        backward_steps=backward,
        details={
            "node": origin.node,
            "instrument": origin.instrument,
            "device": device,
            "simulated": "yes" if origin.is_simulated else "no",
            "gaps": str(archive.gaps),
        },
    )
