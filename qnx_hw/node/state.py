"""What clients may see: the latest value of each thing, and a ring of events.

Back-pressure is overwriting: a fast source replaces its own slot, a slow client skips values and
never events of the ring's length. All methods belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec

from qnx_hw.api.schema import VIEWS, Event, Level, LinkView, Snapshot, View

RING_EVENTS = 500
KINDS = {view: kind for kind, view in VIEWS.items()}

_View = TypeVar("_View", bound=View)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is new since a version."""

    number: int
    views: tuple[View, ...] = ()
    events: tuple[Event, ...] = ()


class Hub:
    """Latest-value slots for views by kind and name, a bounded ring of events, and a bell."""

    def __init__(self, network: str, *, is_simulated: bool, now: Callable[[], float] = time.time):
        self._network = network
        self.is_simulated = is_simulated
        self._now = now
        self._number = 0
        self._slots: dict[type[msgspec.Struct], dict[str, tuple[int, View]]] = {
            each: {} for each in KINDS
        }
        self._events: deque[tuple[int, Event]] = deque(maxlen=RING_EVENTS)
        self._last_event = 0
        self._bell = asyncio.Event()

    @property
    def number(self) -> int:
        """Grows with every change."""
        return self._number

    def set(self, view: View) -> None:
        """Replace the view of this kind and name; an equal one changes nothing."""
        slots = self._slots[type(view)]
        if view.name not in slots or slots[view.name][1] != view:
            slots[view.name] = (self._next(), view)

    def tell(self, level: Level, source: str, message: str) -> Event:
        """Add an event."""
        self._last_event += 1
        event = Event(
            number=self._last_event,
            time_s=self._now(),
            level=level,
            source=source,
            message=message,
        )
        self._events.append((self._next(), event))
        return event

    def acknowledge(self, number: int) -> Event | None:
        """Mark an event as seen and return it; None where the ring no longer holds it."""
        for index, (_, event) in enumerate(self._events):
            if event.number == number:
                seen = msgspec.structs.replace(event, is_acknowledged=True)
                self._events[index] = (self._next(), seen)
                return seen
        return None

    def latest(self, kind: type[_View]) -> tuple[_View, ...]:
        """Return the latest views of a kind."""
        return tuple(view for _, view in self._slots[kind].values() if isinstance(view, kind))

    def link(self, name: str) -> LinkView | None:
        """Return a link's latest view."""
        return next((view for view in self.links() if view.name == name), None)

    def links(self) -> tuple[LinkView, ...]:
        """Return all links' latest views."""
        return self.latest(LinkView)

    def snapshot(self) -> Snapshot:
        """Return everything."""
        return Snapshot(
            number=self._number,
            time_s=self._now(),
            network=self._network,
            is_simulated=self.is_simulated,
            events=tuple(event for _, event in self._events),
            **{f"{kind}s": self.latest(view) for kind, view in VIEWS.items()},  # type: ignore[arg-type]
        )

    def since(self, number: int) -> Changes:
        """Return what changed after `number`."""
        slots = [slot for slots in self._slots.values() for slot in slots.values()]
        return Changes(
            number=self._number,
            views=tuple(view for at, view in slots if at > number),
            events=tuple(event for at, event in sorted(self._events, key=_order) if at > number),
        )

    async def changed(self, number: int, *, timeout_s: float) -> bool:
        """Wait until something changed after `number`; False where nothing did in `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._number <= number:
                    await self._bell.wait()
        except TimeoutError:
            return False
        return True

    def _next(self) -> int:
        self._number += 1
        self._bell.set()
        self._bell = asyncio.Event()
        return self._number


def _order(entry: tuple[int, Event]) -> int:
    return entry[0]
