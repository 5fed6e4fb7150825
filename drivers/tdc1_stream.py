"""Blocks of tags from a TDC1 that streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from drivers.tdc1_words import BlockAssembler, WordDecoder
from qnx_hw.errors import InstrumentTimeout
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.transports import ByteStream


class Tdc1Stream(TagStream):
    """Blocks from a running TDC1; one thread reads, any thread closes."""

    def __init__(
        self, finish: Callable[[Tdc1Stream], None], incoming: ByteStream, block_ps: int
    ) -> None:
        self._finish = finish
        self._incoming = incoming
        self._decoder = WordDecoder()
        self._blocks = BlockAssembler(block_ps)
        self._reading = threading.Lock()

    @property
    def resyncs(self) -> int:
        """How often the byte stream slipped."""
        return self._decoder.resyncs

    @property
    def late_tags(self) -> int:
        """How many tags came after their block was gone."""
        return self._blocks.late_tags

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block once all of its tags are here."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while (block := self._blocks.next_block()) is None:
                left_s = deadline_s - time.monotonic()
                received, lost_bytes = self._incoming.read(max(left_s, 0.0))
                if received:
                    self._blocks.add(self._decoder.feed(received))
                if lost_bytes:
                    self._decoder.gap(lost_bytes)
                    self._blocks.overflow()
                if not received and not lost_bytes and left_s <= 0:
                    raise InstrumentTimeout(f"no complete block of tags within {timeout_s:g} s")
            return block

    def close(self) -> None:
        """Stop the tagger and discard what is still on the wire."""
        self._finish(self)
