"""A small client of a node's HTTP API for scripts, tests and the command line.

Standard library only. One request, one connection: several threads may share a client, and there
is nothing to clean up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import msgspec

from qnx_hw.api.access import AuditPage, Me, TokenView, UserView
from qnx_hw.api.commands import (
    AddUser,
    ChangeUser,
    Configure,
    Draft,
    Nothing,
    Revert,
    SetLoop,
    SetObjective,
    Setting,
    SetWindow,
    StartMaintenance,
    StartRecording,
    WhatIf,
)
from qnx_hw.api.discovery import DriverView, Place, SearchView, StartSearch, TestRead
from qnx_hw.api.exchange import Exchange, quoted
from qnx_hw.api.instrument import InstrumentSettings
from qnx_hw.api.keylength import BlockCounts, KeyLength
from qnx_hw.api.loops import LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import (
    VIEWS,
    Event,
    InstrumentView,
    LinkView,
    MaintenanceView,
    Quantity,
    Series,
    Snapshot,
    View,
)
from qnx_hw.api.settings import FileVersion, Preview, Settings
from qnx_hw.api.sse import SseDecoder
from qnx_hw.api.traffic import Forecast, PlanView

Update = Snapshot | View | Event
UPDATES: dict[str, type[Update]] = {"snapshot": Snapshot, "event": Event, **VIEWS}


class NodeClient:
    """Asks and commands the node process at `url`, e.g. `http://127.0.0.1:8470`.

    `token` is an API token where the node has users; `authority` a file of certificates to trust
    for `https`, the system's where not given.

    >>> client = NodeClient("http://127.0.0.1:8470")
    >>> client.state().links[0].phase
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "qnx",
        timeout_s: float = 5.0,
        token: str = "",
        authority: str | None = None,
    ) -> None:
        self._node = Exchange(url, name=name, timeout_s=timeout_s, token=token, authority=authority)
        self.number = 0

    def state(self) -> Snapshot:
        """Return everything the node shows."""
        return self._node.get("state", Snapshot)

    def events(self) -> tuple[Event, ...]:
        """Return the newest events, oldest first."""
        return self._node.get("events", tuple[Event, ...])

    def history(
        self, link: str, name: str, *, seconds: float = 3600.0, kind: str = "link"
    ) -> Series:
        """Return the past of one quantity of a link, or of another kind of thing.

        >>> series = client.history("alice-bob", "secret_rate_bps", seconds=30 * 86400)
        """
        query = {"link": link, "name": name, "seconds": seconds, "kind": kind}
        return self._node.get("history", Series, query)

    def quantities(self) -> tuple[Quantity, ...]:
        """Return everything that has a history."""
        return self._node.get("history/quantities", tuple[Quantity, ...])

    def start_link(self, name: str) -> LinkView:
        """Let a link make keys."""
        return self._node.post(("links", name, "start"), LinkView)

    def stop_link(self, name: str) -> LinkView:
        """Let a link rest."""
        return self._node.post(("links", name, "stop"), LinkView)

    def set_window(self, name: str, window_ps: int, *, expected_ps: int | None = None) -> LinkView:
        """Change a link's coincidence window; its session starts anew.

        >>> client.set_window("alice-bob", 3000, expected_ps=2000)
        """
        body = SetWindow(window_ps=window_ps, expected_ps=expected_ps)
        return self._node.post(("links", name, "window"), LinkView, body)

    def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        """Ask an instrument what it holds."""
        return self._node.get(quoted("instruments", node, name, "settings"), InstrumentSettings)

    def configure(
        self, node: str, name: str, settings: Mapping[str, Setting], *, revision: str
    ) -> InstrumentSettings:
        """Change settings, all or none, and return what the instrument holds afterwards.

        >>> held = client.instrument_settings("alice", "tagger")
        >>> client.configure("alice", "tagger", {"threshold_v": 0.4}, revision=held.revision)
        """
        body = Configure(settings=dict(settings), revision=revision)
        return self._node.post(("instruments", node, name, "settings"), InstrumentSettings, body)

    def stop_instrument(self, node: str, name: str) -> InstrumentView:
        """Halt motion, stream or ramp now."""
        return self._node.post(("instruments", node, name, "stop"), InstrumentView)

    def hold_loop(self, name: str) -> LoopView:
        """Have a loop leave its actuator alone."""
        return self._node.post(("loops", name, "hold"), LoopView)

    def resume_loop(self, name: str) -> LoopView:
        """Have a held loop go on."""
        return self._node.post(("loops", name, "resume"), LoopView)

    def relock_loop(self, name: str) -> LoopView:
        """Have a loop search anew."""
        return self._node.post(("loops", name, "relock"), LoopView)

    def set_loop(self, name: str, change: SetLoop) -> LoopView:
        """Change a loop's algorithm or target.

        >>> client.set_loop("alice-bob polarization", SetLoop(target=0.02))
        """
        return self._node.post(("loops", name, "settings"), LoopView, change)

    def plan(self) -> PlanView:
        """Return the routing plan in force."""
        return self._node.get("routing/plan", PlanView)

    def forecasts(self) -> tuple[Forecast, ...]:
        """Return forecasts beside what came."""
        return self._node.get("routing/forecasts", tuple[Forecast, ...])

    def set_objective(self, objective: str, *, revision: int | None = None) -> PlanView:
        """Have the controller aim at something else."""
        body = SetObjective(objective=objective, revision=revision)
        return self._node.post(("routing", "objective"), PlanView, body)

    def what_if(self, question: WhatIf) -> PlanView:
        """Return what the controller would decide; nothing changes.

        >>> client.what_if(WhatIf(down=("relay",), demand_factor=1.5))
        """
        return self._node.post(("routing", "what-if"), PlanView, question)

    def recordings(self) -> tuple[RecordingView, ...]:
        """Return the finished recordings, newest first."""
        return self._node.get("recordings", tuple[RecordingView, ...])

    def start_recording(self, name: str = "") -> RecordingView:
        """Record the tags of all links' taggers at the node."""
        return self._node.post(("recordings", "start"), RecordingView, StartRecording(name=name))

    def stop_recording(self) -> RecordingView:
        """End the recording."""
        return self._node.post(("recordings", "stop"), RecordingView)

    def start_search(self, wish: StartSearch) -> SearchView:
        """Have the node look for instruments.

        >>> client.start_search(StartSearch(hosts=("192.168.1.3",)))
        """
        return self._node.post(("discovery", "start"), SearchView, wish)

    def search(self) -> SearchView:
        """Return what the newest search found so far."""
        return self._node.get("discovery", SearchView)

    def cancel_search(self) -> SearchView:
        """End the search."""
        return self._node.post(("discovery", "cancel"), SearchView)

    def identify(self, place: Place) -> Nothing:
        """Have an instrument blink."""
        return self._node.post(("discovery", "identify"), Nothing, place)

    def try_instrument(self, place: Place) -> TestRead:
        """Connect to an instrument, read it once, and let it go.

        >>> client.try_instrument(Place(driver="tdc1", url="tcp://127.0.0.1:8501"))
        """
        return self._node.post(("discovery", "read"), TestRead, place)

    def drivers(self) -> tuple[DriverView, ...]:
        """Return the drivers that are installed at the node."""
        return self._node.get("discovery/drivers", tuple[DriverView, ...])

    def key_length(self, counts: BlockCounts) -> KeyLength:
        """Return how many secret bits one basis of a block holds.

        >>> client.key_length(BlockCounts(n=90_000, k=10_000, errors=200, leak=14_767)).bits
        """
        query = msgspec.structs.asdict(counts)
        return self._node.get("keylength", KeyLength, query)

    def acknowledge(self, number: int) -> Event:
        """Mark an event as seen."""
        return self._node.post(("events", str(number), "acknowledge"), Event)

    def start_maintenance(
        self, source: str, *, minutes: float = 60.0, reason: str = ""
    ) -> MaintenanceView:
        """Mute what a link, node or instrument says while somebody works on it."""
        body = StartMaintenance(minutes=minutes, reason=reason)
        return self._node.post(("maintenance", source, "start"), MaintenanceView, body)

    def end_maintenance(self, source: str) -> MaintenanceView:
        """Let a link, node or instrument be heard again."""
        return self._node.post(("maintenance", source, "end"), MaintenanceView)

    def settings(self) -> Settings:
        """Return the network file and what it may say."""
        return self._node.get("settings", Settings)

    def preview(self, draft: Draft) -> Preview:
        """Return what a draft of the network file would change, after all checks."""
        return self._node.post(("settings", "preview"), Preview, draft)

    def apply(self, draft: Draft) -> Settings:
        """Change the network file; what can be is in force at once.

        >>> path = ("links", "alice-bob", "coincidence_window_ps")
        >>> draft = Draft(
        ...     revision=client.settings().revision, changes=(Change(path=path, value=3000),)
        ... )
        >>> client.apply(draft)
        """
        return self._node.post(("settings", "apply"), Settings, draft)

    def versions(self) -> tuple[FileVersion, ...]:
        """Return the earlier network files, newest first."""
        return self._node.get("settings/versions", tuple[FileVersion, ...])

    def revert(self, number: int, *, revision: str) -> Settings:
        """Go back to an earlier network file."""
        body = Revert(number=number, revision=revision)
        return self._node.post(("settings", "revert"), Settings, body)

    def me(self) -> Me:
        """Return who this client is to the node, and what it may."""
        return self._node.get("me", Me)

    def users(self) -> tuple[UserView, ...]:
        """Return all users."""
        return self._node.get("users", tuple[UserView, ...])

    def add_user(self, user: AddUser) -> UserView:
        """Add a user.

        >>> client.add_user(AddUser(name="ann", password="twelve or more", right=Right.ADMIN))
        """
        return self._node.post(("users",), UserView, user)

    def change_user(self, name: str, change: ChangeUser) -> UserView:
        """Change a user's right or password."""
        return self._node.post(("users", name), UserView, change)

    def remove_user(self, name: str) -> UserView:
        """Remove a user with all sessions and tokens."""
        return self._node.post(("users", name, "remove"), UserView)

    def tokens(self) -> tuple[TokenView, ...]:
        """Return the tokens that this client may see."""
        return self._node.get("tokens", tuple[TokenView, ...])

    def remove_token(self, number: int) -> TokenView:
        """End a token."""
        return self._node.post(("tokens", str(number), "remove"), TokenView)

    def audit(self, *, before: int | None = None, words: str = "") -> AuditPage:
        """Return who changed what, newest first."""
        query: dict[str, object] = {"words": words}
        if before is not None:
            query["before"] = before
        return self._node.get("audit", AuditPage, query)

    def openapi(self) -> dict[str, Any]:
        """Return the API's OpenAPI document."""
        return self._node.get("openapi.json", dict[str, Any])

    def stream(self, *, after: int | None = None) -> Iterator[Update]:
        """Yield a snapshot and then every change; ends where the node ends it.

        With `after`, the number of the last update a client saw, there is no snapshot first if the
        node still knows what changed since. `self.number` is the number of the newest update.

        >>> for update in client.stream():
        ...     print(type(update).__name__)
        """
        seen = {} if after is None else {"Last-Event-ID": str(after)}
        decoder = SseDecoder()
        with closing(self._node.listen("/api/v1/stream", seen)) as pieces:
            for piece in pieces:
                for event in decoder.feed(piece):
                    self.number = event.number if event.number is not None else self.number
                    if event.kind in UPDATES:
                        yield msgspec.json.decode(event.data, type=UPDATES[event.kind])
