"""What the two parties' ways through a block have in common.

A block is a row of steps. In every step a party waits for one kind of message (`EXPECTED`); the
message takes it to the next step or the block is given up. Nothing is ever asked twice, so a
message that is lost, repeated, delayed or changed is one that does not fit.

Everything said in a block goes into its transcript, each direction in its own order. Before a key
leaves, each party sends one authentication tag over both directions and both greetings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from qnx_hw.api.schema import BlockStage
from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import messages
from qnx_hw.qkd.arrivals import Lateness
from qnx_hw.qkd.messages import Amplify, AnyMessage, BlockMessage, Seal
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import Sealer
from qnx_hw.qkd.session.delays import PairDelays
from qnx_hw.qkd.session.distilling import Distillate, Distillation
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.qkd.session.handshake import framed
from qnx_hw.qkd.session.outputs import Output, Provenance, Send
from qnx_hw.qkd.session.randomness import Randomness
from qnx_hw.qkd.session.rounds import Judgement


class Step(StrEnum):
    """Where a party stands in a block; the words complete "while ..."."""

    COLLECTING = "collecting"
    WAITING = "waiting for the block before"
    SIFTING = "sifting"
    TESTING = "testing"
    RECONCILING = "reconciling"
    CORRECTED = "waiting for the key of the block before"
    AMPLIFYING = "verifying"
    SEALING = "authenticating"
    RELEASING = "releasing"
    DONE = "done"


EXPECTED: dict[tuple[Role, Step], tuple[type[BlockMessage], ...]] = {
    (Role.ALICE, Step.COLLECTING): (messages.Times,),
    (Role.BOB, Step.COLLECTING): (messages.Cut,),
    (Role.BOB, Step.SIFTING): (messages.Pairs, messages.Cut),
    (Role.ALICE, Step.SIFTING): (messages.Bases,),
    (Role.BOB, Step.TESTING): (messages.Test,),
    (Role.ALICE, Step.TESTING): (messages.Disclosure,),
    (Role.ALICE, Step.RECONCILING): (messages.Question, messages.Corrected),
    (Role.BOB, Step.RECONCILING): (messages.Answer,),
    (Role.BOB, Step.AMPLIFYING): (messages.Arrivals, messages.Amplify),
    (Role.BOB, Step.SEALING): (messages.Seal,),
    (Role.ALICE, Step.SEALING): (messages.Seal,),
    (Role.BOB, Step.RELEASING): (messages.Release,),
}
"""The one table of states: what each party waits for. Where nothing stands, nothing may come."""

STAGES = {
    Step.COLLECTING: BlockStage.COLLECTING,
    Step.WAITING: BlockStage.COLLECTING,
    Step.SIFTING: BlockStage.SIFTING,
    Step.TESTING: BlockStage.ESTIMATING,
    Step.RECONCILING: BlockStage.RECONCILING,
    Step.CORRECTED: BlockStage.RECONCILING,
    Step.AMPLIFYING: BlockStage.VERIFYING,
    Step.SEALING: BlockStage.AMPLIFYING,
    Step.RELEASING: BlockStage.RELEASING,
    Step.DONE: BlockStage.RELEASING,
}


@dataclass(frozen=True, slots=True)
class Context:
    """What every block of a session shares."""

    role: Role
    parameters: SessionParameters
    authenticator: Sealer
    randomness: Randomness
    should_stop: Callable[[], bool]
    session: str
    greeting: bytes
    round_trip_s: Callable[[], float | None]
    hands: Hands
    score: Score | None = None
    """What pulses of the past were chosen by; None draws afresh."""


@dataclass(slots=True)
class Report:
    """The numbers a block has produced so far."""

    judgement: Judgement | None = None
    delays: PairDelays | None = None
    span_ps: int = 0
    tick_ps: float = 1.0
    pairs: int = 0
    sifted_bits: int = 0
    leaked_bits: int = 0
    provenance: Provenance | None = None
    lateness: Lateness | None = None
    """Of the station's own detectors."""


class BlockParty(ABC):
    """One party's side of one block."""

    def __init__(self, context: Context, number: int) -> None:
        self.number = number
        self.report = Report(tick_ps=context.parameters.tick_ps)
        self.step = Step.COLLECTING
        self.is_proven = False
        """Whether the peer's seal of this block proved true."""
        self.objection = ""
        """Why the disclosed rounds forbid a key, once they are judged."""
        self._context = context
        self._transcript = {role: bytearray() for role in Role}

    @property
    def _is_pulsed(self) -> bool:
        return self._context.parameters.pulses is not None

    def receive(self, message: BlockMessage, octets: bytes) -> list[Output]:
        """Take the peer's next message of this block.

        Raises `BlockAborted` or `ChannelError` where the block must be given up, and
        `AuthenticationError` where the session must.
        """
        if not isinstance(message, EXPECTED.get((self._context.role, self.step), ())):
            name = type(message).__name__.lower()
            raise BlockAborted(f"the peer sent '{name}' while {self.step.value}")
        if isinstance(message, Seal):
            self._check_seal(message)
        self._hear(octets)
        return self._take(message)

    @abstractmethod
    def _take(self, message: BlockMessage) -> list[Output]:
        """Act on a message that is expected now and already part of the transcript."""

    def _say(self, message: AnyMessage) -> Send:
        octets = messages.encode(message)
        self._transcript[self._context.role] += framed(octets)
        return Send(octets)

    def _accept(self, judgement: Judgement) -> Judgement:
        self.report.judgement = judgement
        self.objection = judgement.objection(self._context.parameters) or ""
        return judgement

    def _hear(self, octets: bytes) -> None:
        self._transcript[self._context.role.peer] += framed(octets)

    def _seal(self) -> Send:
        """Authenticate everything said so far, in both directions."""
        seal = self._context.authenticator.seal(self.number, self._said())
        return self._say(Seal(self.number, seal))

    def _check_seal(self, seal: Seal) -> None:
        self._context.authenticator.check(self.number, self._said(), seal.seal)
        self.is_proven = True

    def _said(self) -> tuple[bytes, bytes, bytes]:
        """What a seal covers: both greetings, Alice's messages, Bob's messages."""
        alice, bob = (bytes(self._transcript[role]) for role in (Role.ALICE, Role.BOB))
        return self._context.greeting, alice, bob

    def _distil(self, distillation: Distillation, drawn: Amplify) -> Distillate:
        """Make the key, and write down how it came about."""
        judgement = self.report.judgement
        assert judgement is not None
        if distillation.key_bytes < self._context.authenticator.first_key_bytes:
            raise BlockAborted("the key is too short to pay for the link's first tags")
        distillate = distillation.distil(drawn)
        parameters = self._context.parameters
        self.report.leaked_bits = distillation.leaked_bits
        self.report.provenance = Provenance(
            link=parameters.link,
            block=self.number,
            session=self._context.session,
            secret_bits=8 * len(distillate.key),
            sifted_bits=self.report.sifted_bits,
            tested_bits=judgement.tested_z + judgement.tested_x,
            leaked_bits=distillation.leaked_bits,
            qber=judgement.qber.value or 0.0,
            chsh_s=judgement.chsh_s.value or 0.0,
            epsilon_secrecy=parameters.epsilon_secrecy,
            epsilon_correctness=parameters.epsilon_correctness,
        )
        return distillate
