"""What a transmitter of weak pulses sends: its settings, and Alice's secret choices.

Alice's choices for pulse n are 32 bits of the keystream of AES-256 in counter mode under a fresh
secret seed: 15 bits choose the basis, one is the value, 16 choose the intensity. The transmitter
expands the same seed, so the choices of any pulse are known without storing or moving them. They
are random as far as AES is; the seed is used for one session, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from qnx_hw.qkd.finite_key.decoy import Intensities
from qnx_hw.secret import Secret

Numbers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

SEED_BYTES = 32
TRAINING_KEY_BYTES = 16
WORDS_PER_BLOCK = 4
BASIS_STEPS = 1 << 15
INTENSITY_STEPS = 1 << 16


@dataclass(frozen=True, slots=True)
class Score:
    """What a session's pulses are chosen by: the secret seed, and the public training's key."""

    seed: Secret
    training_key: bytes


class PulseParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public settings of a transmitter; both ends must hold the same ones."""

    rate_hz: Annotated[float, msgspec.Meta(ge=1e5, le=1e11)]
    intensities: tuple[float, ...]
    """Mean photons per pulse at the transmitter's output, falling: the signal, then one decoy or
    two."""
    shares: tuple[float, ...]
    """How often each is chosen, as close as 16 bits come to it."""
    z_probability: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.9
    """How often Alice chooses Z, the key basis, as close as 15 bits come to it."""
    training_s: Annotated[float, msgspec.Meta(ge=0.001, le=10.0)] = 0.2
    """Public pulses at the beginning, by which Bob learns the pulses' numbers."""

    def __post_init__(self) -> None:
        Intensities(self.intensities, self.drawn_shares)
        if not 0 < self.z_threshold < BASIS_STEPS:
            raise ValueError(f"a Z probability of {self.z_probability} leaves one basis empty")

    @property
    def period_ps(self) -> float:
        """Nominal time between pulses."""
        return 1e12 / self.rate_hz

    @property
    def z_threshold(self) -> int:
        """Draws of 15 bits below it choose Z."""
        return round(self.z_probability * BASIS_STEPS)

    @property
    def limits(self) -> tuple[int, ...]:
        """Draws of 16 bits below the first choose the first intensity, and so on."""
        ends = np.cumsum(self.shares[:-1]) * INTENSITY_STEPS
        return tuple(int(end) for end in np.rint(ends))

    @property
    def drawn_shares(self) -> tuple[float, ...]:
        """How often each intensity is really chosen."""
        if len(self.shares) != len(self.intensities) or abs(sum(self.shares) - 1.0) > 1e-6:
            raise ValueError(f"the shares {self.shares} are not one for each intensity, 1 in sum")
        steps = np.diff((0, *self.limits, INTENSITY_STEPS)) / INTENSITY_STEPS
        return tuple(steps.tolist())

    @property
    def training_pulses(self) -> int:
        """How many pulses the training takes."""
        return round(self.training_s * self.rate_hz)


class PulseChoices:
    """What Alice chose, by pulse number."""

    def __init__(self, seed: Secret, parameters: PulseParameters) -> None:
        self._seed = seed
        self._parameters = parameters

    def at(self, pulses: Numbers) -> tuple[Bits, Bits, Bits]:
        """Return basis (0 Z, 1 X), value and intensity's number of each pulse."""
        words = _words(self._seed.reveal(), pulses)
        bases = (words >> 17) >= self._parameters.z_threshold
        limits = np.array(self._parameters.limits, dtype=np.int64)
        kinds = np.searchsorted(limits, words & 0xFFFF, side="right")
        return bases.astype(np.uint8), (words >> 16 & 1).astype(np.uint8), kinds.astype(np.uint8)


def training_bits(key: bytes, count: int) -> Bits:
    """Return, packed most significant first, which of the first pulses shine: one in two."""
    counters = np.zeros((-(-count // 128), 2), dtype=">u8")
    counters[:, 1] = np.arange(len(counters))
    return np.frombuffer(_encrypted(key, counters), dtype=np.uint8)


def _words(key: bytes, pulses: Numbers) -> Numbers:
    counters = np.zeros((pulses.size, 2), dtype=">u8")
    counters[:, 1] = pulses // WORDS_PER_BLOCK
    blocks = np.frombuffer(_encrypted(key, counters), dtype=">u4").reshape(-1, WORDS_PER_BLOCK)
    return blocks[np.arange(pulses.size), pulses % WORDS_PER_BLOCK].astype(np.int64)


def _encrypted(key: bytes, blocks: npt.NDArray[np.uint64]) -> bytes:
    # Each block is a counter of its own: this is counter mode with any part of it at once.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - see above
    return encryptor.update(blocks.tobytes())
