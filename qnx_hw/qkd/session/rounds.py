"""The paired events of one block: sifted, tested, judged, and cut down to the two key strings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qnx_hw.api.value import Estimate
from qnx_hw.errors import ChannelError
from qnx_hw.qkd import estimation
from qnx_hw.qkd.estimation import Tally
from qnx_hw.qkd.messages import Bases, Bits, pack_bits, unpack_bits
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.selection import Sifted, part, sample_size, sift
from qnx_hw.qkd.session.delays import PairDelays, spread
from qnx_hw.timing.arrays import Times

MIN_TEST_BITS = 20
"""Fewer tested rounds of a basis say nothing about it."""
NEAR_HALF = 0.06
"""Error rates so near to one half are those of outcomes that have nothing to do with each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Disclosed:
    """One party's published outcomes: tested Z and X rounds, rounds with different bases."""

    z: Bits
    x: Bits
    mismatched: Bits


@dataclass(frozen=True, slots=True)
class PulseCounts:
    """Decoy BB84: rounds by intensity, four places, those without an intensity 0."""

    key: tuple[int, ...]
    """Of the Z string."""
    tested: tuple[int, ...]
    """Of X."""
    errors: tuple[int, ...]
    """Among `tested`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the disclosed rounds say; both parties compute the same."""

    qber_z: Estimate
    qber_x: Estimate
    qber: Estimate
    chsh_s: Estimate
    tested_z: int
    errors_z: int
    tested_x: int
    errors_x: int
    pulses: PulseCounts | None
    matrix: tuple[tuple[int, ...], ...]

    @property
    def is_unrelated(self) -> bool:
        """Decoy BB84: whether the detections belong to other pulses than Bob thinks.

        Then half of the outcomes differ in either basis, which no rotation of the fibre does for
        long and no attack needs to do.
        """
        rates = (self.qber_z.value, self.qber_x.value)
        return self.pulses is not None and all(
            rate is not None and abs(rate - 0.5) < NEAR_HALF for rate in rates
        )

    def objection(self, parameters: SessionParameters) -> str | None:
        """Return why no key may be made of this block, or None."""
        if min(self.tested_z, self.tested_x) < MIN_TEST_BITS:
            return f"only {self.tested_z} + {self.tested_x} rounds were tested"
        for basis, rate in (("Z", self.qber_z), ("X", self.qber_x)):
            if rate.value is None or rate.value > parameters.qber_limit:
                return (
                    f"the error rate in {basis} is {(rate.value or 0.0):.1%}, "
                    f"above the limit of {parameters.qber_limit:.1%}"
                )
        if self.pulses is not None:
            return None
        if self.chsh_s.value is None or self.chsh_s.value < parameters.chsh_minimum:
            return (
                f"the CHSH value is {(self.chsh_s.value or 0.0):.2f}, "
                f"below the minimum of {parameters.chsh_minimum:.2f}"
            )
        return None


class Rounds:
    """One party's view of a block's paired events, with both parties' bases."""

    def __init__(
        self,
        role: Role,
        protocol: Protocol,
        bases: tuple[Bits, Bits],
        outcomes: Bits,
        kinds: Bits,
    ) -> None:
        """`bases` are ours and theirs; `kinds` the intensities of decoy BB84, else nothing."""
        alice, bob = bases if role is Role.ALICE else bases[::-1]
        self._role = role
        self._protocol = protocol
        self._bases = (alice, bob)
        self.sifted = sift(alice, bob, outcomes)
        self._kinds = sift(alice, bob, kinds) if kinds.size else None
        self._disclosed = Disclosed(*[np.empty(0, dtype=np.uint8)] * 3)
        self._keys = (self.sifted.z, self.sifted.x)
        self._key_kinds = self._tested_kinds = np.empty(0, dtype=np.uint8)
        self._delays: Sifted[np.int64] | None = None
        self._open_delays: Times = np.empty(0, dtype=np.int64)

    @property
    def sifted_bits(self) -> int:
        """Rounds in which both used the same basis."""
        return int(self.sifted.z.size + self.sifted.x.size)

    def note_delays(self, delays_ps: Times) -> None:
        """Alice, where both parties have times: take Bob's minus hers in each round."""
        self._delays = sift(*self._bases, delays_ps)

    def choose(self, tested_z: Bits, tested_x: Bits, fractions: tuple[float, float]) -> None:
        """Fix which rounds are tested; a wrong number of them is a `ChannelError`."""
        sizes = (self.sifted.z.size, self.sifted.x.size)
        for chosen, rounds, fraction in zip((tested_z, tested_x), sizes, fractions, strict=True):
            if chosen.size != rounds or np.count_nonzero(chosen) != sample_size(rounds, fraction):
                raise ChannelError("the test sample has a wrong size")
        open_z, key_z = part(self.sifted.z, tested_z)
        open_x, key_x = part(self.sifted.x, tested_x)
        self._disclosed = Disclosed(open_z, open_x, self.sifted.mismatched)
        self._keys = (key_z, key_x)
        if self._kinds:
            self._key_kinds = part(self._kinds.z, tested_z)[1]
            self._tested_kinds = part(self._kinds.x, tested_x)[0]
        if self._delays:
            open_ = (part(self._delays.z, tested_z)[0], part(self._delays.x, tested_x)[0])
            self._open_delays = np.concatenate((*open_, self._delays.mismatched))

    def disclosed(self) -> Disclosed:
        """Return this party's outcomes that may be published, once they are chosen."""
        return self._disclosed

    def read_disclosed(self, z: bytes, x: bytes, mismatched: bytes) -> Disclosed:
        """Unpack what the peer published about the same rounds."""
        ours = self._disclosed
        return Disclosed(
            unpack_bits(z, ours.z.size),
            unpack_bits(x, ours.x.size),
            unpack_bits(mismatched, ours.mismatched.size),
        )

    def open_delays(self, block: int, window_ps: int, theirs: Disclosed) -> PairDelays | None:
        """Alice: spread the delays of the rounds that both published; None without times."""
        if not self._delays:
            return None
        ours = self._disclosed
        ends = (0, *self.sifted.cuts, ours.mismatched.size)
        sizes = [ours.z.size, ours.x.size, *np.diff(ends).tolist()]
        alice, bob = (
            np.concatenate((open_.z, open_.x, open_.mismatched)) for open_ in (ours, theirs)
        )
        # ZZ, XX, then as `sift` sorts what differs: ZX, XZ, Za, Zb, Xa, Xb.
        alice += np.repeat(np.array([0, 2, 0, 2, 0, 0, 2, 2], dtype=np.uint8), sizes)
        bob += np.repeat(np.array([0, 2, 2, 0, 4, 6, 4, 6], dtype=np.uint8), sizes)
        n_bob = 8 if self._protocol is Protocol.E91 else 4
        return spread(block, window_ps, self._open_delays, (alice, bob), n_bob)

    def keys(self) -> tuple[Bits, Bits]:
        """Return this party's Z and X strings: the sifted rounds that were not tested."""
        return self._keys

    def key_kinds(self) -> Bits:
        """Decoy BB84: return the intensities of the Z string's rounds."""
        return self._key_kinds

    def _count_pulses(self, alice: Disclosed, bob: Disclosed) -> PulseCounts | None:
        if not self._kinds:
            return None
        tested = self._tested_kinds
        parts = (self._key_kinds, tested, tested[alice.x != bob.x])
        return PulseCounts(*(tuple(np.bincount(each, minlength=4).tolist()) for each in parts))

    def judge(self, theirs: Disclosed) -> Judgement:
        """Compare both parties' published outcomes."""
        ours = self._disclosed
        alice, bob = (ours, theirs) if self._role is Role.ALICE else (theirs, ours)
        zz, xx = estimation.tally(alice.z, bob.z), estimation.tally(alice.x, bob.x)
        cuts = self.sifted.cuts
        zx, xz, za, zb, xa, xb = (
            estimation.tally(a, b)
            for a, b in zip(
                np.split(alice.mismatched, cuts), np.split(bob.mismatched, cuts), strict=True
            )
        )
        if self._protocol is Protocol.DECOY_BB84:
            chsh_s = Estimate()
        elif self._protocol is Protocol.E91:
            chsh_s = estimation.measured_chsh((za, zb, xa, xb))
        else:
            chsh_s = estimation.chsh(zz, zx, xz, xx)
        return Judgement(
            qber_z=estimation.error_rate(zz.errors, zz.rounds),
            qber_x=estimation.error_rate(xx.errors, xx.rounds),
            qber=estimation.error_rate(zz.errors + xx.errors, zz.rounds + xx.rounds),
            chsh_s=chsh_s,
            tested_z=zz.rounds,
            errors_z=zz.errors,
            tested_x=xx.rounds,
            errors_x=xx.errors,
            pulses=self._count_pulses(alice, bob),
            matrix=_matrix(
                _scaled(zz, self.sifted.z.size),
                zx.counts,
                xz.counts,
                _scaled(xx, self.sifted.x.size),
            ),
        )


def write_bases(number: int, bases: Bits, protocol: Protocol) -> Bases:
    """Bob: tell the bases of the paired events."""
    one = np.uint8(1)
    high = pack_bits(bases >> one & one) if protocol is Protocol.E91 else b""
    return Bases(number, pack_bits(bases & one), high)


def read_bases(message: Bases, count: int, protocol: Protocol) -> Bits:
    """Alice: read what Bob told."""
    high = unpack_bits(message.settings, count if protocol is Protocol.E91 else 0)
    low = unpack_bits(message.bases, count)
    return np.asarray(low + 2 * high, dtype=np.uint8) if high.size else low


def write_kinds(kinds: Bits) -> bytes:
    """Alice: tell the intensities of the detected pulses, nothing where there are none."""
    low, high = (np.asarray(kinds >> place & 1, dtype=np.uint8) for place in (0, 1))
    return pack_bits(low) + pack_bits(high)


def read_kinds(octets: bytes, count: int, parameters: SessionParameters) -> Bits:
    """Bob: read what Alice told; an intensity that does not exist is a `ChannelError`."""
    half = (count + 7) // 8
    low, high = unpack_bits(octets[:half], count), unpack_bits(octets[half:], count)
    kinds = np.asarray(low + 2 * high, dtype=np.uint8)
    if parameters.pulses and int(kinds.max(initial=0)) >= len(parameters.pulses.intensities):
        raise ChannelError("the peer told of an intensity that does not exist")
    return kinds


Cells = tuple[tuple[int, int], tuple[int, int]]


def _scaled(sample: Tally, whole: int) -> Cells:
    """Estimate the counts of all rounds from the tested ones."""
    factor = whole / sample.rounds if sample.rounds else 0.0
    (a, b), (c, d) = sample.counts
    return (round(a * factor), round(b * factor)), (round(c * factor), round(d * factor))


def _matrix(zz: Cells, zx: Cells, xz: Cells, xx: Cells) -> tuple[tuple[int, ...], ...]:
    upper = tuple(left + right for left, right in zip(zz, zx, strict=True))
    lower = tuple(left + right for left, right in zip(xz, xx, strict=True))
    return upper + lower
