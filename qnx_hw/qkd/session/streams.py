"""What each role does with its station's events: Bob publishes their times, Alice pairs them."""

from __future__ import annotations

import math
from collections.abc import Callable

from qnx_hw.api.schema import LinkPhase
from qnx_hw.errors import BlockAborted, ChannelError, Tampering
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import Plan, Probe, Times, Training
from qnx_hw.qkd.parameters import Protocol
from qnx_hw.qkd.session.alice import AliceBlock
from qnx_hw.qkd.session.board import RATE_SPAN_PS, Board
from qnx_hw.qkd.session.bob import BobBlock
from qnx_hw.qkd.session.cutting import Cut
from qnx_hw.qkd.session.desk import Desk, SessionOver
from qnx_hw.qkd.session.matching import Chunk, Matched, Matching, Partners
from qnx_hw.qkd.session.outputs import Output, Send
from qnx_hw.qkd.session.party import Context, Step
from qnx_hw.qkd.sifting import Events, round_to_slots, slot_limit, slot_times
from qnx_hw.qkd.slots import decode_slots, encode_slots

SHORTEST_BLOCK_PS = 1_000_000_000
MAX_BLOCK_EVENTS = 1 << 26
"""One bit for each of Bob's events must fit into a message."""
DISTILLING = (Step.SIFTING, Step.TESTING, Step.RECONCILING, Step.CORRECTED, Step.SEALING)


class BobDesk(Desk):
    """Publishes rounded times, inside blocks and between them."""

    def saw(self, events: Events) -> list[Output]:
        outputs: list[Output] = []
        slot_ps = self._context.parameters.slot_ps
        rest: Events | None = events
        while rest is not None and rest.end_ps > rest.start_ps:
            block = self._collecting()
            if block is None:
                slots = encode_slots(round_to_slots(rest, slot_ps))
                probe = Probe(rest.start_ps, rest.end_ps, slots)
                outputs.append(Send(messages.encode(probe)))
                break
            said, rest = block.add(rest)
            outputs += said
        block = self._collecting()
        if block is not None:
            self._board.note(progress=block.progress)
        return outputs

    def heard(self, message: Probe | Training | Plan | Times, octets: bytes) -> list[Output]:
        if not isinstance(message, Plan):
            raise SessionOver(f"the peer sent a {type(message).__name__.lower()}, not its part")
        if message.block != self._next_block:
            raise SessionOver("the peer begins a block out of turn")
        if any(b.step in (Step.COLLECTING, Step.WAITING) for b in self.blocks.values()):
            raise SessionOver("the peer begins a block before the last one is collected")
        parameters = self._context.parameters
        if len(self.blocks) > parameters.blocks_under_way + 1:
            raise SessionOver("the peer begins more blocks than the settings let it")
        if message.duration_ps * parameters.tick_ps > parameters.max_block_s * 1e12:
            raise SessionOver("the peer wants a block that is too long")
        self._next_block += 1
        block = BobBlock(self._context, message.block, message.duration_ps)
        self.blocks[block.number] = block
        self._board.note(progress=0.0, phase=LinkPhase.GENERATING)
        return block.begin(octets)

    def proceed(self) -> list[Output]:
        return []

    def _collecting(self) -> BobBlock | None:
        for block in self.blocks.values():
            if isinstance(block, BobBlock) and block.step is Step.COLLECTING:
                return block
        return None


class AliceDesk(Desk):
    """Follows Bob's clock, plans blocks, and distils them; keys are made in their order."""

    def __init__(self, context: Context, board: Board, first_block: int) -> None:
        super().__init__(context, board, first_block)
        self._tick_ps = context.parameters.tick_ps
        self._locked_ps = 0
        self._shown_ps = 0
        self._peer_rate_hz = 0.0
        # With even splitters; replaced by what the last block showed.
        self._sifted_share = 0.25 if context.parameters.protocol is Protocol.E91 else 0.5
        self._cut = Cut(math.inf, math.inf)
        """Watches the block that is collected."""
        self._matching = self._make_matching(context)

    def _make_matching(self, context: Context) -> Partners:
        return Matching(context.parameters, context.should_stop)

    def saw(self, events: Events) -> list[Output]:
        for block in self._in_step(Step.COLLECTING):
            block.saw(events)
        self._matching.add_own(events)
        return self._advance()

    def heard(self, message: Probe | Training | Plan | Times, octets: bytes) -> list[Output]:
        if isinstance(message, Plan | Training):
            raise SessionOver("the peer plans blocks, which is Alice's part")
        number = message.block if isinstance(message, Times) else 0
        outputs = self.receive(message, octets) if isinstance(message, Times) else []
        try:
            self._matching.add_chunk(self._chunk(message, number if number in self.blocks else 0))
        except ChannelError as error:
            raise SessionOver(str(error)) from error
        return outputs + self._advance()

    def proceed(self) -> list[Output]:
        self._learn_share()
        outputs = self._make_keys()
        waiting = self._in_step(Step.WAITING)
        limit = self._context.parameters.blocks_under_way
        if waiting and len(self._in_step(*DISTILLING)) < limit:
            outputs += self._go_on(waiting[0], waiting[0].sift)
        if not self._in_step(Step.COLLECTING, Step.WAITING):
            outputs += self._plan()
        return outputs

    def _make_keys(self) -> list[Output]:
        """Amplify the oldest block once it is corrected; the next when that one is gone."""
        outputs: list[Output] = []
        while distilling := self._in_step(*DISTILLING):
            oldest = min(distilling, key=lambda block: block.number)
            if oldest.step is not Step.CORRECTED:
                break
            outputs += self._go_on(oldest, oldest.amplify)
        return outputs

    def _go_on(self, block: AliceBlock, step: Callable[[], list[Output]]) -> list[Output]:
        try:
            return step()
        except (BlockAborted, ChannelError) as error:
            return self.abort(block, str(error), is_alarm=isinstance(error, Tampering))

    def _in_step(self, *steps: Step) -> list[AliceBlock]:
        return [
            block
            for block in self.blocks.values()
            if isinstance(block, AliceBlock) and block.step in steps
        ]

    def _learn_share(self) -> None:
        """Take the share of sifted rounds, which biased splitters change, from a sifted block."""
        for block in self._in_step(Step.TESTING):
            if block.report.pairs and block.report.sifted_bits:
                self._sifted_share = block.report.sifted_bits / block.report.pairs

    def _chunk(self, message: Probe | Times, block: int) -> Chunk:
        slot_ps = self._context.parameters.slot_ps
        if message.end_ps <= message.start_ps:
            raise ChannelError("the peer sent a span that ends before it begins")
        limit = slot_limit(message.start_ps, message.end_ps, slot_ps)
        slots = decode_slots(message.events, limit)
        times = slot_times(slots, message.start_ps, slot_ps)
        is_final = isinstance(message, Times) and message.is_final
        return Chunk(block, message.start_ps, message.end_ps, times, is_final)

    def _advance(self) -> list[Output]:
        outputs: list[Output] = []
        was_locked = self._matching.is_locked
        for matched in self._matching.run():
            outputs += self._settle(matched)
        is_locked = self._matching.is_locked
        if is_locked != was_locked:
            self._locked_ps = self._shown_ps = 0
            self._board.lost_clock()
            self._board.show_clock(self._matching.clock_view(), None)
            self._board.note(phase=LinkPhase.SYNCHRONISING)
        if is_locked and self._locked_ps - self._shown_ps >= RATE_SPAN_PS:
            self._shown_ps = self._locked_ps
            self._board.show_clock(self._matching.clock_view(), self._matching.take_histogram())
        return outputs + self.proceed()

    def _settle(self, matched: Matched) -> list[Output]:
        chunk = matched.chunk
        if matched.is_locked:
            span_ps = round((chunk.end_ps - chunk.start_ps) * self._tick_ps)
            self._locked_ps += span_ps
            self._peer_rate_hz = chunk.times_ps.size / span_ps * 1e12
            self._board.matched(span_ps, matched.bases.size, matched.accidentals)
        block = self.blocks.get(chunk.block)
        if not isinstance(block, AliceBlock):
            return []
        if not matched.is_locked:
            return self.abort(block, "the peer's clock was lost")
        block.add(matched)
        self._board.note(progress=block.progress)
        span_s = (chunk.end_ps - chunk.start_ps) * self._tick_ps * 1e-12
        is_due = self._cut.is_due(span_s, matched.bases.size)
        return block.cut() if is_due else []

    def _plan(self) -> list[Output]:
        """Fix the next block's span from the rate seen so far, once there is one."""
        rate_hz = self._board.metrics.coincidence_rate_cps
        if not self._matching.is_locked or self._locked_ps < RATE_SPAN_PS or not rate_hz:
            return []
        parameters = self._context.parameters
        wanted_ps = parameters.block_sifted_bits / (self._sifted_share * rate_hz) * 1e12
        longest_ps = parameters.max_block_s * 1e12
        held_ps = MAX_BLOCK_EVENTS / max(self._peer_rate_hz, 1.0) * 1e12
        duration_ps = max(SHORTEST_BLOCK_PS, int(min(wanted_ps, longest_ps, held_ps)))
        ticks = int(duration_ps / self._tick_ps)
        block = AliceBlock(self._context, self._next_block, ticks)
        wanted_pairs = parameters.block_sifted_bits / self._sifted_share
        self._cut = Cut(rate_hz, wanted_pairs)
        self._next_block += 1
        self.blocks[block.number] = block
        self._board.note(progress=0.0, phase=LinkPhase.GENERATING)
        return block.plan()
