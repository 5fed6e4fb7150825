"""Every way to misbehave against every blocking call.

A cell of the matrix: a healthy call gives the right answer; the sabotage begins, and the call with
a short deadline gives the right answer or an error of `qnx_hw.errors`, in time; all is healed, and
the next calls, with other values, give the right answers and no old one. Where the driver says
that it lost its wire, it is connected again first, as a supervisor would.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from qnx_hw.errors import InstrumentError, InstrumentRefused, NotConnected, Unsupported
from qnx_hw.instruments.conformance.call import Call
from qnx_hw.instruments.conformance.calls import calls_of
from qnx_hw.instruments.conformance.photon_calls import BLOCK_S, stream_flaw
from qnx_hw.instruments.conformance.report import Check, Failed, Skipped, judge
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.instruments.conformance.subject import Subject, watched, within
from qnx_hw.instruments.conformance.suite import NO_CONSENT, ask
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import Family, InstrumentState

NOT_A_SKILL = "only an emulator that is told to can do this"
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
                checks.append(judge(name, partial(_cell, subject, saboteur, kind, call)))
            if subject.instrument.family is Family.TIME_TAGGER and any(
                call.name == "stream" for call in calls
            ):
                checks.append(
                    judge(
                        f"{kind} × stream under way",
                        partial(_stream_under_way, subject, saboteur, kind),
                    )
                )
            checks.append(judge(f"{kind} × close", partial(_closing, subject, saboteur, kind)))
    finally:
        saboteur.heal()
        subject.instrument.close()
    return tuple(checks)


def _cell(subject: Subject, saboteur: Saboteur, kind: Sabotage, call: Call) -> str:
    if kind not in saboteur.skills:
        raise Skipped(NOT_A_SKILL)
    if call.changes and not subject.consent:
        raise Skipped(NO_CONSENT)
    _ensure_connected(subject)
    _healthy(subject, call, 0)
    saboteur.strike(kind)
    try:
        what = _sabotaged(subject, call)
    finally:
        saboteur.heal()
    _ensure_connected(subject)
    for turn in (2, 3):
        _healthy(subject, call, turn)
    return what


def _sabotaged(subject: Subject, call: Call) -> str:
    patience = subject.patience
    limit_s = call.own_deadline_s + patience.sabotaged_s + patience.grace_s
    future, span = watched(limit_s, call.name, lambda: call.act(1, patience.sabotaged_s))
    allowed_s = call.own_deadline_s + patience.sabotaged_s + patience.slack_s
    if span.overdue_s(allowed_s):
        raise Failed(f"{call.name} took {span.took_s:.2f} s, and {allowed_s:.2f} s are allowed")
    try:
        answer = future.result()
    except InstrumentError as error:
        return f"{type(error).__name__}: {error}"
    flaw = call.flaw(1, answer)
    if flaw:
        raise Failed(f"wrong without an error: {flaw}")
    return "the right answer all the same"


def _stream_under_way(subject: Subject, saboteur: Saboteur, kind: Sabotage) -> str:
    """Begin a stream, strike, and read on: blocks join, or an error ends it."""
    if kind not in saboteur.skills:
        raise Skipped(NOT_A_SKILL)
    tagger: Any = subject.instrument  # Any: its family says that it is a TimeTagger
    _ensure_connected(subject)
    stream: TagStream = tagger.start_stream(block_s=BLOCK_S)
    blocks = [stream.read(timeout_s=subject.patience.usual_s)]
    saboteur.strike(kind)
    what = "the stream went on"
    try:
        for _ in range(3):
            blocks.append(_block(subject, stream))
    except InstrumentError as error:
        what = f"{type(error).__name__}: {error}"
    finally:
        saboteur.heal()
        within(subject.patience.usual_s + subject.patience.grace_s, "close", stream.close)
    flaw = stream_flaw(0, blocks)
    if flaw:
        raise Failed(f"{flaw} ({what})")
    _ensure_connected(subject)
    with tagger.start_stream(block_s=BLOCK_S) as again:
        again.read(timeout_s=subject.patience.usual_s)
    return what


def _block(subject: Subject, stream: TagStream) -> TagBlock:
    patience = subject.patience
    return within(
        patience.sabotaged_s + patience.grace_s,
        "reading the stream",
        lambda: stream.read(timeout_s=patience.sabotaged_s),
    )


def _healthy(subject: Subject, call: Call, turn: int) -> None:
    """Ask and check; an error that the device itself has kept since before may come out once."""
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
    except (InstrumentRefused, Unsupported):
        return True
    return True


def _closing(subject: Subject, saboteur: Saboteur, kind: Sabotage) -> str:
    if kind not in saboteur.skills:
        raise Skipped(NOT_A_SKILL)
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
