"""What every reconciler promises, so that a session can use one without knowing which."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd.finite_key.entropy import binary_entropy

Bits = npt.NDArray[np.uint8]
"""A string of bits, one 0 or 1 per entry."""

MAX_KEY_BITS = 1 << 24
"""Longest string that one reconciliation takes."""


class ReconciliationFailed(BlockAborted, ValueError):
    """The strings cannot be reconciled, or the peer's message is not one; the block is lost."""


class Counters(Protocol):
    """What both ends count alike."""

    @property
    @abstractmethod
    def leak_alice(self) -> int:
        """Bits about Alice's string in her own messages so far."""

    @property
    @abstractmethod
    def leak_total(self) -> int:
        """Bits about either string in both parties' messages so far."""

    @property
    def leak_pattern(self) -> int:
        """Bits about Alice's string in all messages, once both ends know how many bits were wrong.

        Where Bob's messages follow from Alice's and from the pattern of errors, they tell no more
        than that pattern does.
        """
        return self.leak_total

    @property
    @abstractmethod
    def rounds(self) -> int:
        """Requests answered so far."""

    @property
    @abstractmethod
    def n_errors(self) -> int:
        """Bits of Bob's that were corrected so far; exact once finished and verified."""


class Corrector(Counters, Protocol):
    """Bob: asks, and corrects his string to Alice's."""

    @abstractmethod
    def start(self) -> bytes | None:
        """Return the first request, or None where nothing needs to be asked."""

    @abstractmethod
    def receive(self, reply: bytes) -> bytes | None:
        """Take Alice's reply and return the next request; None when finished.

        Raise `ReconciliationFailed` for a reply that no honest Alice sends.
        """

    @property
    @abstractmethod
    def corrected(self) -> Bits:
        """A copy of Bob's string with all corrections so far; verify it before use."""


class Reference(Counters, Protocol):
    """Alice: answers; her string is the reference and stays as it is."""

    @abstractmethod
    def answer(self, request: bytes) -> bytes:
        """Return the reply to Bob's request.

        Raise `ReconciliationFailed` for a request that no honest Bob sends, or once more would be
        leaked than was allowed.
        """

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """Whether Bob has nothing left to ask; further requests are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Bob's side of a finished reconciliation; the counters are Alice's as well."""

    corrected: Bits
    leak_alice: int
    leak_total: int
    rounds: int
    n_errors: int

    def __repr__(self) -> str:
        """Tell the counters, never the bits."""
        return (
            f"Result({self.corrected.size} bits, leak {self.leak_alice}/{self.leak_total}, "
            f"{self.rounds} rounds, {self.n_errors} errors)"
        )


def pattern_bits(size: int, errors: int) -> int:
    """Return what the places of so many errors, and their number, tell at most.

    There are at most 2^(n h(t/n)) places of t errors among n bits (Cover, Thomas, Elements of
    Information Theory, 2nd edition, eq. 11.40), and n + 1 numbers of them.
    """
    places = size * binary_entropy(errors / size) if size else 0.0
    return math.ceil(places) + size.bit_length()


def result_of(corrector: Corrector) -> Result:
    """Return what Bob holds once nothing is left to ask."""
    return Result(
        corrected=corrector.corrected,
        leak_alice=corrector.leak_alice,
        leak_total=corrector.leak_total,
        rounds=corrector.rounds,
        n_errors=corrector.n_errors,
    )
