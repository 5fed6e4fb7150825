"""Measure key delivery: two key managers in two processes, TLS everywhere, both sides durable.

`qnx bench keys`. 32 kept connections ask at once, each again as soon as it has its answer: then the
mean wait is 32 over the rate, whatever a key manager does. So the last load comes at the rate of
the goal instead, and its waits count from when each request was due. The load generator shares the
machine's cores, so rates on two cores are lower bounds; processor time per request is of each key
manager alone.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from kme_cluster import SAES, Cluster

from qnx_hw.commands.bench import Result
from qnx_hw.commands.lifetime import run_async, settle_heap
from qnx_hw.errors import ChannelError, Conflict

SECONDS = 5.0
"""Of each load."""
CONNECTIONS = 32
WARM_UP_S = 0.5
GOALS = {
    "enc_keys of one key": 2_000.0,
    "pairs of enc_keys and dec_keys": 1_000.0,
    "keys, 128 per enc_keys": 15_000.0,
}
P99_GOAL_S = 0.050
BLOCK_BYTES = 65_536
BLOCKS_PER_S = 200
"""400 000 keys for each second of a load."""


class Connection:
    """One kept connection of an SAE."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    async def ask(self, path: bytes, body: bytes) -> bytes:
        """Post and return the answer's body, which has to be a good one."""
        head = b"POST %b HTTP/1.1\r\nHost: kme\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
        self._writer.write(head + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        answer = await self._reader.readexactly(int(length[1]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise ChannelError(f"the key manager refused: {answer.decode()}")
        return answer


@dataclass
class Figures:
    """What one kind of load came to."""

    per_s: float
    p50_s: float
    p99_s: float
    cpu_us: dict[str, float]
    """Per request, by node."""


Work = Callable[[Connection, Connection], Awaitable[None]]


def asks(number: int) -> Work:
    body = json.dumps({"number": number}).encode()

    async def work(master: Connection, _: Connection) -> None:
        await master.ask(b"/api/v1/keys/sae-bob/enc_keys", body)

    return work


async def pair(master: Connection, slave: Connection) -> None:
    answer = await master.ask(b"/api/v1/keys/sae-bob/enc_keys", b"{}")
    name = answer[answer.index(b'"key_ID":"') + 10 :][:36]
    body = b'{"key_IDs":[{"key_ID":"%b"}]}' % name
    got = await slave.ask(b"/api/v1/keys/sae-alice/dec_keys", body)
    if got != answer:
        raise Conflict("a key differs at the two ends")


async def measure(
    cluster: Cluster, work: Work, seconds: float, per_s: float | None = None
) -> Figures:
    """Keep all connections busy, or have them ask in turn so often together, and count."""
    waits: list[float] = []
    lines = [
        [await Connection.open(cluster.port(node), cluster.tls(node)) for node in SAES]
        for _ in range(CONNECTIONS)
    ]
    begin = time.perf_counter() + WARM_UP_S
    end = begin + seconds

    async def keep_asking(place: int, master: Connection, slave: Connection) -> None:
        due = time.perf_counter() + (place / per_s if per_s else 0.0)
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await work(master, slave)
            done = time.perf_counter()
            if due >= begin:
                waits.append(done - due)
            due = due + CONNECTIONS / per_s if per_s else done

    async with asyncio.TaskGroup() as tasks:
        for place, (master, slave) in enumerate(lines):
            tasks.create_task(keep_asking(place, master, slave))
        await asyncio.sleep(WARM_UP_S)
        before = {node: await asyncio.to_thread(cluster.cpu_s, node) for node in SAES}
    after = {node: cluster.cpu_s(node) for node in SAES}
    took_s = time.perf_counter() - begin
    waits.sort()
    return Figures(
        per_s=len(waits) / took_s,
        p50_s=waits[len(waits) // 2],
        p99_s=waits[len(waits) * 99 // 100],
        cpu_us={node: (after[node] - before[node]) / len(waits) * 1e6 for node in SAES},
    )


def suite(seconds: float = SECONDS) -> Iterator[Result]:
    """Measure each kind of load, one after the other."""
    loads: list[tuple[str, Work, int]] = [
        ("enc_keys of one key", asks(1), 1),
        ("pairs of enc_keys and dec_keys", pair, 1),
        ("keys, 128 per enc_keys", asks(128), 128),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for_alice = range(2, 2 * round(BLOCKS_PER_S * seconds), 2)
        cluster = Cluster(Path(folder), for_alice, BLOCK_BYTES)
        cluster.start(*SAES)
        settle_heap()  # pauses of this process are no key manager's
        try:
            for name, work, keys in loads:
                found = run_async(measure(cluster, work, seconds))
                rate = found.per_s * keys
                yield _result(name, rate, "1/s", GOALS[name], is_met=rate >= GOALS[name])
                is_met = found.p99_s < P99_GOAL_S
                yield _result(f"{name}: p99", found.p99_s, "s", P99_GOAL_S, is_met=is_met)
                for node, cost_us in found.cpu_us.items():
                    yield Result(name=f"{name}: processor of {node}", value=cost_us, unit="us")
            name, rate = "keys, 128 per enc_keys, offered at the goal's rate", GOALS[loads[-1][0]]
            found = run_async(measure(cluster, asks(128), seconds, rate / 128))
            yield Result(name=f"{name}: rate", value=128 * found.per_s, unit="1/s")
            is_met = found.p99_s < P99_GOAL_S
            yield _result(f"{name}: p99", found.p99_s, "s", P99_GOAL_S, is_met=is_met)
        finally:
            cluster.stop()


def _result(name: str, value: float, unit: str, goal: float, *, is_met: bool) -> Result:
    return Result(name=name, value=value, unit=unit, goal=goal, met=is_met)
