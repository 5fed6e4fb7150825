"""Every way to misbehave against every blocking call.

A cell of the matrix: a healthy call gives the right answer; the sabotage begins, and the call with
a short deadline gives the right answer or an error of `qnx_hw.errors`, in time; all is healed, and
the next calls, with other values, give the right answers and no old one. Where the driver says
that it lost its wire, it is connected again first, as a supervisor would.
"""

from __future__ import annotations

from qnx_hw.errors import InstrumentError, InstrumentRefused, NotConnected, Unsupported
from qnx_hw.instruments.conformance.calls import Call, calls_of
from qnx_hw.instruments.conformance.report import Check, Failed, Skipped, judge
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.instruments.conformance.subject import Subject, within
from qnx_hw.instruments.conformance.suite import NO_CONSENT, ask
from qnx_hw.instruments.values import InstrumentState

LOST = {InstrumentState.DISCONNECTED, InstrumentState.FAULT}


def run_matrix(
    subject: Subject, saboteur: Saboteur, kinds: tuple[Sabotage, ...] = tuple(Sabotage)
) -> tuple[Check, ...]:
    """Run all cells of these kinds; the subject reaches its instrument through the saboteur."""
    checks: list[Check] = []
    subject.connect()
    try:
        calls = calls_of(subject.instrument)
        for kind in kinds:
            for call in calls:
                name = f"{kind} × {call.name}"
                checks.append(
                    judge(name, lambda kind=kind, call=call: _cell(subject, saboteur, kind, call))  # type: ignore[misc]
                )
            checks.append(
                judge(f"{kind} × close", lambda kind=kind: _closing(subject, saboteur, kind))  # type: ignore[misc]
            )
    finally:
        saboteur.heal()
        subject.instrument.close()
    return tuple(checks)


def _cell(subject: Subject, saboteur: Saboteur, kind: Sabotage, call: Call) -> str:
    if kind not in saboteur.skills:
        raise Skipped("only an emulator that is told to can do this")
    if call.changes and not subject.consent:
        raise Skipped(NO_CONSENT)
    _ensure_connected(subject)
    ask(subject, call, 0)
    saboteur.strike(kind)
    try:
        what = _sabotaged(subject, call)
    finally:
        saboteur.heal()
    _ensure_connected(subject)
    for turn in (2, 3):
        _next_answer(subject, call, turn)
    return what


def _sabotaged(subject: Subject, call: Call) -> str:
    patience = subject.patience
    limit_s = call.own_deadline_s + patience.usual_s + patience.sabotaged_s + patience.grace_s
    try:
        answer = within(limit_s, call.name, lambda: call.act(1, patience.sabotaged_s))
    except InstrumentError as error:
        return f"{type(error).__name__}: {error}"
    flaw = call.flaw(1, answer)
    if flaw:
        raise Failed(f"wrong without an error: {flaw}")
    return "the right answer all the same"


def _next_answer(subject: Subject, call: Call, turn: int) -> None:
    """Ask after healing; an error that the device itself has kept may come out once."""
    try:
        ask(subject, call, turn)
    except InstrumentRefused:
        ask(subject, call, turn)


def _ensure_connected(subject: Subject) -> None:
    instrument = subject.instrument
    if instrument.status().state in LOST or not _answers(subject):
        subject.connect()


def _answers(subject: Subject) -> bool:
    """Whether the wire is there; one that broke shows it at the next call, as `NotConnected`."""
    try:
        subject.instrument.settings(timeout_s=subject.patience.usual_s)
    except NotConnected:
        return False
    except Unsupported:
        return True
    return True


def _closing(subject: Subject, saboteur: Saboteur, kind: Sabotage) -> str:
    if kind not in saboteur.skills:
        raise Skipped("only an emulator that is told to can do this")
    _ensure_connected(subject)
    saboteur.strike(kind)
    try:
        within(
            subject.patience.usual_s * 4 + subject.patience.grace_s,
            "close",
            subject.instrument.close,
        )
    finally:
        saboteur.heal()
    _ensure_connected(subject)
    return "let go, and connected again"
