"""Decoy BB84: Alice knows what she sent, Bob counts pulses, and both go on as with pairs.

Alice draws a seed for the session, announces a training, and has the transmitter play both. Bob
finds the pulses' numbers and publishes those of his events in place of times. Every event has a
partner: Alice's choice for that pulse. Bases and intensities are told once the block is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from qnx_hw.api.schema import ClockView
from qnx_hw.errors import ChannelError
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import Plan, Probe, Times, Training
from qnx_hw.qkd.pulse_sync import PulseNumbers, PulsesLost
from qnx_hw.qkd.pulses import (
    SEED_BYTES,
    TRAINING_KEY_BYTES,
    PulseChoices,
    PulseParameters,
    Score,
)
from qnx_hw.qkd.session.board import Board
from qnx_hw.qkd.session.desk import SessionOver
from qnx_hw.qkd.session.matching import Chunk, Matched, Partners
from qnx_hw.qkd.session.outputs import Output, Send, Transmit
from qnx_hw.qkd.session.party import Context
from qnx_hw.qkd.session.streams import AliceDesk, BobDesk
from qnx_hw.qkd.sifting import Events
from qnx_hw.secret import Secret


def pulses_of(context: Context) -> PulseParameters:
    """Return the transmitter's settings, which this protocol has."""
    assert context.parameters.pulses is not None
    return context.parameters.pulses


class SentPulses(Partners):
    """Alice's choices, by the numbers of the pulses that Bob detected."""

    def __init__(self, choices: PulseChoices, first_pulse: int) -> None:
        self._choices = choices
        self._first_pulse = first_pulse
        self._end = 0
        self._chunks: deque[Chunk] = deque()
        self._is_locked = False

    @property
    def is_locked(self) -> bool:
        """Whether Bob knows the pulses' numbers."""
        return self._is_locked

    def add_own(self, events: Events) -> None:
        """Alice detects nothing."""

    def add_chunk(self, chunk: Chunk) -> None:
        """Take Bob's next chunk; pulses that were public or told before are a `ChannelError`."""
        if chunk.start_ps < self._end or (self._is_locked and chunk.start_ps != self._end):
            raise ChannelError("the peer's pulses do not join")
        if chunk.times_ps.size and int(chunk.times_ps[0]) < self._first_pulse:
            raise ChannelError("the peer tells of pulses that were public")
        self._end, self._is_locked = chunk.end_ps, True
        self._chunks.append(chunk)

    def run(self) -> Iterator[Matched]:
        """Yield what Alice chose for each event."""
        while self._chunks:
            chunk = self._chunks.popleft()
            bases, values, kinds = self._choices.at(chunk.times_ps)
            paired = np.ones(bases.size, dtype=np.uint8)
            yield Matched(chunk, True, paired, bases, values, kinds=kinds)

    def take_histogram(self) -> None:
        """There are no delays."""

    def clock_view(self) -> ClockView:
        """Bob follows the clock; Alice is told."""
        return ClockView(is_locked=self._is_locked)


class PulsedAliceDesk(AliceDesk):
    """Has pulses sent, and holds what she chose against Bob's detections."""

    def open(self) -> list[Output]:
        score = self._score
        return [
            Send(messages.encode(Training(score.training_key))),
            Transmit(score.seed, score.training_key, pulses_of(self._context)),
        ]

    def _make_matching(self, context: Context) -> Partners:
        pulses = pulses_of(context)
        octets = context.randomness.octets
        self._score = context.score or Score(Secret(octets(SEED_BYTES)), octets(TRAINING_KEY_BYTES))
        z = pulses.z_probability
        self._sifted_share = z**2 + (1 - z) ** 2
        return SentPulses(PulseChoices(self._score.seed, pulses), pulses.training_pulses)


class PulsedBobDesk(BobDesk):
    """Publishes the numbers of the pulses that were detected."""

    def __init__(self, context: Context, board: Board, first_block: int) -> None:
        super().__init__(context, board, first_block)
        self._numbers = PulseNumbers(
            pulses_of(context),
            drift_limit_ppm=context.parameters.clock_drift_limit_ppm,
            gate_ps=context.parameters.coincidence_window_ps,
        )
        self._is_expecting = False

    def saw(self, events: Events) -> list[Output]:
        outputs: list[Output] = []
        try:
            numbered = self._numbers.take(events)
        except PulsesLost as error:
            raise SessionOver(str(error)) from None
        for each in numbered:
            if each.end_ps > each.start_ps:
                outputs += super().saw(each)
        if numbered:
            view = ClockView(
                is_locked=True,
                drift_ppb=self._numbers.drift_ppb,
                jitter_ps=self._numbers.jitter_ps,
            )
            self._board.show_clock(view, None)
        return outputs

    def heard(self, message: Probe | Training | Plan | Times, octets: bytes) -> list[Output]:
        if isinstance(message, Training):
            if self._is_expecting:
                raise SessionOver("the peer announced a second training")
            self._is_expecting = True
            self._numbers.expect(message.key)
            return []
        return super().heard(message, octets)
