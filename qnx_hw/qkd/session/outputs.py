"""What a session asks of its caller; outputs are carried out in the order they are returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from qnx_hw.api.schema import BlockStage, ClockView, Histogram, LinkPhase
from qnx_hw.api.value import Estimate
from qnx_hw.qkd.arrivals import Lateness
from qnx_hw.qkd.parameters import PendingBlock, ReleasedBlock
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.session.delays import PairDelays
from qnx_hw.secret import Secret


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """How a key came about: public numbers only."""

    link: str
    block: int
    session: str
    """Hexadecimal name of the session, the same at both ends."""
    secret_bits: int
    sifted_bits: int
    tested_bits: int
    leaked_bits: int
    qber: float
    chsh_s: float
    epsilon_secrecy: float
    epsilon_correctness: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a link as one end knows it; what it cannot know is None or empty.

    Alice sees the histogram, the clock and the coincidence rates; both see the estimates.
    Numbers of a block stay until the next block has them.
    """

    phase: LinkPhase = LinkPhase.CONNECTING
    stage: BlockStage = BlockStage.COLLECTING
    message: str = ""
    block: int = 0
    progress: float = 0.0
    singles_cps: tuple[float, ...] = ()
    """This end's own detectors, in the order of `StationInputs`."""
    cross_click_fraction: float | None = None
    coincidence_rate_cps: float | None = None
    accidental_rate_cps: float | None = None
    car: float | None = None
    histogram: Histogram | None = None
    matrix: tuple[tuple[int, ...], ...] = ()
    """Coincidences of the last block, Alice's H V D A down, Bob's across, from disclosed rounds;
    same-basis quarters are scaled from the tested sample to the whole."""
    judged_block: int = 0
    """The block that the matrix and the error rates are of; 0 before the first."""
    tested: tuple[int, int] = (0, 0)
    """Rounds in Z and in X whose outcomes were published of that block."""
    judged_span_s: float = 0.0
    """How long that block was collected."""
    late_block: int = 0
    """The block that the lateness is of; 0 before the first. Bob learns it with a block's seal."""
    lateness: Lateness | None = None
    """Of this end's own detectors, in the order of `StationInputs`."""
    delays: PairDelays | None = None
    """Alice: delays of the published rounds of that block, for each pair of detectors."""
    clock: ClockView = ClockView(is_locked=False)
    qber_z: Estimate = Estimate()
    qber_x: Estimate = Estimate()
    qber: Estimate = Estimate()
    chsh_s: Estimate = Estimate()
    """Measured in E91, else inferred from the correlations in the measured plane."""
    sifted_rate_bps: float | None = None
    secret_rate_bps: float | None = None
    """Net of the key that the block's authentication used up; the counts below are not."""
    epsilon: float = 0.0
    """Sum of the failure probabilities of all keys of this session."""
    pairs: int = 0
    sifted_bits: int = 0
    leaked_bits: int = 0
    secret_bits: int = 0
    last_block_secret_bits: int = 0
    blocks_done: int = 0
    blocks_aborted: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes to the peer as one message, after everything before it is done."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Transmit:
    """Alice, decoy BB84: go dark, then send the training, and then pulses chosen by the seed."""

    seed: Secret
    training_key: bytes
    pulses: PulseParameters


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block began; the caller keeps `block + 1` as `Resumption.next_block`."""

    block: int


@dataclass(frozen=True, slots=True)
class KeyPending:
    """Bob: keep this key durably, hand nothing out; `KeyReady` or `KeyDropped` follows.

    If the session ends before either, the caller passes `pending` to the next session.
    """

    block: int
    pending: PendingBlock
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class KeyReady:
    """The block's key is equal at both ends and secret; store it before going on.

    Alice's caller keeps `released` for the next session; Bob has none. Storing the same block
    twice must change nothing. `provenance` is None for a key that was pending from an earlier
    session: its provenance came with `KeyPending`.
    """

    block: int
    key: Secret
    provenance: Provenance | None
    released: ReleasedBlock | None = None
    aside: Aside = (0, 0)
    """Bytes of the key that are for Alice's tags and for Bob's, its first ones."""


@dataclass(frozen=True, slots=True)
class KeyDropped:
    """A key that was pending will never be released; forget it."""

    block: int
    reason: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """A block was given up and keeps no key; the session goes on with the next one.

    `is_alarm` is set where what the station saw looks like an attack.
    """

    block: int
    reason: str
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: close the channel, make a new session to go on.

    `is_alarm` is set where somebody may be tampering: an authentication that failed.
    """

    reason: str
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """New numbers to show."""

    metrics: Metrics


Output: TypeAlias = (
    Send | Transmit | BlockStarted | KeyPending | KeyReady | KeyDropped | Aborted | Ended | Progress
)
