"""Find known secret bytes in what a run put out: raw, hexadecimal or base64, at any alignment."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

PIECE_BYTES = 16
HEAD_BYTES = 8
"""What is looked for first: any form of a piece is longer."""
MARK_BITS = 24


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how a piece of a secret may show."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            # The outer characters depend on the neighbours; what is between does not.
            yield encode(bytes(shift) + secret)[4:-4]


def found(secrets: Sequence[bytes], outputs: Iterable[bytes]) -> list[str]:
    """Say which output holds a piece of which secret; empty where all is well."""
    pieces: dict[bytes, list[tuple[bytes, int]]] = {}
    for number, secret in enumerate(secrets):
        for at in range(0, len(secret) - PIECE_BYTES + 1, PIECE_BYTES):
            for form in forms(secret[at : at + PIECE_BYTES]):
                pieces.setdefault(form[:HEAD_BYTES], []).append((form, number))
    heads = np.frombuffer(b"".join(pieces), dtype=np.uint64)
    marks = np.zeros(1 << MARK_BITS, dtype=bool)
    marks[_mark(heads)] = True
    return [
        f"output {place} holds a piece of secret {number}"
        for place, output in enumerate(outputs)
        for head in _heads_in(output, heads, marks)
        for form, number in pieces[head]
        if form in output
    ]


def _mark(words: np.ndarray) -> np.ndarray:
    """Return a number of `MARK_BITS` for each word, by which most that are no head are passed."""
    return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - MARK_BITS)


def _heads_in(output: bytes, heads: np.ndarray, marks: np.ndarray) -> set[bytes]:
    """Return which of the heads an output holds, wherever they begin."""
    here: set[bytes] = set()
    for shift in range(HEAD_BYTES):
        whole = (len(output) - shift) // HEAD_BYTES
        if whole > 0:
            words = np.frombuffer(output, dtype=np.uint64, count=whole, offset=shift)
            likely = words[marks[_mark(words)]]
            here.update(word.tobytes() for word in likely[np.isin(likely, heads)])
    return here
