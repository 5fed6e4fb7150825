"""What a session says and hears at one end, without the way it goes: keys, records, controls.

Control records (pings, keys to come) wait in a queue; whoever holds `lock` seals what goes out.
Acknowledgements ride in every header and never stop the sender: waiting for them in the same stream
as the data could stop both directions for good.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnx_hw.edge.ciphers import Cipher
from qnx_hw.edge.figures import ACKNOWLEDGE_BYTES, Figures, SharedLock
from qnx_hw.edge.halves import ReceivingHalf, SendingHalf, SessionOver
from qnx_hw.edge.keying import SessionKeys
from qnx_hw.edge.records import BadRecord, RecordReader, RecordType

COUNT_BYTES = 8 << 20
MAX_FAILURES = 8
"""Refused records after which a session ends; each costs a new circuit."""
MAX_CONTROLS = 64
EMPTY = memoryview(b"")

IsCurrent = Callable[[], bool]
"""Whether the circuit that records came from is still in use."""

_TIME = struct.Struct(">d")
_DATA = RecordType.DATA


@dataclass(slots=True)
class Counters:
    """What a session did; numbers only."""

    figures: Figures
    failures: int = 0
    """Records refused: forged, replayed, truncated, out of order."""
    circuits: int = 1
    retransmits: int = 0
    """TCP segments sent again, over all circuits, as of the newest tick."""
    rtt_s: float | None = None

    @property
    def bytes_in(self) -> int:
        """From the user into the network."""
        return self.figures.bytes_in

    @property
    def bytes_out(self) -> int:
        """To the user."""
        return self.figures.bytes_out

    @property
    def records(self) -> int:
        """Sealed."""
        return self.figures.records


class Conversation:
    """Both directions of a session; it opens nothing and waits for nothing but its locks."""

    def __init__(self, keys: SessionKeys, on_control: Callable[[], None]) -> None:
        """`on_control` is called, from any thread, when a control record waits."""
        self.keys = keys
        self.figures = figures = Figures()
        self.counters = Counters(figures)
        self.heard()
        self.lock = SharedLock()
        """Held while something is sealed, and until it is sent: the order is the records'."""
        self._on_control = on_control
        self._sending = SendingHalf(keys.sending_cipher(), figures)
        self.pages = self._sending.pages
        self._receiving = ReceivingHalf(keys.receiving_cipher(), keys.peer_epoch, figures)
        self._receive_lock = SharedLock()
        figures.send_lock, figures.receive_lock = self.lock.address, self._receive_lock.address
        self._controls: deque[tuple[RecordType, bytes]] = deque()
        self.count_bytes = min(COUNT_BYTES, keys.sending.rekey_bytes // 8)
        """How much is sealed before the tunnel's key is told."""

    @property
    def unacknowledged_bytes(self) -> int:
        """Sent, and not yet known to have arrived."""
        if self.lock.acquire(blocking=False):
            try:
                self.pages.release()
            finally:
                self.lock.release()
        return self.pages.unacknowledged_bytes()

    @property
    def is_finished(self) -> bool:
        """Whether all that both users said has arrived."""
        arrives = self.figures.end_arrives
        return bool(self.figures.has_got_end) and 0 < arrives <= self.figures.acknowledged

    def expected(self) -> int:
        """Return the number of the record that is wanted next.

        Waits for one that is being opened; with one-time pads that needs the event loop, so there
        it belongs into another thread.
        """
        with self._receive_lock:
            return self._receiving.expected

    @property
    def silent_s(self) -> float:
        """How long nothing came."""
        return (time.monotonic_ns() - self.figures.heard_ns) / 1e9

    def heard(self) -> None:
        """Note that something came, or that a new circuit begins."""
        self.figures.heard_ns = time.monotonic_ns()

    def begin(self) -> None:
        """Say first that this end holds the keys: the side that opens does."""
        self._controls.appendleft((RecordType.START, self.keys.greetings))

    def say(self, kind: RecordType, body: bytes) -> None:
        """Let a small record wait for its turn."""
        if len(self._controls) < MAX_CONTROLS:
            self._controls.append((kind, body))
        self.figures.attention = 1
        self._on_control()

    def ping(self) -> None:
        """Ask for an answer, which gives the round trip."""
        self.say(RecordType.PING, _TIME.pack(time.monotonic()))

    @property
    def has_control(self) -> bool:
        """Whether a small record waits."""
        return bool(self._controls)

    def next_control(self) -> memoryview | None:
        """Seal what waits, one record after the other; None where nothing does. Needs the lock."""
        if (named := self.keys.name_next()) is not None:
            self._controls.append((RecordType.NEXT_KEY, named))
        if not self._controls:
            return None
        kind, body = self._controls[0]
        records = self.seal(kind, memoryview(body))
        self._controls.popleft()
        return records

    def seal(self, kind: RecordType, plain: memoryview) -> memoryview:
        """Return the records of a piece; they are kept until they have arrived. Needs the lock."""
        cipher = self.keys.switch()
        if cipher is not None:
            self._sending.renew(cipher)
        sending = self._sending
        records = sending.seal(kind, plain, self._receiving.expected)
        if kind is RecordType.END:
            self.figures.end_arrives = sending.number
        self.figures.uncounted += len(plain)
        self.count()
        self.figures.unacknowledged_in = 0
        return records

    def count(self) -> None:
        """Tell the tunnel's key what it protected, now and then. Needs the lock."""
        figures = self.figures
        if figures.uncounted >= self.count_bytes:
            self.keys.sending.count(figures.uncounted)
            figures.uncounted = 0

    def repeat_from(self, expected: int) -> list[memoryview]:
        """Return the records that a new circuit begins with. Needs the lock."""
        return self._sending.repeat_from(expected)

    def open_data(self, reader: RecordReader, is_current: IsCurrent, plain: memoryview) -> int:
        """Open the data that came in a row, into `plain`; return how many bytes."""
        with self._receive_lock:
            if not is_current():
                return 0  # the other end was told what we expect, without these records
            run = self._receiving.open_run(reader.pending(), plain)
        if run.records:
            reader.skip(run.octets)
            self._heard(run.acknowledged)
        return run.plain

    def open_next(
        self, reader: RecordReader, is_current: IsCurrent, plain: memoryview
    ) -> tuple[RecordType, memoryview] | None:
        """Open the next record, of any kind; None where it has not come, raises where it is bad."""
        with self._receive_lock:
            if not is_current() or (found := reader.take()) is None:
                return None
            header, record = found
            size = self._receiving.open(header, record, plain)
        self._heard(header.acknowledged)
        return header.kind, plain[:size]

    def check_start(self, kind: RecordType, body: memoryview) -> None:
        """Refuse a first record that does not show that the other side holds the keys."""
        if kind is not RecordType.START or body != self.keys.greetings:
            raise BadRecord("the greetings were changed on the way")

    def take(self, kind: RecordType, body: memoryview) -> None:
        """Follow what the other end says beside its data."""
        self.figures.attention = 1  # it may be ready for the next key
        match kind:
            case RecordType.END:
                self.figures.has_got_end = 1
                self.say(RecordType.PONG, b"")
            case RecordType.CLOSE:
                raise SessionOver(bytes(body).decode(errors="replace")[:200])
            case RecordType.NEXT_KEY:
                self.keys.peer_names(bytes(body), self._peer_key)
            case RecordType.KEY_READY:
                self.keys.peer_is_ready(bytes(body))
            case RecordType.PING:
                self.say(RecordType.PONG, bytes(body))
            case RecordType.PONG if len(body) == _TIME.size:
                self.counters.rtt_s = max(0.0, time.monotonic() - _TIME.unpack(body)[0])
            case _:
                return  # START counts by being there; a PONG without a time acknowledges

    def delivered(self, size: int) -> None:
        """Count what the user got, and acknowledge it now and then."""
        self.figures.bytes_out += size
        self.figures.unacknowledged_in += size
        self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the other end what has come, now and then."""
        if self.figures.unacknowledged_in >= ACKNOWLEDGE_BYTES:
            self.figures.unacknowledged_in = 0
            self.say(RecordType.PONG, b"")

    def refuse(self, failure: Exception) -> None:
        """Count a record that did not open; `SessionOver` after too many."""
        if isinstance(failure, OSError):
            return
        self.counters.failures += 1
        if self.counters.failures >= MAX_FAILURES:
            raise SessionOver(f"too many refused records; the last: {failure}") from failure

    def _heard(self, expected: int) -> None:
        self.heard()
        # The next record frees the buffers.
        self.figures.acknowledged = max(self.figures.acknowledged, expected)

    def _peer_key(self, epoch: int, cipher: Cipher | None) -> None:
        """Take the peer's next key, or tell that it is not here; called from the event loop."""
        if cipher is not None:
            with suppress(BadRecord):
                self._receiving.coming(epoch, cipher)
        self.say(RecordType.KEY_READY, struct.pack(">I?", epoch, cipher is not None))
