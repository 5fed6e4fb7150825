"""A session's two directions as far as compiled loops carry them; its two threads run them."""

from __future__ import annotations

import os
import socket
import time

from qnx_hw.edge.carrier import Place
from qnx_hw.edge.engine import Loops, Runner
from qnx_hw.edge.figures import Memory, Outcome
from qnx_hw.edge.halves import SessionOver
from qnx_hw.edge.session import RESUME_S, Session

BROKEN = "libcrypto could not seal a record"


class Outflow:
    """From the user to the circuit; belongs to the sending thread."""

    def __init__(self, session: Session, loops: Loops, user: socket.socket, plain: Memory) -> None:
        """What could not be sealed is left in `plain`."""
        self._session = session
        self._figures = figures = session.talk.figures
        self._runner = Runner(loops.send, figures, session.talk.pages, loops.n_words)
        figures.user = user.fileno()
        figures.plain, figures.plain_bytes = plain.address, len(plain.view)

    def run(self) -> int | None:
        """Carry what the user says until something else is due.

        Returns how much is left to seal, 0 where he ended, None where nothing is left.
        """
        session, figures = self._session, self._figures
        turn = figures.turn
        circuit, generation = session.carrier.peek()
        if circuit is None:
            session.carrier.current(RESUME_S)
            return None
        with session.talk.lock:
            session.talk.count()
        figures.circuit, figures.send_turn = circuit.fileno(), turn
        figures.budget = session.room(session.talk.count_bytes)
        remaining_s = session.keys.sending.remaining_s()
        figures.key_ends_ns = time.monotonic_ns() + int(1e9 * remaining_s)
        taken, figures.pending = figures.bytes_in, 0
        outcome = self._runner.run()
        session.hold_back(figures.bytes_in - taken - figures.pending)
        match outcome:
            case Outcome.UNSENT:
                return figures.pending
            case Outcome.ENDED:
                return 0
            case Outcome.USER_FAILED:
                raise _failure(figures.error)
            case Outcome.BROKEN:
                raise SessionOver(BROKEN)
            case Outcome.LOST:
                session.carrier.lose(generation)
        return None


class Inflow:
    """From the circuit to the user; belongs to the receiving thread."""

    def __init__(self, session: Session, loops: Loops, user: socket.socket, plain: Memory) -> None:
        self._session = session
        self._figures = figures = session.talk.figures
        self._runner = Runner(loops.receive, figures, session.talk.pages, loops.n_words)
        figures.user = user.fileno()
        figures.opened, figures.opened_bytes = plain.address, len(plain.view)

    def run(self, place: Place) -> bool:
        """Carry what comes until there is something else than data; whether there is."""
        session, figures = self._session, self._figures
        figures.receive_turn = figures.turn
        if session.carrier.peek() != place:
            return False
        figures.circuit_in = place[0].fileno()
        match self._runner.run():
            case Outcome.LOST:
                session.carrier.lose(place[1])
                return False
            case Outcome.USER_FAILED:
                raise _failure(figures.error)
            case Outcome.BROKEN:
                raise SessionOver(BROKEN)
        session.talk.acknowledge()
        return True


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))
