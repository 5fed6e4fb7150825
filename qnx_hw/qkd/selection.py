"""Paired events sorted by both parties' bases, and the random part of them that is tested.

Values are sorted, not places: outcomes take a byte each, and no loop below has a branch that
depends on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import kernel

Bits = npt.NDArray[np.uint8]
Scalar = TypeVar("Scalar", bound=np.generic)

# The place of each pair of bases (4 times Alice's, plus Bob's) in the order of `Sifted`.
_RANKS = np.array([0, 2, 4, 5, 3, 1, 6, 7], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Sifted(Generic[Scalar]):
    """One value of each paired event, sorted by bases, else in the order of the events.

    First Z-Z, X-X, then Z-X, X-Z with Alice's basis first, then Z and X of Alice with Bob's 22.5
    and 67.5 degrees: Z-22.5, Z-67.5, X-22.5, X-67.5.
    """

    values: npt.NDArray[Scalar]
    ends: tuple[int, ...]
    """Where each of the eight parts ends."""

    @property
    def z(self) -> npt.NDArray[Scalar]:
        """What both measured in Z."""
        return self.values[: self.ends[0]]

    @property
    def x(self) -> npt.NDArray[Scalar]:
        """What both measured in X."""
        return self.values[self.ends[0] : self.ends[1]]

    @property
    def mismatched(self) -> npt.NDArray[Scalar]:
        """All rounds whose bases differ."""
        return self.values[self.ends[1] :]

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where the parts of `mismatched` end, but the last."""
        return tuple(end - self.ends[1] for end in self.ends[2:-1])


def sift(alice: Bits, bob: Bits, values: npt.NDArray[Scalar]) -> Sifted[Scalar]:
    """Sort a value of each paired event by Alice's basis (0 Z, 1 X) and Bob's (0 to 3)."""
    if not alice.shape == bob.shape == values.shape:
        raise ValueError(f"{alice.size} bases of Alice against {bob.size}, {values.size} values")
    counts, sizes = np.zeros((2, 8), np.int64), np.empty(8, np.int64)
    _count(alice, bob, counts)
    sizes[_RANKS] = counts.sum(axis=0)
    ends = np.cumsum(sizes)
    firsts = (ends - sizes)[_RANKS]
    starts = np.stack([firsts, firsts + counts[0]]).astype(np.uint64)
    moved = np.empty(values.size, values.dtype)
    _move(alice, bob, values, starts, moved)
    return Sifted(moved, tuple(ends.tolist()))


def sample_size(rounds: int, fraction: float) -> int:
    """Return how many of a basis' rounds are tested; both parties compute it alike."""
    return min(rounds, math.ceil(rounds * fraction))


def choose_test(rounds: int, fraction: float, random_octets: bytes) -> Bits:
    """Return a mask of `sample_size` ones whose places are uniformly random among `rounds`.

    `random_octets` are 8 fresh random bytes for each place: Floyd's algorithm (Bentley and Floyd,
    Commun. ACM 30, 754 (1987)). The bias of a remainder is below rounds / 2^64.
    """
    size = sample_size(rounds, fraction)
    mask = np.zeros(rounds, np.uint8)
    _sample(mask, np.frombuffer(random_octets, np.uint64, size))
    return mask


def part(
    values: npt.NDArray[Scalar], mask: Bits
) -> tuple[npt.NDArray[Scalar], npt.NDArray[Scalar]]:
    """Return the values where the mask is 1, and the others, each in their order."""
    if values.shape != mask.shape:
        raise ValueError(f"a mask of {mask.size} for {values.size} values")
    chosen, others = (np.empty(values.size + 1, values.dtype) for _ in range(2))
    count = _parted(values, mask, chosen, others)
    return chosen[:count], others[: values.size - count]


def warm_up() -> None:
    """Compile what sorts and chooses, on next to nothing."""
    bits = np.zeros(8, np.uint8)
    for values in (bits, np.zeros(8, np.int64)):
        sift(bits, bits, values)
        part(values, bits)
    choose_test(8, 0.5, bytes(32))


# They allocate nothing: that would take longer to compile than the loops.
_kernel = partial(kernel, _nrt=False)


@_kernel()
def _count(alice: Bits, bob: Bits, counts: npt.NDArray[np.int64]) -> None:
    # Both halves at once, so that none waits for the other's count.
    half = alice.size >> 1
    for k in range(alice.size - half):
        if k < half:
            counts[0, (alice[k] << 2 | bob[k]) & 7] += 1
        counts[1, (alice[half + k] << 2 | bob[half + k]) & 7] += 1


@_kernel()
def _move(
    alice: Bits,
    bob: Bits,
    values: npt.NDArray[Scalar],
    starts: npt.NDArray[np.uint64],
    moved: npt.NDArray[Scalar],
) -> None:
    half = alice.size >> 1
    for k in range(alice.size - half):
        if k < half:
            kind = (alice[k] << 2 | bob[k]) & 7
            moved[starts[0, kind]] = values[k]
            starts[0, kind] += np.uint64(1)
        kind = (alice[half + k] << 2 | bob[half + k]) & 7
        moved[starts[1, kind]] = values[half + k]
        starts[1, kind] += np.uint64(1)


@_kernel()
def _parted(
    values: npt.NDArray[Scalar],
    mask: Bits,
    chosen: npt.NDArray[Scalar],
    others: npt.NDArray[Scalar],
) -> np.int64:
    # Every value is written to both sides; only the place of one of them moves on.
    i, j = np.uint64(0), np.uint64(0)
    for k in range(values.size):
        chosen[i] = others[j] = values[k]
        step = np.uint64(mask[k] & 1)
        i += step
        j += np.uint64(1) - step
    return np.int64(i)


@_kernel()
def _sample(mask: Bits, draws: npt.NDArray[np.uint64]) -> None:
    for k in range(draws.size):
        last = mask.size - draws.size + k
        place = np.int64(draws[k] % np.uint64(last + 1))
        mask[last if mask[place] else place] = 1
