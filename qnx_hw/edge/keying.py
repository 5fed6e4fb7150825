"""The keys of one session at one end: both directions, and how they are renewed in its stream.

The sender names the next key and goes on with the old one until the other end says that it holds
the new one; so renewing never makes anybody wait. One name is under way at a time.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import msgspec

from qnx_hw.edge.ciphers import Cipher, GcmCipher, PadCipher, PadLender
from qnx_hw.edge.epochs import TunnelKeys
from qnx_hw.edge.halves import SessionOver
from qnx_hw.edge.handshake import KemKey, Schedule, encapsulate, hash_key
from qnx_hw.edge.records import BadRecord
from qnx_hw.errors import UNREADABLE
from qnx_hw.secret import Secret

READY_DEADLINE_S = 60.0

CipherTaker = Callable[[int, Cipher | None], None]
KeyAsker = Callable[[str, Callable[[Secret | None], None]], None]
"""Asks for the peer's key of a name; the answer, or None, comes later in the event loop."""

READY = struct.Struct(">I?")


class NextKey(msgspec.Struct, frozen=True, array_like=True):
    """Names the key of an epoch."""

    epoch: int
    key_id: str
    kem_ciphertext: bytes = b""


class SessionKeys:
    """Keys and ciphers; the sending side belongs to who holds the send lock."""

    may_wait = False
    """Whether sealing may wait for the event loop."""

    def __init__(
        self,
        sending: TunnelKeys,
        *,
        epoch: int,
        peer_epoch: int,
        schedules: tuple[Schedule, Schedule],
        kem: tuple[KemKey, bytes],
        ask_key: KeyAsker,
    ) -> None:
        self.sending = sending
        self.epoch = epoch
        self.peer_epoch = peer_epoch
        self._out, self._back = schedules
        self.greetings = self._out.greetings
        self._kem, self._peer_kem = kem
        self._ask_key = ask_key
        self._named: tuple[int, Secret, float] | None = None
        self._named_epoch = epoch
        self._is_ready = False
        self.resume_keys = (self._out.resume_key(), self._back.resume_key())

    def sending_cipher(self) -> Cipher:
        """Return the first cipher for what goes out."""
        return GcmCipher(self._out.traffic_key(self.epoch), self.epoch)

    def receiving_cipher(self) -> Cipher:
        """Return the first cipher for what comes in."""
        return GcmCipher(self._back.traffic_key(self.peer_epoch), self.peer_epoch)

    def name_next(self) -> bytes | None:
        """Return the name of a key that is newer than the one in use; None where there is none."""
        newest = self.sending.newest
        if self._named is not None or newest is None or newest.number <= self._named_epoch:
            return None
        ciphertext = b""
        secret = newest.secret
        if not newest.key_id:
            secret, ciphertext = encapsulate(self._peer_kem)
        self._named = newest.number, secret, time.monotonic()
        self._named_epoch = newest.number
        return msgspec.msgpack.encode(NextKey(newest.number, newest.key_id, ciphertext))

    def switch(self) -> Cipher | None:
        """Return the cipher of the next epoch where the peer is ready for it."""
        if self._named is None:
            return None
        epoch, secret, since_s = self._named
        if not self._is_ready:
            if time.monotonic() - since_s > READY_DEADLINE_S:
                raise SessionOver("the other end does not take the next key")
            return None
        self._out.renew(secret, epoch)
        self.epoch = epoch
        self._named, self._is_ready = None, False
        return GcmCipher(self._out.traffic_key(epoch), epoch)

    def peer_is_ready(self, body: bytes) -> None:
        """Take the peer's answer to a name."""
        if len(body) != READY.size:
            raise BadRecord("not an answer about a key")
        epoch, is_here = READY.unpack(body)
        if self._named is None or epoch != self._named[0]:
            return
        if is_here:
            self._is_ready = True
        else:
            self._named = None
            self.sending.reject(epoch)

    def peer_names(self, body: bytes, take: CipherTaker) -> None:
        """Get the key that the peer names; `take` is called with the cipher when it is here."""
        try:
            named = msgspec.msgpack.decode(body, type=NextKey)
        except UNREADABLE as error:
            raise BadRecord("not the name of a key") from error
        if not self.peer_epoch < named.epoch < 1 << 32:
            raise BadRecord("an epoch does not begin again")

        def use(secret: Secret | None) -> None:
            if secret is None:
                take(named.epoch, None)
                return
            self.peer_epoch = named.epoch
            self._back.renew(secret, named.epoch)
            take(named.epoch, GcmCipher(self._back.traffic_key(named.epoch), named.epoch))

        if named.key_id:
            self._ask_key(named.key_id, use)
        else:
            use(self._kem.open(named.kem_ciphertext))


class PadKeys(SessionKeys):
    """The same for one-time pads, which need no renewing: the hash keys stay, the pads go on."""

    may_wait = True

    def __init__(
        self,
        sending: TunnelKeys,
        *,
        epoch: int,
        peer_epoch: int,
        quantum_keys: tuple[Secret, Secret],
        schedules: tuple[Schedule, Schedule],
        pads: PadLender,
    ) -> None:
        super().__init__(
            sending,
            epoch=epoch,
            peer_epoch=peer_epoch,
            schedules=schedules,
            kem=(KemKey(), b""),
            ask_key=lambda key_id, take: take(None),
        )
        self._hash_keys = tuple(hash_key(each) for each in quantum_keys)
        self._pads = pads

    def sending_cipher(self) -> Cipher:
        """Return the cipher for what goes out."""
        return PadCipher(self._pads, self._hash_keys[0], self.epoch)

    def receiving_cipher(self) -> Cipher:
        """Return the cipher for what comes in."""
        return PadCipher(self._pads, self._hash_keys[1], self.peer_epoch)

    def name_next(self) -> bytes | None:
        """Never."""
        return None
