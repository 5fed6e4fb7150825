"""Threads that share one instrument: how many of their answers are somebody else's.

Two threads ask 150 times each, then eight ask 375 times each, all another question at the same
moment, on every kind of wire. Beside it what pymeasure does with the same emulator and the same
threads; an exception that it raises counts as no wrong answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from drivers_emulated import emulated

from qnx_hw.commands import peers
from qnx_hw.commands.bench import Result
from qnx_hw.transports import Framer, Lines, Link, Messages, make_wire, message

TIMEOUT_S = 60.0
EDGES = range(2, 10)
# Threads and questions of each.
RACES = ((2, 150), (8, 375))
TCP, PTY = "tcp://127.0.0.1:0", "pty"
PEER = "pymeasure"
PEER_PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pymeasure.adapters import VISAAdapter
resource, threads, asked = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
device = VISAAdapter(resource, visa_library="@py", timeout=3000,
                     read_termination="\\r\\n", write_termination="\\n")
for edge in range(2, 10):
    device.write(f"DLAY {edge},0,{edge * 1e-9:.12f}")
def ask(question):
    device.write(question)
    return device.read()
right = {f"DLAY?{edge}": ask(f"DLAY?{edge}") for edge in range(2, 10)}
assert len(set(right.values())) == 8
def run(thread):
    wrong = 0
    for number in range(asked):
        question = list(right)[(thread + number) % 8]
        try:
            wrong += ask(question) != right[question]
        except Exception:
            pass
    return wrong
with ThreadPoolExecutor(threads) as pool:
    print(sum(pool.map(run, range(threads))))
"""


def race() -> Iterator[Result]:
    """Count wrong answers on each kind of wire; none is the goal."""
    for kind in ("socket", "serial port", "ZeroMQ", "VISA socket", "VISA serial port"):
        with ExitStack() as stack:
            link, questions = _opened(kind, stack)
            for n_threads, n_asked in RACES:
                wrong = _wrong(link, questions, n_threads, n_asked)
                peer = _peer(n_threads, n_asked) if kind == "VISA socket" else None
                yield Result(
                    name=f"{kind}: wrong of {n_threads * n_asked}, {n_threads} threads",
                    value=wrong,
                    unit="answers",
                    goal=0,
                    met=wrong == 0,
                    peer=_peer_words(kind, peer),
                    peer_value=peer,
                )


def _opened(kind: str, stack: ExitStack) -> tuple[Link, dict[bytes, bytes]]:
    """Return an open link, eight questions, and the right answer to each."""
    if kind == "ZeroMQ":
        link = _link(stack.enter_context(emulated("id900")), Messages(), stack)
        asked = [message(f"DELA{number}:VALU?".encode()) for number in range(1, 9)]
        for number in range(1, 9):
            setting = message(f"DELA{number}:VALU {1000 + number}".encode())
            link.query(setting, lambda _: True, timeout_s=TIMEOUT_S)
    else:
        url = stack.enter_context(emulated("dg645", PTY if "serial" in kind else TCP))
        link = _link(_resource(url) if "VISA" in kind else url, Lines(), stack)
        asked = [f"DLAY?{edge}\n".encode() for edge in EDGES]
        for edge in EDGES:
            link.send(f"DLAY {edge},0,{edge * 1e-9:.12f}\n".encode())
    answers = {each: link.query(each, bool, timeout_s=TIMEOUT_S) for each in asked}
    if len(set(answers.values())) != len(asked):
        raise RuntimeError(f"the questions on a {kind} have no answers of their own")
    return link, answers


def _link(url: str, framer: Framer, stack: ExitStack) -> Link:
    link = Link(make_wire(url), framer, name="shared")
    link.open(timeout_s=TIMEOUT_S)
    stack.callback(link.close)
    return link


def _resource(url: str) -> str:
    scheme, _, where = url.partition("://")
    if scheme == "serial":
        return f"ASRL{where}::INSTR"
    return f"TCPIP0::{where.replace(':', '::')}::SOCKET"


def _wrong(link: Link, questions: dict[bytes, bytes], n_threads: int, n_asked: int) -> int:
    asked = list(questions)

    def ask(thread: int) -> int:
        wrong = 0
        for number in range(n_asked):
            question = asked[(thread + number) % len(asked)]
            answer = link.query(question, lambda _: True, timeout_s=TIMEOUT_S)
            wrong += answer != questions[question]
        return wrong

    with ThreadPoolExecutor(n_threads) as pool:
        return sum(pool.map(ask, range(n_threads)))


def _peer(n_threads: int, n_asked: int) -> float | None:
    """Return the wrong answers of the peer on an emulator of its own."""
    with emulated("dg645") as url:
        arguments = (_resource(url), str(n_threads), str(n_asked))
        return peers.number(PEER, (PEER, "pyvisa-py"), PEER_PROGRAM, arguments)


def _peer_words(kind: str, wrong: float | None) -> str | None:
    if kind != "VISA socket":
        return None
    return PEER if wrong is not None else f"{PEER} cannot be had here"
