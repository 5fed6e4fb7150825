"""One user connection through the network, at one of its two ends.

A session joins a user's socket and a circuit to the other end. One thread reads the user, seals and
sends; one receives, opens and writes to the user; both block in the system, where the cipher and
the copying release the interpreter. Control records (pings, keys to come) are sent by whichever
thread gets at the circuit without blocking.

A lost circuit is not the end: what was not acknowledged is kept and repeated, byte for byte, over
the next one. Acknowledgements ride in every header and never stop the sender: waiting for them in
the same stream as the data could stop both directions for good.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnx_hw.edge.carrier import Carrier, wake
from qnx_hw.edge.ciphers import Cipher
from qnx_hw.edge.halves import (
    BATCH_BYTES,
    PAGE_BYTES,
    ReceivingHalf,
    SendingHalf,
    SessionOver,
)
from qnx_hw.edge.keying import SessionKeys
from qnx_hw.edge.records import MAX_PLAIN_BYTES, BadRecord, RecordReader, RecordType
from qnx_hw.edge.spool import Spool
from qnx_hw.errors import Conflict, KeyExhausted, QnxError

RESUME_S = 60.0
"""How long an end waits for a new circuit."""
STORE_LOOK_S = 0.1
"""How long a sender that stores waits for its user before it looks for key again."""
KEY_WAIT_S = 1.0
"""How long a sender waits for key before it looks whether the session is still wanted."""
ACKNOWLEDGE_BYTES = 4 << 20
"""An acknowledgement wakes a thread at the other end, which costs both as much as 256 KiB do."""
COUNT_BYTES = 1 << 20
MAX_FAILURES = 8
"""Refused records after which a session ends; each costs a new circuit."""
MAX_CONTROLS = 64
SILENCE_S = 10.0
"""A circuit on which nothing came for so long is lost; the other end pings each second."""
ENDING_S = 10.0
EMPTY = memoryview(b"")

Place = tuple[socket.socket, int]
"""A circuit and its number, as the carrier says."""

_TIME = struct.Struct(">d")


@dataclass(slots=True)
class Counters:
    """What a session did; numbers only."""

    bytes_in: int = 0
    """From the user into the network."""
    bytes_out: int = 0
    """To the user."""
    records: int = 0
    failures: int = 0
    """Records refused: forged, replayed, truncated, out of order."""
    circuits: int = 1
    rtt_s: float | None = None


class Session:
    """Runs its two threads from `start` until both directions ended or `finish`."""

    def __init__(
        self,
        circuit: socket.socket,
        keys: SessionKeys,
        *,
        on_lost: Callable[[Session], None],
        on_over: Callable[[Session], None],
    ) -> None:
        self.keys = keys
        self.counters = Counters()
        self.path: tuple[str, ...] = ()
        self.heard_s = time.monotonic()
        self.waits_for_key_since_s: float | None = None
        self.carrier = Carrier(circuit, lambda: on_lost(self))
        self.spool: Spool | None = None
        """Where the user's data waits for key; None where he is held back instead."""
        self.is_full = False
        """Whether the spool has no room, so that the user is held back after all."""
        self._on_lost = on_lost
        self.reason = ""
        """Why it ended early."""
        self.started = False
        self._user: socket.socket | None = None
        self._on_over = on_over
        self._sending = SendingHalf(keys.sending_cipher())
        self._receiving = ReceivingHalf(keys.receiving_cipher(), keys.peer_epoch)
        self._reader = RecordReader(PAGE_BYTES)
        self._read_from = 1
        """The circuit that `prove` read from."""
        self._send_lock = threading.Lock()
        self._receive_lock = threading.Lock()
        self._controls: deque[tuple[RecordType, bytes]] = deque()
        self._unacknowledged_in = 0
        self._uncounted = 0
        """Sealed bytes that the tunnel's key does not know of yet."""
        self._is_delivering = False
        self._end_number: int | None = None
        self._has_got_end = False
        self._stop = threading.Event()
        self._threads_left = 2
        self._ending = threading.Lock()

    def lose(self) -> int:
        """Give up the circuit and return the number of the record that is wanted next."""
        self.carrier.lose(self.carrier.peek()[1])
        with self._receive_lock:
            return self._receiving.expected

    @property
    def unacknowledged_bytes(self) -> int:
        """Sent, and not yet known to have arrived."""
        return self._sending.unacknowledged_bytes

    def prove(self) -> None:
        """Wait for the first record of the side that opened; `BadRecord` where it lacks the keys.

        It holds the hash of the greetings. Blocks; before it nothing that the other side said may
        have any effect, but that it may ask for another circuit where this one is lost.
        """
        end_s = time.monotonic() + ENDING_S
        found = None
        while found is None:
            if time.monotonic() > end_s:
                raise BadRecord("no proof of the keys came in time")
            circuit, generation = self.carrier.current(max(0.0, end_s - time.monotonic()))
            if generation != self._read_from:
                self._reader.clear()
                self._read_from = generation
            circuit.settimeout(ENDING_S)
            try:
                self._reader.fill(circuit)
                found = self._reader.take()
            except OSError:
                self.carrier.lose(generation)
        header, whole = found
        plain = memoryview(bytearray(MAX_PLAIN_BYTES))
        size = self._receiving.open(header, whole, plain)
        if header.kind is not RecordType.START or plain[:size] != self.keys.greetings:
            raise BadRecord("the greetings were changed on the way")
        circuit.settimeout(None)

    def start(self, user: socket.socket, *, is_opener: bool) -> None:
        """Begin to carry data between a connected, blocking socket and the circuit."""
        self._user = user
        self.started = True
        if is_opener:
            self._controls.appendleft((RecordType.START, self.keys.greetings))
        for target in (self._send, self._receive):
            threading.Thread(target=self._run, args=(target,), name="edge", daemon=True).start()
        if self.carrier.peek()[0] is None:
            self._on_lost(self)

    def finish(self, reason: str) -> None:
        """End at once, from any thread."""
        self.reason = self.reason or reason
        self._stop.set()
        self.carrier.finish(reason)
        if self._user is not None:
            wake(self._user)

    def abandon(self) -> None:
        """Close a session that was never started."""
        self.carrier.finish("refused")
        self.carrier.close()

    def attach(self, circuit: socket.socket, expected: int) -> None:
        """Go on over a new circuit: repeat what the other end lacks. Blocks while it does."""
        self.carrier.attach(circuit)
        self.counters.circuits += 1
        self.heard_s = time.monotonic()
        try:
            with self._send_lock:
                for record in self._sending.repeat_from(expected):
                    self._transmit(record)
        except SessionOver as error:
            self.finish(str(error))

    def tick(self) -> None:
        """Every second or so: measure the round trip, and give up a circuit that fell silent.

        With one-time pads it waits for the event loop, so then it belongs into another thread.
        """
        self._control(RecordType.PING, _TIME.pack(time.monotonic()))
        silent_s = time.monotonic() - self.heard_s
        if not self._is_delivering and silent_s > SILENCE_S:
            self.lose()

    def _control(self, kind: RecordType, body: bytes) -> None:
        """Send a small record when the circuit takes it; does not wait for the circuit."""
        if len(self._controls) < MAX_CONTROLS:
            self._controls.append((kind, body))
        if self._send_lock.acquire(blocking=False):
            try:
                circuit, _ = self.carrier.peek()
                if circuit is not None and _is_ready(circuit, select.POLLOUT, 0.0):
                    self._flush_controls()
            except KeyExhausted:
                pass  # the sender finds out as well, and knows what to do
            except (QnxError, OSError) as error:
                self.finish(str(error))
            finally:
                self._send_lock.release()

    def _run(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except (QnxError, OSError) as error:
            self.finish(str(error))
        finally:
            with self._ending:
                self._threads_left -= 1
                is_last = not self._threads_left
            if is_last:
                self.carrier.finish(self.reason or "done")
                self.carrier.close()
                assert self._user is not None
                self._user.close()
                if self.spool is not None:
                    self.spool.close()
                self._on_over(self)

    def _send(self) -> None:
        # Pads are scarce: a batch that waits for the last of its pads would waste the first.
        plain = memoryview(bytearray(MAX_PLAIN_BYTES if self.keys.may_wait else BATCH_BYTES))
        assert self._user is not None
        self._put(None, EMPTY)
        while True:
            if self._stores() and self._store(plain):
                break
            self._await_key()
            size = self._user.recv_into(plain)
            if not size:
                break
            self.counters.bytes_in += size
            if not self.keys.sending.is_usable():  # it may have grown old while the user was silent
                if self.spool is not None:
                    self.spool.put(plain[:size], self.spool.reserve(size, at_most=False))
                    continue
                self._await_key()
            self._put(RecordType.DATA, plain[:size])
        if not self.reason:
            self._put(RecordType.END, EMPTY)

    def _stores(self) -> bool:
        """Whether something waits in the spool, or shall."""
        if (spool := self.spool) is None:
            return False
        return bool(spool.waiting_bytes) or not self.keys.sending.is_usable()

    def _store(self, plain: memoryview) -> bool:
        """Take what the user says to disk until there is key, and send it; whether he ended.

        When the spool is full he is held back.
        """
        spool = self.spool
        assert self._user is not None
        assert spool is not None
        has_ended = False
        while True:
            if self.keys.sending.is_usable():
                self.is_full = False
                if not spool.waiting_bytes:
                    self.waits_for_key_since_s = None
                    return has_ended
                octets = memoryview(spool.take())
                for start in range(0, len(octets), len(plain)):
                    self._await_key()
                    self._put(RecordType.DATA, octets[start : start + len(plain)])
                continue
            if self._stop.is_set():
                raise SessionOver(self.reason)
            if spool.is_too_old:
                raise SessionOver("what was stored waited for key longer than `queue_age_s`")
            room = 0 if has_ended else spool.reserve(len(plain))
            self.is_full = not room and not has_ended
            if not room or not _is_ready(self._user, select.POLLIN, STORE_LOOK_S):
                spool.put(EMPTY, room)
                self.keys.sending.wait_usable(0.0 if room else STORE_LOOK_S)
                continue
            size = self._user.recv_into(plain, room)
            has_ended = not size
            self.counters.bytes_in += size
            spool.put(plain[:size], room)

    def _await_key(self) -> None:
        """Return when the sender may seal; meanwhile the user is not read: TCP holds him back."""
        if self.keys.sending.is_usable():
            return
        while not self.keys.sending.wait_usable(KEY_WAIT_S):
            if self.waits_for_key_since_s is None:
                self.waits_for_key_since_s = time.monotonic()
            if self._stop.is_set():
                raise SessionOver(self.reason)
        self.waits_for_key_since_s = None

    def _put(self, kind: RecordType | None, plain: memoryview) -> None:
        while True:
            try:
                with self._send_lock:
                    self._flush_controls()
                    if kind is not None:
                        self._seal(kind, plain)
                break
            except KeyExhausted:  # a pad that ran out, or a key at its hard limit
                self.waits_for_key_since_s = self.waits_for_key_since_s or time.monotonic()
                if self._stop.wait(KEY_WAIT_S):
                    raise
        self.waits_for_key_since_s = None
        if self.carrier.peek()[0] is None:
            self.carrier.current(RESUME_S)

    def _flush_controls(self) -> None:
        if (named := self.keys.name_next()) is not None:
            self._controls.append((RecordType.NEXT_KEY, named))
        while self._controls:
            kind, body = self._controls[0]
            self._seal(kind, memoryview(body))
            self._controls.popleft()

    def _seal(self, kind: RecordType, plain: memoryview) -> None:
        cipher = self.keys.switch()
        if cipher is not None:
            self._sending.renew(cipher)
        first = self._sending.number
        records = self._sending.seal(kind, plain, self._receiving.expected)
        if kind is RecordType.END:
            self._end_number = self._sending.number - 1
        self._transmit(records)
        self._uncounted += len(plain)
        if self._uncounted >= COUNT_BYTES:
            self.keys.sending.count(self._uncounted)
            self._uncounted = 0
        self.counters.records += self._sending.number - first
        self._unacknowledged_in = 0

    def _transmit(self, record: memoryview) -> None:
        circuit, generation = self.carrier.peek()
        if circuit is None:
            return  # it is kept, and the next circuit begins with it
        try:
            circuit.sendall(record)
        except OSError:
            self.carrier.lose(generation)

    def _receive(self) -> None:
        plain = memoryview(bytearray(PAGE_BYTES))
        place = self.carrier.current(RESUME_S)
        if place[1] != self._read_from:
            self._reader.clear()  # `prove` read from a circuit that is lost
        while True:
            opened, failure = self._open_all(place, plain)
            for kind, body in opened:
                self._take(kind, body)
            if failure is not None:
                self._refuse(failure, place[1])
            if self._is_finished():
                break
            place = self._fill(place)
        self._linger()

    def _fill(self, place: Place) -> Place:
        """Wait for more from the circuit, or from the one after it."""
        while True:
            if self.carrier.peek() != place:
                place = self.carrier.current(RESUME_S)
                self._reader.clear()
            try:
                self._reader.fill(place[0])
            except OSError:
                self.carrier.lose(place[1])
            else:
                return place

    def _open_all(
        self, place: Place, plain: memoryview
    ) -> tuple[list[tuple[RecordType, memoryview]], Exception | None]:
        """Open the records that have come, up to one that fails; data in a row is one piece."""
        opened: list[tuple[RecordType, memoryview]] = []
        start = end = 0
        acknowledged = -1
        failure: Exception | None = None
        try:
            while True:
                with self._receive_lock:
                    if self.carrier.peek() != place:
                        break  # the other end was told what we expect, without these records
                    run = self._receiving.open_run(self._reader.pending(), plain[end:])
                    if run.records:
                        self._reader.skip(run.octets)
                        end += run.plain
                        acknowledged = run.acknowledged
                    if (found := self._reader.take()) is None:
                        break
                    header, record = found
                    size = self._receiving.open(header, record, plain[end:])
                acknowledged = header.acknowledged
                if header.kind is not RecordType.DATA:
                    if end > start:
                        opened.append((RecordType.DATA, plain[start:end]))
                    opened.append((header.kind, plain[end : end + size]))
                    start = end + size
                end += size
        except (BadRecord, Conflict, KeyExhausted, OSError) as error:
            failure = error
        if end > start:
            opened.append((RecordType.DATA, plain[start:end]))
        if acknowledged >= 0:
            self.heard_s = time.monotonic()
            self._acknowledged(acknowledged)
        return opened, failure

    def _refuse(self, failure: Exception, generation: int) -> None:
        """Answer a record that did not open: with a new circuit, or with the end."""
        if not isinstance(failure, OSError):
            self.counters.failures += 1
            if self.counters.failures >= MAX_FAILURES:
                raise SessionOver(f"too many refused records; the last: {failure}") from failure
        self.carrier.lose(generation)

    def _is_finished(self) -> bool:
        """Whether all that both users said has arrived."""
        ended, acknowledged = self._end_number, self._sending.acknowledged
        return self._has_got_end and ended is not None and acknowledged > ended

    def _acknowledged(self, expected: int) -> None:
        self._sending.acknowledged = max(self._sending.acknowledged, expected)
        if self._send_lock.acquire(blocking=False):  # otherwise the next record frees the buffers
            try:
                self._sending.release()
            finally:
                self._send_lock.release()

    def _take(self, kind: RecordType, body: memoryview) -> None:
        assert self._user is not None
        match kind:
            case RecordType.DATA:
                self._deliver(body)
            case RecordType.END:
                with suppress(OSError):
                    self._user.shutdown(socket.SHUT_WR)
                self._has_got_end = True
                self._control(RecordType.PONG, b"")
            case RecordType.CLOSE:
                raise SessionOver(bytes(body).decode(errors="replace")[:200])
            case RecordType.NEXT_KEY:
                self.keys.peer_names(bytes(body), self._peer_key)
            case RecordType.KEY_READY:
                self.keys.peer_is_ready(bytes(body))
            case RecordType.PING:
                self._control(RecordType.PONG, bytes(body))
            case RecordType.PONG if len(body) == _TIME.size:
                self.counters.rtt_s = max(0.0, time.monotonic() - _TIME.unpack(body)[0])
            case _:
                return  # START counts by being there; a PONG without a time acknowledges

    def _deliver(self, body: memoryview) -> None:
        assert self._user is not None
        self._is_delivering = True
        try:
            self._user.sendall(body)
        finally:
            self._is_delivering = False
        self.heard_s = time.monotonic()
        self.counters.bytes_out += len(body)
        self._unacknowledged_in += len(body)
        if self._unacknowledged_in >= ACKNOWLEDGE_BYTES:
            self._unacknowledged_in = 0
            self._control(RecordType.PONG, b"")

    def _peer_key(self, epoch: int, cipher: Cipher | None) -> None:
        """Take the peer's next key, or tell that it is not here; called from the event loop."""
        if cipher is not None:
            with suppress(BadRecord):
                self._receiving.coming(epoch, cipher)
        self._control(RecordType.KEY_READY, struct.pack(">I?", epoch, cipher is not None))

    def _linger(self) -> None:
        """Let the other end read all before the circuit is closed: unread bytes would reset it."""
        circuit, _ = self.carrier.peek()
        if circuit is None:
            return
        with suppress(OSError, KeyExhausted):
            with self._send_lock:
                self._controls.append((RecordType.PONG, b""))
                self._flush_controls()
            circuit.shutdown(socket.SHUT_WR)
            circuit.settimeout(ENDING_S)
            while circuit.recv(MAX_PLAIN_BYTES):
                pass


def _is_ready(circuit: socket.socket, event: int, timeout_s: float) -> bool:
    with suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(circuit, event)
        return bool(poll.poll(1000 * timeout_s))
    return False
