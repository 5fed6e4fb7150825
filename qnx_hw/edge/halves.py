"""The two directions of a session at one end: what goes out and what comes in, in order."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY, Cipher, Run
from qnx_hw.edge.records import (
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    MAX_RECORD_BYTES,
    BadRecord,
    Header,
    RecordType,
    parse_header,
)
from qnx_hw.errors import KeyExhausted, QnxError

RETAINED_BYTES = 32 << 20
"""How much unacknowledged ciphertext is kept for a new circuit; more than the way usually holds."""
BATCH = 4
"""Full records that are sealed at once and leave in one call to the system."""
BATCH_BYTES = BATCH * MAX_PLAIN_BYTES
PAGE_BYTES = BATCH * MAX_RECORD_BYTES


class SessionOver(QnxError, ConnectionError):
    """The session ended; the words say why."""


class _Page:
    """Memory for sealed records, one behind the other; used again when none of them is kept."""

    __slots__ = ("kept", "used", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(PAGE_BYTES))
        self.used = 0
        self.kept = 0


class _Kept(NamedTuple):
    end: int
    """The number after the last of these records."""
    records: memoryview
    page: _Page


class SendingHalf:
    """Seals records and keeps them until the peer has them. Belongs to who holds the send lock."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._kept: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._page = _Page()
        self._free: list[_Page] = []
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
        """Return the next records, one for each 64 KiB and at least one, `BATCH` at most.

        They stay valid until they are acknowledged or crowded out. A repeated record is the same
        bytes, so a nonce never protects two texts.
        """
        self.release()
        size = len(plain)
        count = -(-size // MAX_PLAIN_BYTES) or 1
        if self._under_key + count > MAX_RECORDS_PER_KEY:
            raise KeyExhausted("this key protected as many records as it may")
        page = self._page_for(size + count * (MAX_RECORD_BYTES - MAX_PLAIN_BYTES))
        room = page.view[page.used :]
        sealed = self._cipher.seal_into((kind, self.number, acknowledged), plain, room)
        records = room[:sealed]
        page.used += sealed
        page.kept += 1
        self._under_key += count
        self.number += count
        self._kept.append(_Kept(self.number, records, page))
        self._kept_bytes += sealed
        while self._kept_bytes > RETAINED_BYTES:
            self._forget()
        return records

    def renew(self, cipher: Cipher) -> None:
        """Seal what follows under the next epoch's key."""
        self._cipher = cipher
        self._under_key = 0

    def release(self) -> None:
        """Forget what the peer has."""
        while self._kept and self._kept[0].end <= self.acknowledged:
            self._forget()

    def repeat_from(self, expected: int) -> list[memoryview]:
        """Return the records that a new circuit begins with; `SessionOver` where some are gone."""
        self.acknowledged = max(self.acknowledged, expected)
        self.release()
        found = [kept.records for kept in self._kept]
        first = parse_header(found[0]).number if found else self.number
        if not first <= expected <= self.number:
            raise SessionOver("more was under way than is kept for a new circuit")
        for _ in range(expected - first):
            found[0] = found[0][HEADER_BYTES + parse_header(found[0]).length :]
        return found

    def _page_for(self, size: int) -> _Page:
        """Return the page that the next bytes go to."""
        page = self._page
        if not page.kept:
            page.used = 0
        elif page.used + size > PAGE_BYTES:
            page = self._page = self._free.pop() if self._free else _Page()
            page.used = 0
        return page

    def _forget(self) -> None:
        kept = self._kept.popleft()
        self._kept_bytes -= len(kept.records)
        kept.page.kept -= 1
        if not kept.page.kept and kept.page is not self._page:
            self._free.append(kept.page)


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

    def open_run(self, octets: memoryview, plain: memoryview) -> Run:
        """Open the data records under the newest key that `octets` begins with."""
        run = self._ciphers[self._epoch].open_run(octets, self.expected, plain)
        self.expected += run.records
        return run

    def open(self, header: Header, record: memoryview, plain: memoryview) -> int:
        """Write what the record holds into `plain`; `BadRecord` for all but the next one."""
        _, epoch, number, _, _ = header
        if number != self.expected:
            raise BadRecord(f"record {number} came where {self.expected} was due")
        cipher = self._ciphers.get(epoch)
        if cipher is None:
            raise BadRecord(f"there is no key for epoch {epoch}")
        size = cipher.open_into(header, record, plain)
        self.expected = number + 1
        if epoch > self._epoch:
            self._epoch = epoch
            self._ciphers = {at: each for at, each in self._ciphers.items() if at >= epoch}
        return size
