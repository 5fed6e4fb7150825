"""Events: seen by somebody, or muted while somebody works on what they speak of."""

from __future__ import annotations

from qnx_hw.api.access import Right
from qnx_hw.api.commands import StartMaintenance
from qnx_hw.api.schema import Event, MaintenanceView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.state import Hub


class Events:
    """Acknowledges events and keeps the list of what is under maintenance."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/events", handler=self._list, answers=tuple[Event, ...],
                summary="The newest events, oldest first.",
            ),
            Operation(
                method="POST", path="/events/{number}/acknowledge", handler=self._acknowledge,
                answers=Event, needs=Right.OPERATE, summary="Mark an event as seen.",
            ),
            Operation(
                method="POST", path="/maintenance/{source}/start", handler=self._start,
                answers=MaintenanceView, takes=StartMaintenance, needs=Right.OPERATE,
                summary="Mute what a link, node or instrument says while somebody works on it.",
            ),
            Operation(
                method="POST", path="/maintenance/{source}/end", handler=self._end,
                answers=MaintenanceView, needs=Right.OPERATE, summary="End a maintenance.",
            ),
        ]  # fmt: skip

    async def _list(self, call: Call) -> tuple[Event, ...]:
        return self._hub.snapshot().events

    async def _acknowledge(self, call: Call) -> Event:
        number = call.path["number"]
        known = number.isdecimal() and len(number) < 16
        event = self._hub.acknowledge(int(number), by=call.caller.name) if known else None
        if event is None:
            raise Refused(404, f"there is no event {number}")
        call.note("", event.message)
        return event

    async def _start(self, call: Call) -> MaintenanceView:
        source, wish = call.path["source"], call.body
        if not self._hub.knows(source):
            raise Refused(404, f"there is no link, node or instrument '{source}' here")
        view = self._hub.maintain(
            source, minutes=wish.minutes, by=call.caller.name, reason=wish.reason
        )
        call.note("", f"{wish.minutes:g} minutes: {wish.reason}")
        return view

    async def _end(self, call: Call) -> MaintenanceView:
        view = self._hub.end_maintenance(call.path["source"])
        if view is None:
            raise Refused(404, f"'{call.path['source']}' is not under maintenance")
        call.note(view.reason, "")
        return view
