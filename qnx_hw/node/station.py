"""One end of a link: tags and the peer's messages go in, messages and stored keys come out.

How it thinks: a session lives as long as one connection to the peer and one unbroken stream of
tags. When either ends, or the session says so, everything of it is thrown away, and a new one
begins after a pause that grows up to `LONGEST_PAUSE_S`. What must outlive a session (block
numbers, a pending key, spent pads) is in the key store before it has any effect.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from qnx_hw.api.schema import Level, LinkPhase
from qnx_hw.api.teller import Teller
from qnx_hw.attempts import attempt
from qnx_hw.config import LinkSection
from qnx_hw.errors import ChannelError, KeyExhausted, QnxError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import PulseScore
from qnx_hw.node.complaints import Complaints
from qnx_hw.node.door import Way
from qnx_hw.node.inbox import Given, Inbox, Stop
from qnx_hw.node.judged import JudgedBlocks
from qnx_hw.node.keeping import Keeper, Met
from qnx_hw.node.pace import LOOK_INTERVAL_S, Pace
from qnx_hw.node.peer_link import Channel
from qnx_hw.node.scores import score_of
from qnx_hw.node.tags import TagFeed
from qnx_hw.node.views import EndReport
from qnx_hw.node.worker import Worker
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    Aborted,
    BlockStarted,
    Ended,
    KeyDropped,
    KeyPending,
    KeyReady,
    Metrics,
    Output,
    Progress,
    Send,
    Session,
    Transmit,
)

log = logging.getLogger(__name__)

SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
ADOPT_DEADLINE_S = 10.0
KEY = "key"
"""What a link's troubles are about: the next key, or a stop, ends them."""
STOPPED_HERE = "the link was stopped"


class SessionEnded(QnxError):
    """A session is over; the reason is safe to show."""

    def __init__(self, reason: str, *, is_alarm: bool = False) -> None:
        super().__init__(reason)
        self.is_alarm = is_alarm


@dataclass(frozen=True, slots=True)
class Place:
    """Where a station stands: which end of which link."""

    link: str
    role: Role
    section: LinkSection


class Station:
    """Runs one end of a link until cancelled; all methods belong to the event loop's thread."""

    def __init__(
        self,
        place: Place,
        way: Way,
        feed: TagFeed,
        keeper: Keeper,
        tell: Teller,
        play: Callable[[PulseScore], Awaitable[None]] | None = None,
    ) -> None:
        """`play` has the station's transmitter play; needed where sessions ask for it."""
        self._place = place
        self._way = way
        self._feed = feed
        self._keeper = keeper
        self._tell = tell
        self._play = play
        self._worker = Worker(f"{place.link} {place.role}")
        self.at_rest = asyncio.Event()
        """Set while no session runs or is being agreed on."""
        self.at_rest.set()
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._phase = LinkPhase.IDLE
        self._message = ""
        self._is_out_of_key = False
        self._complaints = Complaints()
        self._metrics = Metrics()
        self._earlier = Metrics()
        self._since_s: float | None = None
        self._pool_bits = 0
        self._inbox: Inbox | None = None
        self._peer_windows_ps: tuple[int, int] | None = None
        self.judged = JudgedBlocks()
        self.set_wanted(place.section.autostart)

    def set_wanted(self, wanted: bool) -> None:
        """Let the link make keys, or let it rest."""
        (self._wanted.set if wanted else self._wanted.clear)()
        (self._unwanted.clear if wanted else self._unwanted.set)()

    @property
    def section(self) -> LinkSection:
        """The link's table as it is in force."""
        return self._place.section

    def check_window(self, window_ps: int) -> None:
        """Raise `QnxError` where the other end, in another process, would not follow."""
        link, takes = self._place.link, self._peer_windows_ps
        if self._place.role is Role.BOB:
            raise QnxError(f"Alice's end of '{link}' chooses the window: ask her node")
        if takes is None:
            raise QnxError(
                f"the other end of '{link}' runs in another process and was not met yet, or takes "
                f"no window of ours: give [links.{link}.window] in its network file too, or set "
                f"coincidence_window_ps of [links.{link}] in both"
            )
        if not takes[0] <= window_ps <= takes[1]:
            raise QnxError(
                f"the other end of '{link}' takes windows from {takes[0]} to {takes[1]} ps, "
                f"not {window_ps} ps"
            )

    async def adopt(self, section: LinkSection) -> None:
        """Let the sessions from now on follow another table; a running one ends in good order."""
        was_wanted = self._wanted.is_set()
        self.set_wanted(False)
        try:
            async with asyncio.timeout(ADOPT_DEADLINE_S):
                await self.at_rest.wait()
            self._place_by(section)
        except TimeoutError as error:
            raise QnxError(
                f"the session of '{self._place.link}' did not end in time; nothing was changed"
            ) from error
        finally:
            self.set_wanted(was_wanted)

    def report(self) -> EndReport:
        """Return how this end is."""
        running_s = 0.0 if self._since_s is None else time.monotonic() - self._since_s
        return EndReport(
            role=self._place.role,
            phase=self._phase,
            message=self._message,
            metrics=_sum(self._earlier, self._metrics),
            rates_cps=self._feed.rates_cps(),
            running_s=running_s,
            pool_bits=self._pool_bits,
        )

    async def run(self) -> None:
        """Keep sessions going until cancelled."""
        pause_s = SHORTEST_PAUSE_S
        try:
            self._pool_bits = await self._worker.call(self._keeper.pool_bits)
            while True:
                await self._rest_until_wanted()
                blocks = self._metrics.blocks_done + self._earlier.blocks_done
                reason = await attempt(self._live())
                done = self._metrics.blocks_done + self._earlier.blocks_done > blocks
                pause_s = SHORTEST_PAUSE_S if done else pause_s
                if self._wanted.is_set():
                    phase = LinkPhase.FAULT if self._is_out_of_key else LinkPhase.CONNECTING
                    self._set_phase(phase, reason)
                    await _wait(self._unwanted, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._worker.close()

    async def _rest_until_wanted(self) -> None:
        if not self._wanted.is_set():
            if self._phase is not LinkPhase.IDLE:
                self._complaints.forget()
                self._tell(Level.INFO, self._place.link, STOPPED_HERE, KEY)
            self._set_phase(LinkPhase.STOPPED, "")
            await self._wanted.wait()
        if self._phase in (LinkPhase.IDLE, LinkPhase.STOPPED):
            self._set_phase(LinkPhase.CONNECTING, "")

    async def _live(self) -> str:
        """Run one session to its end and return why it ended."""
        was = self._phase
        self._is_out_of_key = False
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_unwanted())
                async with self._way.channel() as channel:
                    await self._converse(channel)
        except* SessionEnded as ends:
            end = _first(ends)
            is_alarm = isinstance(end, SessionEnded) and end.is_alarm
            reason, level = str(end), Level.ALARM if is_alarm else Level.INFO
        except* KeyExhausted as errors:
            # Nothing mends this but a new initial secret, which is looked for now and then.
            self._is_out_of_key = True
            reason, level = str(_first(errors)), Level.ALARM
        except* QnxError as errors:
            reason, level = str(_first(errors)), Level.WARNING
        except* Exception as errors:
            # The link's supervisor: a fault in one link must not end the others.
            log.exception("link %s: the session failed", self._place.link, exc_info=errors)
            reason, level = f"internal error: {type(_first(errors)).__name__}", Level.ALARM
        is_stop = level is Level.INFO and self._unwanted.is_set()
        if not is_stop and self._is_news(level, reason):
            # A session that ended in good order does not tell that the link makes key again.
            self._tell(level, self._place.link, reason, "" if level is Level.INFO else KEY)
        log.debug("link %s: %s after %s", self._place.link, reason, was)
        self._earlier, self._metrics = _sum(self._earlier, self._metrics), Metrics()
        self._since_s, self._inbox = None, None
        self.at_rest.set()
        return reason

    def _is_news(self, level: Level, reason: str) -> bool:
        if self._metrics.blocks_done:
            self._complaints.forget()
        return self._complaints.is_news(level, reason, had_begun=self._since_s is not None)

    async def _watch_unwanted(self) -> None:
        await self._unwanted.wait()
        if self._inbox is None:
            raise SessionEnded(STOPPED_HERE)
        await self._inbox.stop()

    async def _converse(self, channel: Channel) -> None:
        """Feed a new session until it ends; leaves by an exception only."""
        self.at_rest.clear()
        await self._meet(channel)
        session = await self._worker.call(self._keeper.open_session, lambda: channel.round_trip_s)
        inbox = self._inbox = Inbox()
        self._since_s = time.monotonic()
        self._set_phase(LinkPhase.WARMING_UP, "")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inbox.listen(channel))
            tasks.create_task(_keep_alive(channel))
            tasks.create_task(inbox.gather(self._feed))
            tasks.create_task(self._watch_pace())
            await self._act(channel, await self._worker.call(session.start))
            while True:
                await self._act(channel, await self._feed_session(session, await inbox.take()))

    async def _watch_pace(self) -> None:
        pace = Pace(self.section.max_block_s, time.monotonic())
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            ended = self._metrics.blocks_done + self._metrics.blocks_aborted
            if words := pace.look(ended, time.monotonic()):
                self._tell(Level.WARNING, self._place.link, words, KEY)

    async def _meet(self, channel: Channel) -> None:
        """Compare with the peer which pads were used, before any is used."""
        await channel.send(await self._worker.call(self._keeper.marks))
        met = await self._worker.call(self._keeper.meet, await channel.receive())
        if met is None:
            return
        if met.has_forgotten:
            words = "the key store here is an old copy; what it forgot was skipped, also keys"
            self._tell(Level.ALARM, self._place.link, words)
        self._peer_windows_ps = met.peer.windows_ps
        self._follow_window(met)

    def _follow_window(self, met: Met) -> None:
        """Take the window that the ends agree on, or end where they do not."""
        ours_ps = self.section.coincidence_window_ps
        if met.window_ps is None:
            raise SessionEnded(
                f"the window is {ours_ps} ps here and {met.peer.window_ps} ps at the other end, "
                f"and neither takes the other's: see [links.{self._place.link}.window]"
            )
        if met.window_ps != ours_ps:
            self._place_by(
                msgspec.structs.replace(self.section, coincidence_window_ps=met.window_ps)
            )
            words = f"the window is {met.window_ps} ps now, as the other end wants it"
            self._tell(Level.INFO, self._place.link, words)

    def _place_by(self, section: LinkSection) -> None:
        self._place = dataclasses.replace(self._place, section=section)
        self._keeper.adopt(section)

    async def _feed_session(self, session: Session, given: Given) -> list[Output]:
        match given:
            case TagBlock():
                return await self._worker.call(session.detections, given)
            case Stop():
                outputs = await self._worker.call(session.close, STOPPED_HERE)
                return [*outputs, Ended(STOPPED_HERE)]
            case _:
                return await self._worker.call(session.receive_all, given)

    async def _act(self, channel: Channel, outputs: list[Output]) -> None:
        """Carry out what the session asks, in order.

        A message that cannot be sent does not end the session: what the peer said before it left,
        such as the release of a block, is still to be heard. The end of that ends it.
        """
        for output in outputs:
            match output:
                case Send():
                    with suppress(ChannelError):
                        await channel.send(output.message)
                case Progress():
                    self._metrics = output.metrics
                    self._set_phase(output.metrics.phase, output.metrics.message)
                    self.judged.pass_on(output.metrics)
                case Aborted():
                    words = f"block {output.block} was given up: {output.reason}"
                    level = Level.ALARM if output.is_alarm else Level.WARNING
                    self._tell(level, self._place.link, words, KEY)
                case Ended():
                    raise SessionEnded(output.reason, is_alarm=output.is_alarm)
                case Transmit():
                    assert self._play is not None
                    await self._play(score_of(output))
                case _:
                    if isinstance(output, BlockStarted):
                        self.judged.begin(output.block)
                    await self._worker.call(self._keeper.keep, output)
                    self._pool_bits = await self._worker.call(self._keeper.pool_bits)
                    self._tell_key(output)

    def _tell_key(self, output: BlockStarted | KeyPending | KeyReady | KeyDropped) -> None:
        if isinstance(output, KeyReady):
            words = f"block {output.block}: {8 * len(output.key)} secret bits"
            self._tell(Level.OK, self._place.link, words, KEY)
        elif isinstance(output, KeyDropped):
            words = f"block {output.block} was not released: {output.reason}"
            self._tell(Level.WARNING, self._place.link, words, KEY)

    def _set_phase(self, phase: LinkPhase, message: str) -> None:
        self._phase, self._message = phase, message


async def _keep_alive(channel: Channel) -> None:
    with suppress(ChannelError):
        await channel.keep_alive()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


SUMMED = ("pairs", "sifted_bits", "leaked_bits", "secret_bits", "blocks_done", "blocks_aborted")
"""Counts of a session that are shown for the whole run."""


def _sum(earlier: Metrics, now: Metrics) -> Metrics:
    totals = {name: getattr(earlier, name) + getattr(now, name) for name in SUMMED}
    return msgspec.structs.replace(now, **totals)
