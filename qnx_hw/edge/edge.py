"""A node's edge: takes circuits from neighbours, carries users' sessions, passes on the rest.

All methods belong to the event loop's thread unless they say otherwise; bytes of users are moved by
the threads of `session` and `relay`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from qnx_hw.api.schema import Level
from qnx_hw.api.traffic import KeyPolicy
from qnx_hw.edge.circuits import (
    CONNECT_DEADLINE_S,
    OPEN_DEADLINE_S,
    VERSION,
    Open,
    Opened,
    Purpose,
    Refusal,
    accepting,
    check,
    connecting,
    listen,
    read_exactly,
    receive,
    send,
)
from qnx_hw.edge.epochs import TunnelKeys
from qnx_hw.edge.forwarding import Forwarder
from qnx_hw.edge.greeting import Desk, Opening, read_hello
from qnx_hw.edge.handshake import Resume
from qnx_hw.edge.hops import PROBE_BYTES, Hop, watch
from qnx_hw.edge.keying import SessionKeys
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.relay import Relay
from qnx_hw.edge.session import RESUME_S, Session
from qnx_hw.edge.spool import SpoolRoom
from qnx_hw.edge.traffic import Line, Traffic
from qnx_hw.errors import UNREADABLE, ChannelError, KeyExhausted, QnxError
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

MAX_CIRCUITS = 1000
"""Of others at once; further ones are refused."""
RETRY_S = 0.25
TICK_S = 1.0
KEY_LOOK_S = 0.25
MARGIN_MS = 200
"""What a relay keeps of the deadline to pass a refusal back."""


class Declined(ChannelError):
    """The destination itself does not want this; another way would not help."""


FINAL: Mapping[Refusal, type[QnxError]] = {
    Refusal.NO_KEY: KeyExhausted,
    Refusal.DECLINED: Declined,
}

Teller = Callable[[Level, str, str], object]
Service = Callable[[Traffic], Awaitable[socket.socket]]
"""Returns the connected socket of the user at the destination."""


class Edge:
    """One node's edge; `running` makes it work."""

    def __init__(
        self,
        node: str,
        *,
        hops: Mapping[str, Hop],
        forwarder: Forwarder,
        source: KeySource,
        tell: Teller,
        spans: bool = True,
    ) -> None:
        self.node = node
        self.hops = dict(hops)
        self.forwarder = forwarder
        self.lines: dict[tuple[str, bool], Line] = {}
        """By name, and whether this node opens the sessions."""
        self.services: dict[str, Service] = {}
        self.held: set[socket.socket] = set()
        """Sockets of tasks that may be cancelled before they begin."""
        self.spools: SpoolRoom | None = None
        """Where `store` tunnels keep what waits for key; without it they block."""
        self.refused = 0
        """Circuits that this node did not take."""
        self._traffic: dict[str, Traffic] = {}
        self.source = source
        self.tell = tell
        self._spans = spans
        self._desk = Desk(source, self._ask_key)
        self._sessions: dict[bytes, Session] = {}
        self._openings: dict[Session, tuple[bytes, Line]] = {}
        self._attempts: dict[bytes, int] = {}
        self._relays: set[Relay] = set()
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
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
                with accepting(listener, lambda circuit: self.hold(circuit, self._take(circuit))):
                    self.start(self._tick())
                    for hop in self.hops.values():
                        self.start(watch(self.node, hop))
                    try:
                        yield f"{host}:{port}"
                    finally:
                        self._stop()
        finally:
            for left in self.held:
                left.close()

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
            self.lines[place] = Line(traffic, peer, keys, is_opener)
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
        """Run something as long as the edge runs, at most."""
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _open(self, line: Line) -> Session:
        await line.keys.renew()
        epoch = line.keys.startable()
        if epoch is None:
            raise KeyExhausted(line.keys.describe() or "no key yet")
        opening = Opening(line, epoch)
        circuit, answer = await self._dial(self._request(line, Purpose.SESSION, opening.octets))
        try:
            keys = await opening.complete(answer.greeting, self._desk)
        except BaseException:
            circuit.close()
            raise
        session = self._session(circuit, keys, line, opening.hello.session)
        session.path = answer.path
        line.message = ""
        self._openings[session] = opening.hello.session, line
        return session

    def _session(
        self, circuit: socket.socket, keys: SessionKeys, line: Line, name: bytes
    ) -> Session:
        circuit.setblocking(True)
        session = Session(circuit, keys, on_lost=self._lost, on_over=self._over)
        if self.spools is not None and line.traffic.policy is KeyPolicy.STORE:
            session.spool = self.spools.open()
        self._sessions[name] = session
        line.sessions.add(session)
        return session

    def _request(self, line: Line, purpose: Purpose, greeting: bytes) -> Open:
        return Open(
            version=VERSION,
            purpose=purpose,
            source=self.node,
            destination=line.peer,
            traffic_class=line.traffic.traffic_class,
            path=(self.node,),
            deadline_ms=int(1000 * OPEN_DEADLINE_S),
            greeting=greeting,
        )

    async def _dial(self, request: Open) -> tuple[socket.socket, Opened]:
        """Open a circuit over the best neighbour that finds a way."""
        end_s = time.monotonic() + request.deadline_ms / 1000
        up = [name for name, hop in self.hops.items() if hop.is_up]
        reasons = []
        for target in self.forwarder.candidates(
            request.source, request.destination, request.traffic_class, path=request.path, up=up
        ):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            onward = msgspec.structs.replace(request, deadline_ms=max(1, int(1000 * left_s)))
            try:
                circuit, answer = await self._try(target, onward, left_s)
            except (ChannelError, OSError, TimeoutError) as error:
                reasons.append(f"{target}: {error or 'deadline'}")
                continue
            if answer.refusal is Refusal.NONE:
                return circuit, answer
            circuit.close()
            if answer.refusal is not Refusal.NO_WAY:
                raise FINAL[answer.refusal](answer.reason)
            reasons.append(f"{target}: {answer.reason}")
        words = "; ".join(reasons) or "no neighbour leads there"
        raise ChannelError(f"no way from '{self.node}' to '{request.destination}': {words}"[:500])

    async def _try(self, target: str, request: Open, left_s: float) -> tuple[socket.socket, Opened]:
        async with connecting(self.hops[target].address) as circuit, asyncio.timeout(left_s):
            await send(circuit, request)
            return circuit, await receive(circuit, Opened)

    def hold(self, circuit: socket.socket, work: Coroutine[Any, Any, None]) -> None:
        """Run something for a socket, which is closed where the edge stops before it begins."""
        self.held.add(circuit)
        self.start(work)

    async def _take(self, circuit: socket.socket) -> None:
        """Serve one circuit; whatever is wrong with it ends here."""
        kept = False
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                request = await receive(circuit, Open)
            check(request)
            if request.destination != self.node:
                kept = await self._relay(circuit, request)
            elif request.purpose is Purpose.PROBE:
                await self._echo(circuit)
            elif request.purpose is Purpose.SESSION:
                kept = await self._answer(circuit, request)
            else:
                kept = await self._resume_here(circuit, request)
        except (QnxError, OSError, TimeoutError) as error:
            self.refused += 1
            log.debug("%s refused a circuit: %s", self.node, error)
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_DEADLINE_S):
                    await send(circuit, Opened(refusal=_kind(error), reason=str(error)[:300]))
        finally:
            self.held.discard(circuit)
            if not kept:
                circuit.close()

    async def _echo(self, circuit: socket.socket) -> None:
        await send(circuit, Opened())
        with suppress(ChannelError, OSError):
            while True:
                token = await read_exactly(circuit, PROBE_BYTES)
                await self._loop.sock_sendall(circuit, token)

    async def _relay(self, circuit: socket.socket, request: Open) -> bool:
        if not self._spans:
            raise ChannelError(f"'{self.node}' carries no traffic of others")
        if len(self._relays) >= MAX_CIRCUITS:
            raise ChannelError(f"'{self.node}' carries as many circuits as it can")
        onward = msgspec.structs.replace(
            request,
            path=(*request.path, self.node),
            deadline_ms=max(1, request.deadline_ms - MARGIN_MS),
        )
        after, answer = await self._dial(onward)
        try:
            await send(circuit, answer)
        except BaseException:
            after.close()
            raise
        for side in (circuit, after):
            side.setblocking(True)
        position = answer.path.index(self.node) if self.node in answer.path else 0
        following = answer.path[position + 1] if position + 1 < len(answer.path) else ""
        relay = Relay(circuit, after, on_over=self._relay_over, hops=(request.path[-1], following))
        self._relays.add(relay)
        relay.start()
        return True

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
            await send(circuit, Opened(path=path, greeting=welcome))
        session = self._session(circuit, keys, line, hello.session)
        session.path = path
        try:
            await asyncio.to_thread(session.prove)
            user = await self.services[traffic.service](traffic)
        except (QnxError, OSError) as error:
            session.abandon()
            self._over_here(session)
            line.ended.failures += 1
            log.info("%s: a session of '%s' was refused: %s", self.node, traffic.name, error)
            return True
        session.start(user, is_opener=False)
        return True

    async def _resume_here(self, circuit: socket.socket, request: Open) -> bool:
        resume = _read_resume(request.greeting)
        session = self._sessions.get(resume.session)
        if session is None:
            raise Declined("there is no such session any more")
        ours, theirs = session.keys.resume_keys
        if not hmac.compare_digest(resume.tag, _resume_tag(theirs, resume)):
            raise Declined("somebody else's session")
        if resume.attempt <= self._attempts.get(resume.session, 0):
            raise Declined("a circuit that was asked for before")
        self._attempts[resume.session] = resume.attempt
        answer = _signed(ours, resume.session, resume.attempt, session.lose())
        session.path = (*request.path, self.node)
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await send(circuit, Opened(path=session.path, greeting=msgspec.msgpack.encode(answer)))
        circuit.setblocking(True)
        await asyncio.to_thread(session.attach, circuit, resume.expected)
        return True

    def _lost(self, session: Session) -> None:
        """Note that a circuit was lost; any thread."""
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._reopen, session)

    def _reopen(self, session: Session) -> None:
        if session in self._openings and session.started:
            self.start(self._resume(session))

    async def _resume(self, session: Session) -> None:
        """Open new circuits for a session until one stands or it is over."""
        name, line = self._openings[session]
        ours, theirs = session.keys.resume_keys
        end_s = time.monotonic() + RESUME_S
        while session in self._openings and time.monotonic() < end_s:
            attempt = self._attempts[name] = self._attempts.get(name, 0) + 1
            asked = _signed(ours, name, attempt, session.lose())
            request = self._request(line, Purpose.RESUME, msgspec.msgpack.encode(asked))
            try:
                circuit, answer = await self._dial(request)
            except Declined as error:
                session.finish(str(error))
                return
            except (QnxError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_S)
                continue
            resume = _verified(answer.greeting, theirs, attempt)
            if resume is None:
                circuit.close()
                line.ended.failures += 1
                await asyncio.sleep(RETRY_S)
                continue
            session.path = answer.path
            circuit.setblocking(True)
            await asyncio.to_thread(session.attach, circuit, resume.expected)
            return

    def _over(self, session: Session) -> None:
        """Note that a session ended; any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over_here, session)

    def _over_here(self, session: Session) -> None:
        for name, each in tuple(self._sessions.items()):
            if each is session:
                del self._sessions[name]
                self._attempts.pop(name, None)
        self._openings.pop(session, None)
        for line in self.lines.values():
            if session in line.sessions:
                line.last_path = session.path
                self._count(session.path, session.counters.bytes_in)
                line.end(session)

    def _relay_over(self, relay: Relay) -> None:
        """Note that a relay ended; any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._relay_over_here, relay)

    def _relay_over_here(self, relay: Relay) -> None:
        self._relays.discard(relay)
        for to, name in enumerate(relay.hops):
            if name in self.hops:
                self.hops[name].sent_bytes += relay.sent_bytes[to]

    def _count(self, path: tuple[str, ...], n_bytes: int) -> None:
        if (hop := self.hops.get(neighbour(self.node, path))) is not None:
            hop.sent_bytes += n_bytes

    def hop_bytes(self) -> dict[str, int]:
        """Return what was sent to each neighbour so far."""
        sums = {name: hop.sent_bytes for name, hop in self.hops.items()}
        for relay in self._relays:
            for to, name in enumerate(relay.hops):
                if name in sums:
                    sums[name] += relay.sent_bytes[to]
        for session in self._sessions.values():
            if (name := neighbour(self.node, session.path)) in sums:
                sums[name] += session.counters.bytes_in
        return sums

    def queued_bytes(self, target: str) -> int:
        """Return what this node sent towards a neighbour and the other ends did not confirm yet."""
        return sum(
            session.unacknowledged_bytes
            for session in self._sessions.values()
            if neighbour(self.node, session.path) == target
        )

    def _hop_changed(self, hop: Hop) -> None:
        if hop.is_up:
            self.tell(Level.OK, self.node, f"the way to '{hop.target}' is up")
            return
        self.tell(Level.WARNING, self.node, f"the way to '{hop.target}' is down: {hop.reason}")
        for session in tuple(self._sessions.values()):
            if session.started and neighbour(self.node, session.path) == hop.target:
                session.lose()
        for relay in tuple(self._relays):
            if hop.target in relay.hops:
                relay.cut()

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
                            await asyncio.to_thread(session.tick)
                    else:
                        session.tick()

    def _stop(self) -> None:
        for session in tuple(self._sessions.values()):
            session.finish("the node stops")
        for relay in tuple(self._relays):
            relay.cut()
        for task in tuple(self._running):
            task.cancel()


def _kind(error: Exception) -> Refusal:
    if isinstance(error, KeyExhausted):
        return Refusal.NO_KEY
    return Refusal.DECLINED if isinstance(error, Declined) else Refusal.NO_WAY


def neighbour(node: str, path: tuple[str, ...]) -> str:
    """Return the node next to an end of a path; empty where there is none."""
    if len(path) < 2:
        return ""
    return path[1] if path[0] == node else path[-2]


def _verified(octets: bytes, key: Secret, attempt: int) -> Resume | None:
    """Return the answer to an attempt; None where the other end did not write it."""
    try:
        resume = _read_resume(octets)
    except ChannelError:
        return None
    is_ours = hmac.compare_digest(resume.tag, _resume_tag(key, resume))
    return resume if is_ours and resume.attempt == attempt else None


def _signed(key: Secret, session: bytes, attempt: int, expected: int) -> Resume:
    resume = Resume(session=session, attempt=attempt, expected=expected, tag=b"")
    return msgspec.structs.replace(resume, tag=_resume_tag(key, resume))


def _resume_tag(key: Secret, resume: Resume) -> bytes:
    text = msgspec.msgpack.encode((resume.session, resume.attempt, resume.expected))
    return hmac.digest(key.reveal(), text, "sha384")


def _read_resume(octets: bytes) -> Resume:
    try:
        return msgspec.msgpack.decode(octets, type=Resume)
    except UNREADABLE as error:
        raise ChannelError("not a request to go on") from error
