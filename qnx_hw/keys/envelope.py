"""How key travels from one node to another: under one-time pad, with a Wegman-Carter tag.

The tag is Poly1305 with both halves of its key taken fresh from the pad, so nothing is used twice
and a forgery of L bytes passes with 8 * ceil(L / 16) / 2**106 at most (Bernstein, "The Poly1305-AES
message-authentication code", 2005, theorem 3.3, without its AES).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qnx_hw.errors import AuthenticationError
from qnx_hw.secret import Secret

TAG_KEY_BYTES = 32


def pad_bytes(n_bytes: int) -> int:
    """Return how much pad a message of `n_bytes` costs."""
    return n_bytes + TAG_KEY_BYTES


def seal(pad: Secret, octets: Secret, about: bytes) -> tuple[bytes, bytes]:
    """Return ciphertext and tag; `about` is public and covered by the tag. The pad is wiped."""
    tag_key, stream = _halves(pad)
    sealed = xor(octets, stream).reveal()
    return sealed, Poly1305.generate_tag(tag_key, _covered(sealed, about))


def unseal(pad: Secret, sealed: bytes, tag: bytes, about: bytes) -> Secret:
    """Return what was sealed; `AuthenticationError` where a bit differs. The pad is wiped."""
    tag_key, stream = _halves(pad)
    try:
        Poly1305.verify_tag(tag_key, _covered(sealed, about), tag)
    except InvalidSignature:
        raise AuthenticationError("a key was changed on its way") from None
    return xor(Secret(sealed), stream)


def xor(one: Secret, other: Secret) -> Secret:
    """Return the sum of two secrets of equal length."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} bytes have no sum")
    total = int.from_bytes(one.reveal(), "big") ^ int.from_bytes(other.reveal(), "big")
    return Secret(total.to_bytes(len(one), "big"))


def _halves(pad: Secret) -> tuple[bytes, Secret]:
    octets = pad.reveal()
    pad.wipe()
    return octets[:TAG_KEY_BYTES], Secret(octets[TAG_KEY_BYTES:])


def _covered(sealed: bytes, about: bytes) -> bytes:
    return len(about).to_bytes(8, "big") + about + sealed
