"""A session's bytes by two threads: the fastest that Python has for few fast streams.

One thread reads the user, seals and sends; one receives, opens and writes to the user; both block
in the system, where the cipher and the copying release the interpreter. What stands between two
calls to the system is as little as can be: it is most of a small message's round trip. Control
records are sent by whichever thread gets at the circuit without blocking.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from qnx_hw.edge.carrier import Place
from qnx_hw.edge.conversation import EMPTY, Conversation
from qnx_hw.edge.engine import Engine, Loops
from qnx_hw.edge.figures import Memory
from qnx_hw.edge.flow import Inflow, Outflow
from qnx_hw.edge.halves import SessionOver
from qnx_hw.edge.pages import BATCH_BYTES, BATCH_ROOM_BYTES
from qnx_hw.edge.records import MAX_PLAIN_BYTES, BadRecord, RecordType
from qnx_hw.edge.session import RESUME_S, Pump, Session, read_out, why
from qnx_hw.edge.spool import Spool
from qnx_hw.errors import Conflict, KeyExhausted, QnxError

STORE_LOOK_S = 0.1
"""How long a sender that stores waits for its user before it looks for key again."""
KEY_WAIT_S = 1.0
"""How long a sender waits for key before it looks whether the session is still wanted."""

_DATA = RecordType.DATA


class BlockingPump(Pump):
    """Two threads on blocking sockets."""

    is_blocking = True

    def __init__(self, session: Session, engine: Engine | None = None) -> None:
        assert session.user is not None
        self._engine = engine
        self._session = session
        self._talk: Conversation = session.talk
        self._carrier = session.carrier
        self._user = session.user
        self._is_usable = session.keys.sending.is_usable
        self._outflow: Outflow | None = None
        self._inflow: Inflow | None = None
        self._threads_left = 2
        self._ending = threading.Lock()

    def start(self) -> None:
        """Begin."""
        self._user.setblocking(True)
        for target in (self._send, self._receive):
            threading.Thread(target=self._run, args=(target,), name="edge", daemon=True).start()

    def flush(self) -> None:
        """Send what waits when the circuit takes it."""
        # Where the sender holds the lock, it looks for what waits when it has let go of it.
        while self._talk.has_control and self._talk.lock.acquire(blocking=False):
            try:
                circuit, _ = self._carrier.peek()
                if circuit is None or not _is_ready(circuit, select.POLLOUT, 0.0):
                    return
                self._send_controls()
            except KeyExhausted:
                return  # the sender finds out as well, and knows what to do
            except (QnxError, OSError) as error:
                self._session.finish(str(error))
                return
            finally:
                self._talk.lock.release()

    def stop(self) -> None:
        """End the reading; ending the writing too would tell the user of a good end."""
        with suppress(OSError):
            self._user.shutdown(socket.SHUT_RD)

    def resume(self, circuit: socket.socket, expected: int) -> None:
        """Send again what the other end lacks."""
        with self._talk.lock:  # nothing new may get onto the circuit before it
            self._carrier.attach(circuit)
            for record in self._talk.repeat_from(expected):
                self._transmit(record)

    def _run(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except (QnxError, OSError) as error:
            self._session.finish(why(error))
        finally:
            with self._ending:
                self._threads_left -= 1
                is_last = not self._threads_left
            if is_last:
                self._session.ended()

    def _send(self) -> None:
        session, is_usable = self._session, self._is_usable
        # Pads are scarce: a batch that waits for the last of its pads would waste the first.
        memory = Memory.of(MAX_PLAIN_BYTES if session.keys.may_wait else BATCH_BYTES)
        plain = memory.view
        self._put(None, EMPTY)
        while True:
            if session.spool is not None and self._stores() and self._store(session.spool, plain):
                break
            if not is_usable():
                self._await_key()
            size = self._read(memory)
            if size is None:
                continue
            if not size:
                break
            if not is_usable():  # it may have grown old while the user was silent
                if (spool := session.spool) is not None:
                    spool.put(plain[:size], spool.reserve(size, at_most=False))
                    continue
                self._await_key()
            self._put(_DATA, plain[:size])
        if not session.reason:
            self._put(RecordType.END, EMPTY)

    def _read(self, memory: Memory) -> int | None:
        """Wait for the user; return how much he said, 0 at his end, None to look around.

        Compiled loops pass on what he says, and leave only what they may not seal.
        """
        figures = self._talk.figures
        while figures.attention:
            figures.attention = 0
            self._put(None, EMPTY)
        if self._outflow is None and self._loops and figures.cipher:
            self._outflow = Outflow(self._session, self._loops, self._user, memory)
        if self._outflow is not None:
            return self._outflow.run()
        size = self._user.recv_into(memory.view, self._session.room(len(memory.view)))
        figures.bytes_in += size
        return size

    @property
    def _loops(self) -> Loops | None:
        return self._engine.loops if self._engine is not None else None

    def _stores(self) -> bool:
        """Whether something waits in the spool, or shall."""
        spool = self._session.spool
        return spool is not None and (bool(spool.waiting_bytes) or not self._is_usable())

    def _store(self, spool: Spool, plain: memoryview) -> bool:
        """Take what the user says to disk until there is key, and send it; whether he ended.

        When the spool is full he is held back.
        """
        session, has_ended = self._session, False
        while True:
            if self._is_usable():
                session.is_full = False
                if not spool.waiting_bytes:
                    session.waits_for_key_since_s = None
                    return has_ended
                octets = memoryview(spool.take())
                for start in range(0, len(octets), len(plain)):
                    self._await_key()
                    self._put(_DATA, octets[start : start + len(plain)])
                continue
            if session.stop.is_set():
                raise SessionOver(session.reason)
            if spool.is_too_old:
                raise SessionOver("what was stored waited for key longer than `queue_age_s`")
            room = 0 if has_ended else spool.reserve(len(plain))
            session.is_full = not room and not has_ended
            if not room or not _is_ready(self._user, select.POLLIN, STORE_LOOK_S):
                spool.put(EMPTY, room)
                session.keys.sending.wait_usable(0.0 if room else STORE_LOOK_S)
                continue
            size = self._user.recv_into(plain, room)
            has_ended = not size
            session.talk.figures.bytes_in += size
            spool.put(plain[:size], room)

    def _await_key(self) -> None:
        """Return when the sender may seal; meanwhile the user is not read: TCP holds him back."""
        session = self._session
        while not session.keys.sending.wait_usable(KEY_WAIT_S):
            if session.waits_for_key_since_s is None:
                session.waits_for_key_since_s = time.monotonic()
            if session.stop.is_set():
                raise SessionOver(session.reason)
        session.waits_for_key_since_s = None

    def _put(self, kind: RecordType | None, plain: memoryview) -> None:
        session, talk = self._session, self._talk
        while True:
            try:
                with talk.lock:
                    self._send_controls()
                    if kind is not None:
                        self._transmit(talk.seal(kind, plain))
                break
            except KeyExhausted:  # a pad that ran out, or a key at its hard limit
                session.waits_for_key_since_s = session.waits_for_key_since_s or time.monotonic()
                if session.stop.wait(KEY_WAIT_S):
                    raise
        session.waits_for_key_since_s = None
        if self._carrier.peek()[0] is None:
            self._carrier.current(RESUME_S)
        session.hold_back(len(plain))

    def _send_controls(self) -> None:
        while (record := self._talk.next_control()) is not None:
            self._transmit(record)

    def _transmit(self, record: memoryview) -> None:
        circuit, generation = self._carrier.peek()
        if circuit is None:
            return  # it is kept, and the next circuit begins with it
        try:
            circuit.sendall(record)
        except OSError:
            if not self._talk.is_finished:  # else one of both ends has closed it
                self._carrier.lose(generation)

    def _receive(self) -> None:
        session, talk = self._session, self._talk
        memory = Memory.of(BATCH_ROOM_BYTES)
        plain = memory.view
        place = self._carrier.current(RESUME_S)
        if place[1] != session.read_from:
            session.reader.clear()  # `prove` read from a circuit that is lost
        while True:
            try:
                self._take_all(place, plain)
            except (BadRecord, Conflict, KeyExhausted) as error:
                talk.refuse(error)
                self._carrier.lose(place[1])
            if talk.is_finished:
                break
            place = self._fill(place, memory)
        self._linger()

    def _take_all(self, place: Place, plain: memoryview) -> None:
        """Give out and follow all records that have come."""
        talk, reader, is_current = self._talk, self._session.reader, self._carrier.is_at(place)
        while True:
            if size := talk.open_data(reader, is_current, plain):
                self._deliver(plain[:size])
            if reader.is_empty or (found := talk.open_next(reader, is_current, plain)) is None:
                return
            kind, body = found
            if kind is _DATA:
                self._deliver(body)
                continue
            if kind is RecordType.END:
                with suppress(OSError):
                    self._user.shutdown(socket.SHUT_WR)
            talk.take(kind, body)

    def _fill(self, place: Place, memory: Memory) -> Place:
        """Wait for more from the circuit, or from the one after it.

        Compiled loops give out all data that comes before something else does.
        """
        while True:
            if self._carrier.peek() != place:
                place = self._carrier.current(RESUME_S)
                self._session.reader.clear()
                if self._talk.is_finished:  # as the other end said when the circuit was made
                    return place
            if self._inflow is None and self._loops and self._talk.figures.peer_cipher:
                self._inflow = Inflow(self._session, self._loops, self._user, memory)
            if self._inflow is not None:
                if self._inflow.run(place):
                    return place
                continue
            try:
                self._session.reader.fill(place[0])
            except OSError:
                self._carrier.lose(place[1])
            else:
                return place

    def _deliver(self, body: memoryview) -> None:
        figures = self._talk.figures
        size = len(body)
        figures.is_delivering = 1
        try:
            while body:
                with suppress(BlockingIOError):  # he takes nothing, see `limit_sending`
                    body = body[self._user.send(body) :]
                if self._session.stop.is_set():
                    raise SessionOver(self._session.reason)
        finally:
            figures.is_delivering = 0
        self._talk.delivered(size)

    def _linger(self) -> None:
        """Let the other end know and read all before the circuit is closed."""
        circuit, _ = self._carrier.peek()
        if circuit is None:
            return
        with suppress(OSError, KeyExhausted):
            with self._talk.lock:
                self._transmit(self._talk.seal(RecordType.PONG, EMPTY))
            read_out(circuit)


def _is_ready(circuit: socket.socket, event: int, timeout_s: float) -> bool:
    with suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(circuit, event)
        return bool(poll.poll(1000 * timeout_s))
    return False
