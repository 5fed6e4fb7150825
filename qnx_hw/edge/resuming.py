"""Going on over a new circuit: what both ends do, and what they say under a key of the session."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from qnx_hw.edge.circuits import CONNECT_DEADLINE_S, Open, Opened, Purpose, Refusal
from qnx_hw.edge.dialling import Declined, Dialler, asked
from qnx_hw.edge.handshake import Resume
from qnx_hw.edge.session import RESUME_S, Session
from qnx_hw.edge.traffic import Line
from qnx_hw.edge.transit import Reply
from qnx_hw.errors import UNREADABLE, ChannelError, QnxError
from qnx_hw.secret import Secret

RETRY_S = 0.25
MOST_PAST = 1000
"""Sessions that are remembered after their good end."""
MAX_REASON = 200
"""Characters; the other end wrote them."""
ENDED = Opened(refusal=Refusal.DECLINED, reason="the session has ended")

_Result = TypeVar("_Result")


class Aside(Protocol):
    """Runs what waits for a circuit in a thread."""

    async def __call__(self, work: Callable[[], _Result]) -> _Result: ...


class Resuming:
    """Finds new circuits for an edge's sessions; belongs to the event loop's thread."""

    def __init__(
        self,
        node: str,
        sessions: Mapping[bytes, Session],
        dialler: Dialler,
        aside: Aside,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._node = node
        self._sessions = sessions
        self._dialler = dialler
        self._aside = aside
        self._start = start
        self._openings: dict[Session, tuple[bytes, Line]] = {}
        self._past: OrderedDict[bytes, tuple[tuple[Secret, Secret], int]] = OrderedDict()
        """Sessions that ended well: their keys, and what was expected next."""
        self.attempts: dict[bytes, int] = {}
        """By the name of the session, which was the newest."""

    def opened(self, session: Session, name: bytes, line: Line) -> None:
        """Note a session that began here: its circuits are asked for from here."""
        self._openings[session] = name, line

    def begin(self, session: Session) -> None:
        """Look for a new circuit for a session that lost its own."""
        if session in self._openings and session.started:
            self._start(self._resume(session))

    def over(self, session: Session, name: bytes, *, tells: bool) -> None:
        """Forget a session that ended; tell the other end of an early end, where it waits."""
        if not session.reason:
            self._past[name] = session.keys.resume_keys, session.talk.figures.expected
            if len(self._past) > MOST_PAST:
                self._past.popitem(last=False)
        opening = self._openings.pop(session, None)
        attempt = self.attempts.pop(name, 0) + 1
        if opening is not None and session.reason and tells:
            self._start(self._tell(opening[1], session, name, attempt))

    async def answer(self, circuit: socket.socket, request: Open, reply: Reply) -> bool:
        """Do what the end that opened a session asks: go on, or end; whether over this circuit."""
        resume = read_resume(request.greeting)
        session = self._sessions.get(resume.session)
        if session is None:
            await self._answer_late(circuit, request, resume, reply)
            return False
        ours, theirs = session.keys.resume_keys
        if not is_signed(theirs, resume):
            raise Declined("somebody else's session")
        if resume.attempt <= self.attempts.get(resume.session, 0):
            raise Declined("a circuit that was asked for before")
        self.attempts[resume.session] = resume.attempt
        if resume.reason:
            session.finish(resume.reason[:MAX_REASON])
            await self._reply(circuit, request, reply, ENDED)
            return False
        session.lose()
        # The record that is being opened may wait for its pad, which takes this loop.
        expected = await self._aside(session.talk.expected)
        resumed = signed(ours, resume.session, resume.attempt, expected)
        session.path = (*request.path, self._node)
        opened = Opened(path=session.path, greeting=msgspec.msgpack.encode(resumed))
        await self._reply(circuit, request, reply, opened)
        await self._aside(partial(session.attach, circuit, resume.expected))
        return True

    async def _answer_late(
        self, circuit: socket.socket, request: Open, resume: Resume, reply: Reply
    ) -> None:
        """Say of a session that ended well that it did: the circuit may have been lost just then.

        What this end expects next shows, under the session's key, that it got all.
        """
        opened = ENDED
        if not resume.reason:
            if resume.session not in self._past:
                raise Declined("there is no such session any more")
            (ours, theirs), expected = self._past[resume.session]
            if not is_signed(theirs, resume):
                raise Declined("somebody else's session")
            told = signed(ours, resume.session, resume.attempt, expected)
            opened = Opened(path=(*request.path, self._node), greeting=msgspec.msgpack.encode(told))
        await self._reply(circuit, request, reply, opened)

    async def _reply(
        self, circuit: socket.socket, request: Open, reply: Reply, opened: Opened
    ) -> None:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await reply(circuit, request, opened)

    async def _resume(self, session: Session) -> None:
        """Open new circuits for a session until one stands or it is over."""
        if session not in self._openings:
            return  # it ended before this could begin
        name, line = self._openings[session]
        ours, theirs = session.keys.resume_keys
        end_s = time.monotonic() + RESUME_S
        while session in self._openings and time.monotonic() < end_s:
            attempt = self.attempts[name] = self.attempts.get(name, 0) + 1
            session.lose()
            expected = await self._aside(session.talk.expected)
            said = signed(ours, name, attempt, expected)
            request = asked(self._node, line, Purpose.RESUME, msgspec.msgpack.encode(said))
            try:
                circuit, answer = await self._dialler.dial(request)
            except Declined as error:
                session.finish(str(error))
                return
            except (QnxError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_S)
                continue
            resume = verified(answer.greeting, theirs, attempt)
            if resume is None:
                circuit.close()
                line.ended.failures += 1
                await asyncio.sleep(RETRY_S)
                continue
            session.path = answer.path
            await self._aside(partial(session.attach, circuit, resume.expected))
            return

    async def _tell(self, line: Line, session: Session, name: bytes, attempt: int) -> None:
        """Say that a session ended early: on its own circuit there may have been no way to."""
        said = signed(session.keys.resume_keys[0], name, attempt, 0, session.reason)
        request = asked(self._node, line, Purpose.RESUME, msgspec.msgpack.encode(said))
        with suppress(QnxError, OSError, TimeoutError):
            circuit, _ = await self._dialler.dial(request)
            circuit.close()  # nobody answers this with a circuit


def signed(key: Secret, session: bytes, attempt: int, expected: int, reason: str = "") -> Resume:
    """Return what one end says: the number of the record that it wants next, or why none."""
    resume = Resume(session=session, attempt=attempt, expected=expected, tag=b"", reason=reason)
    return msgspec.structs.replace(resume, tag=_tag(key, resume))


def is_signed(key: Secret, resume: Resume) -> bool:
    """Whether the other end of the session said this."""
    return hmac.compare_digest(resume.tag, _tag(key, resume))


def verified(octets: bytes, key: Secret, attempt: int) -> Resume | None:
    """Return the answer to an attempt; None where the other end did not write it."""
    try:
        resume = read_resume(octets)
    except ChannelError:
        return None
    return resume if is_signed(key, resume) and resume.attempt == attempt else None


def read_resume(octets: bytes) -> Resume:
    """Read a request to go on; `ChannelError` for anything else."""
    try:
        return msgspec.msgpack.decode(octets, type=Resume)
    except UNREADABLE as error:
        raise ChannelError("not a request to go on") from error


def _tag(key: Secret, resume: Resume) -> bytes:
    text = msgspec.msgpack.encode((resume.session, resume.attempt, resume.expected, resume.reason))
    return hmac.digest(key.reveal(), text, "sha384")
