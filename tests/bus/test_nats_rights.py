"""What certificates let their holders do, and what happens while the core is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from nats_core import NatsCore, nats_core

from qnx_hw.bus.certificates import Authority
from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.errors import BusAway, BusRefused, ConfigError, NobodyAnswered

DEADLINE_S = 120.0


class Seen:
    """Follows whether a participant is connected."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.away = asyncio.Event()
        self.reason = ""

    def __call__(self, is_up: bool, reason: str) -> None:
        self.reason = reason
        (self.up if is_up else self.away).set()
        (self.away if is_up else self.up).clear()


@pytest.fixture
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCore]:
    with nats_core(tmp_path_factory.mktemp("core")) as running:
        yield running


@asynccontextmanager
async def joined(core: NatsCore, *names: str) -> AsyncIterator[dict[str, tuple[NatsBus, Seen]]]:
    async with AsyncExitStack() as stack:
        found = {}
        for name in names:
            seen = Seen()
            opening = NatsBus.open(name, [core.url], core.tls(name), seen)
            found[name] = await stack.enter_async_context(opening), seen
        for _, seen in found.values():
            await seen.up.wait()
        yield found


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scene()

    asyncio.run(limited())


@pytest.mark.slow
def test_a_node_speaks_and_hears_for_itself_alone(core: NatsCore) -> None:
    async def scene() -> None:
        async with joined(core, CONTROLLER, "alice", "bob") as buses:
            controller, alice, bob = (buses[name][0] for name in (CONTROLLER, "alice", "bob"))

            async with controller.subscribe("qnx.>") as heard:
                await alice.publish("qnx.telemetry.bob", b"forged")
                with pytest.raises(BusRefused, match="no right of publish"):
                    await alice.stream("telemetry").append("bob", b"forged")
                with pytest.raises(BusRefused, match="no right of publish"):
                    await alice.bucket("routes").put("alice", b"forged")
                with pytest.raises(BusRefused, match="no right of publish"):
                    await alice.bucket("nodes").put("bob", b"forged")
                with pytest.raises(BusRefused, match="no right of publish"):
                    await alice.ask("$JS.API.CONSUMER.CREATE.KV_routes", b"{}")
                with pytest.raises(BusRefused, match="no right of publish"):
                    await alice.ask("$JS.API.STREAM.PURGE.KV_routes", b"{}")
                await bob.publish("qnx.telemetry.bob", b"true")
                assert (await heard.get()).payload == b"true"

            assert [each.payload for each in await controller.stream("telemetry").read()] == [
                b"true"
            ]
            assert await controller.bucket("routes").get("alice") is None
            async with alice.subscribe("qnx.ask.bob.*"):
                with pytest.raises(NobodyAnswered):
                    await controller.request("qnx.ask.bob.secret", b"", timeout_s=2.0)

    play(scene)


@pytest.mark.slow
def test_a_certificate_of_another_authority_gets_nothing(
    core: NatsCore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strange = tmp_path_factory.mktemp("strange")
    Authority.new("elsewhere").issue("alice", strange)
    for name in ("alice.pem", "alice.key"):
        (core.folder / name).write_bytes((strange / name).read_bytes())

    async def scene() -> None:
        seen = Seen()
        async with NatsBus.open("alice", [core.url], core.tls("alice"), seen) as alice:
            await seen.away.wait()

            assert not alice.is_up
            assert seen.reason
            with pytest.raises(BusAway):
                await alice.publish("qnx.telemetry.alice", b"")

    play(scene)


@pytest.mark.slow
def test_a_site_goes_on_without_the_core_and_catches_up(core: NatsCore) -> None:
    async def scene() -> None:
        async with joined(core, CONTROLLER, "alice") as buses:
            (controller, here), (alice, there) = buses[CONTROLLER], buses["alice"]
            first = await controller.bucket("routes").put("alice", b"old")
            async with (
                alice.bucket("routes").watch("alice") as watch,
                controller.subscribe("qnx.telemetry.*") as heard,
            ):
                assert (await watch.get()).value == b"old"
                core.stop()
                await there.away.wait()
                await here.away.wait()
                with pytest.raises(BusAway):
                    await alice.publish("qnx.telemetry.alice", b"meanwhile")

                core.start()
                await here.up.wait()
                second = await controller.bucket("routes").put("alice", b"new", revision=first)
                await there.up.wait()
                entry = await watch.get()
                assert (entry.value, entry.revision) == (b"new", second)
                await alice.publish("qnx.telemetry.alice", b"again")
                assert (await heard.get()).payload == b"again"

    play(scene)


@pytest.mark.slow
def test_a_site_starts_before_the_core_and_joins_it_later(core: NatsCore) -> None:
    core.stop()

    async def scene() -> None:
        seen = Seen()
        async with (
            NatsBus.open("alice", [core.url], core.tls("alice"), seen) as alice,
            alice.subscribe("qnx.ask.alice.*") as questions,
        ):
            await seen.away.wait()
            core.start()
            async with joined(core, CONTROLLER) as buses:
                await seen.up.wait()
                await buses[CONTROLLER][0].publish("qnx.ask.alice.anything", b"?")
                assert (await questions.get()).payload == b"?"

    play(scene)


def test_missing_certificates_are_named(core: NatsCore) -> None:
    with pytest.raises(ConfigError, match=r"dora\.pem and dora\.key belong there"):
        core.tls("dora")
