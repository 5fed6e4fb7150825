"""Cascade for the longest key: fewer bits leak, for ten times the processor time.

Three passes ask as `max_key_kernels` says. The second is laid over an order in which bits that are
as likely wrong stand together, cut into blocks of equal expected errors. What it leaves are pairs
that share a block in both passes, a few whatever the string's length: the third is laid over an
order at random, in which few pairs stay together. Then plain Cascade, with blocks as long as the
string, confirms random subsets and finds what is left. Messages and counters are as in `cascade`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation import ldpc_kernels
from qnx_hw.qkd.reconciliation import max_key_kernels as kernels
from qnx_hw.qkd.reconciliation.cascade import CascadeAlice, CascadeBob
from qnx_hw.qkd.reconciliation.cascade_plan import CascadeParameters, public_number
from qnx_hw.qkd.reconciliation.interface import (
    Bits,
    Corrector,
    ReconciliationFailed,
    Reference,
    Result,
    pattern_bits,
    result_of,
)
from qnx_hw.qkd.reconciliation.max_key_kernels import Trees

PASSES = 3
FIRST_ERRORS = 1.1
"""Expected errors in a block of the first pass, before it is rounded to a power of two."""
LEAST_MAX_KEY_ERRORS = 0.004
"""With fewer errors plain Cascade leaks little more (measured)."""
SECOND_BLOCKS = 0.1
"""Blocks of the second pass, per expected error of the string; measured at 131072 bits. More cost
more questions there, fewer leave more to the passes behind."""
THIRD_BLOCKS, MOST_THIRD_BLOCKS = 0.01, 16
LONGEST_MAX_KEY_BITS = 1 << 21
_NODES_PER_BIT = 3


class _Party:
    """The trees, then plain Cascade; both count."""

    def __init__(self, key: Bits, qber_hint: float, seed: bytes, owner: bool) -> None:
        if key.ndim != 1 or key.dtype != np.uint8 or key.max(initial=0) > 1:
            raise ValueError("a string of bits 0 and 1 in uint8 is needed")
        if key.size > LONGEST_MAX_KEY_BITS or not 0.0 <= qber_hint <= 1.0:
            raise ValueError(f"{key.size} bits with {qber_hint:.0%} errors cannot be reconciled")
        self._seed = seed
        self._qber = min(max(qber_hint, 1.0 / max(1, key.size)), 0.25)
        self._trees = _trees(key, self._qber, owner)
        self._ours = np.zeros(self._trees.questions.shape[0], np.uint8)
        self._leak = self._rounds = 0
        self._after: CascadeAlice | CascadeBob | None = None
        self._go_on(self._ours)

    @property
    def leak_alice(self) -> int:
        """Parities of Alice's that were sent."""
        return self._leak + (self._after.leak_alice if self._after else 0)

    @property
    def leak_total(self) -> int:
        """Parities of both that were sent."""
        return 2 * self.leak_alice

    @property
    def leak_pattern(self) -> int:
        """As in `cascade`: Alice's parities, and Bob's or the errors' places."""
        told = self.leak_alice + pattern_bits(self._trees.bits.size, self.n_errors)
        return min(self.leak_total, told)

    @property
    def rounds(self) -> int:
        """Requests that were answered."""
        return self._rounds + (self._after.rounds if self._after else 0)

    @property
    def n_errors(self) -> int:
        """Bits that were corrected."""
        found = int(self._trees.registers[kernels.ERRORS])
        return found + (self._after.n_errors if self._after else 0)

    def _said(self) -> bytes:
        n = int(self._trees.registers[kernels.QUESTIONS])
        return np.packbits(self._ours[:n]).tobytes()

    def _hear(self, message: bytes) -> npt.NDArray[np.uint8]:
        n = int(self._trees.registers[kernels.QUESTIONS])
        rest = -n % 8
        if len(message) != (n + 7) // 8 or (rest and message[-1] & ((1 << rest) - 1)):
            raise ReconciliationFailed(
                f"the peer sent {len(message)} octets where {n} parities were due"
            )
        return np.unpackbits(np.frombuffer(message, np.uint8), count=n)

    def _exchanged(self, theirs: npt.NDArray[np.uint8]) -> None:
        self._leak += theirs.size
        self._rounds += 1
        self._go_on(theirs)

    def _go_on(self, theirs: npt.NDArray[np.uint8]) -> None:
        pending = kernels.turn(self._trees, self._ours, theirs)
        if pending < 0 or self._leak + pending > self._trees.bits.size + 256:
            raise ReconciliationFailed("the peer's parities contradict each other")
        if pending == 0:
            opened = int(self._trees.registers[kernels.OPENED])
            if opened == PASSES or not self._trees.bits.size:
                self._after = self._confirmation()
                return
            self._open(opened)
        kernels.say(self._trees, self._ours)

    def _open(self, number: int) -> None:
        n = self._trees.bits.size
        if number == 0:
            size = 1 << max(1, round(math.log2(FIRST_ERRORS / self._qber)))
            kernels.open_pass(self._trees, np.arange(n), np.append(np.arange(0, n, size), n))
            return
        mixed = ldpc_kernels.shuffle(n, np.uint64(public_number(self._seed + bytes([number]))))
        errors = self._qber * n
        if number == 1:
            weights = kernels.weights(self._trees)
            order = mixed[np.argsort(-weights[mixed], kind="stable")]
            upto = np.cumsum(weights[order])
            n_blocks = math.ceil(SECOND_BLOCKS * errors)
            inner = np.searchsorted(upto, upto[-1] * np.arange(1, n_blocks) // n_blocks)
        else:
            order, n_blocks = mixed, min(math.ceil(THIRD_BLOCKS * errors), MOST_THIRD_BLOCKS)
            inner = n * np.arange(1, n_blocks) // n_blocks
        borders = np.unique(np.concatenate(([0], inner, [n])))
        kernels.open_pass(self._trees, order, borders)

    def _confirmation(self) -> CascadeAlice | CascadeBob:
        kind = CascadeBob if self._trees.registers[kernels.OWNER] else CascadeAlice
        size = max(2, 1 << (self._trees.bits.size - 1).bit_length()) if self._trees.bits.size else 2
        parameters = CascadeParameters(block_sizes=(size, size, size))
        bits = self._trees.bits.copy()
        return kind(bits, qber_hint=self._qber, seed=self._seed, parameters=parameters)


class MaxKeyAlice(_Party, Reference):
    """Alice's side. `key` holds 0 and 1; the other arguments are public and equal on both ends."""

    def __init__(self, key: Bits, *, qber_hint: float, seed: bytes) -> None:
        super().__init__(key, qber_hint, seed, owner=False)

    def answer(self, request: bytes) -> bytes:
        """Return our parities for the pending questions, and take Bob's."""
        if isinstance(self._after, CascadeAlice):
            return self._after.answer(request)
        theirs, reply = self._hear(request), self._said()
        self._exchanged(theirs)
        return reply

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to ask."""
        return isinstance(self._after, CascadeAlice) and self._after.is_finished


class MaxKeyBob(_Party, Corrector):
    """Bob's side. `key` holds 0 and 1; the other arguments are public and equal on both ends."""

    def __init__(self, key: Bits, *, qber_hint: float, seed: bytes) -> None:
        super().__init__(key, qber_hint, seed, owner=True)

    def start(self) -> bytes | None:
        """Return the first request; None for an empty string."""
        return self._after.start() if isinstance(self._after, CascadeBob) else self._said()

    def receive(self, reply: bytes) -> bytes | None:
        """Take Alice's parities, correct what follows from them, and return the next request."""
        if isinstance(self._after, CascadeBob):
            return self._after.receive(reply)
        self._exchanged(self._hear(reply))
        return self.start()

    @property
    def corrected(self) -> Bits:
        """A copy of the string as corrected so far."""
        if isinstance(self._after, CascadeBob):
            return self._after.corrected
        return self._trees.bits.copy()


def reconcile(alice: Bits, bob: Bits, qber_hint: float, *, seed: bytes = b"") -> Result:
    """Run both parties in this process; same messages, counters and failures as apart."""
    reference = MaxKeyAlice(alice, qber_hint=qber_hint, seed=seed)
    corrector = MaxKeyBob(bob, qber_hint=qber_hint, seed=seed)
    request = corrector.start()
    while request is not None:
        request = corrector.receive(reference.answer(request))
    return result_of(corrector)


def _trees(key: Bits, qber: float, owner: bool) -> Trees:
    n = key.size
    registers = np.zeros(kernels.N_REGISTERS, np.int64)
    registers[kernels.OWNER] = owner
    room = _NODES_PER_BIT * n + 1024
    return Trees(
        registers=registers,
        bits=key.copy(),
        nodes=np.empty((room, kernels.N_FIELDS), np.int64),
        order=np.empty((PASSES, n), np.int64),
        smallest=np.zeros((PASSES, n), np.int64),
        table=_table(qber),
        questions=np.empty((room, 2), np.int64),
        waiting=np.empty(room, np.int64),
    )


def _table(qber: float) -> npt.NDArray[np.int64]:
    """Return how an even or odd node of each length changes how likely a bit of it is wrong."""
    table = np.full((2, kernels.TABLE), kernels.UNIT, np.int64)
    for length in range(1, kernels.TABLE):
        others, whole = (1.0 - 2.0 * qber) ** (length - 1), (1.0 - 2.0 * qber) ** length
        table[0, length] = round(kernels.UNIT * (1.0 - others) / (1.0 + whole))
        table[1, length] = round(kernels.UNIT * (1.0 + others) / (1.0 - whole))
    return table
