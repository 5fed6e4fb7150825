"""One user connection through the network, at one of its two ends: its life.

A session joins a user's socket and a circuit to the other end. A pump moves the bytes: two threads
(`blocking`), or tasks where there are very many sessions (`crowd`). A lost circuit is not the end:
what was not acknowledged is kept and repeated, byte for byte, over the next one.
"""

from __future__ import annotations

import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from qnx_hw.edge.carrier import Carrier
from qnx_hw.edge.conversation import Conversation, Counters
from qnx_hw.edge.halves import SessionOver
from qnx_hw.edge.keying import SessionKeys
from qnx_hw.edge.limits import Limit
from qnx_hw.edge.pages import BATCH_ROOM_BYTES
from qnx_hw.edge.records import MAX_PLAIN_BYTES, BadRecord, RecordReader, RecordType
from qnx_hw.edge.spool import Spool
from qnx_hw.edge.tcp import hold_little, limit_sending, reset, retransmits
from qnx_hw.errors import QnxError

RESUME_S = 60.0
"""How long an end waits for a new circuit."""
SILENCE_S = 10.0
"""A circuit on which nothing came for so long is lost; the other end pings each second."""
ENDING_S = 10.0
USER_LOOK_S = 0.5
"""How long a user may take nothing before it is looked whether the session still runs."""
USER_LEFT = "the user broke the connection off"


class Pump(Protocol):
    """Moves a session's bytes between its user and its circuit."""

    is_blocking: bool
    """Whether its sockets are."""

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def flush(self) -> None:
        """Send the controls that wait when the circuit takes them; any thread, does not wait."""

    @abstractmethod
    def stop(self) -> None:
        """Have whoever waits for the user return; any thread, does not wait."""

    @abstractmethod
    def resume(self, circuit: socket.socket, expected: int) -> None:
        """Begin a new circuit with what the other end lacks; waits until it is sent."""


class Session:
    """Runs from `start` until both directions ended or `finish`."""

    def __init__(
        self,
        circuit: socket.socket,
        keys: SessionKeys,
        *,
        make_pump: Callable[[Session], Pump],
        on_lost: Callable[[Session], None],
        on_over: Callable[[Session], None],
    ) -> None:
        self.keys = keys
        self.talk = Conversation(keys, self._flush)
        self.reader = RecordReader(BATCH_ROOM_BYTES, self.talk.figures)
        self.read_from = 1
        """The circuit that `reader` read from."""
        self.path: tuple[str, ...] = ()
        self.carrier = Carrier(circuit, lambda: on_lost(self), self.talk.figures)
        self.limits: Sequence[Limit] = ()
        """To what rates the user is held."""
        self.spool: Spool | None = None
        """Where the user's data waits for key; None where he is held back instead."""
        self.is_full = False
        """Whether the spool has no room, so that the user is held back after all."""
        self.waits_for_key_since_s: float | None = None
        self.stop = threading.Event()
        self.is_over = threading.Event()
        """Set when the pump has stopped."""
        self.reason = ""
        """Why it ended early."""
        self.user: socket.socket | None = None
        self._seen_retransmits = 1, 0
        """Of which circuit, how many are counted."""
        self._make_pump = make_pump
        self._pump: Pump | None = None
        self._on_lost = on_lost
        self._on_over = on_over

    @property
    def counters(self) -> Counters:
        """What it did so far."""
        return self.talk.counters

    @property
    def started(self) -> bool:
        """Whether it carries data."""
        return self._pump is not None

    @property
    def unacknowledged_bytes(self) -> int:
        """Sent, and not yet known to have arrived."""
        return self.talk.unacknowledged_bytes

    def room(self, most: int) -> int:
        """Return how much to read of the user at once."""
        for limit in self.limits:
            most = limit.piece_bytes(most)
        return most

    def hold_back(self, n_bytes: int) -> None:
        """Wait for as long as the user's rates want after so much of his was sent."""
        for limit in self.limits:
            if (wait_s := limit.take(n_bytes)) > 0:
                self.stop.wait(wait_s)

    def look_around(self) -> None:
        """Have the sender ask anew what holds for it: rates, keys."""
        self.talk.figures.attention = 1

    def lose(self) -> None:
        """Give up the circuit; waits for nothing."""
        self.carrier.lose(self.carrier.peek()[1])

    def prove(self) -> None:
        """Wait for the first record of the side that opened; `BadRecord` where it lacks the keys.

        It holds the hash of the greetings. Blocks; before it nothing that the other side said may
        have any effect, but that it may ask for another circuit where this one is lost.
        """
        end_s = time.monotonic() + ENDING_S
        plain = memoryview(bytearray(MAX_PLAIN_BYTES))
        found = None
        while found is None:
            if time.monotonic() > end_s:
                raise BadRecord("no proof of the keys came in time")
            place = self.carrier.current(max(0.0, end_s - time.monotonic()))
            circuit, generation = place
            if generation != self.read_from:
                self.reader.clear()
                self.read_from = generation
            circuit.settimeout(ENDING_S)
            try:
                self.reader.fill(circuit)
            except OSError:
                self.carrier.lose(generation)
                continue
            found = self.talk.open_next(self.reader, self.carrier.is_at(place), plain)
        self.talk.check_start(*found)
        circuit.settimeout(None)

    def start(self, user: socket.socket, *, is_opener: bool) -> None:
        """Begin to carry data between a connected socket and the circuit."""
        self.user = user
        limit_sending(user, USER_LOOK_S)
        if is_opener:
            self.talk.begin()
        self._pump = self._make_pump(self)
        hold_little(user)
        if (circuit := self.carrier.peek()[0]) is not None:
            circuit.setblocking(self._pump.is_blocking)
            hold_little(circuit)
        self._pump.start()
        if self.carrier.peek()[0] is None:
            self._on_lost(self)

    def finish(self, reason: str) -> None:
        """End at once, from any thread, and tell the other end where it listens.

        Where something was still to arrive the user's connection is reset, so that what he has
        cannot be taken for the whole.
        """
        if not self.reason and not self.talk.is_finished:
            self.reason = reason
            self._say_why()
        self.stop.set()
        self.talk.figures.stops = 1
        self.carrier.finish(reason)
        if self._pump is not None:
            self._pump.stop()

    def ended(self) -> None:
        """Close everything: the pump has stopped."""
        self.carrier.finish(self.reason or "done")
        self.carrier.close()
        if self.user is not None:
            (reset if self.reason else socket.socket.close)(self.user)
        if self.spool is not None:
            self.spool.close()
        self.is_over.set()
        self._on_over(self)

    def abandon(self, reason: str) -> None:
        """Close a session that was never started, and tell the other end why. Blocks."""
        self.reason = reason
        if (circuit := self.carrier.peek()[0]) is not None:
            with suppress(OSError, QnxError):
                with self.talk.lock:
                    circuit.sendall(self.talk.seal(RecordType.CLOSE, memoryview(reason.encode())))
                read_out(circuit)
        self.carrier.finish(reason)
        self.carrier.close()

    def attach(self, circuit: socket.socket, expected: int) -> None:
        """Go on over a new circuit: repeat what the other end lacks. Blocks while it does."""
        circuit.setblocking(self._pump is None or self._pump.is_blocking)
        hold_little(circuit)
        self.counters.circuits += 1
        self.talk.heard()
        try:
            if self._pump is None:
                self.carrier.attach(circuit)
            else:
                self._pump.resume(circuit, expected)
        except SessionOver as error:
            self.finish(str(error))

    def tick(self) -> None:
        """Every second or so: measure the round trip, and give up a circuit that fell silent.

        With one-time pads it waits for the event loop, so then it belongs into another thread.
        """
        self.talk.ping()
        self._count_retransmits()
        if not self.talk.figures.is_delivering and self.talk.silent_s > SILENCE_S:
            self.lose()

    def _say_why(self) -> None:
        """Tell the other end why this one ends, where that takes no waiting."""
        if self.keys.may_wait or not self.talk.lock.acquire(blocking=False):
            return
        try:
            if (circuit := self.carrier.peek()[0]) is not None:
                words = memoryview(self.reason.encode())
                circuit.send(self.talk.seal(RecordType.CLOSE, words), socket.MSG_DONTWAIT)
        except (QnxError, OSError):
            return  # it finds out when it asks for another circuit, or waits for one in vain
        finally:
            self.talk.lock.release()

    def _count_retransmits(self) -> None:
        circuit, generation = self.carrier.peek()
        if circuit is None:
            return
        seen = self._seen_retransmits[1] if self._seen_retransmits[0] == generation else 0
        total = retransmits(circuit)
        self.counters.retransmits += max(0, total - seen)
        self._seen_retransmits = generation, total

    def _flush(self) -> None:
        if self._pump is not None:
            self._pump.flush()


def read_out(circuit: socket.socket) -> None:
    """End a circuit so that the other end can read all: unread bytes would reset it. Blocks."""
    circuit.shutdown(socket.SHUT_WR)
    circuit.settimeout(ENDING_S)
    while circuit.recv(MAX_PLAIN_BYTES):
        pass


def why(error: BaseException) -> str:
    """Return the reason of an end; other connection errors than ours are the user's."""
    is_users = isinstance(error, ConnectionError) and not isinstance(error, QnxError)
    return USER_LEFT if is_users else str(error)
