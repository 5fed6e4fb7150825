"""Records arrive once and in order, however often the way and the sessions change."""

import json
from pathlib import Path

import pytest
from edge_sites import DIAMOND, Running, running
from scenes import play


def line(number: int) -> bytes:
    return json.dumps({"n": number, "text": "x" * 50}).encode()


async def received(net: Running, count: int) -> list[int]:
    numbers: list[int] = []
    while len(numbers) < count:
        octets = await net.sites["bob"].sinks["sensors"].read()
        numbers += [json.loads(each)["n"] for each in octets.splitlines()]
    return numbers


def test_records_arrive_in_order_without_repetitions(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net:
            source = net.sites["alice"].sources["sensors"]
            for number in range(500):
                await source.feed([line(number), line(number)])
            await source.feed([], is_end=True)
            assert await received(net, 500) == list(range(500))
            await source.drained()
            assert source.pipeline.bytes_out < 0.2 * source.pipeline.bytes_in

    play(scene)


@pytest.mark.slow
def test_no_record_is_lost_when_sessions_and_relays_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path, DIAMOND) as net:
            source, edge = net.sites["alice"].sources["sensors"], net.sites["alice"].edge
            numbers: list[int] = []
            for number in range(600):
                await source.feed([line(number)])
                if number % 150 == 149:
                    numbers += await received(net, 100)
                    for session in tuple(edge.lines["sensors", True].sessions):
                        session.finish("the test ends it")
                if number == 300:
                    await net.stop("carol")
            await source.feed([], is_end=True)
            numbers += await received(net, 600 - len(numbers))
            assert numbers == list(range(600))

    play(scene)
