"""Neighbours prove themselves, and who cannot makes no relay do anything."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from edge_capture import first_message
from edge_net import EdgeNet, connect, edge_net, exchange, until
from hostile_wire import hostile_wire
from scenes import play

from qnx_hw.bus.certificates import Authority, neighbourly
from qnx_hw.edge.circuits import VERSION, Open, Opened, Purpose, encode
from qnx_hw.edge.neighbours import Neighbours
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import ChannelError

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
CHAIN = [("alice", "carol"), ("carol", "bob")]
NODES = ("alice", "carol", "bob")


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority.new("test")
    authority.write(folder)
    for name in (*NODES, "mallory"):
        authority.issue(name, folder)
    return folder


def proofs(folder: Path, **changed: tuple[Path, str]) -> dict[str, Neighbours]:
    """Return each node's proof; `changed` gives a node another certificate."""
    files = {name: changed.get(name, (folder, name)) for name in NODES}
    return {name: Neighbours(NODES, *neighbourly(*place)) for name, place in files.items()}


async def all_up(net: EdgeNet) -> None:
    await until(lambda: all(hop.is_up for edge in net.edges.values() for hop in edge.hops.values()))


async def ask(port: int, octets: bytes) -> Opened:
    """Say something to an edge as a stranger; return what it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    answer = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
    writer.close()
    await writer.wait_closed()
    return msgspec.msgpack.decode(answer, type=Opened)


def request(purpose: Purpose, **values: object) -> Open:
    asked = Open(
        version=VERSION,
        purpose=purpose,
        source="alice",
        destination="bob",
        traffic_class="any",
        path=("alice",),
        deadline_ms=1000,
        greeting=b"",
    )
    return msgspec.structs.replace(asked, **values)


def test_data_pass_a_relay_between_neighbours_that_prove_themselves(folder: Path) -> None:
    async def scene() -> None:
        async with edge_net(CHAIN, [ECHO], proofs=proofs(folder)) as net:
            await all_up(net)
            user, session = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, b"through carol") == b"through carol"
            assert session.path == ("alice", "carol", "bob")

    play(scene)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_stranger_makes_no_relay_dial(folder: Path, purpose: Purpose) -> None:
    async def scene() -> None:
        async with edge_net(CHAIN, [ECHO], proofs=proofs(folder)) as net:
            await all_up(net)
            answer = await ask(net.ports["carol"], encode(request(purpose)))
            assert "no neighbour asked" in answer.reason
            assert net.edges["carol"].refused == 1
            assert net.edges["bob"].refused == 0

    play(scene)


def test_what_was_overheard_is_served_once_and_changed_not_at_all(folder: Path) -> None:
    async def scene() -> None:
        made = edge_net(CHAIN, [ECHO], proofs=proofs(folder))
        async with made as net, hostile_wire(net.ports["carol"]) as (wire, port):
            net.edges["alice"].hops["carol"].address = ("127.0.0.1", port)
            await all_up(net)
            user, _ = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, b"overheard") == b"overheard"
            heard = [bytes(octets) for (_, way), octets in wire.captured.items() if way == "out"]
            (octets,) = (first_message(each) for each in heard if each[0] == 0)
            asked = msgspec.msgpack.decode(octets, type=Open)

            answer = await ask(net.ports["carol"], encode(asked))
            assert "came before" in answer.reason
            changed = msgspec.structs.replace(asked, destination="carol")
            assert "no neighbour asked" in (await ask(net.ports["carol"], encode(changed))).reason
            assert net.edges["carol"].refused == 2

    play(scene)


@pytest.mark.parametrize(
    "stranger", ["of another authority", "of another node"], ids=["authority", "name"]
)
def test_a_relay_with_a_wrong_certificate_is_no_neighbour(
    folder: Path, tmp_path: Path, stranger: str
) -> None:
    place = folder, "mallory"
    if stranger == "of another authority":
        Authority.new("strangers").issue("carol", tmp_path)
        (tmp_path / "authority.pem").write_bytes((folder / "authority.pem").read_bytes())
        place = tmp_path, "carol"

    async def scene() -> None:
        async with edge_net(CHAIN, [ECHO], proofs=proofs(folder, carol=place)) as net:
            hops = [net.edges[node].hops["carol"] for node in ("alice", "bob")]
            await until(lambda: all(hop.lost >= 2 for hop in hops))
            with pytest.raises(ChannelError, match="'carol' has not proven itself"):
                await net.edges["alice"].open(ECHO)
            assert not any(hop.is_up for hop in hops)
            told = [event for event in net.events if event.startswith(("alice", "bob"))]
            assert len(told) == len(hops)  # each once
            assert not any(hop.is_up for hop in net.edges["carol"].hops.values())

    play(scene)


def test_a_node_cannot_ask_in_the_name_of_another(folder: Path) -> None:
    alice, carol = (Neighbours(NODES, *neighbourly(folder, name)) for name in ("alice", "carol"))
    introduction = alice.introduce()
    alice.introduced("carol", introduction)
    carol.meet("alice", introduction)

    carol.check(alice.sign("carol", request(Purpose.SESSION)))

    with pytest.raises(ChannelError, match="'alice' asks in the name of 'bob'"):
        carol.check(alice.sign("carol", request(Purpose.SESSION, path=("bob",))))


def test_a_refusal_that_another_wrote_is_not_believed(folder: Path) -> None:
    alice, carol = (Neighbours(NODES, *neighbourly(folder, name)) for name in ("alice", "carol"))
    introduction = alice.introduce()
    alice.introduced("carol", introduction)
    carol.meet("alice", introduction)
    asked = alice.sign("carol", request(Purpose.SESSION))
    answer = carol.sign_answer(asked, Opened(reason="busy"))

    alice.check_answer("carol", asked, answer)

    for forged in (Opened(reason="busy"), msgspec.structs.replace(answer, reason="gone")):
        with pytest.raises(ChannelError, match="not from 'carol'"):
            alice.check_answer("carol", asked, forged)
    with pytest.raises(ChannelError, match="not from 'carol'"):
        alice.check_answer("carol", alice.sign("carol", request(Purpose.SESSION)), answer)
