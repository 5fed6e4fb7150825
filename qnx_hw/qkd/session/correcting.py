"""Reconciliation of a block's two strings, both in the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from qnx_hw.errors import ChannelError
from qnx_hw.qkd.messages import Bits
from qnx_hw.qkd.parameters import Reconciliation, SessionParameters
from qnx_hw.qkd.reconciliation import (
    LEAST_MAX_KEY_ERRORS,
    LONGEST_MAX_KEY_BITS,
    SHORTEST_LDPC_BITS,
    CascadeAlice,
    CascadeBob,
    CascadeParameters,
    Corrector,
    LdpcAlice,
    LdpcBob,
    MaxKeyAlice,
    MaxKeyBob,
    Reference,
)
from qnx_hw.qkd.session.choosing import LEAST_LDPC_ERRORS, Way
from qnx_hw.qkd.session.distilling import Leak
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.qkd.session.rounds import Judgement

BASES = (b"z", b"x")


@dataclass(frozen=True, slots=True)
class Course:
    """All that both parties must know alike before they begin; public."""

    parameters: SessionParameters
    way: Way
    judgement: Judgement
    seed: bytes

    @property
    def hints(self) -> tuple[float, float]:
        """The error rates both parties expect in Z and X; an estimate of 0 is never exact."""
        seen = self.judgement
        return (
            (seen.errors_z + 1) / (seen.tested_z + 2),
            (seen.errors_x + 1) / (seen.tested_x + 2),
        )

    @property
    def cascade(self) -> CascadeParameters:
        """What Cascade goes by."""
        return CascadeParameters(mode=self.way.mode)

    def takes_code(self, size: int, hint: float) -> bool:
        """Whether a string of `size` bits is made equal by an LDPC code."""
        asked_for = self.parameters.reconciliation is Reconciliation.LDPC
        is_worth_it = asked_for or hint >= LEAST_LDPC_ERRORS[self.parameters.count_leak]
        return self.way is Way.LDPC and size >= SHORTEST_LDPC_BITS and is_worth_it

    def spares_bits(self, size: int, hint: float) -> bool:
        """Whether a string is made equal by the Cascade that leaks least."""
        return (
            self.way is Way.MAX_KEY
            and 0 < size <= LONGEST_MAX_KEY_BITS
            and hint >= LEAST_MAX_KEY_ERRORS
        )


class ReferenceKeys:
    """Alice's Z and X strings; she answers questions about them."""

    def __init__(self, strings: tuple[Bits, Bits], course: Course, hands: Hands) -> None:
        self.strings = strings
        self._hands = hands
        self._ends = hands.side_by_side(
            [
                partial(_reference, bits, hint, course, course.seed + basis)
                for bits, hint, basis in zip(strings, course.hints, BASES, strict=True)
            ]
        )

    def answer(self, z: bytes, x: bytes) -> tuple[bytes, bytes]:
        """Answer Bob's questions about either string; no question gets no answer."""
        asked = [
            partial(end.answer, about) if about else bytes
            for end, about in zip(self._ends, (z, x), strict=True)
        ]
        reply_z, reply_x = self._hands.side_by_side(asked)
        return reply_z, reply_x

    @property
    def is_finished(self) -> bool:
        """Whether Bob has nothing left to ask."""
        return all(end.is_finished for end in self._ends)

    @property
    def leaks(self) -> tuple[Leak, Leak]:
        """What was said about Z and about X so far."""
        return _leaks(self._ends)


class CorrectedKeys:
    """Bob's Z and X strings; he asks until they should be Alice's."""

    def __init__(self, strings: tuple[Bits, Bits], course: Course, hands: Hands) -> None:
        self._hands = hands
        self._ends = hands.side_by_side(
            [
                partial(_corrector, bits, hint, course, course.seed + basis)
                for bits, hint, basis in zip(strings, course.hints, BASES, strict=True)
            ]
        )
        self._asked = (False, False)

    def start(self) -> tuple[bytes, bytes]:
        """Return the first questions, empty where there is none."""
        return self._asking([end.start() for end in self._ends])

    def receive(self, z: bytes, x: bytes) -> tuple[bytes, bytes]:
        """Take Alice's answers and return the next questions."""
        replies = list(zip(self._ends, self._asked, (z, x), strict=True))
        if any(reply and not was_asked for _, was_asked, reply in replies):
            raise ChannelError("the peer answers what was not asked")
        works = [
            partial(end.receive, reply) if was_asked else _nothing
            for end, was_asked, reply in replies
        ]
        return self._asking(self._hands.side_by_side(works))

    def _asking(self, questions: Sequence[bytes | None]) -> tuple[bytes, bytes]:
        z, x = questions
        self._asked = (z is not None, x is not None)
        return z or b"", x or b""

    @property
    def strings(self) -> tuple[Bits, Bits]:
        """Both strings with all corrections so far."""
        about_z, about_x = self._ends
        return about_z.corrected, about_x.corrected

    @property
    def leaks(self) -> tuple[Leak, Leak]:
        """What was said about Z and about X so far."""
        return _leaks(self._ends)


def _nothing() -> bytes | None:
    return None


def _reference(bits: Bits, hint: float, course: Course, seed: bytes) -> Reference:
    if course.spares_bits(bits.size, hint):
        return MaxKeyAlice(bits, qber_hint=hint, seed=seed)
    if course.takes_code(bits.size, hint):
        return LdpcAlice(bits, qber_hint=hint, seed=seed)
    return CascadeAlice(bits, qber_hint=hint, seed=seed, parameters=course.cascade)


def _corrector(bits: Bits, hint: float, course: Course, seed: bytes) -> Corrector:
    if course.spares_bits(bits.size, hint):
        return MaxKeyBob(bits, qber_hint=hint, seed=seed)
    if course.takes_code(bits.size, hint):
        return LdpcBob(bits, qber_hint=hint, seed=seed)
    return CascadeBob(bits, qber_hint=hint, seed=seed, parameters=course.cascade)


def _leaks(ends: Sequence[Reference | Corrector]) -> tuple[Leak, Leak]:
    about_z, about_x = (Leak(end.leak_alice, end.leak_total, end.leak_pattern) for end in ends)
    return about_z, about_x
