"""Buckets and streams kept by JetStream, used with the least rights that do.

A bucket is the stream `KV_NAME` over `$KV.NAME.>`, as every NATS client knows it. Nodes watch it
without a consumer (see `permissions`): the server repeats each stored change with its sequence.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

import msgspec
from nats.aio.msg import Msg

from qnx_hw.bus.interface import (
    BUCKETS,
    REQUEST_DEADLINE_S,
    STREAM_MESSAGES,
    STREAMS,
    Bucket,
    Entry,
    Stream,
    StreamEntry,
)
from qnx_hw.bus.mailbox import Watch
from qnx_hw.bus.permissions import REPEATED
from qnx_hw.bus.subjects import check, check_pattern, matches
from qnx_hw.errors import UNREADABLE, BusAway, BusRefused, Conflict, NobodyAnswered

WRONG_LAST_SEQUENCE = 10071  # nats-server, server/errors.json
STREAM_NAME_IN_USE = 10058
OPERATION = "KV-Operation"  # NATS architecture decision record 8
EXPECTED = "Nats-Expected-Last-Subject-Sequence"


class Asking(Protocol):
    """What the stores need of a connection."""

    @abstractmethod
    async def ask(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_DEADLINE_S,
    ) -> Msg:
        """Return the first answer."""

    @abstractmethod
    def hearing(
        self, pattern: str, take: Callable[[Msg], None]
    ) -> AbstractAsyncContextManager[None]:
        """Give `take` what matches while the context lasts."""


class _Error(msgspec.Struct):
    code: int
    description: str = ""
    err_code: int = 0


class _State(msgspec.Struct):
    last_seq: int = 0
    subjects: dict[str, int] = {}


class _Answer(msgspec.Struct):
    """The parts of JetStream's answers that we read."""

    error: _Error | None = None
    seq: int = 0
    state: _State = msgspec.field(default_factory=_State)


async def prepare_stores(bus: Asking) -> None:
    """Make the buckets and streams, or bring their settings up to date."""
    for name in BUCKETS:
        await _prepare(
            bus,
            f"KV_{name}",
            subjects=[f"$KV.{name}.>"],
            max_msgs_per_subject=1,
            discard="new",
            allow_rollup_hdrs=True,
            deny_delete=True,
            republish={"src": f"$KV.{name}.>", "dest": f"{REPEATED}.{name}.>"},
        )
    for name in STREAMS:
        await _prepare(
            bus, name, subjects=[f"qnx.{name}.*"], max_msgs=STREAM_MESSAGES, discard="old"
        )


class NatsBucket(Bucket):
    """One bucket; watches survive the loss of the connection."""

    def __init__(self, bus: Asking, name: str) -> None:
        self._bus = bus
        self._name = name
        self._watches: list[tuple[str, Watch[Entry]]] = []
        self._last_revision = 0

    async def get(self, key: str) -> Entry | None:
        """Return what the key holds."""
        entry = await self._stored(check(key))
        return None if entry is None or entry.value is None else entry

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Store a value."""
        try:
            return await self._store(check(key), value, revision)
        except Conflict:
            held = await self._stored(key)
            if revision != 0 or held is None or held.value is not None:
                raise
            return await self._store(key, value, held.revision)  # over the mark of a deletion

    async def delete(self, key: str) -> None:
        """Forget a key's value."""
        if await self.get(key) is not None:
            await _publish(self._bus, f"$KV.{self._name}.{key}", b"", {OPERATION: "DEL"})

    @asynccontextmanager
    async def watch(self, pattern: str = ">") -> AsyncIterator[Watch[Entry]]:
        """Give each matching key's newest entry."""
        watch: Watch[Entry] = Watch()

        def take(message: Msg) -> None:
            revision = int((message.headers or {}).get("Nats-Sequence", 0))
            self._last_revision = max(self._last_revision, revision)
            watch.put(self._entry(message, message.subject, f"{REPEATED}.{self._name}."))

        place = (check_pattern(pattern), watch)
        async with self._bus.hearing(f"{REPEATED}.{self._name}.{pattern}", take):
            self._watches.append(place)
            with suppress(BusAway, NobodyAnswered):  # `catch_up` does it when the core is there
                await self._fill([place])
            try:
                yield watch
            finally:
                self._watches.remove(place)

    async def catch_up(self) -> None:
        """Give the watches what changed while the core was away."""
        if self._watches:
            await self._fill(self._watches)

    async def _fill(self, watches: list[tuple[str, Watch[Entry]]]) -> None:
        request = msgspec.json.encode({"subjects_filter": f"$KV.{self._name}.>"})
        answer = await _api(self._bus, f"STREAM.INFO.KV_{self._name}", request)
        if answer.error is not None:
            return  # no such bucket before the controller was there for the first time
        if answer.state.last_seq < self._last_revision:
            for _, watch in watches:
                watch.start_over()  # the core lost its store
        self._last_revision = answer.state.last_seq
        for subject in answer.state.subjects:
            key = subject.removeprefix(f"$KV.{self._name}.")
            interested = [watch for pattern, watch in watches if matches(pattern, key)]
            entry = await self._stored(key) if interested else None
            for watch in interested:
                if entry is not None and (entry.value is not None or watch.knows(key)):
                    watch.put(entry)

    async def _stored(self, key: str) -> Entry | None:
        subject = f"$KV.{self._name}.{key}"
        message = await self._bus.ask(f"$JS.API.DIRECT.GET.KV_{self._name}.{subject}", b"")
        headers = message.headers or {}
        if "Nats-Sequence" not in headers:
            return None
        return self._entry(message, headers["Nats-Subject"], f"$KV.{self._name}.")

    async def _store(self, key: str, value: bytes, revision: int | None) -> int:
        headers = {} if revision is None else {EXPECTED: str(revision)}
        return await _publish(self._bus, f"$KV.{self._name}.{key}", value, headers)

    def _entry(self, message: Msg, subject: str, prefix: str) -> Entry:
        headers = message.headers or {}
        return Entry(
            key=subject.removeprefix(prefix),
            value=None if OPERATION in headers else message.data,
            revision=int(headers.get("Nats-Sequence", 0)),
        )


class NatsStream(Stream):
    """One stream."""

    def __init__(self, bus: Asking, name: str) -> None:
        self._bus = bus
        self._name = name

    async def append(self, source: str, payload: bytes) -> int:
        """Store a message; one that was not confirmed may be stored all the same."""
        return await _publish(self._bus, check(f"qnx.{self._name}.{source}"), payload, {})

    async def read(self, *, after: int = 0, limit: int = 100) -> tuple[StreamEntry, ...]:
        """Return what comes after a number."""
        entries: list[StreamEntry] = []
        while len(entries) < limit:
            wanted = {"seq": after + 1, "next_by_subj": f"qnx.{self._name}.*"}
            message = await self._bus.ask(
                f"$JS.API.DIRECT.GET.{self._name}", msgspec.json.encode(wanted)
            )
            headers = message.headers or {}
            if "Nats-Sequence" not in headers:
                break
            after = int(headers["Nats-Sequence"])
            source = headers["Nats-Subject"].rpartition(".")[2]
            entries.append(StreamEntry(number=after, source=source, payload=message.data))
        return tuple(entries)


async def _prepare(bus: Asking, name: str, **settings: Any) -> None:
    text = msgspec.json.encode(
        {"name": name, "storage": "file", "num_replicas": 1, "allow_direct": True, **settings}
    )
    answer = await _api(bus, f"STREAM.CREATE.{name}", text)
    if answer.error is not None and answer.error.err_code == STREAM_NAME_IN_USE:
        answer = await _api(bus, f"STREAM.UPDATE.{name}", text)
    if answer.error is not None:
        raise BusRefused(f"the core does not keep '{name}': {answer.error.description}")


async def _publish(bus: Asking, subject: str, payload: bytes, headers: dict[str, str]) -> int:
    """Publish and return the sequence under which it is stored."""
    answer = _decoded(await bus.ask(subject, payload, headers=headers or None))
    if answer.error is None:
        return answer.seq
    if answer.error.err_code == WRONG_LAST_SEQUENCE:
        raise Conflict(f"somebody else changed {subject} first: {answer.error.description}")
    raise BusRefused(f"{subject} was not stored: {answer.error.description}")


async def _api(bus: Asking, what: str, request: bytes) -> _Answer:
    return _decoded(await bus.ask(f"$JS.API.{what}", request))


def _decoded(message: Msg) -> _Answer:
    try:
        return msgspec.json.decode(message.data, type=_Answer)
    except UNREADABLE as error:
        raise BusAway(f"the core answered what it should not: {error}") from error
