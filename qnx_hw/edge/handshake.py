"""How two edges agree on the keys of a session, in one exchange.

`Hello` and `Welcome` travel in clear through the relays. Both name a quantum key for their own
direction, bring a nonce, and may bring an ML-KEM-768 exchange (FIPS 203). The traffic keys hang on
all bytes of both: whoever changes one of them makes keys that open nothing, and only who holds the
quantum keys can make a record that opens. A repeated `Hello` gets a new `Welcome`, so old records
never open again.

    session secret(direction) = HKDF-SHA-384(quantum key || ML-KEM secret,
                                             salt = SHA-384(Hello || Welcome), info = direction)
    next secret               = HKDF-SHA-384(next quantum key || old secret, salt, info = epoch)

A key of an epoch hangs on all before it, so the ML-KEM secret protects all of them.
"""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qnx_hw.edge.records import BadRecord
from qnx_hw.secret import Secret

NONCE_BYTES = 32
SESSION_BYTES = 16
MAX_HANDSHAKE_BYTES = 8192


class Mode(StrEnum):
    """How records are protected."""

    AES = "aes-256-gcm"
    OTP = "otp"


class Hello(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the edge that opens a session says."""

    session: bytes
    source: str
    destination: str
    tunnel: str
    service: str
    """What it wants at the other end."""
    mode: Mode
    key_id: str
    """Of the key for what it sends."""
    epoch: int
    nonce: bytes
    kem_key: bytes
    """Its ML-KEM-768 encapsulation key."""
    mixes_kem: bool
    """Whether the ML-KEM secret goes into the first keys too."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the other edge answers."""

    session: bytes
    key_id: str
    epoch: int
    nonce: bytes
    kem_key: bytes
    kem_ciphertext: bytes
    """For the key of the `Hello`; empty where it is not mixed in."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Goes on with a session over a new circuit; the answer has the same form."""

    session: bytes
    attempt: int
    """Grows; an older one is a repetition."""
    expected: int
    """The number of the record that is wanted next."""
    tag: bytes
    reason: str = ""
    """Why the session ended early, where it does not go on."""


class KemKey:
    """An ML-KEM-768 key pair of one session."""

    def __init__(self) -> None:
        self._private = MLKEM768PrivateKey.generate()

    def public(self) -> bytes:
        """Return what the peer encapsulates to."""
        return self._private.public_key().public_bytes_raw()

    def open(self, ciphertext: bytes) -> Secret:
        """Return the secret in a ciphertext; a forged one gives another secret, by design."""
        try:
            return Secret(self._private.decapsulate(ciphertext))
        except ValueError as error:
            raise BadRecord("not an ML-KEM-768 ciphertext") from error


def encapsulate(public: bytes) -> tuple[Secret, bytes]:
    """Return a new secret and the ciphertext that takes it to the owner of a key."""
    try:
        secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
    except ValueError as error:
        raise BadRecord("not an ML-KEM-768 key") from error
    return Secret(secret), ciphertext


def new_nonce() -> bytes:
    """Return a nonce for a greeting."""
    return secrets.token_bytes(NONCE_BYTES)


class Schedule:
    """The keys of one direction of a session, epoch after epoch."""

    def __init__(
        self, transcript: bytes, direction: str, quantum_key: Secret, kem_secret: Secret | None
    ) -> None:
        self.greetings = self._salt = hashlib.sha384(transcript).digest()
        self._direction = direction
        mixed = kem_secret.reveal() if kem_secret is not None else b""
        self._secret = _derive(quantum_key.reveal() + mixed, self._salt, f"secret {direction}", 48)

    def renew(self, new_key: Secret, epoch: int) -> None:
        """Go on to an epoch: a new quantum key, or an ML-KEM secret, and what was before."""
        label = f"renew {self._direction} {epoch}"
        old = self._secret
        self._secret = _derive(new_key.reveal() + old.reveal(), self._salt, label, 48)
        old.wipe()

    def traffic_key(self, epoch: int) -> Secret:
        """Return the AES key of the epoch that was begun last."""
        label = f"traffic {self._direction} {epoch}"
        return _derive(self._secret.reveal(), self._salt, label, 32)

    def resume_key(self) -> Secret:
        """Return the key that authenticates `Resume`; the same for all epochs if taken first."""
        return _derive(self._secret.reveal(), self._salt, f"resume {self._direction}", 32)


def hash_key(quantum_key: Secret) -> Secret:
    """Return r of the one-time-pad mode: bytes of the quantum key, not derived from them."""
    return Secret(quantum_key.reveal()[:16])


def _derive(secret: bytes, salt: bytes, label: str, length: int) -> Secret:
    derivation = HKDF(hashes.SHA384(), length, salt, b"qnx edge 1 " + label.encode())
    return Secret(derivation.derive(secret))
