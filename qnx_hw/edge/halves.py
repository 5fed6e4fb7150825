"""The two directions of a session at one end: what goes out and what comes in, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY, Cipher
from qnx_hw.edge.records import MAX_RECORD_BYTES, BadRecord, Header, RecordType
from qnx_hw.errors import KeyExhausted, QnxError

RETAINED_BYTES = 32 << 20
"""How much unacknowledged ciphertext is kept for a new circuit; more than the way usually holds."""
SMALL_RECORD_BYTES = 4096
"""Smaller records are kept as copies, larger ones in the buffer they were sealed in."""


class SessionOver(QnxError, ConnectionError):
    """The session ended; the words say why."""


@dataclass(slots=True, eq=False)
class _Kept:
    number: int
    record: memoryview
    buffer: bytearray | None


class SendingHalf:
    """Seals records and keeps them until the peer has them. Belongs to who holds the send lock."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._kept: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._free: list[bytearray] = []
        self._under_key = 0
        self.number = 0
        """Of the next record."""
        self.acknowledged = 0
        """The number that the peer expects next."""

    @property
    def unacknowledged_bytes(self) -> int:
        """What the peer may not have yet."""
        return self._kept_bytes

    def seal(self, kind: RecordType, plain: memoryview, acknowledged: int) -> memoryview:
        """Return the next record; it stays valid until it is acknowledged or crowded out.

        A repeated record is the same bytes, so a nonce never protects two texts.
        """
        if self._under_key >= MAX_RECORDS_PER_KEY:
            raise KeyExhausted("this key protected as many records as it may")
        buffer = self._free.pop() if self._free else bytearray(MAX_RECORD_BYTES)
        whole = memoryview(buffer)
        size = self._cipher.seal_into((kind, self.number, acknowledged), plain, whole)
        if size <= SMALL_RECORD_BYTES:
            kept = _Kept(self.number, memoryview(bytes(whole[:size])), None)
            self._free.append(buffer)
        else:
            kept = _Kept(self.number, whole[:size], buffer)
        self._kept.append(kept)
        self._kept_bytes += size
        self._under_key += 1
        self.number += 1
        while self._kept_bytes > RETAINED_BYTES:
            self._forget()
        return kept.record

    def renew(self, cipher: Cipher) -> None:
        """Seal what follows under the next epoch's key."""
        self._cipher = cipher
        self._under_key = 0

    def release(self) -> None:
        """Forget what the peer has."""
        while self._kept and self._kept[0].number < self.acknowledged:
            self._forget()

    def repeat_from(self, expected: int) -> list[memoryview]:
        """Return the records that a new circuit begins with; `SessionOver` where some are gone."""
        self.acknowledged = max(self.acknowledged, expected)
        self.release()
        first = self._kept[0].number if self._kept else self.number
        if expected != first:
            raise SessionOver("more was under way than is kept for a new circuit")
        return [kept.record for kept in self._kept]

    def _forget(self) -> None:
        kept = self._kept.popleft()
        self._kept_bytes -= len(kept.record)
        if kept.buffer is not None:
            self._free.append(kept.buffer)


class ReceivingHalf:
    """Opens records in order, each once. Belongs to the receiving thread."""

    def __init__(self, cipher: Cipher, epoch: int) -> None:
        self._ciphers = {epoch: cipher}
        self._epoch = epoch
        self.expected = 0
        """The number of the next record."""

    def coming(self, epoch: int, cipher: Cipher) -> None:
        """Accept a later epoch from now on."""
        if epoch <= self._epoch:
            raise BadRecord("an epoch does not begin again")
        self._ciphers[epoch] = cipher

    def open(self, header: Header, record: memoryview, plain: memoryview) -> int:
        """Write what the record holds into `plain`; `BadRecord` for all but the next one."""
        if header.number != self.expected:
            raise BadRecord(f"record {header.number} came where {self.expected} was due")
        cipher = self._ciphers.get(header.epoch)
        if cipher is None:
            raise BadRecord(f"there is no key for epoch {header.epoch}")
        size = cipher.open_into(header, record, plain)
        self.expected += 1
        if header.epoch > self._epoch:
            self._epoch = header.epoch
            self._ciphers = {at: each for at, each in self._ciphers.items() if at >= self._epoch}
        return size
