"""One end of a link, from time tags to released keys, without a clock and without I/O.

How it thinks. The parties greet each other and decide alike whether they fit. Bob then publishes
the rounded times of everything his station sees, chunk after chunk; Alice finds his clock in them
and keeps following it. When she knows the rate she fixes the span of a block and says so; Bob's
next chunks belong to it. While blocks are distilled the next is collected: several, where their
messages travel long, but one after the other from the moment that a key is made. A block that meets
doubt is given up at both ends and costs nothing but its tags; an authentication that fails, or a
message that fits no block at all, ends the session.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from qnx_hw.api.schema import LinkPhase
from qnx_hw.errors import AuthenticationError, ChannelError, Conflict, KeyExhausted
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import AnyMessage, BlockMessage, Close, Hello, Plan, Probe, Times, Training
from qnx_hw.qkd.parameters import (
    Protocol,
    Resumption,
    SessionParameters,
    StationInputs,
    check_role,
)
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import Sealer
from qnx_hw.qkd.session.board import Board
from qnx_hw.qkd.session.desk import Desk, SessionOver
from qnx_hw.qkd.session.hands import Hands, OneAfterAnother
from qnx_hw.qkd.session.handshake import Refused, answer, greet
from qnx_hw.qkd.session.outputs import Ended, KeyDropped, KeyReady, Output, Progress, Send
from qnx_hw.qkd.session.party import Context
from qnx_hw.qkd.session.pulsed import PulsedAliceDesk, PulsedBobDesk
from qnx_hw.qkd.session.randomness import Randomness
from qnx_hw.qkd.session.streams import AliceDesk, BobDesk
from qnx_hw.qkd.sifting import RANDOM, EventFinder, Events

DESKS: dict[tuple[Protocol, Role], type[AliceDesk | BobDesk]] = {
    (Protocol.BBM92, Role.ALICE): AliceDesk,
    (Protocol.BBM92, Role.BOB): BobDesk,
    (Protocol.E91, Role.ALICE): AliceDesk,
    (Protocol.E91, Role.BOB): BobDesk,
    (Protocol.DECOY_BB84, Role.ALICE): PulsedAliceDesk,
    (Protocol.DECOY_BB84, Role.BOB): PulsedBobDesk,
}
"""What each party does with its events; what it may hear in a block is `party.EXPECTED`."""

FIRST_KEY = "the link's first key is made; it authenticates the sessions from now on"


class Session:
    """One party of one link for as long as one connection lives.

    The caller feeds it the station's tag blocks and the peer's messages, one call at a time, and
    carries out the outputs in order. Every call may compute for a while (clock acquisition takes
    up to seconds of CPU): keep calls off the event loop. After `Ended` it does nothing more.
    """

    def __init__(  # noqa: PLR0913 -- what a party is, knows and remembers, each by name
        self,
        role: Role,
        parameters: SessionParameters,
        authenticator: Sealer,
        randomness: Randomness,
        *,
        station: StationInputs | None = None,
        resumption: Resumption | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        round_trip_s: Callable[[], float | None] = lambda: None,
        hands: Hands | None = None,
        score: Score | None = None,
    ) -> None:
        """`should_stop` is asked now and then, from the calling thread, during long searches.

        `round_trip_s` returns how long a message and its answer take on the channel, None where
        that was not measured; Alice asks once a block. `hands` do what can be done side by side.
        `score` is what a recorded session's pulses were chosen by; a live one draws its own.
        """
        self._resumption = resumption or Resumption()
        check_role(role, self._resumption)
        self._role = role
        self._parameters = parameters
        self._authenticator = authenticator
        self._randomness = randomness
        self._should_stop = should_stop
        self._round_trip_s = round_trip_s
        self._hands = hands or OneAfterAnother()
        self._score = score
        self._finder = EventFinder(
            station or StationInputs(),
            window_ps=parameters.coincidence_window_ps,
            dead_time_ps=parameters.dead_time_ps,
        )
        self._hello = greet(role, parameters, self._resumption, randomness.octets(16))
        self._board = Board()
        self._pending = self._resumption.pending
        self._desk: Desk | None = None
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """Whether the session is over."""
        return self._has_ended

    def start(self) -> list[Output]:
        """Greet the peer; call once, when the channel is open."""
        return [Send(messages.encode(self._hello))]

    def detections(self, block: TagBlock) -> list[Output]:
        """Take the next block of this station's tags; blocks join without a gap."""
        if self._has_ended:
            return []
        read_ps = self._finder.read_ps
        if read_ps is not None and block.start_ps < read_ps:
            return self._end("the tagger's time went back")
        events = self._decided(self._finder.find(block))
        self._board.saw(events)
        if self._desk is None:
            return self._with_news([])
        return self._guarded(lambda desk: desk.saw(events))

    def receive(self, message: bytes) -> list[Output]:
        """Take one message of the peer."""
        if self._has_ended:
            return []
        try:
            heard = messages.decode(message)
        except ChannelError as error:
            return self._end(str(error))
        match heard:
            case Hello():
                return self._meet(heard)
            case Close():
                return self._end("the peer closed the session", tell=False)
            case _:
                return self._guarded(lambda desk: self._pass_on(desk, heard, message))

    def receive_all(self, came: Sequence[bytes]) -> list[Output]:
        """Take messages that came together, in order; what they ask of blocks is done side by side.

        The same outputs as of `receive` for each in turn.
        """
        with suppress(ChannelError):
            heard = [(messages.decode(message), message) for message in came]
            if self._desk is not None and not self._has_ended and len(came) > 1:
                self._desk.work_ahead(heard)
        return [output for message in came for output in self.receive(message)]

    def close(self, reason: str) -> list[Output]:
        """End the session in good order and tell the peer; a pending key stays pending."""
        return [] if self._has_ended else self._end(reason)

    def _pass_on(self, desk: Desk, heard: AnyMessage, octets: bytes) -> list[Output]:
        if isinstance(heard, Probe | Training | Plan | Times):
            return desk.heard(heard, octets)
        assert isinstance(heard, BlockMessage)
        outputs = desk.receive(heard, octets)
        is_made = any(isinstance(output, KeyReady) for output in outputs)
        if is_made and self._authenticator.first_key_bytes:
            return outputs + self._end(FIRST_KEY)
        return outputs + self._settle_old(desk) + desk.proceed()

    def _guarded(self, act: Callable[[Desk], list[Output]]) -> list[Output]:
        if self._desk is None:
            return self._end("the peer did not begin with a greeting")
        try:
            outputs = act(self._desk)
            self._board.show_stage(self._desk.oldest())
            return self._with_news(outputs)
        except SessionOver as error:
            return self._end(str(error))
        except (AuthenticationError, Conflict) as error:
            return self._end(str(error), is_alarm=True)
        except KeyExhausted as error:
            return self._end(str(error))

    def _meet(self, theirs: Hello) -> list[Output]:
        if self._desk is not None:
            return self._end("the peer greeted twice")
        agreed = answer(self._hello, theirs)
        if isinstance(agreed, Refused):
            return self._end(agreed.reason)
        context = Context(
            self._role,
            self._parameters,
            self._authenticator,
            self._randomness,
            self._should_stop,
            agreed.session,
            agreed.greeting,
            self._round_trip_s,
            self._hands,
            self._score,
        )
        desk = DESKS[self._parameters.protocol, self._role]
        self._desk = desk(context, self._board, agreed.first_block)
        self._board.note(phase=LinkPhase.SYNCHRONISING)
        return self._with_news(self._recover(theirs) + self._desk.open())

    def _recover(self, theirs: Hello) -> list[Output]:
        """Release a key that was pending if Alice proves that she released it."""
        pending = self._pending
        if pending is None or theirs.released_block != pending.block:
            return []
        if not hmac.compare_digest(pending.token.reveal(), theirs.released_token):
            return []
        self._pending = None
        return [KeyReady(pending.block, pending.key, None, aside=pending.aside)]

    def _settle_old(self, desk: Desk) -> list[Output]:
        """Drop a key that is still pending once Alice's greeting proved to be Alice's.

        Her greeting is part of every transcript; the first seal that fits tells that she did not
        release the block. Before that anybody could have said so.
        """
        if self._pending is None or not desk.has_proof:
            return []
        dropped, self._pending = self._pending, None
        dropped.key.wipe()
        return [KeyDropped(dropped.block, "the peer never released it")]

    def _decided(self, events: Events) -> Events:
        """Draw the outcomes of events in which both detectors of a basis clicked."""
        doubtful = np.flatnonzero(events.outcomes == RANDOM)
        if not doubtful.size:
            return events
        drawn = np.frombuffer(self._randomness.octets(doubtful.size), dtype=np.uint8) & 1
        outcomes = events.outcomes.copy()
        outcomes[doubtful] = drawn
        return dataclasses.replace(events, outcomes=outcomes)

    def _end(self, reason: str, *, is_alarm: bool = False, tell: bool = True) -> list[Output]:
        self._has_ended = True
        outputs: list[Output] = []
        if self._desk is not None:
            outputs += self._desk.give_up_all(reason)
        if tell:
            outputs.append(Send(messages.encode(Close(reason[: messages.MAX_REASON]))))
        self._board.note(phase=LinkPhase.STOPPED, message=reason)
        return [*self._with_news(outputs), Ended(reason, is_alarm)]

    def _with_news(self, outputs: list[Output]) -> list[Output]:
        news = self._board.take_news()
        return outputs if news is None else [*outputs, Progress(news)]
