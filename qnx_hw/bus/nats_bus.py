"""The bus of many machines: NATS with JetStream, over mutual TLS."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError

from qnx_hw.bus.interface import (
    BUCKETS,
    MAX_PAYLOAD_BYTES,
    REQUEST_DEADLINE_S,
    STREAMS,
    Bucket,
    Bus,
    Stream,
)
from qnx_hw.bus.mailbox import Message, Subscription
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.bus.stores import NatsBucket, NatsStream, prepare_stores
from qnx_hw.bus.subjects import check, check_pattern
from qnx_hw.errors import BusAway, BusRefused, NobodyAnswered

log = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 3
TAKEN_UP_DEADLINE_S = 10
"""In which the server must have heard of new subscriptions; it may be busy writing."""
RECONNECT_PAUSE_S = 0.5
PING_INTERVAL_S = 5
"""A core that is silent for two of these is lost."""

StateTeller = Callable[[bool, str], object]
"""Takes whether the core is reachable, and why not."""

_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.I)


@dataclass(slots=True, eq=False)
class _Wanted:
    """A subscription that outlives connections."""

    pattern: str
    take: Callable[[Msg], None]
    live: NatsSubscription | None = None


class NatsBus(Bus):
    """One participant's connection; `open` makes one and keeps it up.

    Where the core is away, `publish`, `request` and the stores raise `BusAway`; subscriptions and
    watches stay and go on when it is back. What was published meanwhile is lost to subscriptions;
    watches catch up with the newest values.
    """

    def __init__(self, name: str, on_state: StateTeller) -> None:
        self._name = name
        self._on_state = on_state
        self._connection: Client | None = None
        self._newest: Client | None = None
        """The connection before all that was subscribed is taken up as well."""
        self._wanted: list[_Wanted] = []
        self._questions: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._buckets = {each: NatsBucket(self, each) for each in BUCKETS}
        self._streams = {each: NatsStream(self, each) for each in STREAMS}
        self._inbox = _Wanted(f"_INBOX.{name}.>", self._answered)
        self._told: tuple[bool, str] | None = None
        self._reason = ""
        """The newest trouble with the connection."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        name: str,
        servers: Sequence[str],
        tls: ssl.SSLContext,
        on_state: StateTeller = lambda is_up, reason: None,
    ) -> AsyncIterator[NatsBus]:
        """Connect as the participant `name` while the context lasts; does not wait for the core."""
        bus = cls(name, on_state)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(bus._keep_connected(list(servers), tls))
            try:
                yield bus
            finally:
                keeping.cancel()

    @property
    def is_up(self) -> bool:
        """Whether the core is reachable now."""
        return self._connection is not None and self._connection.is_connected

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send; a subject that this participant may not use is logged, since no answer comes."""
        await self._send(check(subject), payload)

    @asynccontextmanager
    async def subscribe(self, pattern: str, *, limit: int = 1024) -> AsyncIterator[Subscription]:
        """Receive what matches while the context lasts."""
        box = Subscription(limit)
        async with self.hearing(check_pattern(pattern), lambda msg: box.put(_message(msg))):
            yield box

    async def request(
        self, subject: str, payload: bytes, *, timeout_s: float = REQUEST_DEADLINE_S
    ) -> bytes:
        """Publish with a place for the answer and wait for it."""
        return (await self.ask(check(subject), payload, timeout_s=timeout_s)).data

    def bucket(self, name: str) -> Bucket:
        """Return a bucket."""
        if name not in self._buckets:
            raise BusRefused(f"there is no bucket '{name}'; there is {', '.join(BUCKETS)}")
        return self._buckets[name]

    def stream(self, name: str) -> Stream:
        """Return a stream."""
        if name not in self._streams:
            raise BusRefused(f"there is no stream '{name}'; there is {', '.join(STREAMS)}")
        return self._streams[name]

    async def ask(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_DEADLINE_S,
    ) -> Msg:
        """Return the first answer with its headers."""
        inbox = f"_INBOX.{self._name}.{secrets.token_hex(8)}"
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._questions[inbox] = subject, future
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(subject, payload, inbox, headers)
                answer = await future
        except TimeoutError as error:
            raise NobodyAnswered(f"no answer on {subject} within {timeout_s:g} s") from error
        finally:
            del self._questions[inbox]
        if (answer.headers or {}).get("Status") == "503":
            raise NobodyAnswered(f"nobody listens on {subject}")
        return answer

    @asynccontextmanager
    async def hearing(self, pattern: str, take: Callable[[Msg], None]) -> AsyncIterator[None]:
        """Give `take` what matches while the context lasts, over all connections to come."""
        wanted = _Wanted(pattern, take)
        self._wanted.append(wanted)
        try:
            if self._newest is not None:
                with suppress(BusAway):  # then the next connection takes it up
                    await self._take_up(self._newest, [wanted])
            yield
        finally:
            self._wanted.remove(wanted)
            if wanted.live is not None and self.is_up:
                with suppress(NatsError, OSError):
                    await wanted.live.unsubscribe()

    async def _send(
        self, subject: str, payload: bytes, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise BusRefused(f"a message has at most {MAX_PAYLOAD_BYTES} bytes, not {len(payload)}")
        connection = self._connection
        if connection is None or not connection.is_connected:
            raise BusAway(f"the bus is away: {self._told[1] if self._told else 'not yet there'}")
        try:
            await connection.publish(subject, payload, reply, headers)
        except (NatsError, OSError) as error:
            raise BusAway(f"the bus is away: {error}") from error

    async def _keep_connected(self, servers: list[str], tls: ssl.SSLContext) -> None:
        while True:
            try:
                await self._stay_connected(servers, tls)
            except (NatsError, OSError, TimeoutError, BusAway) as error:
                self._say(False, self._reason or str(error) or type(error).__name__)
            self._reason = ""
            await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _stay_connected(self, servers: list[str], tls: ssl.SSLContext) -> None:
        """Connect, take up what was subscribed, and return when the connection is lost."""
        lost = asyncio.Event()

        async def closed() -> None:
            lost.set()

        # The client's own reconnection gives up for good after some errors; ours never does.
        connection = await nats.connect(
            servers,
            name=self._name,
            tls=tls,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=CONNECT_DEADLINE_S,
            ping_interval=PING_INTERVAL_S,
            error_cb=self._trouble,
            closed_cb=closed,
        )
        try:
            _heed_cancelling()
            # What is wanted from now on takes itself up.
            self._newest = connection
            await self._take_up(connection, [self._inbox, *self._wanted])
            self._connection = connection
            if self._name == CONTROLLER:
                await prepare_stores(self)
            for bucket in self._buckets.values():
                await bucket.catch_up()
            _heed_cancelling()
            self._say(True, "")
            await lost.wait()
            raise BusAway("the connection was lost")
        finally:
            self._connection = self._newest = None
            for _, future in self._questions.values():
                if not future.done():
                    future.set_exception(BusAway("the connection to the bus was lost"))
            with suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_DEADLINE_S):
                    await connection.close()

    async def _take_up(self, connection: Client, wanted: Sequence[_Wanted]) -> None:
        """Subscribe and wait until the server knows it."""
        try:
            for each in wanted:
                each.live = await connection.subscribe(each.pattern, cb=_calling(each.take))
            # The client's first question may overtake what was subscribed before it; a second,
            # which is sent after the answer, cannot.
            for _ in range(2):
                await connection.flush(TAKEN_UP_DEADLINE_S)
        except (NatsError, OSError) as error:
            raise BusAway(f"the bus went away: {error}") from error

    def _answered(self, message: Msg) -> None:
        _, future = self._questions.get(message.subject, ("", None))
        if future is not None and not future.done():
            future.set_result(message)

    async def _trouble(self, error: Exception) -> None:
        violation = _VIOLATION.search(str(error))
        if violation is None:
            log.debug("bus: %s", error)
            self._reason = str(error)
            return
        what, subject = violation.groups()
        words = f"'{self._name}' has no right of {what} on {subject}"
        log.warning("the bus refused: %s", words)
        for asked, future in self._questions.values():
            if asked.lower() == subject.lower() and not future.done():
                future.set_exception(BusRefused(words))

    def _say(self, is_up: bool, reason: str) -> None:
        if self._told != (is_up, reason):
            self._told = is_up, reason
            self._on_state(is_up, reason)


def _message(message: Msg) -> Message:
    return Message(subject=message.subject, payload=message.data, reply_to=message.reply or "")


def _heed_cancelling() -> None:
    """Leave where this task was told to and the client, which catches everything, ate it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _calling(take: Callable[[Msg], None]) -> Callable[[Msg], Awaitable[None]]:
    async def call(message: Msg) -> None:
        take(message)

    return call
