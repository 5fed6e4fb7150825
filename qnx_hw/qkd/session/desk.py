"""What a party does between the channel and its blocks; what both roles share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from qnx_hw.errors import BlockAborted, ChannelError, QnxError, Tampering
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import (
    Abort,
    Amplify,
    Answer,
    AnyMessage,
    BlockMessage,
    Plan,
    Probe,
    Question,
    Release,
    Seal,
    Times,
    Training,
)
from qnx_hw.qkd.session.board import Board
from qnx_hw.qkd.session.outputs import Aborted, Output, Send
from qnx_hw.qkd.session.party import BlockParty, Context, Step
from qnx_hw.qkd.sifting import Events


class SessionOver(Exception):
    """Something happened after which this session cannot go on; the reason is safe to show."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block made of a message: outputs, or why it must be given up."""

    outputs: list[Output]
    error: QnxError | None = None

    def taken(self) -> list[Output]:
        """Return the outputs or raise the error."""
        if self.error is not None:
            raise self.error
        return self.outputs


def _outcome(party: BlockParty, message: BlockMessage, octets: bytes) -> Outcome:
    try:
        return Outcome(party.receive(message, octets))
    except QnxError as error:
        return Outcome([], error)


class Desk(ABC):
    """Keeps a party's blocks: at most one collected or waiting, several distilled, one sealed."""

    def __init__(self, context: Context, board: Board, first_block: int) -> None:
        self.blocks: dict[int, BlockParty] = {}
        self.has_proof = False
        """Whether some seal of the peer proved true in this session."""
        self._context = context
        self._board = board
        self._ahead: dict[int, Outcome] = {}
        self._next_block = first_block

    def open(self) -> list[Output]:
        """Begin, now that the parties know each other."""
        return []

    @abstractmethod
    def saw(self, events: Events) -> list[Output]:
        """Take the next events of this party's own station."""

    @abstractmethod
    def heard(self, message: Probe | Training | Plan | Times, octets: bytes) -> list[Output]:
        """Take a message about the stream of events."""

    @abstractmethod
    def proceed(self) -> list[Output]:
        """Begin what can begin now that some block went on or away."""

    def receive(self, message: BlockMessage, octets: bytes) -> list[Output]:
        """Pass a message on to its block; a block that meets doubt is given up."""
        party = self.blocks.get(message.block)
        if party is None:
            if message.block < self._next_block:
                return []  # sent before the peer heard that the block was given up
            raise SessionOver("the peer speaks of a block that was never begun")
        if isinstance(message, Abort):
            return self._peer_aborted(party)
        holding = self.holding()
        is_key = isinstance(message, Amplify | Seal | Release)
        if is_key and holding is not None and holding is not party:
            raise SessionOver("the peer went on without releasing a block")
        try:
            ahead = self._ahead.pop(message.block, None)
            outputs = (ahead or _outcome(party, message, octets)).taken()
        except (BlockAborted, ChannelError) as error:
            return self.abort(party, str(error), is_alarm=isinstance(error, Tampering))
        self._board.judged(party)
        self.has_proof = self.has_proof or party.is_proven
        if party.objection:
            if party.report.judgement is not None and party.report.judgement.is_unrelated:
                raise SessionOver("the pulses are counted wrongly: a clock may have jumped")
            outputs += self.abort(party, party.objection)
        elif party.step is Step.DONE:
            del self.blocks[party.number]
            self._board.released(party.report)
        return outputs

    def work_ahead(self, came: Sequence[tuple[AnyMessage, bytes]]) -> None:
        """Do what messages ask of different blocks side by side, before they are taken in order.

        Only what touches nothing but its own block: the questions and answers of reconciliation,
        which are most of a block's work.
        """
        works: dict[int, Callable[[], Outcome]] = {}
        touched: set[int] = set()
        for message, octets in came:
            if not isinstance(message, BlockMessage) or message.block in touched:
                continue
            touched.add(message.block)
            party = self.blocks.get(message.block)
            is_ready = party is not None and party.step is Step.RECONCILING
            if party is not None and is_ready and isinstance(message, Question | Answer):
                works[message.block] = partial(_outcome, party, message, octets)
        made = self._context.hands.side_by_side(list(works.values()))
        self._ahead = dict(zip(works, made, strict=True))

    def oldest(self) -> BlockParty | None:
        """Return the block that is nearest to its end."""
        return self.blocks[min(self.blocks)] if self.blocks else None

    def holding(self) -> BlockParty | None:
        """Return the block whose key is ready here but not known to be so at the peer."""
        return next((b for b in self.blocks.values() if b.step is Step.RELEASING), None)

    def abort(self, party: BlockParty, reason: str, *, is_alarm: bool = False) -> list[Output]:
        """Give a block up and tell the peer; impossible once its key is pending."""
        if party.step is Step.RELEASING:
            raise SessionOver(f"block {party.number} is in doubt: {reason}")
        abort = Abort(party.number, reason[: messages.MAX_REASON])
        return [*self._give_up(party, reason, is_alarm), Send(messages.encode(abort))]

    def give_up_all(self, reason: str) -> list[Output]:
        """The session ends: give up every block but one whose key is pending."""
        outputs: list[Output] = []
        for party in list(self.blocks.values()):
            if party.step is not Step.RELEASING:
                outputs += self._give_up(party, reason)
        return outputs

    def _peer_aborted(self, party: BlockParty) -> list[Output]:
        # What the peer writes as its reason is not authenticated and not shown.
        if party.step is Step.RELEASING:
            raise SessionOver(f"the peer gave up block {party.number}, which may be released")
        return self._give_up(party, "the peer gave it up")

    def _give_up(self, party: BlockParty, reason: str, is_alarm: bool = False) -> list[Output]:
        del self.blocks[party.number]
        self._board.judged(party)
        self._board.aborted()
        return [Aborted(party.number, reason, is_alarm)]
