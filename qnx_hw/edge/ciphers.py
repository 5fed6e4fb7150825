"""The two ciphers of records: AES-256-GCM under changing keys, and the one-time pad.

AES-256-GCM (NIST SP 800-38D): the nonce is the epoch (4 bytes) and the record's number (8 bytes).
Neither is ever saved; a restarted node begins with new keys. One key protects at most
`MAX_RECORDS_PER_KEY` records.

One-time pad: ciphertext = data XOR pad, and a Wegman-Carter tag: Poly1305 whose r is the session's
and whose s is 16 fresh bytes of the pad for each record. A forger succeeds with a chance of at most
8 ceil(L/16) / 2**106 (Bernstein, The Poly1305-AES message-authentication code, theorem 3.3).
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from typing import NamedTuple, Protocol

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qnx_hw.edge import libcrypto
from qnx_hw.edge.records import (
    DATA_BEGIN,
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    PAD_ADDRESS_BYTES,
    RUN_HEADER,
    TAG_BYTES,
    BadRecord,
    Header,
    RecordType,
    pack_header,
)
from qnx_hw.secret import Secret

MAX_RECORDS_PER_KEY = 1 << 22
"""256 GiB of full records: TLS 1.3's bound for AES-GCM (RFC 8446, section 5.5: 2**24.5 records of
16 KiB) scaled to 64 KiB."""
PAD_TAG_BYTES = 16

_NONCE = struct.Struct(">IQ")
_ADDRESS = struct.Struct(">Q")


class Run(NamedTuple):
    """Records that were opened at once."""

    records: int = 0
    octets: int = 0
    """How long they were."""
    plain: int = 0
    """How much they held."""
    acknowledged: int = -1
    """What the last of them said."""


class Cipher(Protocol):
    """Protects the records of one direction under one epoch."""

    epoch: int
    address: int
    """Of libcrypto's context that does the same in compiled loops; 0 where there is none."""

    @abstractmethod
    def seal_into(
        self, header: tuple[RecordType, int, int], plain: memoryview, room: memoryview
    ) -> int:
        """Write records for (type, first number, acknowledged) and return how long they are.

        There is one for each 64 KiB, and at least one.
        """

    @abstractmethod
    def open_into(self, header: Header, record: memoryview, plain: memoryview) -> int:
        """Write what a whole record holds and return its size; `BadRecord` for a forgery."""

    @abstractmethod
    def open_run(self, octets: memoryview, number: int, plain: memoryview) -> Run:
        """Open data records in a row, the first with this number; stop before anything else."""


class GcmCipher(Cipher):
    """AES-256-GCM under one key, which is wiped.

    Between the cipher's calls stands as little as can be: what the interpreter does for a record
    costs as much as the cipher itself.
    """

    def __init__(self, key: Secret, epoch: int) -> None:
        cipher = AESGCM(key.reveal())
        self._context = libcrypto.context(key)
        self.address = self._context.address if self._context is not None else 0
        key.wipe()
        self._encrypt = cipher.encrypt_into
        self._decrypt = cipher.decrypt_into
        self.epoch = epoch

    def seal_into(
        self, header: tuple[RecordType, int, int], plain: memoryview, room: memoryview
    ) -> int:
        """Write records."""
        kind, number, acknowledged = header
        encrypt, epoch, size = self._encrypt, self.epoch, len(plain)
        start = at = 0
        while True:
            end = min(start + MAX_PLAIN_BYTES, size)
            length = end - start + TAG_BYTES
            body = at + HEADER_BYTES
            pack_header(room, at, (kind, epoch, number, acknowledged, length))
            after = body + length
            nonce = _NONCE.pack(epoch, number)
            encrypt(nonce, plain[start:end], room[at:body], room[body:after])
            if end == size:
                return after
            start, at, number = end, after, number + 1

    def open_into(self, header: Header, record: memoryview, plain: memoryview) -> int:
        """Check and decrypt a record."""
        size = header[4] - TAG_BYTES
        nonce = _NONCE.pack(self.epoch, header[2])
        try:
            self._decrypt(nonce, record[HEADER_BYTES:], record[:HEADER_BYTES], plain[:size])
        except InvalidTag as error:
            raise BadRecord("a record's tag is wrong") from error
        return size

    def open_run(self, octets: memoryview, number: int, plain: memoryview) -> Run:
        """Open records whose tags are right; the first other one is left to `open_into`."""
        decrypt, epoch, size = self._decrypt, self.epoch, len(octets)
        first, at, filled, acknowledged = number, 0, 0, -1
        while size - at >= HEADER_BYTES:
            begin, at_epoch, at_number, expected, zero, length = RUN_HEADER.unpack_from(octets, at)
            body = at + HEADER_BYTES
            after = body + length
            if (
                begin != DATA_BEGIN
                or at_epoch != epoch
                or at_number != number
                or zero
                or after > size
                or not TAG_BYTES <= length <= MAX_PLAIN_BYTES + TAG_BYTES
            ):
                break
            end = filled + length - TAG_BYTES
            nonce = _NONCE.pack(epoch, number)
            try:
                decrypt(nonce, octets[body:after], octets[at:body], plain[filled:end])
            except InvalidTag:
                break
            at, filled, number, acknowledged = after, end, number + 1, expected
        return Run(number - first, at, filled, acknowledged)


class PadLender(Protocol):
    """Gives pad bytes to a cipher; blocks, and may be called from any thread but the loop's."""

    @abstractmethod
    def take(self, n_bytes: int) -> tuple[int, Secret]:
        """Return fresh bytes of ours and their address."""

    @abstractmethod
    def take_peers(self, address: int, n_bytes: int) -> Secret:
        """Return the bytes that the peer took at an address."""


class PadCipher(Cipher):
    """The one-time pad; `hash_key` is r, the same for all records of a direction."""

    address = 0

    def __init__(self, pads: PadLender, hash_key: Secret, epoch: int) -> None:
        self._pads = pads
        self._hash_key = hash_key
        self.epoch = epoch
        self._next_address = 0

    def seal_into(
        self, header: tuple[RecordType, int, int], plain: memoryview, room: memoryview
    ) -> int:
        """Write records, with the pad's address before each ciphertext."""
        kind, number, acknowledged = header
        at = 0
        for start in range(0, len(plain) or 1, MAX_PLAIN_BYTES):
            piece = plain[start : start + MAX_PLAIN_BYTES]
            at += self._seal_one((kind, number, acknowledged), piece, room[at:])
            number += 1
        return at

    def _seal_one(
        self, header: tuple[RecordType, int, int], plain: memoryview, record: memoryview
    ) -> int:
        size = len(plain)
        address, pad = self._pads.take(size + PAD_TAG_BYTES)
        octets = pad.reveal()
        length = PAD_ADDRESS_BYTES + size + TAG_BYTES
        kind, number, acknowledged = header
        pack_header(record, 0, (kind, self.epoch, number, acknowledged, length))
        _ADDRESS.pack_into(record, HEADER_BYTES, address)
        end = HEADER_BYTES + PAD_ADDRESS_BYTES + size
        _xor(plain, octets[:size], record[HEADER_BYTES + PAD_ADDRESS_BYTES : end])
        tag = Poly1305.generate_tag(self._hash_key.reveal() + octets[size:], bytes(record[:end]))
        record[end : end + TAG_BYTES] = tag
        pad.wipe()
        return HEADER_BYTES + length

    def open_into(self, header: Header, record: memoryview, plain: memoryview) -> int:
        """Check and decrypt a record; the pad bytes it names are spent either way."""
        size = header.length - PAD_ADDRESS_BYTES - TAG_BYTES
        if size < 0:
            raise BadRecord("a record without room for its pad's address")
        (address,) = _ADDRESS.unpack_from(record, HEADER_BYTES)
        if address < self._next_address:
            raise BadRecord("a record names pad bytes that were used before")
        pad = self._pads.take_peers(address, size + PAD_TAG_BYTES)
        octets = pad.reveal()
        end = HEADER_BYTES + PAD_ADDRESS_BYTES + size
        try:
            Poly1305.verify_tag(
                self._hash_key.reveal() + octets[size:],
                bytes(record[:end]),
                bytes(record[end : end + TAG_BYTES]),
            )
        except InvalidSignature as error:
            raise BadRecord("a record's tag is wrong") from error
        finally:
            pad.wipe()
        self._next_address = address + size + PAD_TAG_BYTES
        _xor(record[HEADER_BYTES + PAD_ADDRESS_BYTES : end], octets[:size], plain[:size])
        return size

    def open_run(self, octets: memoryview, number: int, plain: memoryview) -> Run:
        """Leave every record to `open_into`: each costs pads, which take longest."""
        return Run()


def _xor(octets: memoryview, pad: bytes, out: memoryview) -> None:
    if len(octets):
        np.bitwise_xor(
            np.frombuffer(octets, np.uint8),
            np.frombuffer(pad, np.uint8),
            out=np.frombuffer(out, np.uint8),
        )
