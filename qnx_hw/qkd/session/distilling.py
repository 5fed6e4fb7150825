"""From two corrected strings to one key: lengths, verification, privacy amplification.

Z and X are reconciled, verified and amplified each on its own, in shared messages. Each key's
length rests on the phase-error bound from the other basis' test bits, with half of both failure
probabilities; together they are as secret and as equal as the whole is asked to be.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import verification
from qnx_hw.qkd.finite_key import (
    DecoyBasis,
    EpsilonBudget,
    Mismatch,
    bbm92_key_length,
    decoy_key_length,
)
from qnx_hw.qkd.messages import Amplify, Bits, pack_bits, unpack_bits
from qnx_hw.qkd.parameters import CountLeak, SessionParameters
from qnx_hw.qkd.privacy_amplification import amplify, seed_length
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.qkd.session.randomness import Randomness
from qnx_hw.qkd.session.rounds import Judgement, PulseCounts
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
    pattern: int
    """By Alice's, and Bob's or the places of his errors, whichever is less."""

    def counted(self, which: CountLeak) -> int:
        """Return what a link's settings count."""
        return {"alice": self.alice, "both": self.total, "pattern": self.pattern}[which]


@dataclass(frozen=True, slots=True, eq=False)
class Distillate:
    """The secret bytes of a block."""

    token: Secret
    key: Secret


class _Strand:
    """One basis' corrected string on its way to key; one without bits is a string without key."""

    def __init__(
        self, bits: Bits, leak: int, budget: EpsilonBudget, length_of: Callable[[int], int]
    ) -> None:
        """`length_of` returns the key's length for a leak that is counted beside the tag."""
        self._bits = bits
        self._tag_bits = 0
        self.leaked_bits = self.length = 0
        if bits.size:
            self._tag_bits = verification.tag_bits_for(bits.size, budget.correctness)
            # A string so long that its hash collides noticeably needs more than the budget's tag.
            longer = max(0, self._tag_bits - budget.tag_bits)
            self.leaked_bits = leak + self._tag_bits
            self.length = length_of(leak + longer)
        self.seed_bits = seed_length(bits.size, self.length)

    def tag(self, check: bytes) -> bytes:
        """Hash the string with the key `check`."""
        if not self._bits.size:
            return b""
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
        errors: tuple[int, ...],
        hands: Hands,
    ) -> None:
        """Fix both lengths; `BlockAborted` where there is no key in the block.

        `errors` are those corrected in the Z string by intensity, for decoy BB84.
        """
        self._hands = hands
        whole = EpsilonBudget(parameters.epsilon_secrecy, parameters.epsilon_correctness)
        counted = [leak.counted(parameters.count_leak) for leak in leaks]
        deviation, is_swapped = parameters.efficiency_deviation, parameters.detectors_swapped
        mismatch = Mismatch(deviation, is_swapped) if deviation else None
        pulses, seen = parameters.pulses, judgement.pulses
        if pulses is not None and seen is not None:
            said = sum(math.ceil(math.log2(count + 1)) for count in seen.key)
            length_of = _decoy_length(pulses, seen, errors, whole, mismatch)
            self._z = _Strand(strings[0], counted[0] + said, whole, length_of)
            self._x = _Strand(strings[1], 0, whole, lambda _: 0)
        else:
            budget = whole.split(2)
            test_z = (judgement.tested_x, judgement.errors_x)
            test_x = (judgement.tested_z, judgement.errors_z)
            self._z, self._x = (
                _Strand(bits, leak, budget, _pair_length(bits.size, test, budget, mismatch))
                for bits, leak, test in zip(strings, counted, (test_z, test_x), strict=True)
            )
        self.key_bytes = (self._z.length + self._x.length) // 8 - TOKEN_BYTES
        if self.key_bytes < MIN_KEY_BYTES:
            raise BlockAborted("too few bits, or too many errors, for a secret key")

    @property
    def leaked_bits(self) -> int:
        """Bits published about both strings, verification included."""
        return self._z.leaked_bits + self._x.leaked_bits

    def draw(self, number: int, randomness: Randomness, aside: Aside) -> Amplify:
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
            aside,
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
        strands = ((self._z, drawn.seed_z), (self._x, drawn.seed_x))
        works = [partial(strand.amplified, seed) for strand, seed in strands]
        bits = np.concatenate(self._hands.side_by_side(works))
        octets = np.packbits(bits[: bits.size // 8 * 8]).tobytes()
        return Distillate(Secret(octets[:TOKEN_BYTES]), Secret(octets[TOKEN_BYTES:]))


def _pair_length(
    n: int, test: tuple[int, int], budget: EpsilonBudget, mismatch: Mismatch | None
) -> Callable[[int], int]:
    return lambda leak: bbm92_key_length(n, *test, leak, budget=budget, mismatch=mismatch).bits


def _decoy_length(
    pulses: PulseParameters,
    seen: PulseCounts,
    errors: tuple[int, ...],
    budget: EpsilonBudget,
    mismatch: Mismatch | None,
) -> Callable[[int], int]:
    """Return the length of the Z string's key, X's rounds being the test.

    The verification tag stands in the formula as log2(2/correctness).
    """
    count = len(pulses.intensities)
    if len(errors) != count or any(e > n for e, n in zip(errors, seen.key, strict=False)):
        raise BlockAborted("the corrected errors do not fit the detections")
    key = DecoyBasis(seen.key[:count], errors)
    test = DecoyBasis(seen.tested[:count], seen.errors[:count])
    return lambda leak: (
        decoy_key_length(
            key,
            test,
            leak,
            means=pulses.intensities,
            shares=pulses.drawn_shares,
            budget=budget,
            mismatch=mismatch,
        ).bits
    )


def _random_bits(randomness: Randomness, count: int) -> bytes:
    octets = np.frombuffer(randomness.octets((count + 7) // 8), dtype=np.uint8)
    return pack_bits(np.unpackbits(octets)[:count])
