"""A node's edge: takes circuits from neighbours, carries users' sessions, passes on the rest.

All methods belong to the event loop's thread unless they say otherwise; bytes of users are moved by
the threads of `session` and `relay`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.api.traffic import KeyPolicy
from qnx_hw.bus.routes import RouteAck, RouteTable
from qnx_hw.edge import interfaces
from qnx_hw.edge.blocking import BlockingPump
from qnx_hw.edge.circuits import (
    CONNECT_DEADLINE_S,
    Open,
    Opened,
    Purpose,
    accepting,
    closed_on_failure,
    listen,
)
from qnx_hw.edge.crowd import Crowd, CrowdPump
from qnx_hw.edge.dialling import Declined, Dialler, Vicinity, asked
from qnx_hw.edge.epochs import TunnelKeys
from qnx_hw.edge.greeting import Desk, Opening, read_hello
from qnx_hw.edge.hops import Hop, interface_down, watch
from qnx_hw.edge.keying import SessionKeys
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.limits import Bucket, Limit, PlanLimits
from qnx_hw.edge.reception import Reception
from qnx_hw.edge.resuming import Resuming
from qnx_hw.edge.session import USER_LEFT, Pump, Session
from qnx_hw.edge.spool import SpoolRoom
from qnx_hw.edge.tally import Tally
from qnx_hw.edge.traffic import Line, Traffic
from qnx_hw.edge.transit import Transit
from qnx_hw.errors import KeyExhausted, QnxError
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

MOST_ASIDE = 64
"""Sessions that may wait at once for their first record, or to go on over a new circuit."""
TICK_S = 1.0
KEY_LOOK_S = 0.25
STOP_DEADLINE_S = 2.0
"""For all sessions' threads together; those that wait for pads cannot end with the loop gone."""
_Result = TypeVar("_Result")
Service = Callable[[Traffic], Awaitable[socket.socket]]
"""Returns the connected socket of the user at the destination."""


class Edge:
    """One node's edge; `running` makes it work."""

    def __init__(
        self,
        node: str,
        *,
        around: Vicinity,
        source: KeySource,
        tell: Teller,
    ) -> None:
        self.node = node
        self.hops = around.hops
        self.forwarder = around.forwarder
        self.lines: dict[tuple[str, bool], Line] = {}
        """By name, and whether this node opens the sessions."""
        self.services: dict[str, Service] = {}
        self.held: set[socket.socket] = set()
        """Sockets of tasks that may be cancelled before they begin."""
        self.spools: SpoolRoom | None = None
        """Where `store` tunnels keep what waits for key; without it they block."""
        self._traffic: dict[str, Traffic] = {}
        self.source = source
        self.tell = tell
        self._neighbours = around.neighbours
        self._dialler = Dialler(node, around)
        self._reception = Reception(node, around.neighbours, self._serve)
        self._crowd = Crowd(around.threaded)
        self._engine = around.engine
        self._transit = Transit(node, around, self._dialler, self._crowd)
        self._plan_limits = PlanLimits(around.forwarder)
        self._desk = Desk(source, self._ask_key)
        self._sessions: dict[bytes, Session] = {}
        self.tally = Tally(node, self.hops, self._sessions, self._transit)
        self._resuming = Resuming(node, self._sessions, self._dialler, self._aside, self.start)
        self._loop = asyncio.get_running_loop()
        self._stops = f"'{node}' stops"
        self._threads = ThreadPoolExecutor(MOST_ASIDE, thread_name_prefix="edge-aside")
        self._tasks = asyncio.TaskGroup()
        self._is_stopping = False
        self._running: set[asyncio.Task[None]] = set()
        for hop in self.hops.values():
            hop.on_change = self._hop_changed

    @asynccontextmanager
    async def running(self, address: str) -> AsyncIterator[str]:
        """Take circuits at `address` while the context lasts; yields the address really bound."""
        listener = listen(address)
        host, port = listener.getsockname()[:2]
        try:
            async with self._tasks:
                down = partial(interface_down, self.hops.values())
                with accepting(listener, self._receive), interfaces.watching(down):
                    self.start(self._tick())
                    if self._engine is not None:
                        # Compiling takes long where much else runs; the node's end is not to wait.
                        load = self._engine.load
                        threading.Thread(target=load, name="edge loops", daemon=True).start()
                    for hop in self.hops.values():
                        self.start(watch(self.node, hop, self._neighbours))
                    try:
                        yield f"{host}:{port}"
                    finally:
                        self._stop()
        finally:
            for left in self.held:
                left.close()
            await asyncio.to_thread(self._wait_for_pumps)
            await asyncio.to_thread(self._crowd.stop)
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def refused(self) -> int:
        """Connections that this node did not take."""
        return self._reception.refused

    def know(self, traffic: Traffic) -> None:
        """Accept this traffic from its source, or carry it where this node is the source."""
        self._traffic[traffic.name] = traffic

    def line(self, traffic: Traffic, *, is_opener: bool) -> Line:
        """Return the line of a traffic at this end."""
        place = traffic.name, is_opener
        if place not in self.lines:
            peer = traffic.destination if is_opener else traffic.source
            keys = TunnelKeys(
                self.source,
                peer,
                traffic.policy,
                traffic.mode,
                traffic.rekey_s,
                traffic.rekey_bytes,
            )
            keys.on_due = lambda: self._renew_soon(keys)
            bucket = Bucket(traffic.rate_limit_bps) if traffic.rate_limit_bps else None
            line = self.lines[place] = Line(traffic, peer, keys, is_opener, Limit(bucket))
            keys.on_new = lambda: _look_around(line.sessions)
        return self.lines[place]

    async def open(self, traffic: Traffic) -> Session:
        """Open a session; waits for key, and `ChannelError` where there is no way.

        The caller starts it with the user's socket.
        """
        line = self.line(traffic, is_opener=True)
        line.waiting += 1
        try:
            while True:
                try:
                    return await self._open(line)
                except KeyExhausted as error:
                    line.message = str(error)
                    await asyncio.sleep(KEY_LOOK_S)
        except QnxError as error:
            line.message = str(error)
            raise
        finally:
            line.waiting -= 1

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something as long as the edge runs, at most; not at all where it stops."""
        if self._is_stopping:
            work.close()
            return
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _aside(self, work: Callable[[], _Result]) -> _Result:
        """Run what waits for a circuit in a thread; the usual few are left to the other parts."""
        return await self._loop.run_in_executor(self._threads, work)

    async def _open(self, line: Line) -> Session:
        await line.keys.renew()
        epoch = line.keys.startable()
        if epoch is None:
            raise KeyExhausted(line.keys.describe() or "no key yet")
        opening = Opening(line, epoch)
        circuit, answer = await self._dialler.dial(
            asked(self.node, line, Purpose.SESSION, opening.octets)
        )
        with closed_on_failure(circuit):
            keys = await opening.complete(answer.greeting, self._desk)
        session = self._session(circuit, keys, line, opening.hello.session)
        session.path = answer.path
        line.message = ""
        self._tell_open(line)
        self._resuming.opened(session, opening.hello.session, line)
        return session

    def _session(
        self, circuit: socket.socket, keys: SessionKeys, line: Line, name: bytes
    ) -> Session:
        circuit.setblocking(True)
        session = Session(
            circuit, keys, make_pump=self._pump, on_lost=self._lost, on_over=self._over
        )
        plan = self._plan_limits.of(line.peer, line.traffic.traffic_class)
        line.limits = session.limits = (plan, line.own_limit)
        if self.spools is not None and line.traffic.policy is KeyPolicy.STORE:
            session.spool = self.spools.open()
        self._sessions[name] = session
        line.sessions.add(session)
        return session

    def _pump(self, session: Session) -> Pump:
        """Return two threads for a session, as long as there are not too many."""
        waits = session.keys.may_wait or session.spool is not None
        if len(self._sessions) > self._crowd.threaded and not waits:
            return CrowdPump(session, self._crowd)
        return BlockingPump(session, self._engine)

    def follow(self, table: RouteTable) -> RouteAck:
        """Follow a newer, sound table, and the rates in it; return what to answer."""
        answer = self.forwarder.apply(table)
        self._plan_limits.follow()
        _look_around(self._sessions.values())
        return answer

    def _receive(self, circuit: socket.socket) -> None:
        self.hold(circuit, self._reception.take(circuit, self.held.discard))

    def hold(self, circuit: socket.socket, work: Coroutine[Any, Any, None]) -> None:
        """Run something for a socket, which is closed where the edge stops before it begins."""
        self.held.add(circuit)
        self.start(work)

    async def _serve(self, circuit: socket.socket, request: Open) -> bool:
        """Do what a neighbour asks; whether the socket is needed on."""
        if request.destination != self.node:
            return await self._transit.carry(circuit, request, self._reception.reply)
        if request.purpose is Purpose.SESSION:
            return await self._answer(circuit, request)
        return await self._resuming.answer(circuit, request, self._reception.reply)

    async def _answer(self, circuit: socket.socket, request: Open) -> bool:
        hello = read_hello(request.greeting)
        traffic = self._traffic.get(hello.tunnel)
        if (
            traffic is None
            or (traffic.source, traffic.destination) != (hello.source, self.node)
            or (traffic.service, traffic.mode) != (hello.service, hello.mode)
            or traffic.mix_kem is not hello.mixes_kem
        ):
            raise Declined(f"'{self.node}' expects no such '{hello.tunnel[:64]}'")
        line = self.line(traffic, is_opener=False)
        keys, welcome = await self._desk.answer(hello, request.greeting, line)
        path = (*request.path, self.node)
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await self._reception.reply(circuit, request, Opened(path=path, greeting=welcome))
        session = self._session(circuit, keys, line, hello.session)
        session.path = path
        try:
            await self._aside(session.prove)
            user = await self.services[traffic.service](traffic)
        except (QnxError, OSError) as error:
            reason = f"'{self.node}' refused: {error}"
            await self._aside(partial(session.abandon, reason))
            self._over_here(session)
            line.ended.failures += 1
            return True
        session.start(user, is_opener=False)
        self._tell_open(line)
        return True

    def _lost(self, session: Session) -> None:
        """Note that a circuit was lost; any thread."""
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._resuming.begin, session)

    def _over(self, session: Session) -> None:
        """Note that a session ended; any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over_here, session)

    def _over_here(self, session: Session) -> None:
        for name, each in tuple(self._sessions.items()):
            if each is session:
                del self._sessions[name]
                self._resuming.over(session, name, tells=session.reason != self._stops)
        for line in self.lines.values():
            if session in line.sessions:
                line.last_path = session.path
                self.tally.ended(session)
                line.end(session)
                if session.reason:
                    self._ended_early(line, session.reason)

    def _tell_open(self, line: Line) -> None:
        """Say that users' connections open, the first time and after one that ended early."""
        if line.is_in_order:
            return
        words = f"connections of '{line.traffic.name}' open"
        self.tell(Level.INFO, self.node, words, line.traffic.name)
        line.is_in_order = True

    def _ended_early(self, line: Line, reason: str) -> None:
        """Say why a user's connection ended before its time; that he wished it is no news."""
        words = f"a connection of '{line.traffic.name}' ended early: {reason}"
        if reason in (USER_LEFT, self._stops):
            log.debug("%s: %s", self.node, words)
            return
        self.tell(Level.WARNING, self.node, words, line.traffic.name)
        line.is_in_order = False
        if line.sessions:  # others go on, or its user came back before this end noticed
            self._tell_open(line)

    def _hop_changed(self, hop: Hop) -> None:
        about = f"the way to '{hop.target}'"
        if hop.is_up:
            self.tell(Level.OK, self.node, f"{about} is up", about)
            return
        self.tell(Level.WARNING, self.node, f"{about} is down: {hop.reason}", about)
        for session in self.tally.towards(hop.target):
            if session.started:
                session.lose()
        self._transit.cut(hop.target)

    def _ask_key(
        self, peer: str, tunnel: str, key_id: str, take: Callable[[Secret | None], None]
    ) -> None:
        """Fetch a key that a peer named; any thread, the answer comes in the loop's."""

        async def fetch() -> None:
            try:
                secret: Secret | None = await self._desk.peer_keys.fetch(peer, tunnel, key_id)
            except QnxError as error:
                log.warning("%s: the key that '%s' names is not here: %s", self.node, peer, error)
                secret = None
            take(secret)

        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self.start(fetch()))

    def _renew_soon(self, keys: TunnelKeys) -> None:
        """Fetch the next key before the next tick; any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self.start(keys.renew()))

    async def _tick(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(TICK_S)
            number += 1
            for line in tuple(self.lines.values()):
                if line.sessions:
                    await line.keys.renew()
                for session in tuple(line.sessions):
                    if not session.started:
                        continue
                    if session.keys.may_wait:
                        if number % 4 == 0:
                            await self._aside(session.tick)
                    else:
                        session.tick()

    def _wait_for_pumps(self) -> None:
        """Wait for the threads of sessions: compiled loops must not outlive the interpreter."""
        end_s = time.monotonic() + STOP_DEADLINE_S
        for session in tuple(self._sessions.values()):
            if session.started:
                session.is_over.wait(max(0.0, end_s - time.monotonic()))

    def _stop(self) -> None:
        self._is_stopping = True
        for session in tuple(self._sessions.values()):
            session.finish(self._stops)
        self._transit.cut()
        for task in tuple(self._running):
            task.cancel()


def _look_around(sessions: Iterable[Session]) -> None:
    for session in tuple(sessions):
        session.look_around()
