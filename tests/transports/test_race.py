"""Threads that share an instrument on ZeroMQ or VISA never get each other's answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from emulated import emulated

from qnx_hw.transports import Framer, Lines, Link, Messages, make_wire, message

LONG_S = 120.0
EDGES = range(2, 10)


@contextmanager
def opened(url: str, framer: Framer) -> Iterator[Link]:
    link = Link(make_wire(url), framer, name="shared")
    link.open(timeout_s=LONG_S)
    try:
        yield link
    finally:
        link.close()


@contextmanager
def by_zeromq() -> Iterator[tuple[Link, dict[bytes, bytes]]]:
    """A controller with eight delays, and what is right to ask and to hear."""
    with emulated("id900") as place, opened(place.url, Messages()) as link:
        questions = {}
        for number in range(1, 9):
            setting = message(f"DELA{number}:VALU {1000 + number}".encode())
            held = link.query(setting, lambda _: True, timeout_s=LONG_S)
            questions[message(f"DELA{number}:VALU?".encode())] = held
        yield link, questions


@contextmanager
def by_visa(listen: str) -> Iterator[tuple[Link, dict[bytes, bytes]]]:
    """A generator with eight edges, and what is right to ask and to hear."""
    with emulated("dg645", listen) as place:
        scheme, _, where = place.url.partition("://")
        resource = f"TCPIP0::{where.replace(':', '::')}::SOCKET"
        resource = resource if scheme == "tcp" else f"ASRL{where}::INSTR"
        with opened(f"visa://{resource}", Lines()) as link:
            for edge in EDGES:
                link.send(f"DLAY {edge},0,{edge * 1e-9:.12f}\n".encode())
            asked = [f"DLAY?{edge}\n".encode() for edge in EDGES]
            yield link, {each: link.query(each, bool, timeout_s=LONG_S) for each in asked}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_threads", "n_queries"),
    [
        ("zmq", 2, 150),
        ("zmq", 8, 375),
        ("visa socket", 2, 150),
        ("visa socket", 8, 375),
        ("visa serial", 2, 150),
    ],
)
def test_threads_never_get_each_others_answers(kind: str, n_threads: int, n_queries: int) -> None:
    listen = "pty" if kind == "visa serial" else "tcp://127.0.0.1:0"
    with by_zeromq() if kind == "zmq" else by_visa(listen) as (link, questions):
        assert len(set(questions.values())) == 8

        def ask(thread: int) -> int:
            wrong = 0
            for number in range(n_queries):
                question = list(questions)[(thread + number) % 8]
                answer = link.query(question, lambda _: True, timeout_s=LONG_S)
                wrong += answer != questions[question]
            return wrong

        with ThreadPoolExecutor(n_threads) as pool:
            assert sum(pool.map(ask, range(n_threads))) == 0
