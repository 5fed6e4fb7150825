"""Does an instrument whose wire was lost come back by itself, as it was, and how soon?"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from qnx_hw.instruments.conformance.call import Setting
from qnx_hw.instruments.conformance.photon_calls import BLOCK_S, stream_flaw
from qnx_hw.instruments.conformance.report import Check, Failed, Skipped, judge
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.instruments.conformance.subject import Subject
from qnx_hw.instruments.families import Instrument
from qnx_hw.instruments.supervisor import SupervisedStream, Supervisor
from qnx_hw.instruments.tags import UNKNOWN_LOSS
from qnx_hw.instruments.values import Family

# What may wait in buffers from before the loss.
MOST_BLOCKS = 10_000


def run_drop(subject: Subject, saboteur: Saboteur, *, away_s: float = 0.0) -> tuple[Check, ...]:
    """Drop the wire under a supervisor, bring it back `away_s` after it was missed, and measure."""
    return (
        judge("drop", lambda: _drop(subject, saboteur, away_s)),
        judge("drop while streaming", lambda: _drop_stream(subject, saboteur)),
    )


def ready_after_s(subject: Subject, saboteur: Saboteur, away_s: float = 0.0) -> float:
    """Drop the wire under a supervisor and return how soon all is well once the wire is back."""
    settings = subject.settings if subject.consent else {}
    usual_s = 4 * subject.patience.usual_s

    def read(instrument: Instrument) -> Mapping[str, Setting]:
        return instrument.settings(timeout_s=subject.patience.usual_s)

    with Supervisor(subject.instrument, name="dropped", settings=settings) as supervisor:
        supervisor.wait_ready(usual_s)
        held = supervisor.call(read)
        saboteur.strike(Sabotage.UNPLUG)
        try:
            supervisor.wait_lost(usual_s)
            threading.Event().wait(away_s)
        finally:
            saboteur.heal()
        back_s = time.monotonic()
        supervisor.wait_ready(usual_s)
        took_s = time.monotonic() - back_s
        if supervisor.health().reconnects != 1:
            raise Failed(f"it was connected {supervisor.connects} times, not twice")
        again = supervisor.call(read)
    if again.keys() != held.keys():
        raise Failed(f"it has the settings {dict(again)} now, and {dict(held)} before")
    return took_s


def _drop(subject: Subject, saboteur: Saboteur, away_s: float) -> str:
    if Sabotage.UNPLUG not in saboteur.skills:
        raise Skipped("nobody here can unplug it")
    took_s = ready_after_s(subject, saboteur, away_s)
    sentence = f"ready {took_s:.2f} s after its wire returned"
    if took_s > subject.patience.back_s:
        raise Failed(sentence)
    return sentence


def _drop_stream(subject: Subject, saboteur: Saboteur) -> str:
    """Blocks join across the loss, and one of them says that nobody knows what is missing."""
    tagger: Any = subject.instrument  # Any: its family says that it is a TimeTagger
    if tagger.family is not Family.TIME_TAGGER or tagger.capabilities.counts_only:
        raise Skipped("it has no stream")
    usual_s = 4 * subject.patience.usual_s
    with Supervisor(tagger, name="dropped") as supervisor:
        stream = SupervisedStream(supervisor, block_s=BLOCK_S)
        blocks = [stream.read(timeout_s=usual_s) for _ in range(2)]
        saboteur.strike(Sabotage.UNPLUG)
        try:
            supervisor.wait_lost(usual_s)
        finally:
            saboteur.heal()
        while blocks[-1].lost != UNKNOWN_LOSS and len(blocks) < MOST_BLOCKS:
            blocks.append(stream.read(timeout_s=usual_s))
        blocks += [stream.read(timeout_s=usual_s) for _ in range(2)]
        stream.close()
    flaw = stream_flaw(0, blocks)
    if flaw:
        raise Failed(flaw)
    if not any(block.lost == UNKNOWN_LOSS and not len(block) for block in blocks):
        raise Failed("no block says that tags are missing")
    return "the stream went on behind an explicit gap"
