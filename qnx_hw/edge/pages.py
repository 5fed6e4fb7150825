"""Where sealed records are kept: pages that are filled in turn, and again once the peer has them.

Few pages are in use while the peer confirms in time, always the same ones, so that they stay in the
processor's cache. `release` and `turn` are the interpreter's and, compiled, the loops': they see
numbers alone, of the figures and of a table with a column for each page.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnx_hw.edge.figures import Figures, Memory
from qnx_hw.edge.records import MAX_PLAIN_BYTES, MAX_RECORD_BYTES

Table = npt.NDArray[np.int64]

RETAINED_BYTES = 32 << 20
"""How much unacknowledged ciphertext is kept for a new circuit; more than the way usually holds."""
BATCH = 4
"""Full records that are sealed at once and leave in one call to the system."""
BATCH_BYTES = BATCH * MAX_PLAIN_BYTES
BATCH_ROOM_BYTES = BATCH * MAX_RECORD_BYTES
PAGE_BYTES = BATCH_ROOM_BYTES
MOST_PAGES = 2 * RETAINED_BYTES // PAGE_BYTES
"""Of two pages that follow each other one is at least half full."""

ADDRESS, USED, FIRST, END = 0, 1, 2, 3
"""Rows: where a page is, how far it is filled, its first record's number, and the one after."""
QUEUE, FREE = 4, 5
"""Rows by themselves: full pages in their order, a ring from `full_at` on; and the free ones."""
_ROWS = 6


def release(figures: Figures, table: Table, number: int) -> None:
    """Free the pages that hold nothing from record `number` on."""
    while figures.full > 0:
        oldest = int(table[QUEUE, figures.full_at])
        if table[END, oldest] > number:
            break
        figures.full_at = (figures.full_at + 1) % MOST_PAGES
        figures.full -= 1
        figures.full_bytes -= int(table[USED, oldest])
        table[FREE, figures.free] = oldest
        figures.free += 1
    if number >= figures.number:
        figures.page_used = 0
        figures.page_first = figures.number


def turn(figures: Figures, table: Table, size: int) -> bool:
    """Go on to a free page where `size` bytes do not fit any more; whether they fit now."""
    if figures.page_used + size <= PAGE_BYTES:
        return True
    if figures.free == 0 or figures.full_bytes + figures.page_used + size > RETAINED_BYTES:
        return False
    table[USED, figures.page_index] = figures.page_used
    table[FIRST, figures.page_index] = figures.page_first
    table[END, figures.page_index] = figures.number
    table[QUEUE, (figures.full_at + figures.full) % MOST_PAGES] = figures.page_index
    figures.full += 1
    figures.full_bytes += figures.page_used
    figures.free -= 1
    figures.page_index = int(table[FREE, figures.free])
    figures.page = int(table[ADDRESS, figures.page_index])
    figures.page_used = 0
    figures.page_first = figures.number
    return True


class Pages:
    """A direction's pages; belongs to who holds the send lock."""

    def __init__(self, figures: Figures) -> None:
        self.table: Table = np.zeros((_ROWS, MOST_PAGES), np.int64)
        self._figures = figures
        self._views: list[memoryview] = []
        self._add()
        figures.free = 0
        figures.page = int(self.table[ADDRESS, 0])

    @property
    def used_bytes(self) -> int:
        """Of all pages that hold something."""
        return self._figures.full_bytes + self._figures.page_used

    @property
    def in_use(self) -> int:
        """How many pages there are."""
        return len(self._views)

    def release(self) -> None:
        """Free what holds nothing that the peer may lack."""
        release(self._figures, self.table, self._figures.acknowledged)

    def room(self, size: int) -> memoryview:
        """Return where the next records belong; forgets the oldest where more would be kept."""
        figures, table = self._figures, self.table
        self.release()
        while not turn(figures, table, size):
            if figures.free == 0 and len(self._views) < MOST_PAGES:
                self._add()
            else:
                release(figures, table, int(table[END, self._oldest]))
        return self._views[figures.page_index][figures.page_used :]

    def kept(self) -> tuple[int, list[memoryview]]:
        """Return the number of the first record that is kept, and what is, page by page."""
        figures, table = self._figures, self.table
        ring = [(figures.full_at + each) % MOST_PAGES for each in range(figures.full)]
        order = [int(each) for each in table[QUEUE, ring]]
        found = [self._views[each][: int(table[USED, each])] for each in order]
        found.append(self._views[figures.page_index][: figures.page_used])
        return int(table[FIRST, order[0]]) if order else figures.page_first, found

    def unacknowledged_bytes(self) -> int:
        """What the peer may not have yet; of a page that it has in part, by the records' count.

        Without the lock it is near the truth.
        """
        figures, table = self._figures, self.table
        used, first, end = figures.page_used, figures.page_first, figures.number
        newer = 0
        if figures.full:
            newer = used + figures.full_bytes
            used, first, end = (int(each) for each in table[USED : END + 1, self._oldest])
            newer -= used
        arrived = min(max(0, figures.acknowledged - first), end - first)
        return newer + used - (used * arrived // (end - first) if arrived > 0 else 0)

    @property
    def _oldest(self) -> int:
        return int(self.table[QUEUE, self._figures.full_at])

    def _add(self) -> None:
        """Take memory for one more page, which is free then."""
        view, address = Memory.of(PAGE_BYTES)
        index = len(self._views)
        self._views.append(view)
        self.table[ADDRESS, index] = address
        self.table[FREE, self._figures.free] = index
        self._figures.free += 1
