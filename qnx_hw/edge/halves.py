"""The two directions of a session at one end: what goes out and what comes in, in order."""

from __future__ import annotations

from collections import deque

from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY, Cipher, Run
from qnx_hw.edge.figures import Figures, Memory
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
BATCH_ROOM_BYTES = BATCH * MAX_RECORD_BYTES
PAGE_BYTES = 4 * BATCH_ROOM_BYTES


class SessionOver(QnxError, ConnectionError):
    """The session ended; the words say why."""


class _Page:
    """Memory for sealed records, one behind the other; used again when none of them is kept."""

    __slots__ = ("address", "end", "first", "used", "view")

    def __init__(self) -> None:
        self.view, self.address = Memory.of(PAGE_BYTES)
        self.used = 0
        self.first = self.end = 0
        """The numbers of the first record, and of the one after the last."""


class SendingHalf:
    """Seals records and keeps them until the peer has them. Belongs to who holds the send lock.

    The page in use, and how far it is filled, stand in the figures, where compiled loops go on.
    """

    def __init__(self, cipher: Cipher, figures: Figures | None = None) -> None:
        self.figures = figures if figures is not None else Figures()
        self.figures.page_bytes = PAGE_BYTES
        self._full: deque[_Page] = deque()
        self._full_bytes = 0
        self._free: list[_Page] = []
        self._page = _Page()
        self.figures.page = self._page.address
        self.renew(cipher)

    @property
    def number(self) -> int:
        """Of the next record."""
        return self.figures.number

    @property
    def unacknowledged_bytes(self) -> int:
        """What the peer may not have yet; of a page that it has in part, by the records' count."""
        figures, full = self.figures, tuple(self._full)
        used, first, end = figures.page_used, figures.page_first, figures.number
        newer = 0
        if full:
            newer = used + sum(page.used for page in full[1:])
            used, first, end = full[0].used, full[0].first, full[0].end
        arrived = min(max(0, figures.acknowledged - first), end - first)
        return newer + used - (used * arrived // (end - first) if arrived else 0)

    def seal(self, kind: RecordType, plain: memoryview, acknowledged: int) -> memoryview:
        """Return the next records, one for each 64 KiB and at least one, `BATCH` at most.

        They stay valid until they are acknowledged or crowded out. A repeated record is the same
        bytes, so a nonce never protects two texts.
        """
        figures, size = self.figures, len(plain)
        count = -(-size // MAX_PLAIN_BYTES) or 1
        if figures.under_key + count > MAX_RECORDS_PER_KEY:
            raise KeyExhausted("this key protected as many records as it may")
        self.make_room(size + count * (MAX_RECORD_BYTES - MAX_PLAIN_BYTES))
        room = self._page.view[figures.page_used :]
        sealed = self._cipher.seal_into((kind, figures.number, acknowledged), plain, room)
        figures.page_used += sealed
        figures.under_key += count
        figures.number += count
        figures.records += count
        return room[:sealed]

    def renew(self, cipher: Cipher) -> None:
        """Seal what follows under the next epoch's key."""
        self._cipher = cipher
        self.figures.cipher = cipher.address
        self.figures.epoch = cipher.epoch
        self.figures.under_key = 0

    def make_room(self, size: int) -> None:
        """Make sure that the page has room, and forget what the peer has."""
        self.release()
        figures = self.figures
        if figures.page_used + size > PAGE_BYTES:
            page = self._page
            page.used, page.first, page.end = figures.page_used, figures.page_first, figures.number
            self._full.append(page)
            self._full_bytes += page.used
            self._page = self._free.pop() if self._free else _Page()
            figures.page = self._page.address
            figures.page_used, figures.page_first = 0, figures.number
        while self._full_bytes + figures.page_used + size > RETAINED_BYTES:
            self._forget()

    def release(self) -> None:
        """Forget what the peer has."""
        figures = self.figures
        while self._full and self._full[0].end <= figures.acknowledged:
            self._forget()
        if figures.acknowledged >= figures.number:
            figures.page_used, figures.page_first = 0, figures.number

    def repeat_from(self, expected: int) -> list[memoryview]:
        """Return the records that a new circuit begins with; `SessionOver` where some are gone."""
        figures = self.figures
        figures.acknowledged = max(figures.acknowledged, expected)
        self.release()
        found = [page.view[: page.used] for page in self._full]
        found.append(self._page.view[: figures.page_used])
        first = self._full[0].first if self._full else figures.page_first
        if not first <= expected <= figures.number:
            raise SessionOver("more was under way than is kept for a new circuit")
        for _ in range(expected - first):
            found[0] = found[0][HEADER_BYTES + parse_header(found[0]).length :]
        return [octets for octets in found if octets]

    def _forget(self) -> None:
        page = self._full.popleft()
        self._full_bytes -= page.used
        self._free.append(page)


class ReceivingHalf:
    """Opens records in order, each once. Belongs to the receiving thread."""

    def __init__(self, cipher: Cipher, epoch: int, figures: Figures | None = None) -> None:
        self._figures = figures if figures is not None else Figures()
        self._ciphers = {epoch: cipher}
        self._begin(epoch)

    @property
    def expected(self) -> int:
        """The number of the next record."""
        return self._figures.expected

    def coming(self, epoch: int, cipher: Cipher) -> None:
        """Accept a later epoch from now on."""
        if epoch <= self._epoch:
            raise BadRecord("an epoch does not begin again")
        self._ciphers[epoch] = cipher

    def open_run(self, octets: memoryview, plain: memoryview) -> Run:
        """Open the data records under the newest key that `octets` begins with."""
        run = self._ciphers[self._epoch].open_run(octets, self.expected, plain)
        self._figures.expected += run.records
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
        self._figures.expected = number + 1
        if epoch > self._epoch:
            self._begin(epoch)
        return size

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._ciphers = {at: each for at, each in self._ciphers.items() if at >= epoch}
        self._figures.peer_epoch = epoch
        self._figures.peer_cipher = self._ciphers[epoch].address
