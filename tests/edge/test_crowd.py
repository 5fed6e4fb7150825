"""Very many sessions share a thread, and carry what those with threads of their own carry."""

import asyncio
import secrets
import threading

from edge_net import connect, edge_net, exchange, until

from qnx_hw.edge.traffic import Traffic

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
CHAIN = [("alice", "carol"), ("carol", "bob")]
SESSIONS, THREADED = 24, 3
DEADLINE_S = 120.0


def edge_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name in ("edge", "relay")}


def test_sessions_beyond_the_threads_of_a_node_share_one() -> None:
    others = edge_threads()

    async def scene() -> None:
        async with asyncio.timeout(DEADLINE_S), edge_net(CHAIN, [ECHO], threaded=THREADED) as net:
            opened = [await connect(net.edges["alice"], ECHO) for _ in range(SESSIONS)]
            lines = [net.edges["alice"].lines["t", True], net.edges["bob"].lines["t", False]]
            await until(lambda: all(len(line.sessions) == SESSIONS for line in lines))
            # Two ends with two threads for each session, and the relay between.
            assert len(edge_threads() - others) <= 3 * 2 * THREADED

            asked = [secrets.token_bytes(300_000) for _ in opened]
            answers = await asyncio.gather(
                *(exchange(user, octets) for (user, _), octets in zip(opened, asked, strict=True))
            )
            assert answers == asked
            await until(lambda: not any(line.sessions for line in lines))

    asyncio.run(scene())
