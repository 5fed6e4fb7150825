"""Blocks of tags from a running Swabian time tagger.

The package keeps the tags that nobody fetches in a buffer of limited size, so a thread fetches them
all the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from drivers.swabian_blocks import Blocks
from drivers.swabian_package import Tagger, TagSource, end
from qnx_hw.errors import InstrumentError, InstrumentTimeout, NotConnected
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import TagBlock

# Tags that may wait for a slow reader of ours.
WAITING_TAGS = 50_000_000
FETCH_S = 0.02
# What a fetch under way may take; a package that hangs is left to itself.
END_TIMEOUT_S = 5.0


class SwabianStream(TagStream):
    """Blocks from a running tagger; a thread fetches, one thread reads, any thread closes."""

    def __init__(
        self,
        name: str,
        source: TagSource,
        tagger: Tagger,
        block_ps: int,
        *,
        finish: Callable[[SwabianStream], None],
    ) -> None:
        self.lost_tags = 0
        self._name = name
        self._source = source
        self._tagger = tagger
        self._finish = finish
        self._blocks = Blocks(block_ps)
        self._changed = threading.Condition()
        self._waiting = 0
        self._error: InstrumentError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._fetch, name=f"tags {name}", daemon=True)
        self._thread.start()

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block once all of its tags are here."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while (block := self._blocks.next_block()) is None:
                if self._error is not None:
                    raise self._error
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise InstrumentTimeout(f"no complete block of tags within {timeout_s:g} s")
                self._changed.wait(left_s)
            self._waiting = max(self._waiting - len(block), 0)
            self.lost_tags += max(block.lost, 0)
            return block

    def close(self) -> None:
        """Stop the tagger's stream."""
        self._finish(self)

    def fail(self, error: InstrumentError) -> None:
        """End the stream for its reader, once what waits was read."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def end(self) -> None:
        """Stop fetching."""
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)
        self.fail(NotConnected(f"the stream of '{self._name}' was ended"))

    def _fetch(self) -> None:
        try:
            while not self._ended.wait(FETCH_S):
                tags = self._source.getData()
                overflows = self._tagger.getOverflowsAndClear()
                with self._changed:
                    if self._waiting > WAITING_TAGS:
                        self._waiting -= self._blocks.drop()
                    self._waiting += self._blocks.add(tags, overflows=overflows)
                    self._changed.notify_all()
            end(self._source)
        except RuntimeError as error:
            self.fail(NotConnected(f"'{self._name}' was lost: {error}"))
