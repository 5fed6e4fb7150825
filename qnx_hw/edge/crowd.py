"""Many sessions on one thread: what takes over where two threads each would be too many.

The thread has an event loop of its own, so that users' bytes never hold up the node's.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from qnx_hw.edge.carrier import THREADED, Place
from qnx_hw.edge.conversation import EMPTY
from qnx_hw.edge.halves import SessionOver
from qnx_hw.edge.pages import BATCH_ROOM_BYTES
from qnx_hw.edge.records import MAX_PLAIN_BYTES, BadRecord, RecordType
from qnx_hw.edge.session import ENDING_S, RESUME_S, Pump, Session, why
from qnx_hw.errors import Conflict, KeyExhausted, QnxError

LOOK_S = 0.05
"""How often a session looks whether there is a new circuit, or key; both are rare."""
START_DEADLINE_S = 10.0

_DATA = RecordType.DATA


class Crowd:
    """A thread with an event loop, which begins when there is something to run."""

    def __init__(self, threaded: int = THREADED) -> None:
        """Up to `threaded` sessions, and relays, of a node have two threads each instead."""
        self.threaded = threaded
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something; belongs to one thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="edge crowd", daemon=True)
            self._thread.start()
            self._ready.wait(START_DEADLINE_S)

        def start() -> None:
            assert self._tasks is not None
            self._tasks.create_task(work)

        self.call(start)

    def call(self, function: Callable[[], object]) -> None:
        """Call something in the thread; from any."""
        assert self._loop is not None
        with suppress(RuntimeError):  # closed: the node ends
            self._loop.call_soon_threadsafe(function)

    def wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something and wait until it is done; raises what it raises."""
        assert self._loop is not None
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result()

    def stop(self) -> None:
        """End the thread when all that runs has ended."""
        if self._thread is not None:
            self.call(self._over.set)
            self._thread.join(ENDING_S)

    def _run(self) -> None:
        asyncio.run(self._hold())

    async def _hold(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._tasks:
            self._ready.set()
            await self._over.wait()


class CrowdPump(Pump):
    """A session's bytes by three tasks: out, back, and what control records are due."""

    is_blocking = False

    def __init__(self, session: Session, crowd: Crowd) -> None:
        assert session.user is not None
        self._session = session
        self._talk = session.talk
        self._carrier = session.carrier
        self._user = session.user
        self._crowd = crowd
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()
        """Held from sealing to sending: the order is the records'."""

    def start(self) -> None:
        """Begin."""
        self._user.setblocking(False)
        self._crowd.begin(self._run())

    def flush(self) -> None:
        """Let the task for it send what waits."""
        self._crowd.call(self._due.set)

    def stop(self) -> None:
        """Cancel the tasks; before they begin they find out by themselves."""
        self._crowd.call(lambda: self._task and self._task.cancel())

    def resume(self, circuit: socket.socket, expected: int) -> None:
        """Send again what the other end lacks."""
        self._crowd.wait_for(self._resume(circuit, expected))

    async def _resume(self, circuit: socket.socket, expected: int) -> None:
        async with self._order:  # nothing new may get onto the circuit before it
            self._carrier.attach(circuit)
            with self._talk.lock:
                records = self._talk.repeat_from(expected)
            for record in records:
                await self._transmit(record)

    async def _run(self) -> None:
        session, self._task = self._session, asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as tasks:
                controls = tasks.create_task(self._controls())
                sending = tasks.create_task(self._send())
                await self._receive()
                await sending
                controls.cancel()
        except* (QnxError, OSError) as errors:
            session.finish(why(errors.exceptions[0]))
        finally:
            session.ended()

    async def _controls(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            with suppress(KeyExhausted):  # the sender finds out as well, and waits
                await self._put_now(None, EMPTY)

    async def _send(self) -> None:
        loop, session = asyncio.get_running_loop(), self._session
        plain = memoryview(bytearray(MAX_PLAIN_BYTES))
        await self._put(None, EMPTY)
        while True:
            await self._await_key()
            size = await loop.sock_recv_into(self._user, plain[: session.room(len(plain))])
            if not size:
                break
            session.talk.figures.bytes_in += size
            await self._await_key()
            await self._put(_DATA, plain[:size])
            for limit in session.limits:
                await asyncio.sleep(limit.take(size))
        if not session.reason:
            await self._put(RecordType.END, EMPTY)

    async def _await_key(self) -> None:
        session = self._session
        while not session.keys.sending.is_usable():
            session.waits_for_key_since_s = session.waits_for_key_since_s or time.monotonic()
            if session.stop.is_set():
                raise SessionOver(session.reason)
            await asyncio.sleep(LOOK_S)
        session.waits_for_key_since_s = None

    async def _put(self, kind: RecordType | None, plain: memoryview) -> None:
        """Send a piece, and what waits before it; waits where a key is at its hard limit."""
        session = self._session
        while True:
            try:
                await self._put_now(kind, plain)
                break
            except KeyExhausted:
                session.waits_for_key_since_s = session.waits_for_key_since_s or time.monotonic()
                if session.stop.is_set():
                    raise
            await asyncio.sleep(LOOK_S)
        session.waits_for_key_since_s = None
        if kind is not None and self._carrier.peek()[0] is None:
            await self._current()

    async def _put_now(self, kind: RecordType | None, plain: memoryview) -> None:
        async with self._order:
            while True:
                with self._talk.lock:
                    record = self._talk.next_control()
                if record is None:
                    break
                await self._transmit(record)
            if kind is not None:
                with self._talk.lock:
                    record = self._talk.seal(kind, plain)
                await self._transmit(record)

    async def _transmit(self, record: memoryview) -> None:
        circuit, generation = self._carrier.peek()
        if circuit is None:
            return  # it is kept, and the next circuit begins with it
        try:
            await asyncio.get_running_loop().sock_sendall(circuit, record)
        except OSError:
            if not self._talk.is_finished:  # else one of both ends has closed it
                self._carrier.lose(generation)

    async def _receive(self) -> None:
        session, talk = self._session, self._talk
        plain = memoryview(bytearray(BATCH_ROOM_BYTES))
        place = await self._current()
        if place[1] != session.read_from:
            session.reader.clear()  # `prove` read from a circuit that is lost
        while True:
            try:
                await self._take_all(place, plain)
            except (BadRecord, Conflict, KeyExhausted) as error:
                talk.refuse(error)
                self._carrier.lose(place[1])
            if talk.is_finished:
                break
            place = await self._fill(place)
        await self._linger()

    async def _take_all(self, place: Place, plain: memoryview) -> None:
        talk, reader, is_current = self._talk, self._session.reader, self._carrier.is_at(place)
        while True:
            if size := talk.open_data(reader, is_current, plain):
                await self._deliver(plain[:size])
            if reader.is_empty or (found := talk.open_next(reader, is_current, plain)) is None:
                return
            kind, body = found
            if kind is _DATA:
                await self._deliver(body)
                continue
            if kind is RecordType.END:
                with suppress(OSError):
                    self._user.shutdown(socket.SHUT_WR)
            talk.take(kind, body)

    async def _fill(self, place: Place) -> Place:
        """Wait for more from the circuit, or from the one after it."""
        loop, reader = asyncio.get_running_loop(), self._session.reader
        while True:
            if self._carrier.peek() != place:
                place = await self._current()
                reader.clear()
                if self._talk.is_finished:  # as the other end said when the circuit was made
                    return place
            try:
                reader.filled(await loop.sock_recv_into(place[0], reader.room()))
            except OSError:
                self._carrier.lose(place[1])
            else:
                return place

    async def _current(self) -> Place:
        """Return the circuit; waits for a new one, and raises `SessionOver` where none comes."""
        end_s = time.monotonic() + RESUME_S
        while (place := self._carrier.now()) is None:
            if time.monotonic() > end_s:
                raise SessionOver(f"no way to the other end for {RESUME_S:g} s")
            await asyncio.sleep(LOOK_S)
        return place

    async def _deliver(self, body: memoryview) -> None:
        figures = self._talk.figures
        figures.is_delivering = 1
        try:
            await asyncio.get_running_loop().sock_sendall(self._user, body)
        finally:
            figures.is_delivering = 0
        self._talk.delivered(len(body))

    async def _linger(self) -> None:
        """Let the other end read all before the circuit is closed: unread bytes would reset it."""
        loop, (circuit, _) = asyncio.get_running_loop(), self._carrier.peek()
        if circuit is None:
            return
        with suppress(OSError, KeyExhausted, TimeoutError):
            await self._put(RecordType.PONG, EMPTY)
            circuit.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(ENDING_S):
                while await loop.sock_recv(circuit, MAX_PLAIN_BYTES):
                    pass
