"""Bob's way through a block: he publishes his times, corrects his keys, and waits for Alice."""

from __future__ import annotations

import hmac

import numpy as np

from qnx_hw.errors import BlockAborted, ChannelError
from qnx_hw.qkd import messages
from qnx_hw.qkd.arrivals import Lateness
from qnx_hw.qkd.messages import (
    Amplify,
    Answer,
    Arrivals,
    Bits,
    BlockMessage,
    Pairs,
    Release,
    Seal,
    Test,
    Times,
    pack_bits,
    unpack_bits,
)
from qnx_hw.qkd.monitoring import Watch
from qnx_hw.qkd.parameters import PendingBlock
from qnx_hw.qkd.refill import Aside, check_aside
from qnx_hw.qkd.selection import part
from qnx_hw.qkd.session.choosing import ALLOWED
from qnx_hw.qkd.session.correcting import CorrectedKeys, Course
from qnx_hw.qkd.session.distilling import Distillate, Distillation
from qnx_hw.qkd.session.outputs import BlockStarted, KeyPending, KeyReady, Output
from qnx_hw.qkd.session.party import BlockParty, Context, Step
from qnx_hw.qkd.session.rounds import (
    Judgement,
    Rounds,
    read_kinds,
    write_bases,
)
from qnx_hw.qkd.sifting import Events, round_to_slots
from qnx_hw.qkd.slots import encode_slots
from qnx_hw.secret import Secret


class BobBlock(BlockParty):
    """Bob's side of one block."""

    def __init__(self, context: Context, number: int, duration_ps: int) -> None:
        super().__init__(context, number)
        self.duration_ps = duration_ps
        self._end_ps: int | None = None
        self._is_cut = False
        self._bases: list[Bits] = []
        self._outcomes: list[Bits] = []
        self._watch = Watch(context.parameters)
        self._rounds: Rounds | None = None
        self._judgement: Judgement | None = None
        self._keys: CorrectedKeys | None = None
        self._uncorrected = self._key_kinds = np.empty(0, dtype=np.uint8)
        self._errors: tuple[int, ...] = ()
        self._aside: Aside = (0, 0)
        self._lateness: Lateness | None = None
        self._distillate: Distillate | None = None

    def begin(self, octets: bytes) -> list[Output]:
        """Take Alice's plan; the span begins with the next events."""
        self._hear(octets)
        return [BlockStarted(self.number)]

    @property
    def progress(self) -> float:
        """Part of the span that is collected, 0 to 1."""
        return min(1.0, self.report.span_ps / self.duration_ps)

    def add(self, events: Events) -> tuple[list[Output], Events | None]:
        """Publish the times of the next events; return what lies behind the block's end."""
        if self._end_ps is None:
            self._end_ps = events.start_ps + self.duration_ps
        if self._is_cut:
            self._end_ps = min(self._end_ps, events.end_ps)
        rest = None
        if events.end_ps >= self._end_ps:
            events, rest = events.split(self._end_ps)
        self._bases.append(events.bases)
        self._outcomes.append(events.outcomes)
        self._watch.add(events)
        self.report.span_ps += events.end_ps - events.start_ps
        times = Times(
            self.number,
            events.start_ps,
            events.end_ps,
            rest is not None,
            encode_slots(round_to_slots(events, self._context.parameters.slot_ps)),
        )
        if rest is not None:
            self.step = Step.SIFTING
        return [self._say(times)], rest

    def _take(self, message: BlockMessage) -> list[Output]:  # noqa: PLR0911 -- one per message
        match message:
            case messages.Cut():
                self._is_cut = True  # the span may be over by itself meanwhile
            case Pairs():
                return self._sift(message)
            case Test():
                return self._judge(message)
            case Answer():
                assert self._keys is not None
                return self._ask(self._keys.receive(message.z, message.x))
            case Arrivals():
                self._note(message)
            case Amplify():
                return self._amplify(message)
            case Seal():
                return self._hold()
            case Release():
                return self._release(message)
            case _:
                raise AssertionError(f"nothing is done with {type(message).__name__}")
        return []

    def _sift(self, message: Pairs) -> list[Output]:
        bases, outcomes = np.concatenate(self._bases), np.concatenate(self._outcomes)
        self._bases, self._outcomes = [], []
        self._watch.check()
        if message.count != bases.size:
            raise BlockAborted("the two ends count different events")
        if self._is_pulsed and message.paired:
            raise BlockAborted("the peer leaves detected pulses out")
        if not self._is_pulsed:
            paired = unpack_bits(message.paired, bases.size)
            bases, outcomes = part(bases, paired)[0], part(outcomes, paired)[0]
        theirs = unpack_bits(message.bases, bases.size)
        protocol = self._context.parameters.protocol
        count = bases.size if self._is_pulsed else 0
        kinds = read_kinds(message.intensities, count, self._context.parameters)
        self._rounds = Rounds(self._context.role, protocol, (bases, theirs), outcomes, kinds)
        self.report.pairs = bases.size
        self.report.sifted_bits = self._rounds.sifted_bits
        self.step = Step.TESTING
        return [self._say(write_bases(self.number, bases, protocol))]

    def _judge(self, message: Test) -> list[Output]:
        assert self._rounds is not None
        rounds, sifted = self._rounds, self._rounds.sifted
        setting = self._context.parameters.reconciliation
        way = next((each for each in ALLOWED[setting] if each == message.way), None)
        if way is None:
            raise BlockAborted("the peer wants a reconciliation that the link's settings forbid")
        rounds.choose(
            unpack_bits(message.chosen_z, sifted.z.size),
            unpack_bits(message.chosen_x, sifted.x.size),
            self._context.parameters.test_fractions,
        )
        theirs = rounds.read_disclosed(message.outcomes_z, message.outcomes_x, message.mismatched)
        ours = rounds.disclosed()
        disclosure = messages.Disclosure(
            self.number, pack_bits(ours.z), pack_bits(ours.x), pack_bits(ours.mismatched)
        )
        said = self._say(disclosure)
        self._lateness = self._watch.phases.lateness
        judgement = self._accept(rounds.judge(theirs))
        if self.objection:
            return [said]
        course = Course(self._context.parameters, way, judgement, message.shuffle)
        keys = rounds.keys()
        self._keys = CorrectedKeys(keys, course, self._context.hands)
        self._uncorrected, self._key_kinds = keys[0], rounds.key_kinds()
        self._judgement, self._rounds, self.step = judgement, None, Step.RECONCILING
        return [said, *self._ask(self._keys.start())]

    def _ask(self, requests: tuple[bytes, bytes]) -> list[Output]:
        """Send what the keys want to know, or say that it wants nothing more."""
        assert self._keys is not None
        if any(requests):
            return [self._say(messages.Question(self.number, *requests))]
        self.step = Step.AMPLIFYING
        z, x = self._keys.leaks
        self._errors = self._count_errors(self._keys)
        corrected = messages.Corrected(
            self.number, z.alice, z.total, x.alice, x.total, self._errors
        )
        return [self._say(corrected)]

    def _count_errors(self, keys: CorrectedKeys) -> tuple[int, ...]:
        """Decoy BB84: count what was corrected in the key basis, by intensity."""
        pulses = self._context.parameters.pulses
        if pulses is None:
            return ()
        wrong = keys.strings[0] != self._uncorrected
        counts = np.bincount(self._key_kinds[wrong], minlength=len(pulses.intensities))
        return tuple(counts.tolist())

    def _note(self, message: Arrivals) -> None:
        """Keep what Alice says of the detectors until her seal proves that she said it."""
        if len(message.late_ps) != len(message.sigma_ps):
            raise BlockAborted("the peer tells of arrivals without their errors")
        if message.late_ps:
            self._lateness = Lateness(message.late_ps, message.sigma_ps)

    def _amplify(self, message: Amplify) -> list[Output]:
        assert self._keys is not None
        assert self._judgement is not None
        keys, leaks = self._keys.strings, self._keys.leaks
        distillation = Distillation(
            keys,
            leaks,
            self._judgement,
            self._context.parameters,
            self._errors,
            self._context.hands,
        )
        distillation.verify(message)
        check_aside(message.aside, distillation.key_bytes)
        self._aside = message.aside
        self._distillate = self._distil(distillation, message)
        self._keys, self.step = None, Step.SEALING
        return []

    def _hold(self) -> list[Output]:
        assert self._distillate is not None
        assert self.report.provenance is not None
        self.step = Step.RELEASING
        self.report.lateness = self._lateness
        token, key = (Secret(s.reveal()) for s in (self._distillate.token, self._distillate.key))
        pending = PendingBlock(self.number, token, key, self._aside)
        return [KeyPending(self.number, pending, self.report.provenance), self._seal()]

    def _release(self, message: Release) -> list[Output]:
        assert self._distillate is not None
        if not hmac.compare_digest(self._distillate.token.reveal(), message.token):
            raise ChannelError("the peer released a block without its token")
        self.step = Step.DONE
        key, made = self._distillate.key, self.report.provenance
        return [KeyReady(self.number, key, made, aside=self._aside)]
