"""What both ends of a link must agree on, and what one end knows about its own station."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

PROTOCOL_VERSION = 7
"""Raised whenever a message, a step, a code or an order of questions changes; parties of different
versions refuse each other."""


BITS_UNDER_WAY = 4_000_000
"""Sifted bits that are distilled at a time; Cascade works on each in a hundred bytes or so."""


class Protocol(StrEnum):
    """How a link makes its key."""

    BBM92 = "bbm92"
    """Photon pairs, Z and X on both sides; S is inferred."""
    E91 = "e91"
    """The same, and Bob measures at 22.5 and 67.5 degrees too: S comes from settings of its own."""
    DECOY_BB84 = "decoy-bb84"
    """Alice sends weak pulses of several intensities; key from Z, X tests."""


class Reconciliation(StrEnum):
    """How the ends of a link make their strings equal."""

    AUTO = "auto"
    """Cascade, or LDPC codes where the round trip is long."""
    CASCADE = "cascade"
    LDPC = "ldpc"
    """LDPC codes wherever a string is long enough for them."""
    MAX_KEY = "max-key"
    """Cascade that spares bits whatever it costs in time and messages."""


CountLeak: TypeAlias = Literal["both", "pattern", "alice"]
OpenFraction = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]


def blocks_under_way(block_sifted_bits: int) -> int:
    """Return how many blocks of a size may be distilled at a time."""
    return max(2, min(12, BITS_UNDER_WAY // block_sifted_bits))


class SessionParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public settings of a link; both ends must hold the same ones, down to the last bit.

    Their hash is part of the greeting and of everything that is authenticated.
    """

    link: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    protocol: Protocol = Protocol.BBM92
    pulses: PulseParameters | None = None
    """The transmitter's settings; decoy BB84 needs them, the others have none."""
    coincidence_window_ps: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 2_000
    """Full width of the window; Bob's times are published rounded to it, or to a part of it. In
    decoy BB84 the gate around each pulse."""
    slots_per_window: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    """Time slots that Bob publishes per window. One tells the least about his detectors and costs
    a tenth of the pairs; with three, detectors must agree to a third of the window."""
    clock_offset_limit_s: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 10.0
    clock_drift_limit_ppm: Annotated[float, msgspec.Meta(gt=0.0, le=200.0)] = 200.0
    block_sifted_bits: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 100_000
    """Expected sifted bits of a block; its span of time is fixed from the rate before it starts."""
    max_block_s: Annotated[float, msgspec.Meta(gt=0.0, le=3_600.0)] = 600.0
    dead_time_ps: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    """Detections closer than this after any click of the same station are not used; 0 uses all."""
    cross_click_limit: OpenFraction = 0.05
    """Largest part of a station's detections that may be clicks in both bases at once."""
    imbalance_limit: OpenFraction = 0.25
    """Largest (n0 - n1)/(n0 + n1) of the two detectors of a basis; beyond it is an alarm."""
    arrival_limit: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.1
    """Largest part of the window by which a detector's centroid or spread of arrival times may
    differ from its station's others; beyond it is an alarm. 0 watches nothing."""
    z_share: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """Part of a station's Z and X events that should be in Z; a block with another share is an
    alarm. 0: nobody knows."""
    bell_share: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """E91: part of Bob's events that should be in the settings at 22.5 and 67.5 degrees, half in
    each; a block with another share is an alarm. 0: nobody knows."""
    watch_multi_clicks: bool = True
    """Whether missing clicks of two detectors at once are an alarm; not for taggers that cannot
    tag two inputs at once."""
    epsilon_secrecy: OpenFraction = 1e-10
    epsilon_correctness: OpenFraction = 1e-15
    qber_limit: Annotated[float, msgspec.Meta(gt=0.0, le=0.11)] = 0.08
    chsh_minimum: Annotated[float, msgspec.Meta(ge=0.0, le=2.83)] = 2.0
    test_fraction: OpenFraction = 0.1
    """Part of each basis' sifted bits that is disclosed to estimate the error of the other."""
    efficiency_deviation: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """Each detector's efficiency lies within +- this part of its station's; 0 takes them as equal.
    Keys are shorter for it."""
    detectors_swapped: bool = False
    """Whether every station swaps its detectors' roles at random."""
    reconciliation: Reconciliation = Reconciliation.AUTO
    count_leak: CountLeak = "both"
    """What counts as leaked: both parties' messages, Alice's alone, or hers and the pattern of
    errors, from which Cascade's other half follows."""

    def __post_init__(self) -> None:
        is_pulsed = self.protocol is Protocol.DECOY_BB84
        if is_pulsed != (self.pulses is not None):
            raise ValueError(f"{self.protocol} {'needs' if is_pulsed else 'has no'} pulses")
        if self.pulses is not None and self.coincidence_window_ps > self.pulses.period_ps:
            raise ValueError("the window is longer than the time between two pulses")

    @property
    def test_fractions(self) -> tuple[float, float]:
        """Which parts of Z's and of X's rounds are tested; decoy BB84 tests all of X."""
        return self.test_fraction, 1.0 if self.pulses is not None else self.test_fraction

    @property
    def blocks_under_way(self) -> int:
        """How many blocks may be distilled at a time, while their messages travel."""
        return blocks_under_way(self.block_sifted_bits)

    @property
    def tick_ps(self) -> float:
        """What the times of messages count: picoseconds, or pulses of this nominal length."""
        return 1.0 if self.pulses is None else self.pulses.period_ps

    @property
    def arrival_limit_ps(self) -> float:
        """By how much a detector's arrival times may be off; infinite where nobody watches."""
        return (self.arrival_limit or math.inf) * self.coincidence_window_ps

    @property
    def slot_ps(self) -> int:
        """What Bob's times are rounded to, in ticks; a pulse's number is told as it is."""
        if self.pulses is not None:
            return 1
        return max(1, self.coincidence_window_ps // self.slots_per_window)

    def fingerprint(self) -> bytes:
        """Hash all settings (32 bytes); equal settings have equal fingerprints on any machine."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).digest()


class StationInputs(msgspec.Struct, frozen=True, kw_only=True):
    """One end's own wiring: which tagger input sees which polarization, and how late it is.

    `channels` and `delays_ps` are in the order H, V, D, A, and for Bob's end of E91 then 22.5,
    112.5, 67.5, 157.5 degrees. A detector's delay is taken off its
    tags before anything else sees them; what is left of it would tell outcomes by their times.
    """

    channels: tuple[int, ...] = (1, 2, 3, 4)
    delays_ps: tuple[int, ...] = ()
    """None given: no delay is known."""
    swap_channels: tuple[int, int] | None = None
    """Inputs of a switch that swaps the detectors of each basis: from a tag of the first on they
    are swapped, from one of the second on they are not."""

    def __post_init__(self) -> None:
        if len(set(self.channels)) != len(self.channels) or min(self.channels) < 1:
            raise ValueError(f"different inputs counted from 1 are needed: {self.channels}")
        if len(self.channels) not in (4, 8) or len(self.delays_ps) not in (0, len(self.channels)):
            raise ValueError(f"a station has 4 or 8 detectors, each with a delay: {self.channels}")
        every = (*self.channels, *(self.swap_channels or ()))
        if len(set(every)) != len(every):
            raise ValueError(f"the switch needs two inputs of its own: {self.swap_channels}")
        if max(self.channels) > 255:
            raise ValueError(f"a tagger input is at most 255: {self.channels}")


@dataclass(frozen=True, slots=True)
class ReleasedBlock:
    """The last block Alice released, and the token that proves it to Bob."""

    block: int
    token: Secret


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A block whose key Bob holds but must not hand out before he has seen its token."""

    block: int
    token: Secret
    key: Secret
    aside: Aside = (0, 0)
    """Bytes of the key that are for Alice's tags and for Bob's, its first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What a party remembers from earlier sessions of a link; its caller keeps it durably."""

    next_block: int = 1
    """Larger than every block number this party ever started."""
    released: ReleasedBlock | None = None
    pending: PendingBlock | None = None


def check_role(role: Role, resumption: Resumption) -> None:
    """Refuse a memory that this role cannot have: Alice never waits, Bob never decides."""
    if role is Role.ALICE and resumption.pending is not None:
        raise ValueError("Alice keeps no pending block")
    if role is Role.BOB and resumption.released is not None:
        raise ValueError("Bob keeps no released block's token")
