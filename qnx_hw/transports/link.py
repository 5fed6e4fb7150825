"""One I/O thread that owns one wire, and the requests that wait for it.

How it thinks: requests wait in a priority queue; one at a time is sent and waits for the first
message its matcher accepts. All other messages go to the unsolicited handler. A request that runs
out of time, or is given up, leaves the line suspect: until nothing came for `quiet_s`, what
arrives is nobody's reply and no new request is sent, so a late reply is never taken for the next
one's; where the device has a harmless question (`Fence`), that is asked and answered first, too. A
stop without a reply is written at once, whatever is under way. In stream mode received bytes
bypass all this and go to a bounded buffer. When the wire breaks, everything that waits fails with
`NotConnected` and the link is over; a driver opens a new one.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from qnx_hw.errors import Busy, Cancelled, InstrumentError, InstrumentTimeout, NotConnected
from qnx_hw.transports.doubt import LONGEST_DRAIN_S, Doubt
from qnx_hw.transports.framing import Framer
from qnx_hw.transports.request import (
    ByteStream,
    Cancel,
    Counters,
    LinkTraits,
    Matcher,
    Priority,
    Request,
    ends_s,
    fail,
    left_s,
    resolve,
)
from qnx_hw.transports.transcript import Direction, Recorder
from qnx_hw.transports.wire import Wire

DEFAULT_TIMEOUT_S = 2.0
STREAM_LIMIT_BYTES = 1 << 26
# How soon a caller with a cancel event looks at it; an Event cannot wake two kinds of waiter.
CANCEL_CHECK_S = 0.02
GRACE_S = 5.0  # what a caller grants the I/O thread beyond the deadline


class Link:
    """Requests and replies over one wire; all methods may be called from any thread.

    `unsolicited` runs on the I/O thread: it must return soon and must not wait for this link.
    """

    def __init__(
        self,
        wire: Wire,
        framer: Framer,
        *,
        name: str,
        traits: LinkTraits = LinkTraits(),  # noqa: B008 - frozen
        unsolicited: Callable[[bytes], None] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self.counters = Counters()
        self._wire = wire
        self._framer = framer
        self._traits = traits
        self._unsolicited = unsolicited
        self._recorder = recorder
        self._lock = threading.Lock()
        self._queue: list[Request] = []
        self._stops: list[Request] = []
        self._numbers = itertools.count()
        self._stream: ByteStream | None = None
        self._error: InstrumentError | None = None
        self._closing = False
        self._drain_wanted: Future[bytes] | None = None
        self._is_fence_wanted = False
        # Everything below is the I/O thread's alone.
        self._active: Request | None = None
        self._leaving: list[Request] = []
        self._outgoing = bytearray()
        self._doubt = Doubt(traits, framer, self.counters)
        self._alive_at_s = 0.0
        self._waker: socket.socket
        self._woken: socket.socket
        self._thread = threading.Thread(target=self._run, name=f"link {name}", daemon=True)

    def open(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Open the wire and start the I/O thread; a link is opened once."""
        try:
            self._wire.open(timeout_s=left_s(timeout_s))
        except NotConnected as error:
            self._error = error
            raise
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._thread.start()

    def close(self) -> None:
        """End the thread and let go of the wire; what waits fails with `NotConnected`."""
        self._closing = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._wire.close()

    @property
    def error(self) -> InstrumentError | None:
        """Why the link is over, or None while it lives."""
        return self._error

    def query(
        self,
        payload: bytes,
        matcher: Matcher,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        priority: Priority = Priority.COMMAND,
        cancel: Cancel | None = None,
    ) -> bytes:
        """Send `payload` and return the message that `matcher` accepts.

        The time counts from this call, queue included.
        """
        future = self.submit(payload, matcher, timeout_s=timeout_s, priority=priority)
        return self._wait(future, timeout_s, cancel)

    def send(
        self,
        payload: bytes,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        priority: Priority = Priority.COMMAND,
    ) -> None:
        """Send `payload` and return once the wire took it; no reply is waited for."""
        self._wait(self.submit(payload, None, timeout_s=timeout_s, priority=priority), timeout_s)

    def submit(
        self,
        payload: bytes,
        matcher: Matcher | None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        priority: Priority = Priority.COMMAND,
    ) -> Future[bytes]:
        """Queue a request and return its future; a full queue raises `Busy` at once."""
        deadline_s = ends_s(timeout_s)
        request = Request(priority, next(self._numbers), payload, matcher, deadline_s)
        with self._lock:
            self._check_open()
            if priority is Priority.STOP and matcher is None:
                self._stops.append(request)
            elif len(self._queue) >= self._traits.queue_limit:
                raise Busy(f"'{self.name}' has {len(self._queue)} requests waiting already")
            else:
                heapq.heappush(self._queue, request)
        self._wake()
        return request.future

    def drain(self, *, timeout_s: float = DEFAULT_TIMEOUT_S, fenced: bool = False) -> None:
        """Discard what arrives until the line is quiet.

        `fenced` has the next request wait for the fence, too: what a stream left behind may come
        after a pause.
        """
        with self._lock:
            self._check_open()
            future = self._drain_wanted or Future()
            self._drain_wanted = future
            self._is_fence_wanted |= fenced
        self._wake()
        try:
            future.result(left_s(timeout_s + LONGEST_DRAIN_S + GRACE_S))
        except InstrumentError:
            raise
        except FutureTimeout as error:
            raise InstrumentTimeout(f"'{self.name}' did not fall silent in time") from error

    def start_stream(self, *, limit_bytes: int = STREAM_LIMIT_BYTES) -> ByteStream:
        """Send all further bytes into a stream, until `end_stream`."""
        with self._lock:
            self._check_open()
            if self._stream is not None:
                raise Busy(f"'{self.name}' streams already")
            self._stream = ByteStream(limit_bytes)
            return self._stream

    def end_stream(self) -> None:
        """Go back to messages; readers of the stream get `NotConnected`."""
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.fail(NotConnected(f"the stream of '{self.name}' was ended"))

    def _check_open(self) -> None:
        if self._error is not None:
            raise NotConnected(f"'{self.name}' is not connected: {self._error}")
        if self._closing or self._thread.ident is None:
            raise NotConnected(f"'{self.name}' is not connected")

    def _wait(self, future: Future[bytes], timeout_s: float, cancel: Cancel | None = None) -> bytes:
        patience_s = left_s(timeout_s) + GRACE_S
        ends_s = time.monotonic() + patience_s
        step_s = patience_s if cancel is None else CANCEL_CHECK_S
        while True:
            if cancel is not None and cancel.is_set() and future.cancel():
                self._wake()
                raise Cancelled(f"a request to '{self.name}' was cancelled")
            try:
                return future.result(step_s)
            except InstrumentError:
                raise
            except FutureTimeout as error:
                if future.done() or time.monotonic() < ends_s:
                    continue
                raise InstrumentTimeout(f"the link of '{self.name}' is stuck") from error

    def _wake(self) -> None:
        if self._thread.ident is None:
            return
        try:
            self._waker.send(b"\0")
        except (BlockingIOError, OSError):
            return  # awake already, or over

    def _run(self) -> None:
        error: InstrumentError = NotConnected(f"'{self.name}' was closed")
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._wire.fileno(), selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while not self._closing:
                    self._turn(selector)
                self._send_stops()
            except InstrumentError as broken:
                error = broken
        self._end(error)

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Send what may be sent, wait for the next event, and take in what arrived."""
        now_s = time.monotonic()
        self._expire(now_s)
        self._send_stops()
        self._send_next(now_s)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        descriptor = self._wire.fileno()
        if selector.get_key(descriptor).events != wanted:
            selector.modify(descriptor, wanted)
        for key, events in selector.select(self._patience_s(time.monotonic())):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            else:
                if events & selectors.EVENT_WRITE:
                    self._flush()
                if events & selectors.EVENT_READ:
                    self._take(self._wire.read())

    def _patience_s(self, now_s: float) -> float | None:
        """Return how long nothing can become due."""
        due = []
        if self._active is not None:
            due.append(self._active.deadline_s)
        with self._lock:
            due += [request.deadline_s for request in self._queue]
        due += self._doubt.due_s()
        if self._traits.keep_alive is not None:
            due.append(self._alive_at_s)
        return max(min(due) - now_s, 0.0) if due else None

    def _expire(self, now_s: float) -> None:
        self._start_wanted_drain(now_s)
        if self._active is not None and self._active.is_abandoned():
            self._give_up_active(now_s)
        if self._active is not None and now_s >= self._active.deadline_s:
            self._time_out(self._active)
            self._give_up_active(now_s)
        with self._lock:
            late = [request for request in self._queue if now_s >= request.deadline_s]
            if late:
                self._queue = [item for item in self._queue if now_s < item.deadline_s]
                heapq.heapify(self._queue)
        for request in late:
            self._time_out(request)
        self._doubt.settle(now_s)

    def _start_wanted_drain(self, now_s: float) -> None:
        with self._lock:
            wanted, self._drain_wanted = self._drain_wanted, None
            is_fenced, self._is_fence_wanted = self._is_fence_wanted, False
        if wanted is not None:
            self._doubt.waiting.append(wanted)
            self._doubt.raise_(now_s, fenced=is_fenced)

    def _give_up_active(self, now_s: float) -> None:
        """Stop waiting for a reply; it may come yet."""
        self._active = None
        self._doubt.raise_(now_s, fenced=True)

    def _time_out(self, request: Request) -> None:
        self.counters.timeouts += 1
        asked = request.payload[:32]
        shown = repr(asked.decode("ascii").strip()) if asked.isascii() else asked.hex(" ")
        fail(request.future, InstrumentTimeout(f"'{self.name}' did not answer {shown} in time"))

    def _send_stops(self) -> None:
        with self._lock:
            self._leaving, self._stops = self._stops, []
        self._send_leaving()

    def _send_leaving(self) -> None:
        """Send what no reply is waited for; what is left of it when the wire breaks fails."""
        while self._leaving:
            self._put_out(self._leaving[0].payload)
            resolve(self._leaving.pop(0).future, b"")

    def _send_next(self, now_s: float) -> None:
        keep_alive = self._traits.keep_alive
        if keep_alive is not None and now_s >= self._alive_at_s:
            self._alive_at_s = now_s + keep_alive.period_s
            self._put_out(keep_alive.payload)
        while self._active is None and not self._doubt.is_raised:
            with self._lock:
                if not self._queue:
                    return
                request = self._doubt.fence(now_s) or heapq.heappop(self._queue)
            if request.is_abandoned():
                continue
            self.counters.requests += 1
            if request.matcher is None:
                self._leaving = [request]
                self._send_leaving()
            else:
                self._active = request
                self._put_out(request.payload)

    def _put_out(self, payload: bytes) -> None:
        if self._recorder is not None:
            self._recorder(Direction.SENT, payload)
        self._outgoing += payload
        self._flush()

    def _flush(self) -> None:
        while self._outgoing:
            taken = self._wire.write(bytes(self._outgoing))
            if not taken:
                return
            del self._outgoing[:taken]

    def _take(self, received: bytes) -> None:
        if not received:
            return
        if self._recorder is not None:
            self._recorder(Direction.RECEIVED, received)
        stream = self._stream
        if stream is not None:
            self.counters.stream_bytes += len(received)
            self.counters.lost_stream_bytes += stream.put(received)
            return
        self._doubt.received(time.monotonic())
        for message in self._framer.feed(received):
            self._give(message)

    def _give(self, message: bytes) -> None:
        request = self._active
        if request is not None and request.matcher is not None and request.matcher(message):
            self._active = None
            resolve(request.future, message)
            self._doubt.answered(request, time.monotonic())
            return
        self.counters.unsolicited += 1
        if self._unsolicited is not None:
            self._unsolicited(message)

    def _end(self, error: InstrumentError) -> None:
        with self._lock:
            self._error = error
            waiting = [*self._queue, *self._stops, *self._leaving]
            self._queue, self._stops = [], []
            stream, drain = self._stream, self._drain_wanted
        if self._active is not None:
            waiting.append(self._active)
        drains = [*self._doubt.waiting, *([drain] if drain else [])]
        lost = NotConnected(f"'{self.name}' was lost: {error}")
        for future in [*(request.future for request in waiting), *drains]:
            fail(future, lost)
        if stream is not None:
            stream.fail(lost)
        self._wire.close()
        self._waker.close()
        self._woken.close()
