"""What a transmitter board chooses for a pulse: AES-256 in counter mode, as its page says.

Words of 32 bits: the upper 15 choose the basis, the next is the value, the lower 16 choose the
intensity; four words to a block, the block's number as counter. The training's bits are a
keystream of AES-128, most significant bit first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Pulses = NDArray[np.int64]
Choices = NDArray[np.uint8]

DARK = 255
"""In place of an intensity's number: nothing is sent."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a board was given to play."""

    seed: bytes
    training_key: bytes
    training_pulses: int
    z_threshold: int
    limits: tuple[int, ...]
    pattern: bytes = b""
    """States (low two bits) and intensities to repeat, in place of the seed."""

    @property
    def shares(self) -> tuple[float, ...]:
        """How often each intensity is chosen."""
        if self.pattern:
            kinds = np.frombuffer(self.pattern, dtype=np.uint8) >> 2
            return tuple((np.bincount(kinds) / len(kinds)).tolist())
        edges = np.array([0, *self.limits, 1 << 16])
        return tuple((np.diff(edges) / (1 << 16)).tolist())

    def choices(self, pulses: Pulses) -> tuple[Choices, Choices]:
        """Return the state (0 to 3: H V D A) and the intensity's number of each pulse."""
        if self.pattern:
            played = np.frombuffer(self.pattern, dtype=np.uint8)[pulses % len(self.pattern)]
            return (played & 3).astype(np.uint8), (played >> 2).astype(np.uint8)
        words = self._words(pulses)
        is_x = (words >> 17) >= self.z_threshold
        states = (2 * is_x + (words >> 16 & 1)).astype(np.uint8)
        limits = np.array(self.limits, dtype=np.int64)
        kinds = np.searchsorted(limits, words & 0xFFFF, side="right").astype(np.uint8)
        early = np.flatnonzero(pulses < self.training_pulses)
        states[early] = 0
        kinds[early] = np.where(self._shines(pulses[early]), 0, DARK)
        return states, kinds

    def _words(self, pulses: Pulses) -> Pulses:
        blocks = _encrypted(self.seed, pulses // 4).view(">u4").reshape(-1, 4)
        return blocks[np.arange(len(pulses)), pulses % 4].astype(np.int64)

    def _shines(self, pulses: Pulses) -> NDArray[np.bool_]:
        blocks = _encrypted(self.training_key, pulses // 128).reshape(-1, 16)
        octets = blocks[np.arange(len(pulses)), pulses % 128 // 8]
        return np.asarray(octets >> (7 - pulses % 8) & 1 == 1)


def _encrypted(key: bytes, counters: Pulses) -> Choices:
    blocks = np.zeros((len(counters), 2), dtype=">u8")
    blocks[:, 1] = counters
    # Each block is a counter of its own: counter mode with any part of it at once.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - see above
    return np.frombuffer(encryptor.update(blocks.tobytes()), dtype=np.uint8)
