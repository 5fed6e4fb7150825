"""Authentication of the classical channel that no computer can break.

Wegman, Carter, J. Comput. Syst. Sci. 22, 265 (1981): a tag is a secret hash of what was said, with
a one-time pad added. The hash, Poly1305 with a secret r, is kept for a while; each tag uses 128
fresh pad bits (key recycling: Portmann, IEEE Trans. Inf. Theory 60, 4383 (2014)). Each party tags
with its own hash and its own pads, and checks with the peer's: one tag per direction, 256 secret
bits per block.

Because what is learnt about r adds up, r is replaced with the first tag of every session, and then
after `TAGS_PER_HASH` tags: 128 fresh bits of the ledger, added to the link's first hash key. A tag
says at which addresses its r and its pad lie, so that lost tags leave both ends in step.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qnx_hw.errors import AuthenticationError, Conflict, KeyExhausted
from qnx_hw.qkd.refill import Aside, set_aside
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import Sealer, sealed_text
from qnx_hw.secret import Secret

PAD_BYTES = 16
HASH_KEY_BYTES = 16
TAG_BYTES = 16
ADDRESS_BYTES = 8
SEAL_BYTES = 2 * ADDRESS_BYTES + TAG_BYTES
TAGS_PER_HASH = 256
"""So many tags share one r; then it costs 128 bits to have a new one."""
SECRET_BITS_PER_BLOCK = 2 * 8 * PAD_BYTES
HANDSHAKE = 0
"""In place of a block's number: the greetings of a session."""

_CONTEXT = b"qnx-auth-3"


@dataclass(frozen=True, slots=True)
class Pad:
    """Sixteen secret bytes for one tag, and where they lay."""

    address: int
    octets: Secret


class PadSource(Protocol):
    """Where one-time pads come from, a link's own ledgers, one per direction.

    Whatever it returns is already spent, durably: no call, and no restart, returns it again. Both
    methods raise `KeyExhausted` where there is nothing, and `Conflict` for a spent address.
    """

    @abstractmethod
    def take_pad(self) -> Pad:
        """Return the next `PAD_BYTES` of this party's own direction."""

    @abstractmethod
    def take_peer_pad(self, address: int) -> Secret:
        """Return the `PAD_BYTES` at an address that the peer, or an attacker, named.

        Spends everything before it too. How far ahead an address may lie is the source's to
        limit, or a forger could empty the ledger.
        """

    @abstractmethod
    def lacking(self) -> Aside:
        """Return how many bytes the two ledgers lack to be full."""


class Authenticator(Sealer):
    """Tags what one party of a link said and heard, and checks the peer's tags."""

    def __init__(self, role: Role, link: str, hash_keys: Secret, pads: PadSource) -> None:
        """Take the link's hash keys: Alice's 16 bytes, then Bob's; the same at both ends."""
        if len(hash_keys) != 2 * HASH_KEY_BYTES:
            raise ValueError(f"a link has {2 * HASH_KEY_BYTES} bytes of hash keys")
        octets = hash_keys.reveal()
        self._hash_keys = {
            Role.ALICE: Secret(octets[:HASH_KEY_BYTES]),
            Role.BOB: Secret(octets[HASH_KEY_BYTES:]),
        }
        self._role = role
        self._link = link
        self._pads = pads
        self._own_hash: _Hash | None = None
        self._peer_hash: _Hash | None = None

    def seal(self, block: int, parts: Iterable[bytes]) -> bytes:
        """Return the tag (`SEAL_BYTES`) of a block's transcript, in parts both ends cut alike.

        The tag binds the link, the direction, the block's number (`HANDSHAKE` for greetings) and
        the borders of the parts: each has its length before it. Costs `PAD_BYTES`, or twice that
        where r is due to be replaced, whether the tag ever arrives or not.
        """
        if self._own_hash is None or self._own_hash.tags >= TAGS_PER_HASH:
            fresh = self._pads.take_pad()
            self._own_hash = self._renewed(self._role, fresh.address, fresh.octets)
        self._own_hash.tags += 1
        pad = self._pads.take_pad()
        where = _addresses(self._own_hash.address, pad.address)
        hasher = _hasher(self._own_hash, pad.octets)
        for piece in self._text(self._role, block, where, parts):
            hasher.update(piece)
        return where + hasher.finalize()

    def check(self, block: int, parts: Iterable[bytes], seal: bytes) -> None:
        """Raise `AuthenticationError` unless the peer sealed the same transcript.

        The pad is spent either way; a seal is accepted once at most.
        """
        if len(seal) != SEAL_BYTES:
            raise AuthenticationError(f"a seal has {SEAL_BYTES} bytes, not {len(seal)}")
        where = seal[: 2 * ADDRESS_BYTES]
        hash_address = int.from_bytes(where[:ADDRESS_BYTES], "big")
        address = int.from_bytes(where[ADDRESS_BYTES:], "big")
        peer = self._role.peer
        try:
            if self._peer_hash is None or self._peer_hash.address != hash_address:
                fresh = self._pads.take_peer_pad(hash_address)
                self._peer_hash = self._renewed(peer, hash_address, fresh)
            pad = self._pads.take_peer_pad(address)
        except (KeyExhausted, Conflict) as error:
            raise AuthenticationError(
                f"link '{self._link}': block {block} is sealed with a pad that is spent or unknown"
            ) from error
        hasher = _hasher(self._peer_hash, pad)
        for piece in self._text(peer, block, where, parts):
            hasher.update(piece)
        try:
            hasher.verify(seal[2 * ADDRESS_BYTES :])
        except InvalidSignature:
            raise AuthenticationError(
                f"link '{self._link}': the peer did not seal block {block} as it was heard here"
            ) from None

    def _text(
        self, author: Role, block: int, where: bytes, parts: Iterable[bytes]
    ) -> Iterable[bytes]:
        return sealed_text(_CONTEXT, author, block, self._link, (where, *parts))

    def set_aside(self, key_bytes: int) -> Aside:
        return set_aside(self._pads.lacking(), key_bytes)

    def _renewed(self, author: Role, address: int, fresh: Secret) -> _Hash:
        """Return the hash whose r is the link's first one plus fresh bits: secret if either is."""
        if len(fresh) != HASH_KEY_BYTES:
            raise KeyExhausted(f"a hash key has {HASH_KEY_BYTES} bytes, not {len(fresh)}")
        both = zip(self._hash_keys[author].reveal(), fresh.reveal(), strict=True)
        key = Secret(bytes(first ^ other for first, other in both))
        fresh.wipe()
        return _Hash(address, key)


@dataclass(slots=True)
class _Hash:
    """One r, where its fresh bits lay, and how many tags it made."""

    address: int
    key: Secret
    tags: int = 0


def _addresses(hash_address: int, pad_address: int) -> bytes:
    return hash_address.to_bytes(ADDRESS_BYTES, "big") + pad_address.to_bytes(ADDRESS_BYTES, "big")


def _hasher(made: _Hash, pad: Secret) -> Poly1305:
    if len(pad) != PAD_BYTES:
        raise KeyExhausted(f"a pad has {PAD_BYTES} bytes, not {len(pad)}")
    hasher = Poly1305(made.key.reveal() + pad.reveal())
    pad.wipe()
    return hasher


def forgery_probability(transcript_bytes: int) -> float:
    """Bound the chance of one forged tag: 8 ceil(L/16)/2^106 (Bernstein, FSE 2005, section 3)."""
    return 8.0 * math.ceil(transcript_bytes / 16) * 2.0**-106
