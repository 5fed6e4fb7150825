"""The newest events, and of older ones those that tell of a trouble which lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from qnx_hw.api.schema import Event, Level

RING_EVENTS = 500
GRAVITY = {level: gravity for gravity, level in enumerate(Level)}


class EventRing:
    """Keeps events by number, each with the number of the change that made it what it is.

    Of a source and what it tells about, what was said first is over with a better word, and with
    any that is as grave: of one trouble the latest word stands, and a graver one before it.
    """

    def __init__(self, advance: Callable[[], int], room: int = RING_EVENTS) -> None:
        """`advance` returns the number of the next change."""
        self._advance = advance
        self._room = room
        self._entries: dict[int, tuple[int, Event]] = {}
        self.forgotten = 0
        """The newest change that left the ring."""

    def __iter__(self) -> Iterator[Event]:
        return (event for _, event in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, event: Event) -> None:
        """Take an event newer than all before, and clear what it tells to be over."""
        for earlier in tuple(self):
            if _ends(event, earlier):
                self._put(msgspec.structs.replace(earlier, cleared_s=event.time_s))
        self._put(event)
        if len(self._entries) > self._room:
            self._forget()

    def acknowledge(self, number: int, *, by: str) -> Event | None:
        """Mark an event as seen and return it; None where it is not here any more."""
        if number not in self._entries:
            return None
        _, event = self._entries[number]
        seen = msgspec.structs.replace(event, is_acknowledged=True, acknowledged_by=by)
        self._put(seen)
        return seen

    def since(self, number: int) -> tuple[Event, ...]:
        """Return what came or changed after a change, in the order of the changes."""
        changed = sorted((at, each.number) for at, each in self._entries.values() if at > number)
        return tuple(self._entries[number][1] for _, number in changed)

    def _put(self, event: Event) -> None:
        self._entries[event.number] = (self._advance(), event)

    def _forget(self) -> None:
        """Drop the oldest that does not stand; the oldest of all where they all do."""
        oldest = next(iter(self._entries))
        passed = (each.number for each in self if not each.is_standing)
        at, _ = self._entries.pop(next(passed, oldest))
        self.forgotten = max(self.forgotten, at)


def _ends(event: Event, earlier: Event) -> bool:
    is_about = (event.source, event.about) == (earlier.source, earlier.about)
    if not (is_about and earlier.is_standing):
        return False
    return not event.is_trouble or GRAVITY[event.level] >= GRAVITY[earlier.level]
