"""The transmitter of a link that sends weak pulses."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.config.section import Probability, Section


class PulsesSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.pulses]`: what Alice's transmitter sends; part of what both ends agree on."""

    rate_hz: Annotated[float, msgspec.Meta(ge=1e5, le=1e11)]
    intensities: tuple[float, ...]
    """Mean photons per pulse at the output, falling: the signal, then one decoy or two."""
    shares: tuple[float, ...]
    """How often each intensity is chosen."""
    z_probability: Probability = 0.9
    """How often Alice chooses Z, the key basis."""
    training_s: Annotated[float, msgspec.Meta(ge=0.001, le=10.0)] = 0.2
    """Public pulses at the beginning of a session, by which Bob learns the pulses' numbers."""
