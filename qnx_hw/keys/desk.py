"""What waits to be asked of a peer's key manager over one link."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from qnx_hw.errors import ChannelError
from qnx_hw.keys.ledger import KEYS, PADS, TAGS, TAKEN
from qnx_hw.keys.messages import MOST_REQUESTS, Refused, Reply, Request, Reserve

ANSWER_DEADLINE_S = 2.0
"""For a peer to settle anything at all, while something waits for it."""
LONGEST_QUEUE_S = 1.0
"""Who would wait longer for others is told to ask again, before any key is cut for it."""
SPAN_SHARE = 0.25
"""How much the newest batch counts for how long one takes."""
MOST_WAITING = 4096
BATCH_KEYS = 1024
"""Keys in one message; more go in the next, so that both ends work at the same time."""

_Question: TypeAlias = tuple[Request, "asyncio.Future[Reply]"]


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end of a link: its name, and which direction (0 Alice's, 1 Bob's) is this node's."""

    link: str
    side: int
    is_relayed: bool = False
    """Whether its keys come over other nodes; then `link` names the pair of nodes."""

    @property
    def own(self) -> tuple[str, ...]:
        """The ledgers that move here first."""
        return tuple(each[self.side] for each in (KEYS, TAGS, PADS, TAKEN))


class Desk:
    """Asks over one link; what waits goes together, as far as one message takes it."""

    def __init__(self, peer: str, end: LinkEnd) -> None:
        self.peer = peer
        self.end = end
        self.is_open = False
        """Whether the peer can be asked."""
        self.pads = asyncio.Lock()
        self._waiting: deque[_Question] = deque()
        self._asked: list[_Question] = []
        self._bell = asyncio.Event()
        self._orders = self._keys = 0
        """Of those who were admitted and have no answer yet."""
        self._span_s = self._begun_s = self._settled_s = 0.0

    @contextmanager
    def admitted(self, keys: int) -> Iterator[None]:
        """Count keys that somebody is about to have cut; `ChannelError` where too many wait."""
        batches = max(self._keys / BATCH_KEYS, self._orders / (MOST_REQUESTS - 1))
        silent_s = asyncio.get_running_loop().time() - self._begun_s if self._asked else 0.0
        if batches * self._span_s > LONGEST_QUEUE_S or silent_s > ANSWER_DEADLINE_S:
            raise ChannelError(f"'{self.peer}' has more to confirm than it can; ask again later")
        self._orders += 1
        self._keys += keys
        try:
            yield
        finally:
            self._orders -= 1
            self._keys -= keys

    async def ask(self, request: Request) -> Reply:
        """Return when the peer has done it; `ChannelError` where that is not certain."""
        if not self.is_open or len(self._waiting) >= MOST_WAITING:
            raise ChannelError(f"the key manager of '{self.peer}' is away or overloaded")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        self._bell.set()
        reply = await self._answered(answer)
        if isinstance(reply, Refused):
            raise ChannelError(f"the key manager of '{self.peer}' refused: {reply.reason}")
        return reply

    async def _answered(self, answer: asyncio.Future[Reply]) -> Reply:
        """Wait for an answer as long as the peer gives any."""
        now = asyncio.get_running_loop().time
        end_s = now() + ANSWER_DEADLINE_S
        try:
            while not answer.done() and now() < end_s:
                await asyncio.wait([answer], timeout=end_s - now())
                end_s = max(end_s, self._settled_s + ANSWER_DEADLINE_S)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise ChannelError(
            f"the key manager of '{self.peer}' gave no answer in {ANSWER_DEADLINE_S:g} s"
        )

    async def next_batch(self, timeout_s: float) -> list[Request]:
        """Return what waits by now; nothing where nobody asks for `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return []
        keys = 0
        while self._waiting and len(self._asked) < MOST_REQUESTS - 1 and keys < BATCH_KEYS:
            request, answer = self._waiting.popleft()
            self._asked.append((request, answer))
            keys += len(request.order.key_ids) if isinstance(request, Reserve) else 0
        if not self._waiting:
            self._bell.clear()
        self._begun_s = asyncio.get_running_loop().time()
        return [request for request, _ in self._asked]

    def settle(self, replies: Sequence[Reply]) -> None:
        """Give each question of the last batch its reply."""
        self._settled_s = asyncio.get_running_loop().time()
        self._span_s += SPAN_SHARE * (self._settled_s - self._begun_s - self._span_s)
        for (_, answer), reply in zip(self._asked, replies, strict=False):
            if not answer.done():
                answer.set_result(reply)
        self._asked.clear()

    def give_up(self) -> None:
        """Tell all who wait that the peer is away."""
        for _, answer in (*self._asked, *self._waiting):
            if not answer.done():
                answer.set_exception(ChannelError(f"the key manager of '{self.peer}' went away"))
        self._asked.clear()
        self._waiting.clear()
        self._bell.clear()
