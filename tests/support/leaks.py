"""Find known secret bytes in what a run put out: raw, hexadecimal or base64, at any alignment."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

PIECE_BYTES = 16


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how a piece of a secret may show."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            # The outer characters depend on the neighbours; what is between does not.
            yield encode(bytes(shift) + secret)[4:-4]


def found(secrets: Sequence[bytes], outputs: Sequence[bytes]) -> list[str]:
    """Say which output holds a piece of which secret; empty where all is well."""
    pieces = {
        form: number
        for number, secret in enumerate(secrets)
        for at in range(0, len(secret) - PIECE_BYTES + 1, PIECE_BYTES)
        for form in forms(secret[at : at + PIECE_BYTES])
    }
    return [
        f"output {place} holds a piece of secret {number}"
        for place, output in enumerate(outputs)
        for form, number in pieces.items()
        if form in output
    ]
