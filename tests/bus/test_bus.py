"""Every bus keeps the same promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
from nats_core import NatsCore, nats_core

from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.bus.interface import BUCKETS, MAX_PAYLOAD_BYTES, STREAMS, Bus
from qnx_hw.bus.mailbox import Subscription
from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.errors import BusAway, BusRefused, Conflict, NobodyAnswered

DEADLINE_S = 120.0
LOST_S = 30.0
"""What did not arrive in this time is lost."""
Buses = Callable[[], AbstractAsyncContextManager[tuple[Bus, Bus]]]
"""Opens the access of the controller and that of node alice to the same empty bus."""


@asynccontextmanager
async def in_process() -> AsyncIterator[tuple[Bus, Bus]]:
    bus = InProcessBus()
    yield bus, bus


def over_nats(core: NatsCore) -> Buses:
    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Bus, Bus]]:
        ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name in (CONTROLLER, "alice")}

        def teller(name: str) -> Callable[[bool, str], None]:
            return lambda is_up, reason: ready[name].set() if is_up else None

        async with (
            NatsBus.open(CONTROLLER, [core.url], core.tls(CONTROLLER), teller(CONTROLLER)) as ours,
            NatsBus.open("alice", [core.url], core.tls("alice"), teller("alice")) as theirs,
        ):
            for event in ready.values():
                await event.wait()
            for name in (*(f"KV_{bucket}" for bucket in BUCKETS), *STREAMS):
                await ours.ask(f"$JS.API.STREAM.PURGE.{name}", b"")
            yield ours, theirs

    return opened


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCore]:
    with nats_core(tmp_path_factory.mktemp("core")) as running:
        yield running


@pytest.fixture(params=["in-process", "nats"])
def buses(request: pytest.FixtureRequest) -> Buses:
    if request.param == "in-process":
        return in_process
    return over_nats(request.getfixturevalue("core"))


def run(buses: Buses, scene: Callable[[Bus, Bus], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(DEADLINE_S), buses() as (controller, alice):
            await scene(controller, alice)

    asyncio.run(play())


def test_a_publication_reaches_whose_pattern_covers_it(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        async with (
            controller.subscribe("qnx.telemetry.*") as near,
            controller.subscribe("qnx.>") as wide,
            controller.subscribe("qnx.ack.*") as other,
        ):
            await alice.publish("qnx.telemetry.alice", b"one")
            await alice.publish("qnx.ack.alice", b"two")

            assert [(await wide.get()).payload for _ in range(2)] == [b"one", b"two"]
            first = await near.get()
            assert (first.subject, first.payload) == ("qnx.telemetry.alice", b"one")
            assert (await other.get()).payload == b"two"

    run(buses, scene)


def test_what_is_subscribed_while_the_bus_connects_is_heard(core: NatsCore) -> None:
    async def scene() -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            bus = await stack.enter_async_context(
                NatsBus.open(CONTROLLER, [core.url], core.tls(CONTROLLER))
            )
            boxes = []
            while not bus.is_up:
                boxes.append(await stack.enter_async_context(bus.subscribe("qnx.telemetry.*")))
                for _ in range(10):
                    await asyncio.sleep(0)
            alice = await stack.enter_async_context(
                NatsBus.open(
                    "alice", [core.url], core.tls("alice"), lambda up, _: up and ready.set()
                )
            )
            await ready.wait()
            await alice.publish("qnx.telemetry.alice", b"one")

            assert {(await box.get()).payload for box in boxes} == {b"one"}

    ready = asyncio.Event()
    asyncio.run(scene())


def test_a_full_box_drops_the_oldest_and_says_so(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        async with (
            controller.subscribe("qnx.telemetry.*", limit=3) as small,
            controller.subscribe("qnx.telemetry.*") as large,
        ):
            for number in range(10):
                await alice.publish("qnx.telemetry.alice", b"%d" % number)
            for _ in range(10):
                await large.get()

            assert [(await small.get()).payload for _ in range(3)] == [b"7", b"8", b"9"]
            assert (small.dropped, large.dropped) == (7, 0)

    run(buses, scene)


def test_a_question_gets_its_own_answer(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        async def answer() -> None:
            async with alice.subscribe("qnx.ask.alice.double") as questions:
                ready.set()
                async for question in questions:
                    await alice.publish(question.reply_to, 2 * question.payload)

        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(answer())
            await ready.wait()
            asked = [
                tasks.create_task(controller.request("qnx.ask.alice.double", b"%d" % number))
                for number in range(20)
            ]
            answers = [await each for each in asked]
            answering.cancel()

        assert answers == [b"%d" % number * 2 for number in range(20)]

    run(buses, scene)


def test_silence_ends_at_the_deadline(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        with pytest.raises(NobodyAnswered):
            await controller.request("qnx.ask.alice.nothing", b"", timeout_s=5.0)
        async with alice.subscribe("qnx.ask.alice.slow"), asyncio.timeout(60):
            said = ""
            while "within 0.05 s" not in said:  # a slow machine may be about to join once more
                with pytest.raises((NobodyAnswered, BusAway)) as failed:
                    await controller.request("qnx.ask.alice.slow", b"", timeout_s=0.05)
                said = str(failed.value)

    run(buses, scene)


def test_a_bucket_holds_the_last_value_under_growing_revisions(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        routes = controller.bucket("routes")
        assert await alice.bucket("routes").get("alice") is None
        first = await routes.put("alice", b"a")
        second = await routes.put("bob", b"b")
        third = await routes.put("alice", b"c")

        held = await alice.bucket("routes").get("alice")

        assert first < second < third
        assert held is not None
        assert (held.key, held.value, held.revision) == ("alice", b"c", third)
        await routes.delete("alice")
        assert await alice.bucket("routes").get("alice") is None

    run(buses, scene)


def test_a_stale_writer_is_refused(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        routes = controller.bucket("routes")
        first = await routes.put("alice", b"a", revision=0)
        second = await routes.put("alice", b"b", revision=first)

        for stale in (0, first, second + 7):
            with pytest.raises(Conflict):
                await routes.put("alice", b"x", revision=stale)

        held = await routes.get("alice")
        assert held is not None
        assert (held.value, held.revision) == (b"b", second)

    run(buses, scene)


def test_a_deleted_key_can_be_made_anew(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        routes = controller.bucket("routes")
        first = await routes.put("alice", b"a")
        await routes.delete("alice")
        await routes.delete("bob")

        assert await routes.put("alice", b"b", revision=0) > first

    run(buses, scene)


def test_a_watcher_sees_what_is_and_what_comes(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        routes = controller.bucket("routes")
        await routes.put("alice", b"before")
        await routes.put("bob", b"not for alice")
        async with alice.bucket("routes").watch("alice") as watch:
            assert (await watch.get()).value == b"before"
            await routes.put("bob", b"nor this")
            await routes.put("alice", b"after")
            assert (await watch.get()).value == b"after"
            await routes.delete("alice")
            assert (await watch.get()).value is None

    run(buses, scene)


def test_a_slow_watcher_ends_at_the_newest_value(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        routes = controller.bucket("routes")
        async with alice.bucket("routes").watch() as watch:
            for number in range(50):
                last = await routes.put("alice", b"%d" % number)
            revisions = [(await watch.get()).revision]
            while revisions[-1] < last:
                revisions.append((await watch.get()).revision)

        assert revisions == sorted(set(revisions))

    run(buses, scene)


def test_a_stream_is_read_from_where_the_reader_stands(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        assert await controller.stream("telemetry").read() == ()
        numbers = [await alice.stream("telemetry").append("alice", b"%d" % at) for at in range(5)]

        start = await controller.stream("telemetry").read(limit=2)
        rest = await controller.stream("telemetry").read(after=start[-1].number)

        assert [entry.number for entry in start + rest] == numbers
        assert [entry.payload for entry in start + rest] == [b"0", b"1", b"2", b"3", b"4"]
        assert {entry.source for entry in start + rest} == {"alice"}
        assert await controller.stream("telemetry").read(after=numbers[-1]) == ()

    run(buses, scene)


def test_what_is_appended_is_heard_and_what_is_published_is_stored(buses: Buses) -> None:
    said = [b"said", b"stored"]

    async def once(heard: Subscription, alice: Bus) -> list[bytes]:
        await alice.publish("qnx.telemetry.alice", said[0])
        await alice.stream("telemetry").append("alice", said[1])
        async with asyncio.timeout(LOST_S):
            return [(await heard.get()).payload for _ in said]

    async def scene(controller: Bus, alice: Bus) -> None:
        async with controller.subscribe("qnx.telemetry.*") as heard:
            try:
                got = await once(heard, alice)
            except TimeoutError:  # what is published goes down with its connection, so say it again
                got = await once(heard, alice)
            assert got == said

        stored = await controller.stream("telemetry").read()
        assert [entry.payload for entry in stored][-2:] == said

    run(buses, scene)


def test_malformed_and_oversized_messages_are_refused(buses: Buses) -> None:
    async def scene(controller: Bus, alice: Bus) -> None:
        with pytest.raises(BusRefused, match="not a subject"):
            await controller.publish("qnx.telemetry.*", b"")
        with pytest.raises(BusRefused, match="at most"):
            await controller.publish("qnx.note.x", bytes(MAX_PAYLOAD_BYTES + 1))
        with pytest.raises(BusRefused, match="no bucket"):
            controller.bucket("keys")
        with pytest.raises(BusRefused, match="no stream"):
            controller.stream("keys")

    run(buses, scene)
