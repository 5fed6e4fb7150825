"""Blind, rate-adaptive reconciliation by LDPC codes: few messages, whatever the distance.

Alice's string is made longer to fit a code: with `p` private random bits that are never sent
("punctured"), and with zeros that everybody knows ("shortened"). She sends the word's syndrome.
Bob looks for the error pattern between his string and hers that has the same syndrome. Where he
finds none he asks for more: first for some of the punctured bits, then for those bits of the key
that his decoder knows least about (Martinez-Mateo, Elkouss and Martin, "Blind reconciliation",
2012; Kiktenko et al., arXiv 1612.03673).

What leaks: a syndrome of `m` bits tells at most `m` bits about the string and the punctured bits
together. The punctured part of the matrix has full column rank (`ldpc_codes.py`), so the string
and the syndrome determine the punctured bits: the syndrome tells at most `m - p` bits about the
string. Every bit sent later counts whole. Bob's messages say one bit each (more, or enough), and
where he names positions, `ceil(log2 n)` bits for each; they count in `leak_total`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.finite_key.entropy import binary_entropy
from qnx_hw.qkd.reconciliation import ldpc_kernels as kernels
from qnx_hw.qkd.reconciliation.cascade_plan import public_number
from qnx_hw.qkd.reconciliation.interface import (
    MAX_KEY_BITS,
    Bits,
    Corrector,
    ReconciliationFailed,
    Reference,
    Result,
    result_of,
)
from qnx_hw.qkd.reconciliation.ldpc_codes import (
    COLUMNS,
    FEWEST_ROWS,
    MOST_ROWS,
    Code,
    code,
)

SHORTEST_LDPC_BITS = 2_000
"""Below it codes are too weak for any use; take Cascade."""
_START, _PUNCTURED, _NAMED, _DONE = range(4)
_POSITION = np.dtype("<u4")
_SPARE = 0.98
"""Part of a code's length that the string takes at most; the rest adapts the rate."""
_LANES = 8
"""Liftings are multiples of it: whole vectors."""
_REVEAL = 0.01
"""Bits that one more message brings, over the Shannon limit."""
_STARTS = ((0.015, 1.13), (0.022, 1.075), (0.09, 1.065), (1.0, 1.08))
"""Where to begin, in Shannon limits, up to each error rate: what leaks least in two messages or
so at 1e5 bits (measured)."""
_MOST_MESSAGES = 40
_MOST_ROUNDS = 200
_CERTAIN = np.float32(25.0)
"""Log-likelihood ratio of what is known."""


class LdpcParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public settings; both ends must hold the same ones."""

    efficiency: float = 0.0
    """Bits of the first syndrome over the Shannon limit; 0 chooses it from the error rate."""
    leak_limit: float = 1.0
    """Bits that Alice discloses at most, per bit of key."""

    def __post_init__(self) -> None:
        if not (self.efficiency == 0.0 or 1.0 <= self.efficiency <= 3.0):
            raise ValueError("an efficiency lies between 1 and 3; 0 lets the code choose")
        if not 0.0 < self.leak_limit <= 4.0:
            raise ValueError("a leak limit of up to 4 bits per bit is possible")


class _Layout:
    """How a string of `n` bits lies in a word of a code; public, the same for both."""

    def __init__(self, n: int, qber_hint: float, seed: bytes, parameters: LdpcParameters) -> None:
        if not SHORTEST_LDPC_BITS <= n <= MAX_KEY_BITS:
            raise ValueError(
                f"LDPC codes take {SHORTEST_LDPC_BITS} to {MAX_KEY_BITS} bits, not {n}"
            )
        if not 0.0 <= qber_hint <= 1.0:
            raise ValueError(f"an error rate lies between 0 and 1, not at {qber_hint}")
        self.qber = min(max(qber_hint, 1.0 / n), 0.25)
        lifting = _LANES * math.ceil(n / (_SPARE * COLUMNS * _LANES))
        factor = parameters.efficiency or _efficiency(self.qber)
        wanted = factor * n * binary_entropy(self.qber)
        self.step = math.ceil(_REVEAL * n * binary_entropy(self.qber))
        self.code, n_punctured = _fit(n, lifting, wanted, self.step)
        columns = self.code.puncturable[:, None] * lifting
        self.punctured = (columns + np.arange(lifting)).ravel()[:n_punctured]
        is_free = np.ones(self.code.length, np.bool_)
        is_free[self.punctured] = False
        free = np.flatnonzero(is_free)
        order: npt.NDArray[np.int64] = kernels.shuffle(free.size, np.uint64(public_number(seed)))
        free = free[order]
        self.key, self.zeros = free[:n], free[n:]
        self.leak_limit = math.ceil(parameters.leak_limit * n) + 256

    @property
    def first_leak(self) -> int:
        """Bits that the syndrome tells about the string."""
        return self.code.syndrome_bits - int(self.punctured.size)

    def syndrome(self, word: Bits) -> Bits:
        """Return a word's parities."""
        own = self.code
        parities: Bits = kernels.syndrome(word, own.starts, own.columns, own.shifts, own.lifting)
        return parities


def _efficiency(qber: float) -> float:
    """Choose where to begin: a little below what mostly works, for one more message is cheap."""
    return next(factor for limit, factor in _STARTS if qber < limit)


def _fit(n: int, lifting: int, wanted: float, least: int) -> tuple[Code, int]:
    """Choose the smallest code whose syndrome leaks what is wanted, and how much is punctured.

    `least` bits are punctured at least, for Bob to ask for: asking for them names no positions.
    """
    rows = min(max(math.ceil((wanted + least) / lifting), FEWEST_ROWS), MOST_ROWS)
    chosen = code(rows, lifting)
    spare = min(chosen.length - n, chosen.puncturable.size * lifting)
    return chosen, min(max(rows * lifting - math.ceil(wanted), 0), spare)


class _Party:
    """What both count alike."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._leak_alice = 0
        self._leak_bob = 0
        self._rounds = 0
        self._hidden = int(layout.punctured.size)
        """Punctured bits not told yet; they are told from the end."""

    @property
    def leak_alice(self) -> int:
        """Bits about Alice's string in her messages."""
        return self._leak_alice

    @property
    def leak_total(self) -> int:
        """Bits about either string in both parties' messages."""
        return self._leak_alice + self._leak_bob

    @property
    def rounds(self) -> int:
        """Requests that were answered."""
        return self._rounds

    def _count(self, alice_bits: int, positions: int = 0) -> None:
        self._rounds += 1
        self._leak_alice += alice_bits
        self._leak_bob += 1 + positions * max(1, self._layout.key.size - 1).bit_length()
        if self._leak_alice > self._layout.leak_limit or self._rounds > _MOST_MESSAGES:
            raise ReconciliationFailed(
                f"correcting {self._layout.key.size} bits would leak more than "
                f"{self._layout.leak_limit} or take more than {_MOST_MESSAGES} messages"
            )

    @property
    def _step(self) -> int:
        """Bits that the next message brings: more after each third, for the estimate was wrong."""
        return self._layout.step << min(self._rounds // 3, 16)

    def _next_punctured(self) -> npt.NDArray[np.int64]:
        first = max(0, self._hidden - self._step)
        told = self._layout.punctured[first : self._hidden]
        self._hidden = first
        return told


class LdpcAlice(_Party, Reference):
    """Alice's side. `key` holds 0 and 1; `draw` gives her private random octets."""

    def __init__(
        self,
        key: Bits,
        *,
        qber_hint: float,
        seed: bytes,
        parameters: LdpcParameters | None = None,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(_Layout(key.size, qber_hint, seed, parameters or LdpcParameters()))
        self._word = _word(self._layout, key)
        octets = np.frombuffer(draw(-(-self._hidden // 8)), np.uint8)
        self._word[self._layout.punctured] = np.unpackbits(octets, count=self._hidden)
        self._is_finished = False

    @property
    def n_errors(self) -> int:
        """Unknown to Alice."""
        return 0

    @property
    def is_finished(self) -> bool:
        """Whether Bob said that he has enough."""
        return self._is_finished

    def answer(self, request: bytes) -> bytes:
        """Return the syndrome, or what Bob asks for besides."""
        kind = request[0] if request else -1
        if self._is_finished or (kind == _START) != (self._rounds == 0):
            raise ReconciliationFailed("the peer asks out of turn")
        if kind == _START and len(request) == 1:
            self._count(self._layout.first_leak)
            return _packed(self._layout.syndrome(self._word))
        if kind == _PUNCTURED and len(request) == 1 and self._hidden:
            told = self._next_punctured()
            self._count(told.size)
            return _packed(self._word[told])
        if kind == _NAMED and not self._hidden:
            named = _positions(request[1:], self._layout.key.size, self._step)
            self._count(named.size, named.size)
            return _packed(self._word[self._layout.key[named]])
        if kind == _DONE and len(request) == 1:
            self._count(0)
            self._is_finished = True
            return b""
        raise ReconciliationFailed(f"the peer sent {len(request)} octets that ask for nothing")


class LdpcBob(_Party, Corrector):
    """Bob's side. `key` holds 0 and 1; the other arguments are public and equal on both ends."""

    def __init__(
        self,
        key: Bits,
        *,
        qber_hint: float,
        seed: bytes,
        parameters: LdpcParameters | None = None,
    ) -> None:
        super().__init__(_Layout(key.size, qber_hint, seed, parameters or LdpcParameters()))
        layout = self._layout
        self._word = _word(layout, key)
        self._prior = np.zeros(layout.code.length, np.float32)
        self._prior[layout.key] = math.log((1.0 - layout.qber) / layout.qber)
        self._prior[layout.zeros] = _CERTAIN
        self._totals = self._prior.copy()
        self._wanted = np.empty(0, np.float32)
        self._asked = _START
        self._told = np.empty(0, np.int64)
        self._known = np.zeros(layout.code.length, np.bool_)
        self._is_found = False

    @property
    def n_errors(self) -> int:
        """Bits of the key that were corrected."""
        return int(np.count_nonzero(self._totals[self._layout.key] < 0)) if self._is_found else 0

    @property
    def corrected(self) -> Bits:
        """A copy of the string with the corrections found."""
        wrong = (self._totals < 0) if self._is_found else np.zeros(self._word.size, np.bool_)
        return (self._word ^ wrong.astype(np.uint8))[self._layout.key]

    def start(self) -> bytes | None:
        """Ask for the syndrome."""
        return bytes([_START])

    def receive(self, reply: bytes) -> bytes | None:
        """Take the syndrome, or more bits; return what to ask next, None when all is said."""
        if self._asked == _DONE:
            if reply:
                raise ReconciliationFailed("the peer answers what was not asked")
            self._count(0)
            return None
        if self._asked == _START:
            theirs = _unpacked(reply, self._layout.code.syndrome_bits)
            self._count(self._layout.first_leak)
            ours = self._layout.syndrome(self._word)
            self._wanted = (1.0 - 2.0 * (theirs ^ ours)).astype(np.float32)
        else:
            values = _unpacked(reply, self._told.size)
            self._count(values.size, values.size if self._asked == _NAMED else 0)
            self._learn(values)
        self._is_found = self._decode()
        return self._ask()

    def _learn(self, values: Bits) -> None:
        is_wrong = values != self._word[self._told]
        self._prior[self._told] = np.where(is_wrong, -_CERTAIN, _CERTAIN)
        self._known[self._told] = True

    def _decode(self) -> bool:
        own = self._layout.code
        # From the start again: where the decoder stood still is a bad place to go on from.
        self._totals[:] = self._prior
        matrix = (own.starts, own.columns, own.shifts, own.lifting)
        rounds = kernels.decode(self._totals, self._wanted, *matrix, _MOST_ROUNDS)
        return bool(rounds > 0)

    def _ask(self) -> bytes:
        if self._is_found:
            self._asked = _DONE
            return bytes([_DONE])
        if self._hidden:
            self._asked, self._told = _PUNCTURED, self._next_punctured()
            return bytes([_PUNCTURED])
        doubt = np.abs(self._totals[self._layout.key])
        doubt[self._known[self._layout.key]] = np.inf
        step = min(self._step, int(np.count_nonzero(np.isfinite(doubt))))
        named = np.sort(np.argpartition(doubt, max(0, step - 1))[:step])
        self._asked, self._told = _NAMED, self._layout.key[named]
        return bytes([_NAMED]) + named.astype(_POSITION).tobytes()


def reconcile(
    alice: Bits,
    bob: Bits,
    qber_hint: float,
    *,
    seed: bytes = b"",
    parameters: LdpcParameters | None = None,
) -> Result:
    """Run both parties in this process; same messages, counters and failures as apart."""
    reference = LdpcAlice(alice, qber_hint=qber_hint, seed=seed, parameters=parameters)
    corrector = LdpcBob(bob, qber_hint=qber_hint, seed=seed, parameters=parameters)
    request = corrector.start()
    while request is not None:
        request = corrector.receive(reference.answer(request))
    return result_of(corrector)


def _word(layout: _Layout, key: Bits) -> Bits:
    if key.ndim != 1 or key.dtype != np.uint8 or key.max(initial=0) > 1:
        raise ValueError("a string of bits 0 and 1 in uint8 is needed")
    word = np.zeros(layout.code.length, np.uint8)
    word[layout.key] = key
    return word


def _packed(bits: Bits) -> bytes:
    return np.packbits(bits).tobytes()


def _unpacked(message: bytes, n: int) -> Bits:
    rest = -n % 8
    if len(message) != (n + 7) // 8 or (rest and message[-1] & ((1 << rest) - 1)):
        raise ReconciliationFailed(f"the peer sent {len(message)} octets where {n} bits were due")
    return np.unpackbits(np.frombuffer(message, np.uint8), count=n)


def _positions(octets: bytes, n: int, most: int) -> npt.NDArray[np.int64]:
    """Read positions in the key: ascending, each once, `most` at most."""
    if len(octets) % _POSITION.itemsize or len(octets) > most * _POSITION.itemsize:
        raise ReconciliationFailed("the peer names positions in a form that none has")
    named = np.frombuffer(octets, _POSITION).astype(np.int64)
    if not named.size or named[-1] >= n or np.any(np.diff(named) <= 0):
        raise ReconciliationFailed("the peer names positions that the string does not have")
    return named
