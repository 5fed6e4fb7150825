"""Two key managers find each other through the node's door, and nobody else can speak for them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from key_pairs import LINK, fill

from qnx_hw.errors import ChannelError
from qnx_hw.keys import KeyStore, Kme, LinkEnd
from qnx_hw.node.door import DialedWay, Doorman, OpenedWay
from qnx_hw.node.key_wire import SUFFIX, KeyWire, SealedLine
from qnx_hw.node.peer_link import Channel, Greeting, listening
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

KEY = Secret(bytes(range(32)))
NAME = LINK + SUFFIX


def greeting(node: str) -> Greeting:
    return Greeting(link=NAME, node=node, secret_identity="0123")


@asynccontextmanager
async def wired(folder: Path, alices_key: Secret) -> AsyncIterator[tuple[Kme, Kme, str]]:
    with KeyStore(folder / "alice") as ours, KeyStore(folder / "bob") as theirs:
        fill((ours, theirs), 2048)
        alice = Kme("alice", ours.issued, {"bob": LinkEnd(LINK, 0)})
        bob = Kme("bob", theirs.issued, {"alice": LinkEnd(LINK, 1)})
        opened = OpenedWay(greeting("bob"))
        async with listening("127.0.0.1:0") as listener, asyncio.TaskGroup() as tasks:
            dialed = DialedWay(listener.address, greeting("alice"))
            ours_end = KeyWire(alice, "bob", Role.ALICE, dialed, lambda: alices_key)
            running = [
                tasks.create_task(Doorman("bob", {NAME: opened}).serve(listener)),
                tasks.create_task(ours_end.run()),
                tasks.create_task(KeyWire(bob, "alice", Role.BOB, opened, lambda: KEY).run()),
            ]
            try:
                yield alice, bob, listener.address
            finally:
                for task in running:
                    task.cancel()


def test_keys_and_pads_pass_both_ways(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), wired(tmp_path, KEY) as (alice, bob, _):
            await alice.connected("bob")
            await bob.connected("alice")
            async with asyncio.TaskGroup() as tasks:
                ours = tasks.create_task(alice.get("bob", 256, 3))
                theirs = tasks.create_task(bob.get("alice", 128, 2))
            for taken, fetching, peer in ((ours, bob, "alice"), (theirs, alice, "bob")):
                names = [name for name, _ in taken.result()]
                fetched = await fetching.get_by_id(peer, names)
                assert all(a.equals(b) for a, (_, b) in zip(fetched, taken.result(), strict=True))
            offset, pad = await bob.take_pad("alice", 64)
            assert (await alice.take_pad_at("bob", offset, 64)).equals(pad)

    asyncio.run(scenario())


def test_who_does_not_hold_the_channel_key_is_never_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        other = Secret(secrets.token_bytes(32))
        async with wired(tmp_path, other) as (alice, bob, _):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await alice.connected("bob")
            assert not bob.is_connected("alice")
            with pytest.raises(ChannelError, match="away"):
                await bob.get("alice", 256)

    asyncio.run(scenario())


class Pipe:
    """One end of a channel made of two queues."""

    def __init__(self, inbox: asyncio.Queue[bytes], outbox: asyncio.Queue[bytes]) -> None:
        self.receive = inbox.get
        self.send = outbox.put


FAULTS: dict[str, Callable[[bytes, bytes], list[bytes]]] = {
    "flip": lambda first, _: [bytes([first[0] ^ 1]) + first[1:]],
    "cut": lambda first, _: [first[:20]],
    "repeat": lambda first, _: [first, first],
    "reorder": lambda first, second: [second, first],
}


@pytest.mark.parametrize("fault", [*FAULTS, "reflect"])
def test_a_message_changed_on_the_way_is_refused(fault: str) -> None:
    async def scenario() -> None:
        to_alice, to_bob = asyncio.Queue[bytes](), asyncio.Queue[bytes]()
        async with asyncio.TaskGroup() as tasks:
            opening = [
                tasks.create_task(SealedLine.open(pipe, role, KEY))
                for role, pipe in zip(
                    Role, (Pipe(to_alice, to_bob), Pipe(to_bob, to_alice)), strict=True
                )
            ]
        alice, bob = (task.result() for task in opening)
        await alice.send(b"first")
        await alice.send(b"second")
        first, second = to_bob.get_nowait(), to_bob.get_nowait()

        async def hear() -> None:
            if fault == "reflect":
                await to_alice.put(first)
                await alice.receive()
            else:
                for message in FAULTS[fault](first, second):
                    await to_bob.put(message)
                    await bob.receive()

        with pytest.raises(ChannelError, match="forged"):
            await hear()

    asyncio.run(scenario())


class LeavesAsWell:
    """The way to a peer that goes away in the moment in which we do."""

    def __init__(self) -> None:
        self.is_waiting = asyncio.Event()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[Channel]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lose())
            await asyncio.Event().wait()
        yield Channel.__new__(Channel)  # never comes

    async def _lose(self) -> None:
        try:
            self.is_waiting.set()
            await asyncio.Event().wait()
        finally:
            raise ChannelError("the peer went away")


async def _told_to_end(folder: Path) -> None:
    with KeyStore(folder) as store:
        way = LeavesAsWell()
        wire = KeyWire(Kme("alice", store.issued, {}), "bob", Role.ALICE, way, lambda: KEY)
        running = asyncio.create_task(wire.run())
        await way.is_waiting.wait()
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=60.0)
        running.cancel()
        assert done
        assert running.cancelled()


def test_a_wire_ends_though_its_peer_leaves_in_the_same_moment(tmp_path: Path) -> None:
    asyncio.run(_told_to_end(tmp_path))
