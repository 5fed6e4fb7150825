"""What clients may see: the latest value of each thing, and a ring of events.

Back-pressure is overwriting: a fast source replaces its own slot, a slow client skips values and
never events of the ring's length. All methods belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from qnx_hw.api.schema import (
    VIEWS,
    Event,
    Level,
    LinkView,
    MaintenanceView,
    NodeView,
    Snapshot,
    View,
)
from qnx_hw.node.event_ring import EventRing

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
        # No process before this one reached the number, so nobody is told a wrong difference.
        self._first = self._number = int(now() * 1e6)
        self._slots: dict[type[msgspec.Struct], dict[str, tuple[int, View]]] = {
            each: {} for each in KINDS
        }
        self._events = EventRing(self._next)
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

    def restore(self, events: Sequence[Event]) -> None:
        """Begin with the events of earlier processes, oldest first; before any of this one."""
        if len(self._events):
            raise ValueError("this hub has events of its own already")
        for event in events:
            self._events.add(event)
            self._last_event = event.number

    def tell(self, level: Level, source: str, message: str, about: str = "", /) -> Event:
        """Add an event; a good one ends the earlier trouble that the source told about the same."""
        self._last_event += 1
        event = Event(
            number=self._last_event,
            time_s=self._now(),
            level=level,
            source=source,
            message=message,
            is_muted=self._is_maintained(source),
            about=about,
        )
        self._events.add(event)
        return event

    def acknowledge(self, number: int, *, by: str = "") -> Event | None:
        """Mark an event as seen and return it; None where the ring no longer holds it."""
        return self._events.acknowledge(number, by=by)

    def maintain(
        self, source: str, *, minutes: float, by: str = "", reason: str = ""
    ) -> MaintenanceView:
        """Mute what `source` says for so long."""
        until_s = self._now() + 60.0 * minutes
        view = MaintenanceView(name=source, is_active=True, until_s=until_s, by=by, reason=reason)
        self.set(view)
        return view

    def end_maintenance(self, source: str) -> MaintenanceView | None:
        """Let `source` be heard again; None where it was not muted."""
        view = self._maintenance(source)
        if view is None:
            return None
        ended = msgspec.structs.replace(view, is_active=False)
        self.set(ended)
        return ended

    def expire(self) -> None:
        """End what was to be muted until now."""
        for view in self.latest(MaintenanceView):
            if view.is_active and view.until_s <= self._now():
                self.end_maintenance(view.name)

    def knows(self, source: str) -> bool:
        """Whether `source` is a link, a node, or an instrument as events name it."""
        nodes = self.latest(NodeView)
        instruments = {f"{each.node} {each.name}" for node in nodes for each in node.instruments}
        names = {node.name for node in nodes} | {link.name for link in self.links()}
        return source in names | instruments

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
            events=tuple(self._events),
            **{f"{kind}s": self.latest(view) for kind, view in VIEWS.items()},  # type: ignore[arg-type]  # its own
        )

    def remembers(self, number: int) -> bool:
        """Whether `since(number)` tells everything that a client at `number` does not know.

        A view is only ever replaced; of the events, some may have left the ring since.
        """
        return max(self._first, self._events.forgotten) <= number <= self._number

    def since(self, number: int) -> Changes:
        """Return what changed after `number`."""
        slots = [slot for slots in self._slots.values() for slot in slots.values()]
        return Changes(
            number=self._number,
            views=tuple(view for at, view in slots if at > number),
            events=self._events.since(number),
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

    def _maintenance(self, source: str) -> MaintenanceView | None:
        for view in self.latest(MaintenanceView):
            if view.name == source and view.is_active:
                return view
        return None

    def _is_maintained(self, source: str) -> bool:
        """Whether a source, or the node that an instrument stands at, is under maintenance."""
        return any(self._maintenance(name) for name in {source, source.partition(" ")[0]})

    def _next(self) -> int:
        self._number += 1
        self._bell.set()
        self._bell = asyncio.Event()
        return self._number
