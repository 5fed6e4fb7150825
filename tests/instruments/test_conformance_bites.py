"""The suite and the matrix find what is wrong with a driver as most are written first."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator, Mapping
from threading import Event
from urllib.parse import urlsplit

import pytest
from answering import TcpDevice

from qnx_hw.instruments.conformance import (
    Check,
    Outcome,
    Patience,
    Relay,
    Report,
    Sabotage,
    Subject,
    run,
    run_matrix,
)
from qnx_hw.instruments.conformance.subject import Span
from qnx_hw.instruments.families import Attenuator
from qnx_hw.instruments.values import Identity, InstrumentState, InstrumentStatus
from qnx_hw.transports import Direction, Lines, Recorder

PATIENCE = Patience(usual_s=2.0, sabotaged_s=0.1, grace_s=2.0)
Setting = float | int | str | bool


class Careless(Attenuator):
    """Writes a line, reads a line, and hopes."""

    def __init__(self, url: str, recorder: Recorder | None) -> None:
        self._place = (urlsplit(url).hostname, urlsplit(url).port)
        self._recorder = recorder
        self._socket: socket.socket | None = None

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        self.close()
        self._socket = socket.create_connection(self._place, timeout_s)
        return Identity("Example", self._ask("ID?", timeout_s))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def status(self) -> InstrumentStatus:
        return InstrumentStatus(InstrumentState.READY)

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        return {"attenuation_db": float(self._ask("ATT?", timeout_s))}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        return {"attenuation_db": self.set_attenuation_db(float(settings["attenuation_db"]))}

    def stop(self) -> None:
        self._ask("STOP", 1.0)

    def set_attenuation_db(
        self, attenuation_db: float, *, timeout_s: float | None = None, cancel: Event | None = None
    ) -> float:
        return float(self._ask(f"ATT {attenuation_db:g}", timeout_s))

    def _ask(self, question: str, timeout_s: float | None) -> str:
        assert self._socket is not None
        self._socket.settimeout(timeout_s or 2.0)
        if self._recorder is not None:
            self._recorder(Direction.SENT, question.encode())
        self._socket.sendall(question.encode() + b"\n")
        received = b""
        while not received.endswith(b"\n"):
            chunk = self._socket.recv(4096)
            if not chunk:
                raise ConnectionResetError("gone")
            received += chunk
        return received.decode("latin-1").strip()


class Device:
    """What is behind it: `ATT 3` answers with what it holds, also after a refusal."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._held_db = 0.0

    def __call__(self, received: bytes) -> bytes:
        return b"".join(self._obey(line.decode()) for line in self._lines.feed(received))

    def _obey(self, command: str) -> bytes:
        name, _, argument = command.partition(" ")
        if name == "ID?":
            return b"ONE\n"
        if argument and math.isfinite(float(argument)):
            self._held_db = float(argument)
        return b"%g\n" % self._held_db


@pytest.fixture
def device() -> Iterator[str]:
    with TcpDevice(Device()) as served:
        yield f"tcp://127.0.0.1:{served.port}"


def failed(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.sentence for check in checks if check.outcome is Outcome.FAIL}


@pytest.mark.slow
def test_the_suite_sees_broken_promises(device: str) -> None:
    identity, checks = run(Subject(device, Careless, consent=True, patience=PATIENCE))

    assert identity is not None
    found = failed(checks)
    assert {"not connected", "unknown setting", "refuses 1 GdB", "closed"} <= set(found)
    assert "must raise RangeError, and returned" in found["refuses 1 GdB"]
    assert "undocumented" in found["unknown setting"]
    assert not Report("careless", device, str(identity), checks).is_passed


@pytest.mark.slow
def test_the_matrix_sees_old_answers_and_undocumented_errors(device: str) -> None:
    kinds = (Sabotage.SILENCE, Sabotage.LATE_REPLY, Sabotage.UNPLUG)
    with Relay(device) as relay:
        subject = Subject(relay.url, Careless, consent=True, patience=PATIENCE)
        found = failed(run_matrix(subject, relay, kinds))

    assert "undocumented TimeoutError" in found["silence × settings"]
    assert "undocumented" in found["unplug × set_attenuation_db"]
    assert "late reply × set_attenuation_db" in found


def test_without_consent_nothing_is_set(device: str) -> None:
    subject = Subject(device, Careless, patience=PATIENCE)
    outcomes = {check.name: check.outcome for check in run(subject)[1]}

    assert outcomes["set_attenuation_db"] is Outcome.SKIP
    assert outcomes["configure"] is Outcome.SKIP
    assert outcomes["settings"] is Outcome.PASS


def test_a_call_is_overdue_by_what_the_machine_did_not_cost() -> None:
    assert Span(took_s=2.06, late_s=0.0).overdue_s(0.7) == pytest.approx(1.36)
    assert Span(took_s=2.06, late_s=0.5).overdue_s(0.7) == 0.0
    assert Span(took_s=0.6, late_s=0.0).overdue_s(0.7) == 0.0
