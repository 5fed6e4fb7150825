"""Alice's way through a block: she pairs the events, draws the samples and seeds, and decides."""

from __future__ import annotations

import numpy as np

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import messages
from qnx_hw.qkd.arrivals import ArrivalTimes
from qnx_hw.qkd.messages import (
    Bases,
    Bits,
    BlockMessage,
    Corrected,
    Disclosure,
    Plan,
    Question,
    Seal,
    Times,
    pack_bits,
)
from qnx_hw.qkd.monitoring import Watch
from qnx_hw.qkd.parameters import ReleasedBlock
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.selection import choose_test, sample_size
from qnx_hw.qkd.session.choosing import Way, choose
from qnx_hw.qkd.session.correcting import Course, ReferenceKeys
from qnx_hw.qkd.session.distilling import Distillate, Distillation
from qnx_hw.qkd.session.matching import Matched
from qnx_hw.qkd.session.outputs import BlockStarted, KeyReady, Output
from qnx_hw.qkd.session.party import BlockParty, Context, Step
from qnx_hw.qkd.session.rounds import (
    Judgement,
    Rounds,
    read_bases,
    write_kinds,
)
from qnx_hw.qkd.sifting import Events
from qnx_hw.timing.arrays import Times as TimesPs


class AliceBlock(BlockParty):
    """Alice's side of one block."""

    def __init__(self, context: Context, number: int, duration_ps: int) -> None:
        super().__init__(context, number)
        self.duration_ps = duration_ps
        self._is_cut = False
        self._heard_ps = 0
        self._matched_ps = 0
        self._watch = Watch(context.parameters)
        self._paired: list[Bits] = []
        self._bases: list[Bits] = []
        self._outcomes: list[Bits] = []
        self._kinds: list[Bits] = []
        self._delays: list[TimesPs] = []
        self._arrivals = ArrivalTimes()
        self._shuffle = b""
        self._way = Way.LOW_ROUND
        self._errors: tuple[int, ...] = ()
        self._aside: Aside = (0, 0)
        self._rounds: Rounds | None = None
        self._judgement: Judgement | None = None
        self._keys: ReferenceKeys | None = None
        self._distillate: Distillate | None = None

    def plan(self) -> list[Output]:
        """Ask Bob to collect."""
        plan = Plan(self.number, self.duration_ps)
        return [BlockStarted(self.number), self._say(plan)]

    def cut(self) -> list[Output]:
        """Ask Bob to end the block with his next times; once is enough."""
        if self._is_cut or self.step is not Step.COLLECTING:
            return []
        self._is_cut = True
        return [self._say(messages.Cut(self.number))]

    @property
    def progress(self) -> float:
        """Part of the span that is matched, 0 to 1."""
        return min(1.0, self._matched_ps / self.duration_ps)

    def saw(self, events: Events) -> None:
        """Note what Alice's own station left out while the block is collected."""
        self._watch.add(events)

    def add(self, matched: Matched) -> None:
        """Note which of the next of Bob's events have a partner, and what Alice saw in those."""
        self._paired.append(matched.paired)
        self._bases.append(matched.bases)
        self._outcomes.append(matched.outcomes)
        if matched.kinds is not None:
            self._kinds.append(matched.kinds)
        if matched.late_ps is not None:
            self._arrivals.add(matched.bases, matched.outcomes, matched.late_ps)
            self._delays.append(-matched.late_ps)
        self._matched_ps += matched.chunk.end_ps - matched.chunk.start_ps
        self.report.pairs += matched.bases.size
        if matched.chunk.is_final:
            self.report.span_ps = self._matched_ps
            self.step = Step.WAITING

    def sift(self) -> list[Output]:
        """The span is over and matched: publish pairs and bases."""
        self._watch.check()
        paired, bases = _joined(self._paired), _joined(self._bases)
        if not bases.size:
            raise BlockAborted("no coincidences were found")
        self.step = Step.SIFTING
        told = b"" if self._is_pulsed else pack_bits(paired)
        kinds = write_kinds(_joined(self._kinds))
        pairs = messages.Pairs(self.number, paired.size, told, pack_bits(bases), kinds)
        return [self._say(pairs)]

    def _take(self, message: BlockMessage) -> list[Output]:
        match message:
            case Times():
                return self._check_span(message)
            case Bases():
                return self._test(message)
            case Disclosure():
                return self._judge(message)
            case Question():
                return self._answer(message)
            case Corrected():
                return self._hear_corrected(message)
            case Seal():
                return self._release()
        raise AssertionError(f"nothing is done with {type(message).__name__}")

    def _check_span(self, message: Times) -> list[Output]:
        """The span is Alice's choice; Bob must keep to it, unless she cut the block."""
        self._heard_ps += message.end_ps - message.start_ps
        is_over = self._heard_ps >= self.duration_ps
        is_early = message.is_final and self._is_cut
        if self._heard_ps > self.duration_ps or (is_over != message.is_final and not is_early):
            raise BlockAborted("the peer collected another span than the planned one")
        return []

    def _test(self, message: Bases) -> list[Output]:
        ours = _joined(self._bases)
        protocol = self._context.parameters.protocol
        theirs = read_bases(message, ours.size, protocol)
        seen = (_joined(self._outcomes), _joined(self._kinds))
        rounds = Rounds(self._context.role, protocol, (ours, theirs), *seen)
        if self._delays:
            rounds.note_delays(np.concatenate(self._delays))
        self._paired, self._bases, self._outcomes, self._kinds = [], [], [], []
        self._delays = []
        self.report.sifted_bits = rounds.sifted_bits
        fractions = self._context.parameters.test_fractions
        sizes = (rounds.sifted.z.size, rounds.sifted.x.size)
        chosen_z, chosen_x = (
            choose_test(
                count,
                fraction,
                self._context.randomness.octets(8 * sample_size(count, fraction)),
            )
            for count, fraction in zip(sizes, fractions, strict=True)
        )
        rounds.choose(chosen_z, chosen_x, fractions)
        ours_open = rounds.disclosed()
        self._shuffle = self._context.randomness.octets(16)
        self._way = self._choose_way()
        self._rounds, self.step = rounds, Step.TESTING
        return [
            self._say(
                messages.Test(
                    self.number,
                    pack_bits(chosen_z),
                    pack_bits(chosen_x),
                    pack_bits(ours_open.z),
                    pack_bits(ours_open.x),
                    pack_bits(ours_open.mismatched),
                    self._way,
                    self._shuffle,
                )
            )
        ]

    def _choose_way(self) -> Way:
        context = self._context
        span_s = self.report.span_ps * self.report.tick_ps * 1e-12
        return choose(context.parameters, context.round_trip_s(), span_s, self.report.sifted_bits)

    def _judge(self, message: Disclosure) -> list[Output]:
        assert self._rounds is not None
        theirs = self._rounds.read_disclosed(
            message.outcomes_z, message.outcomes_x, message.mismatched
        )
        judgement = self._accept(self._rounds.judge(theirs))
        window_ps = self._context.parameters.coincidence_window_ps
        self.report.delays = self._rounds.open_delays(self.number, window_ps, theirs)
        self._check_arrivals()
        if self.objection:
            return []
        course = Course(self._context.parameters, self._way, judgement, self._shuffle)
        self._keys = ReferenceKeys(self._rounds.keys(), course, self._context.hands)
        self._judgement, self._rounds, self.step = judgement, None, Step.RECONCILING
        return []

    def _check_arrivals(self) -> None:
        """Hold each station's detectors against each other: hers in all pairs, his as published."""
        limit_ps = self._context.parameters.arrival_limit_ps
        self.report.lateness = self._arrivals.lateness
        self._arrivals.check(limit_ps, "Alice")
        if self.report.delays is not None:
            self.report.delays.of_bob().check(limit_ps, "Bob")

    def _answer(self, message: Question) -> list[Output]:
        assert self._keys is not None
        z, x = self._keys.answer(message.z, message.x)
        return [self._say(messages.Answer(self.number, z, x))]

    def _hear_corrected(self, message: Corrected) -> list[Output]:
        assert self._keys is not None
        told = [(message.alice_z, message.total_z), (message.alice_x, message.total_x)]
        ours = [(leak.alice, leak.total) for leak in self._keys.leaks]
        if ours != told or not self._keys.is_finished:
            raise BlockAborted("the two ends count different leaks")
        self._errors, self.step = message.errors, Step.CORRECTED
        return []

    def amplify(self) -> list[Output]:
        """The strings are equal and the block before is done: make the key."""
        assert self._keys is not None
        assert self._judgement is not None
        distillation = Distillation(
            self._keys.strings,
            self._keys.leaks,
            self._judgement,
            self._context.parameters,
            self._errors,
            self._context.hands,
        )
        aside = self._context.authenticator.set_aside(distillation.key_bytes)
        drawn = distillation.draw(self.number, self._context.randomness, aside)
        self._aside = aside
        self._distillate = self._distil(distillation, drawn)
        self._keys, self.step = None, Step.SEALING
        return [self._say(self._arrivals_at_bob()), self._say(drawn), self._seal()]

    def _arrivals_at_bob(self) -> messages.Arrivals:
        """Tell Bob how late his detectors are, which his own times do not show."""
        delays = self.report.delays
        late = delays.of_bob().lateness if delays is not None else None
        if late is None:
            return messages.Arrivals(self.number, (), ())
        late_ps = tuple(round(each) for each in late.late_ps)
        sigma_ps = tuple(max(1, round(each)) for each in late.sigma_ps)
        return messages.Arrivals(self.number, late_ps, sigma_ps)

    def _release(self) -> list[Output]:
        assert self._distillate is not None
        distillate, self._distillate = self._distillate, None
        released = ReleasedBlock(self.number, distillate.token)
        self.step = Step.DONE
        return [
            KeyReady(self.number, distillate.key, self.report.provenance, released, self._aside),
            self._say(messages.Release(self.number, distillate.token.reveal())),
        ]


def _joined(parts: list[Bits]) -> Bits:
    return np.concatenate([np.empty(0, dtype=np.uint8), *parts])
