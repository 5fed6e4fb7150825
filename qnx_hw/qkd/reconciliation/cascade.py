"""Cascade between two parties: Bob drives, each message carries one parity per question.

A request holds Bob's parities for the questions that both parties know are next, the reply holds
Alice's for the same ones; bits are packed eight to a byte, lowest first, the last byte filled up
with zeros. Both count every parity sent: `leak_alice` is what Alice's messages tell, `leak_total`
counts Bob's as well, because his, after corrections, carry the error pattern (Tupkary and
Luetkenhaus 2023, arXiv 2307.00576). No parity is asked twice, and none is taken off by formula.

Shuffles and subsets follow from a public seed. It must be agreed after the quantum phase, or an
attacker could place errors where these find them last.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation import cascade_kernels as kernels
from qnx_hw.qkd.reconciliation.cascade_board import (
    ERRORS,
    FIRST,
    FRESH,
    HALVED,
    MAP_ROWS,
    MAX_SUBSETS,
    N_REGISTERS,
    ORDER,
    OVERLAP,
    OWNER,
    SEARCHED,
    SEED,
    SLOTS,
    STATE_ROWS,
    TOP,
    WORD_ROWS,
    Board,
)
from qnx_hw.qkd.reconciliation.cascade_plan import (
    LANES,
    PASSES,
    CascadeParameters,
    leak_limit_bits,
    plan,
    public_number,
)
from qnx_hw.qkd.reconciliation.cascade_shuffles import draw_shuffles
from qnx_hw.qkd.reconciliation.interface import (
    MAX_KEY_BITS,
    Bits,
    Corrector,
    ReconciliationFailed,
    Reference,
    Result,
    pattern_bits,
    result_of,
)

_WORD = np.dtype("<u8")


class _Party:
    """What Alice and Bob have in common: the board, the pending questions and the counters."""

    def __init__(
        self, key: Bits, qber_hint: float, seed: bytes, parameters: CascadeParameters, owner: bool
    ) -> None:
        self._size = int(key.size)
        self._board = _board(key, qber_hint, seed, parameters, owner)
        self._ours = np.zeros(self._board.waiting.size // 8 + 1, np.uint8)
        self._limit = leak_limit_bits(self._size, parameters)
        self._pending = 0
        self._leak = 0
        self._rounds = 0
        if self._size:
            self._go_on(self._ours)

    @property
    def leak_alice(self) -> int:
        """Parities of Alice's that were sent."""
        return self._leak

    @property
    def leak_total(self) -> int:
        """Parities of both that were sent."""
        return 2 * self._leak

    @property
    def leak_pattern(self) -> int:
        """Alice's parities, and Bob's or the errors' places: his follow from those and hers."""
        told = self._leak + pattern_bits(self._size, self.n_errors)
        return min(self.leak_total, told)

    @property
    def rounds(self) -> int:
        """Requests that were answered."""
        return self._rounds

    @property
    def n_errors(self) -> int:
        """Bits that were corrected."""
        return int(self._board.registers[ERRORS])

    def _said(self) -> bytes:
        return self._ours[: (self._pending + 7) // 8].tobytes()

    def _hear(self, message: bytes) -> npt.NDArray[np.uint8]:
        """Check that a message holds one parity per pending question and nothing else."""
        n = self._pending
        if not n or len(message) != (n + 7) // 8 or (n % 8 and message[-1] >> n % 8):
            raise ReconciliationFailed(
                f"the peer sent {len(message)} octets where {n} parities were due"
            )
        # Not the message itself: kernels are compiled for arrays that can be written to.
        return np.frombuffer(bytearray(message), np.uint8)

    def _exchanged(self, theirs: npt.NDArray[np.uint8]) -> None:
        self._leak += self._pending
        self._rounds += 1
        self._go_on(theirs)

    def _go_on(self, theirs: npt.NDArray[np.uint8]) -> None:
        self._wait_for(kernels.turn(self._board, self._ours, theirs))

    def _wait_for(self, pending: int) -> None:
        self._pending = 0
        if pending < 0:
            raise ReconciliationFailed("the peer's parities contradict each other")
        if self._leak + pending > self._limit:
            raise ReconciliationFailed(
                f"correcting {self._size} bits would leak more than {self._limit}"
            )
        self._pending = pending


class CascadeAlice(_Party, Reference):
    """Alice's side. `key` holds 0 and 1; the other arguments are public and equal on both ends."""

    def __init__(
        self,
        key: Bits,
        *,
        qber_hint: float,
        seed: bytes,
        parameters: CascadeParameters | None = None,
    ) -> None:
        super().__init__(key, qber_hint, seed, parameters or CascadeParameters(), owner=False)

    def answer(self, request: bytes) -> bytes:
        """Return our parities for the pending questions, and take Bob's."""
        theirs = self._hear(request)
        reply = self._said()
        self._exchanged(theirs)
        return reply

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to ask."""
        return self._pending == 0


class CascadeBob(_Party, Corrector):
    """Bob's side. `key` holds 0 and 1; the other arguments are public and equal on both ends."""

    def __init__(
        self,
        key: Bits,
        *,
        qber_hint: float,
        seed: bytes,
        parameters: CascadeParameters | None = None,
    ) -> None:
        super().__init__(key, qber_hint, seed, parameters or CascadeParameters(), owner=True)

    def start(self) -> bytes | None:
        """Return the first request; None for an empty string."""
        return self._said() if self._pending else None

    def receive(self, reply: bytes) -> bytes | None:
        """Take Alice's parities, correct what follows from them, and return the next request."""
        self._exchanged(self._hear(reply))
        return self._said() if self._pending else None

    def converse(self, alice: CascadeAlice) -> None:
        """Finish a conversation with a party of the same process, without messages in Python."""
        if self._size != alice._size:
            raise ValueError(f"strings of {alice._size} and {self._size} bits cannot be equal")
        said = (alice._ours, self._ours, np.empty_like(self._ours))
        pending, leak, rounds = kernels.converse(
            alice._board, self._board, said, self._pending, self._limit
        )
        for party in (alice, self):
            party._leak += leak
            party._rounds += rounds
            party._wait_for(pending)

    @property
    def corrected(self) -> Bits:
        """A copy of the string as corrected so far."""
        octets = self._board.words[0].astype(_WORD, copy=False).view(np.uint8)
        return np.unpackbits(octets, count=self._size, bitorder="little")


def reconcile(
    alice: Bits,
    bob: Bits,
    qber_hint: float,
    *,
    seed: bytes = b"",
    parameters: CascadeParameters | None = None,
) -> Result:
    """Run both parties in this process; same messages, counters and failures as apart."""
    reference = CascadeAlice(alice, qber_hint=qber_hint, seed=seed, parameters=parameters)
    corrector = CascadeBob(bob, qber_hint=qber_hint, seed=seed, parameters=parameters)
    corrector.converse(reference)
    return result_of(corrector)


def _board(
    key: Bits, qber_hint: float, seed: bytes, parameters: CascadeParameters, owner: bool
) -> Board:
    if key.ndim != 1 or key.dtype != np.uint8 or key.size > MAX_KEY_BITS or key.max(initial=0) > 1:
        raise ValueError(f"a string of at most {MAX_KEY_BITS} bits 0 and 1 in uint8 is needed")
    if not 0.0 <= qber_hint <= 1.0:
        raise ValueError(f"an error rate lies between 0 and 1, not at {qber_hint}")
    n_words = max(1, -(-key.size // LANES))
    n_bits = n_words * LANES
    highest = (n_bits - 1).bit_length()
    sizes, overlap, halved = plan(key.size, qber_hint, parameters)
    top = [min(size.bit_length() - 1, highest) for size in sizes]
    level_sizes = [-(-n_bits >> level) for level in range(max(top) + 1)]
    first = np.concatenate([[0], np.cumsum(level_sizes)])
    words = np.zeros((WORD_ROWS, n_words), np.uint64)
    packed = np.packbits(key, bitorder="little")
    words[0].view(np.uint8)[: packed.size] = packed
    maps = np.empty((MAP_ROWS, n_words), np.int64)
    lanes = np.empty((PASSES, 3, LANES), np.int64)
    number = np.uint64(public_number(seed))
    draw_shuffles(number, maps[ORDER : ORDER + PASSES], maps[SLOTS : SLOTS + PASSES], lanes)
    registers = np.zeros(N_REGISTERS, np.int64)
    registers[OWNER] = owner
    registers[SEARCHED] = -1
    registers[OVERLAP] = overlap * n_bits // 100_000
    registers[FRESH] = parameters.confirmations
    registers[SEED] = number.astype(np.int64)
    registers[HALVED] = int(halved * (n_bits >> top[1]))
    registers[TOP : TOP + PASSES] = top
    registers[FIRST : FIRST + first.size] = first
    return Board(
        registers=registers,
        words=words,
        states=np.zeros((STATE_ROWS, max(int(first[-1]), MAX_SUBSETS)), np.uint8),
        maps=maps,
        lanes=lanes,
        questions=np.empty(n_bits + MAX_SUBSETS, np.int64),
        waiting=np.empty(n_bits + MAX_SUBSETS, np.int64),
    )
