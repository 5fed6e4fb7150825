"""The checks that every driver must pass while nothing goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from qnx_hw.errors import (
    Busy,
    Cancelled,
    InstrumentError,
    InstrumentTimeout,
    NotConnected,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.conformance.call import Call, Setting, alike
from qnx_hw.instruments.conformance.calls import calls_of, reading
from qnx_hw.instruments.conformance.ranges import LongCall, long_call, out_of_range
from qnx_hw.instruments.conformance.report import Check, Failed, Skipped, judge
from qnx_hw.instruments.conformance.subject import Subject, watched, within
from qnx_hw.instruments.families import Instrument
from qnx_hw.instruments.values import Family, Identity, InstrumentState

NO_CONSENT = "changes something, and nobody allowed that"
N_THREADS = 2
N_ROUNDS = 15
# A keep-alive may fall into an attempt; more than one attempt in a row it cannot spoil.
ATTEMPTS = 3
# The largest bias that a detector without bias may report, in its own unit.
NO_BIAS = 1e-3


def run(subject: Subject) -> tuple[Identity | None, tuple[Check, ...]]:
    """Run every check in order; the instrument is left closed, in its safe state."""
    found: list[Identity] = []
    checks = [
        judge("not connected", lambda: _unconnected(subject)),
        judge("identity", lambda: _identity(subject, found)),
    ]
    if not found:
        return None, tuple(checks)
    try:
        subject.prepare()
        checks += _while_connected(subject, calls_of(subject.instrument))
    except (InstrumentError, Failed) as error:
        sentence = str(error)
        checks.append(judge("settings", lambda: _fail(sentence)))
    finally:
        subject.instrument.close()
    checks.append(judge("safe state", lambda: _safe_state(subject)))
    checks.append(judge("closed", lambda: _closed(subject)))
    return found[0], tuple(checks)


def _while_connected(subject: Subject, calls: tuple[Call, ...]) -> list[Check]:
    checks = [
        judge("status asks nobody", lambda: _status(subject)),
        judge("settings round trip", lambda: _round_trip(subject)),
        judge("unknown setting", lambda: _unknown_setting(subject)),
    ]
    for what, call in out_of_range(subject.instrument):
        checks.append(judge(f"refuses {what}", partial(_refuses, subject, call)))
    for each in calls:
        checks.append(judge(each.name, partial(_answers, subject, each)))
    checks += [
        judge("threads", lambda: _threads(subject, calls)),
        judge("stop", lambda: _stop(subject, calls)),
        judge("cancel", lambda: _cancel(subject, calls)),
        judge("stop ends a long call", lambda: _stop_long(subject, calls)),
        judge("deadline", lambda: _deadline(subject, calls)),
    ]
    return checks


def _fail(sentence: str) -> str:
    raise Failed(sentence)


def _unconnected(subject: Subject) -> str:
    instrument = subject.instrument
    state = instrument.status().state
    if state is not InstrumentState.DISCONNECTED:
        raise Failed(f"before connecting its state is {state}")
    _expect(NotConnected, "settings before connecting", instrument.settings)
    instrument.close()
    return "a driver that was never connected says so, and can be closed"


def _identity(subject: Subject, found: list[Identity]) -> str:
    limit_s = subject.patience.usual_s * 4
    for _ in range(2):
        identity = within(
            limit_s,
            "connect",
            lambda: subject.instrument.connect(timeout_s=subject.patience.usual_s),
        )
        if not identity.maker or not identity.model:
            raise Failed(f"{identity} names no maker and model")
        if found and identity != found[0]:
            raise Failed(f"it calls itself {identity} now, and {found[0]} before")
        found.append(identity)
    state = subject.instrument.status().state
    if state is not InstrumentState.READY:
        raise Failed(f"connected its state is {state}")
    return f"{identity.maker} {identity.model} {identity.serial}".strip()


def _status(subject: Subject) -> str:
    def look() -> None:
        for _ in range(10):
            subject.instrument.status()

    _expect_silent(subject, "status", look)
    return "status is free"


def _round_trip(subject: Subject) -> str:
    instrument, usual_s = subject.instrument, subject.patience.usual_s
    held = dict(instrument.settings(timeout_s=usual_s))
    if not alike(held, instrument.settings(timeout_s=usual_s)):
        raise Failed("two readings of the settings differ")
    if not subject.consent:
        raise Skipped(NO_CONSENT)
    if not held:
        return "it has no settings"
    writable = _writable(instrument, held, usual_s)
    if not writable:
        return f"{len(held)} settings that only other calls change"
    after = instrument.configure(writable, timeout_s=usual_s)
    if not alike(after, held):
        raise Failed(f"writing {writable} back leaves {dict(after)}, not {held}")
    return f"{len(writable)} of {len(held)} settings read, written and read again"


def _writable(
    instrument: Instrument, held: Mapping[str, Setting], timeout_s: float
) -> dict[str, Setting]:
    writable = {}
    for key, value in held.items():
        try:
            instrument.configure({key: value}, timeout_s=timeout_s)
        except Unsupported:
            continue
        writable[key] = value
    return writable


def _unknown_setting(subject: Subject) -> str:
    usual_s = subject.patience.usual_s
    held = dict(subject.instrument.settings(timeout_s=usual_s))
    _expect(
        Unsupported,
        "an unknown setting",
        lambda: subject.instrument.configure({"no_such_setting_v": 1.0}),
    )
    if not alike(held, subject.instrument.settings(timeout_s=usual_s)):
        raise Failed("an unknown setting changed others")
    return "an unknown setting is refused and changes nothing"


def _refuses(subject: Subject, call: Callable[[], object]) -> str:
    try:
        _expect_silent(subject, "it", lambda: _expect(RangeError, "it", call))
    except Unsupported as error:
        raise Skipped(str(error)) from error
    return "refused before a byte was sent"


def _answers(subject: Subject, call: Call) -> str:
    if call.changes and not subject.consent:
        raise Skipped(NO_CONSENT)
    for turn in range(2):
        ask(subject, call, turn)
    return "right, twice"


def ask(subject: Subject, call: Call, turn: int) -> object:
    """Make a healthy call; raise `Failed` for a wrong answer and `Skipped` for none in store."""
    usual_s = subject.patience.usual_s
    limit_s = 4 * usual_s + call.own_deadline_s + subject.patience.grace_s
    try:
        answer = within(limit_s, call.name, lambda: call.act(turn, usual_s))
    except Unsupported as error:
        raise Skipped(str(error)) from error
    flaw = call.flaw(turn, answer)
    if flaw:
        raise Failed(f"{call.name}: {flaw}")
    return answer


def _threads(subject: Subject, calls: tuple[Call, ...]) -> str:
    usable = [call for call in reading(calls) if call.name != "stream" and _works(subject, call)]

    def rounds(first: int) -> int:
        for number in range(N_ROUNDS):
            call = usable[(first + number) % len(usable)]
            try:
                ask(subject, call, 1 + number)
            except Busy:
                continue
        return N_ROUNDS

    with ThreadPoolExecutor(N_THREADS) as pool:
        total = sum(pool.map(rounds, range(N_THREADS)))
    return f"0 wrong of {total} answers in {N_THREADS} threads"


def _works(subject: Subject, call: Call) -> bool:
    try:
        ask(subject, call, 0)
    except Skipped:
        return False
    return True


def _stop(subject: Subject, calls: tuple[Call, ...]) -> str:
    ends = threading.Event()
    usable = [call for call in reading(calls) if call.name == "settings"]

    def poll() -> int:
        number = 0
        while not ends.is_set():
            ask(subject, usable[0], 0)
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(poll)
        try:
            for _ in range(3):
                within(subject.patience.grace_s, "stop", subject.instrument.stop)
        finally:
            ends.set()
        answers = polling.result()
    _settled(subject, usable[0])
    return f"stop came through beside {answers} right answers"


def _cancel(subject: Subject, calls: tuple[Call, ...]) -> str:
    cancel = threading.Event()
    cancel.set()
    return _interrupted(subject, calls, cancel, lambda: None)


def _stop_long(subject: Subject, calls: tuple[Call, ...]) -> str:
    return _interrupted(subject, calls, threading.Event(), subject.instrument.stop)


def _interrupted(
    subject: Subject, calls: tuple[Call, ...], cancel: threading.Event, stop: Callable[[], None]
) -> str:
    """Start a long call and interrupt it until it ends, by its event or by `stop`."""
    found = _long_call(subject)
    ended = threading.Event()

    def call() -> str:
        try:
            found.act(cancel=cancel)
        except Cancelled:
            return "cancelled"
        finally:
            ended.set()
        return "over before that"

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call)
        for _ in range(200):
            stop()
            if ended.wait(0.05):
                break
        try:
            how = within(subject.patience.usual_s, found.name, calling.result)
        except Unsupported as error:
            raise Skipped(str(error)) from error
    _settled(subject, next(each for each in calls if each.name == "settings"))
    return f"{found.name} was {how}, and the next call works"


def _deadline(subject: Subject, calls: tuple[Call, ...]) -> str:
    """Give a long call too little time: it ends with it, and says so."""
    found = _long_call(subject)
    patience = subject.patience
    future, span = watched(
        patience.sabotaged_s + patience.grace_s,
        found.name,
        lambda: found.act(timeout_s=patience.sabotaged_s),
    )
    allowed_s = patience.sabotaged_s + patience.slack_s
    if span.overdue_s(allowed_s):
        raise Failed(f"{found.name} took {span.took_s:.2f} s, and {allowed_s:.2f} s are allowed")
    how = "was over before that"
    try:
        future.result()
    except InstrumentTimeout as error:
        how = f"says: {error}"
    except Unsupported as error:
        raise Skipped(str(error)) from error
    _settled(subject, next(each for each in calls if each.name == "settings"))
    return f"{found.name} {how}"


def _long_call(subject: Subject) -> LongCall:
    found = long_call(subject.instrument)
    if found is None:
        raise Skipped("no call of this family takes long")
    if found.changes and not subject.consent:
        raise Skipped(NO_CONSENT)
    return found


def _settled(subject: Subject, call: Call) -> None:
    """Ask once more, twice the same."""
    for turn in range(2):
        ask(subject, call, turn)


def _safe_state(subject: Subject) -> str:
    if not subject.consent:
        raise Skipped(NO_CONSENT)
    instrument = subject.instrument
    instrument.connect(timeout_s=subject.patience.usual_s)
    try:
        held = instrument.settings(timeout_s=subject.patience.usual_s)
        if instrument.family not in {Family.PHOTON_DETECTOR, Family.BIAS_SOURCE}:
            return "nothing of it needs switching off, or its close says why not"
        risky = {
            key: value
            for key, value in held.items()
            if (key.startswith("enabled") and value is True)
            or (
                key.startswith(("bias_", "voltage_"))
                and abs(float(value)) > NO_BIAS
                and not any(held.get(on) is False for on in ("enabled", _switch_of(key)))
            )
        }
    finally:
        instrument.close()
    if risky:
        raise Failed(f"after leaving it, it holds {risky}")
    return "after leaving it, no bias is on"


def _switch_of(key: str) -> str:
    return f"enabled_{key.split('_')[1]}"


def _closed(subject: Subject) -> str:
    instrument = subject.instrument
    instrument.close()
    instrument.close()
    _expect(NotConnected, "settings after closing", instrument.settings)
    return "closed twice, and says so"


def _expect(kind: type[Exception], what: str, call: Callable[[], object]) -> None:
    try:
        answer = call()
    except kind:
        return
    raise Failed(f"{what} must raise {kind.__name__}, and returned {answer!r}")


def _expect_silent(subject: Subject, what: str, call: Callable[[], object]) -> None:
    counts = []
    for _ in range(ATTEMPTS):
        before = subject.sent_bytes
        call()
        counts.append(subject.sent_bytes - before)
        if counts[-1] == 0:
            return
    raise Failed(f"{what} sent {min(counts)} bytes or more each time")
