"""Reconciliation of a block's two strings by Cascade, both in the same messages."""

from __future__ import annotations

from qnx_hw.qkd.messages import Bits
from qnx_hw.qkd.reconciliation import (
    CascadeAlice,
    CascadeBob,
    CascadeParameters,
    Corrector,
    Mode,
    Reference,
)
from qnx_hw.qkd.session.distilling import Leak
from qnx_hw.qkd.session.rounds import Judgement

# Parties are a network apart: 100 round trips instead of 500 are worth 1.5 % more leak.
CASCADE = CascadeParameters(mode=Mode.LOW_ROUND)
BASES = (b"z", b"x")


def hints(judgement: Judgement) -> tuple[float, float]:
    """Return the error rates both parties expect in Z and X; an estimate of 0 is never exact."""
    return (
        (judgement.errors_z + 1) / (judgement.tested_z + 2),
        (judgement.errors_x + 1) / (judgement.tested_x + 2),
    )


class ReferenceKeys:
    """Alice's Z and X strings; she answers questions about them."""

    def __init__(self, strings: tuple[Bits, Bits], judgement: Judgement, seed: bytes) -> None:
        self.strings = strings
        self._ends: list[Reference] = [
            CascadeAlice(bits, qber_hint=hint, seed=seed + basis, parameters=CASCADE)
            for bits, hint, basis in zip(strings, hints(judgement), BASES, strict=True)
        ]

    def answer(self, z: bytes, x: bytes) -> tuple[bytes, bytes]:
        """Answer Bob's questions about either string; no question gets no answer."""
        about_z, about_x = self._ends
        return about_z.answer(z) if z else b"", about_x.answer(x) if x else b""

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

    def __init__(self, strings: tuple[Bits, Bits], judgement: Judgement, seed: bytes) -> None:
        self._ends: list[Corrector] = [
            CascadeBob(bits, qber_hint=hint, seed=seed + basis, parameters=CASCADE)
            for bits, hint, basis in zip(strings, hints(judgement), BASES, strict=True)
        ]

    def start(self) -> tuple[bytes, bytes]:
        """Return the first questions, empty where there is none."""
        about_z, about_x = self._ends
        return about_z.start() or b"", about_x.start() or b""

    def receive(self, z: bytes, x: bytes) -> tuple[bytes, bytes]:
        """Take Alice's answers and return the next questions."""
        about_z, about_x = self._ends
        return (about_z.receive(z) or b"") if z else b"", (about_x.receive(x) or b"") if x else b""

    @property
    def strings(self) -> tuple[Bits, Bits]:
        """Both strings with all corrections so far."""
        about_z, about_x = self._ends
        return about_z.corrected, about_x.corrected

    @property
    def leaks(self) -> tuple[Leak, Leak]:
        """What was said about Z and about X so far."""
        return _leaks(self._ends)


def _leaks(ends: list[Reference] | list[Corrector]) -> tuple[Leak, Leak]:
    about_z, about_x = (Leak(end.leak_alice, end.leak_total) for end in ends)
    return about_z, about_x
