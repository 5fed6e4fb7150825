"""The two directions of a session at one end: what goes out and what comes in, in order."""

from __future__ import annotations

from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY, Cipher, Run
from qnx_hw.edge.figures import Figures
from qnx_hw.edge.pages import Pages
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


class SessionOver(QnxError, ConnectionError):
    """The session ended; the words say why."""


class SendingHalf:
    """Seals records and keeps them until the peer has them. Belongs to who holds the send lock.

    The page in use, and how far it is filled, stand in the figures, where compiled loops go on.
    """

    def __init__(self, cipher: Cipher, figures: Figures | None = None) -> None:
        self.figures = figures if figures is not None else Figures()
        self.pages = Pages(self.figures)
        self.renew(cipher)

    @property
    def number(self) -> int:
        """Of the next record."""
        return self.figures.number

    def seal(self, kind: RecordType, plain: memoryview, acknowledged: int) -> memoryview:
        """Return the next records, one for each 64 KiB and at least one, `BATCH` at most.

        They stay valid until they are acknowledged or crowded out. A repeated record is the same
        bytes, so a nonce never protects two texts.
        """
        figures, size = self.figures, len(plain)
        count = -(-size // MAX_PLAIN_BYTES) or 1
        if figures.under_key + count > MAX_RECORDS_PER_KEY:
            raise KeyExhausted("this key protected as many records as it may")
        room = self.pages.room(size + count * (MAX_RECORD_BYTES - MAX_PLAIN_BYTES))
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

    def repeat_from(self, expected: int) -> list[memoryview]:
        """Return the records that a new circuit begins with; `SessionOver` where some are gone."""
        figures = self.figures
        figures.acknowledged = max(figures.acknowledged, expected)
        self.pages.release()
        first, found = self.pages.kept()
        if not first <= expected <= figures.number:
            raise SessionOver("more was under way than is kept for a new circuit")
        for _ in range(expected - first):
            found[0] = found[0][HEADER_BYTES + parse_header(found[0]).length :]
        return [octets for octets in found if octets]


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
