"""The desktop's memory of events: far longer than the node's ring, kept across reconnects."""

from __future__ import annotations

from collections.abc import Iterable

from qnx_hw.api.schema import Event, Level

KEPT = 100_000
_DROPPED_AT_ONCE = 10_000


class EventLog:
    """Events, oldest first. Where it is full, the oldest tenth goes.

    `epoch` changes where more than new rows at the end came; `changed` holds the places of rows
    that were replaced since the epoch began, in the order of their replacement.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.events: list[Event] = []
        self.epoch = 0
        self.changed: list[int] = []
        self._kept = kept
        self._places: dict[int, int] = {}
        self._waiting: set[int] = set()

    @property
    def unacknowledged(self) -> int:
        """How many alarms are open: nobody acknowledged them, and they are not over."""
        return len(self._waiting)

    def merge(self, events: Iterable[Event]) -> None:
        """Take over the node's ring: after a pause, or from a node that started anew."""
        known = {each.number: each for each in self.events}
        ring = tuple(events)
        is_same = all(
            known[each.number].time_s == each.time_s for each in ring if each.number in known
        )
        if not is_same or (ring and self.events and ring[-1].number < self.events[-1].number):
            self._start_anew(())
        for each in ring:
            self.add(each)

    def add(self, event: Event) -> None:
        """Append an event, or replace the one of its number."""
        place = self._places.get(event.number)
        if place is None:
            self._places[event.number] = len(self.events)
            self.events.append(event)
        elif self.events[place] != event:
            self.events[place] = event
            self.changed.append(place)
        self._note(event)
        if len(self.events) > self._kept:
            self._start_anew(self.events[max(1, min(_DROPPED_AT_ONCE, self._kept // 10)) :])

    def _start_anew(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.epoch += 1
        self.changed = []
        self._places = {event.number: place for place, event in enumerate(self.events)}
        self._waiting = set()
        for event in self.events:
            self._note(event)

    def _note(self, event: Event) -> None:
        waits = event.level is Level.ALARM and event.is_open
        (self._waiting.add if waits else self._waiting.discard)(event.number)
