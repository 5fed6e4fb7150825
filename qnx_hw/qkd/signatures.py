"""Signatures in place of tags, until a link has its first key.

Two ends that share no secret can still begin if each knows the other's public key: ML-DSA-87
(FIPS 204) signs the transcript of every block until one made a key. That key brings the hash keys
and pads of all later tags, so a signature that is forged in ten years forges nothing: it had to be
forged while the first session ran (Mosca, Stebila, Ustaoglu, PQCrypto 2013). Old signatures are of
no use either: they cover both greetings, each with a nonce of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey

from qnx_hw.errors import AuthenticationError
from qnx_hw.qkd.refill import LEAST_SHARE_BYTES, MOST_PART, Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import Sealer, sealed_text

SIGNATURE_BYTES = 4627  # FIPS 204, table 2
KEPT_BYTES = 64
"""Of the first key: what an initial secret has beside its pads, hash keys and channel key."""
_CONTEXT = b"qnx-first-1"


class SignatureSealer(Sealer):
    """Signs what one party of a link said and heard, and checks the peer's signatures."""

    def __init__(
        self,
        role: Role,
        link: str,
        own: MLDSA87PrivateKey,
        peer: MLDSA87PublicKey,
        *,
        lacking: Aside,
    ) -> None:
        """`lacking` is how many bytes the ledgers of tags hold when they are full."""
        self._role = role
        self._link = link
        self._own = own
        self._peer = peer
        self._lacking = lacking

    def seal(self, block: int, parts: Iterable[bytes]) -> bytes:
        text = b"".join(sealed_text(_CONTEXT, self._role, block, self._link, parts))
        return self._own.sign(text, _CONTEXT)

    def check(self, block: int, parts: Iterable[bytes], seal: bytes) -> None:
        text = b"".join(sealed_text(_CONTEXT, self._role.peer, block, self._link, parts))
        try:
            self._peer.verify(seal, text, _CONTEXT)
        except InvalidSignature:
            raise AuthenticationError(
                f"link '{self._link}': the peer did not sign block {block} as it was heard here"
            ) from None

    def set_aside(self, key_bytes: int) -> Aside:
        """Fill the ledgers as far as a quarter of the key each allows."""
        limit = (key_bytes - KEPT_BYTES) // MOST_PART
        alice, bob = (min(limit, each) for each in self._lacking)
        return alice, bob

    @property
    def first_key_bytes(self) -> int:
        """Enough for the hash keys, the channel key and the tags of the first blocks."""
        return KEPT_BYTES + MOST_PART * LEAST_SHARE_BYTES
