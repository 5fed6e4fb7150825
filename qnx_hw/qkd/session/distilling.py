"""From two corrected strings to one key: lengths, verification, privacy amplification.

Z and X are reconciled, verified and amplified each on its own, in shared messages. Each key's
length rests on the phase-error bound from the other basis' test bits, with half of both failure
probabilities; together they are as secret and as equal as the whole is asked to be.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import verification
from qnx_hw.qkd.finite_key import EpsilonBudget, bbm92_key_length
from qnx_hw.qkd.messages import Amplify, Bits, pack_bits, unpack_bits
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.privacy_amplification import amplify, seed_length
from qnx_hw.qkd.session.randomness import Randomness
from qnx_hw.qkd.session.rounds import Judgement
from qnx_hw.secret import Secret

TOKEN_BYTES = 16
"""The first bytes of the distilled bits prove to Bob that Alice released the key, and are then
public; they are not part of it. A guess succeeds with probability 2^-128."""
MIN_KEY_BYTES = 16


class Leak(NamedTuple):
    """Bits of one string that reconciliation told the world."""

    alice: int
    """By Alice's messages alone."""
    total: int
    """By both parties' messages."""


@dataclass(frozen=True, slots=True, eq=False)
class Distillate:
    """The secret bytes of a block."""

    token: Secret
    key: Secret


class _Strand:
    """One basis' corrected string on its way to key."""

    def __init__(self, bits: Bits, leak: int, test: tuple[int, int], budget: EpsilonBudget) -> None:
        self._bits = bits
        self._tag_bits = verification.tag_bits_for(bits.size, budget.correctness)
        # A string so long that its hash collides noticeably needs more than the budget's tag.
        longer = max(0, self._tag_bits - budget.tag_bits)
        self.leaked_bits = leak + self._tag_bits
        self.length = bbm92_key_length(bits.size, *test, leak + longer, budget=budget).bits
        self.seed_bits = seed_length(bits.size, self.length)

    def tag(self, check: bytes) -> bytes:
        """Hash the string with the key `check`."""
        return verification.tag(self._bits, check, self._tag_bits)

    def amplified(self, seed: bytes) -> Bits:
        """Return the secret bits."""
        return amplify(self._bits, unpack_bits(seed, self.seed_bits), self.length)


class Distillation:
    """The last step of a block; both parties compute the same from equal strings."""

    def __init__(
        self,
        strings: tuple[Bits, Bits],
        leaks: tuple[Leak, Leak],
        judgement: Judgement,
        parameters: SessionParameters,
    ) -> None:
        """Fix both lengths; `BlockAborted` where there is no key in the block."""
        budget = EpsilonBudget(parameters.epsilon_secrecy, parameters.epsilon_correctness).split(2)
        counted = [leak.total if parameters.count_leak == "both" else leak.alice for leak in leaks]
        test_z = (judgement.tested_x, judgement.errors_x)
        test_x = (judgement.tested_z, judgement.errors_z)
        self._z = _Strand(strings[0], counted[0], test_z, budget)
        self._x = _Strand(strings[1], counted[1], test_x, budget)
        if (self._z.length + self._x.length) // 8 < TOKEN_BYTES + MIN_KEY_BYTES:
            raise BlockAborted("too few bits, or too many errors, for a secret key")

    @property
    def leaked_bits(self) -> int:
        """Bits published about both strings, verification included."""
        return self._z.leaked_bits + self._x.leaked_bits

    def draw(self, number: int, randomness: Randomness) -> Amplify:
        """Alice: draw the hashes that verify and amplify, now that nothing can be changed."""
        checks = [randomness.octets(verification.KEY_BYTES) for _ in range(2)]
        seeds = [_random_bits(randomness, strand.seed_bits) for strand in (self._z, self._x)]
        return Amplify(
            number,
            checks[0],
            self._z.tag(checks[0]),
            checks[1],
            self._x.tag(checks[1]),
            self._z.length,
            self._x.length,
            seeds[0],
            seeds[1],
        )

    def verify(self, drawn: Amplify) -> None:
        """Bob: raise `BlockAborted` unless both strings are Alice's and the lengths are ours."""
        if (drawn.length_z, drawn.length_x) != (self._z.length, self._x.length):
            raise BlockAborted("the two ends compute different key lengths")
        tags = (
            (self._z.tag(drawn.check_z), drawn.tag_z),
            (self._x.tag(drawn.check_x), drawn.tag_x),
        )
        if not all(hmac.compare_digest(ours, theirs) for ours, theirs in tags):
            raise BlockAborted("the corrected strings still differ")

    def distil(self, drawn: Amplify) -> Distillate:
        """Return token and key."""
        bits = np.concatenate((self._z.amplified(drawn.seed_z), self._x.amplified(drawn.seed_x)))
        octets = np.packbits(bits[: bits.size // 8 * 8]).tobytes()
        return Distillate(Secret(octets[:TOKEN_BYTES]), Secret(octets[TOKEN_BYTES:]))


def _random_bits(randomness: Randomness, count: int) -> bytes:
    octets = np.frombuffer(randomness.octets((count + 7) // 8), dtype=np.uint8)
    return pack_bits(np.unpackbits(octets)[:count])
