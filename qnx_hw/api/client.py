"""A small client of a node's HTTP API for scripts, tests and the command line.

Standard library only. One request, one connection: several threads may share a client, and there
is nothing to clean up.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from qnx_hw.api.access import AuditPage, Me, TokenView, UserView
from qnx_hw.api.commands import (
    AddUser,
    ChangeUser,
    Command,
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
    Problem,
    Quantity,
    Series,
    Snapshot,
    View,
)
from qnx_hw.api.settings import FileVersion, Preview, Settings
from qnx_hw.api.sse import SseDecoder
from qnx_hw.api.traffic import Forecast, PlanView
from qnx_hw.errors import UNREADABLE, ConfigError, QnxError

Update = Snapshot | View | Event
UPDATES: dict[str, type[Update]] = {"snapshot": Snapshot, "event": Event, **VIEWS}
SILENCE_LIMIT_S = 10.0
"""The stream says something each second; this much silence means the node is gone."""

_Answer = TypeVar("_Answer")


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
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' is not a node's address such as http://127.0.0.1:8470")
        self._tls = (
            ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
        )
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._name = name
        self._timeout_s = timeout_s
        self._token = token
        self.number = 0

    def state(self) -> Snapshot:
        """Return everything the node shows."""
        return self._get("state", Snapshot)

    def events(self) -> tuple[Event, ...]:
        """Return the newest events, oldest first."""
        return self._get("events", tuple[Event, ...])

    def history(
        self, link: str, name: str, *, seconds: float = 3600.0, kind: str = "link"
    ) -> Series:
        """Return the past of one quantity of a link, or of another kind of thing.

        >>> series = client.history("alice-bob", "secret_rate_bps", seconds=30 * 86400)
        """
        query = {"link": link, "name": name, "seconds": seconds, "kind": kind}
        return self._get("history", Series, query)

    def quantities(self) -> tuple[Quantity, ...]:
        """Return everything that has a history."""
        return self._get("history/quantities", tuple[Quantity, ...])

    def start_link(self, name: str) -> LinkView:
        """Let a link make keys."""
        return self._post(("links", name, "start"), LinkView)

    def stop_link(self, name: str) -> LinkView:
        """Let a link rest."""
        return self._post(("links", name, "stop"), LinkView)

    def set_window(self, name: str, window_ps: int, *, expected_ps: int | None = None) -> LinkView:
        """Change a link's coincidence window; its session starts anew.

        >>> client.set_window("alice-bob", 3000, expected_ps=2000)
        """
        body = SetWindow(window_ps=window_ps, expected_ps=expected_ps)
        return self._post(("links", name, "window"), LinkView, body)

    def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        """Ask an instrument what it holds."""
        return self._get(_path("instruments", node, name, "settings"), InstrumentSettings)

    def configure(
        self, node: str, name: str, settings: Mapping[str, Setting], *, revision: str
    ) -> InstrumentSettings:
        """Change settings, all or none, and return what the instrument holds afterwards.

        >>> held = client.instrument_settings("alice", "tagger")
        >>> client.configure("alice", "tagger", {"threshold_v": 0.4}, revision=held.revision)
        """
        body = Configure(settings=dict(settings), revision=revision)
        return self._post(("instruments", node, name, "settings"), InstrumentSettings, body)

    def stop_instrument(self, node: str, name: str) -> InstrumentView:
        """Halt motion, stream or ramp now."""
        return self._post(("instruments", node, name, "stop"), InstrumentView)

    def hold_loop(self, name: str) -> LoopView:
        """Have a loop leave its actuator alone."""
        return self._post(("loops", name, "hold"), LoopView)

    def resume_loop(self, name: str) -> LoopView:
        """Have a held loop go on."""
        return self._post(("loops", name, "resume"), LoopView)

    def relock_loop(self, name: str) -> LoopView:
        """Have a loop search anew."""
        return self._post(("loops", name, "relock"), LoopView)

    def set_loop(self, name: str, change: SetLoop) -> LoopView:
        """Change a loop's algorithm or target.

        >>> client.set_loop("alice-bob polarization", SetLoop(target=0.02))
        """
        return self._post(("loops", name, "settings"), LoopView, change)

    def plan(self) -> PlanView:
        """Return the routing plan in force."""
        return self._get("routing/plan", PlanView)

    def forecasts(self) -> tuple[Forecast, ...]:
        """Return forecasts beside what came."""
        return self._get("routing/forecasts", tuple[Forecast, ...])

    def set_objective(self, objective: str, *, revision: int | None = None) -> PlanView:
        """Have the controller aim at something else."""
        body = SetObjective(objective=objective, revision=revision)
        return self._post(("routing", "objective"), PlanView, body)

    def what_if(self, question: WhatIf) -> PlanView:
        """Return what the controller would decide; nothing changes.

        >>> client.what_if(WhatIf(down=("relay",), demand_factor=1.5))
        """
        return self._post(("routing", "what-if"), PlanView, question)

    def recordings(self) -> tuple[RecordingView, ...]:
        """Return the finished recordings, newest first."""
        return self._get("recordings", tuple[RecordingView, ...])

    def start_recording(self, name: str = "") -> RecordingView:
        """Record the tags of all links' taggers at the node."""
        return self._post(("recordings", "start"), RecordingView, StartRecording(name=name))

    def stop_recording(self) -> RecordingView:
        """End the recording."""
        return self._post(("recordings", "stop"), RecordingView)

    def start_search(self, wish: StartSearch) -> SearchView:
        """Have the node look for instruments.

        >>> client.start_search(StartSearch(hosts=("192.168.1.3",)))
        """
        return self._post(("discovery", "start"), SearchView, wish)

    def search(self) -> SearchView:
        """Return what the newest search found so far."""
        return self._get("discovery", SearchView)

    def cancel_search(self) -> SearchView:
        """End the search."""
        return self._post(("discovery", "cancel"), SearchView)

    def identify(self, place: Place) -> Nothing:
        """Have an instrument blink."""
        return self._post(("discovery", "identify"), Nothing, place)

    def try_instrument(self, place: Place) -> TestRead:
        """Connect to an instrument, read it once, and let it go.

        >>> client.try_instrument(Place(driver="tdc1", url="tcp://127.0.0.1:8501"))
        """
        return self._post(("discovery", "read"), TestRead, place)

    def drivers(self) -> tuple[DriverView, ...]:
        """Return the drivers that are installed at the node."""
        return self._get("discovery/drivers", tuple[DriverView, ...])

    def key_length(self, counts: BlockCounts) -> KeyLength:
        """Return how many secret bits one basis of a block holds.

        >>> client.key_length(BlockCounts(n=90_000, k=10_000, errors=200, leak=14_767)).bits
        """
        query = msgspec.structs.asdict(counts)
        return self._get("keylength", KeyLength, query)

    def acknowledge(self, number: int) -> Event:
        """Mark an event as seen."""
        return self._post(("events", str(number), "acknowledge"), Event)

    def start_maintenance(
        self, source: str, *, minutes: float = 60.0, reason: str = ""
    ) -> MaintenanceView:
        """Mute what a link, node or instrument says while somebody works on it."""
        body = StartMaintenance(minutes=minutes, reason=reason)
        return self._post(("maintenance", source, "start"), MaintenanceView, body)

    def end_maintenance(self, source: str) -> MaintenanceView:
        """Let a link, node or instrument be heard again."""
        return self._post(("maintenance", source, "end"), MaintenanceView)

    def settings(self) -> Settings:
        """Return the network file and what it may say."""
        return self._get("settings", Settings)

    def preview(self, draft: Draft) -> Preview:
        """Return what a draft of the network file would change, after all checks."""
        return self._post(("settings", "preview"), Preview, draft)

    def apply(self, draft: Draft) -> Settings:
        """Change the network file; what can be is in force at once.

        >>> path = ("links", "alice-bob", "coincidence_window_ps")
        >>> draft = Draft(
        ...     revision=client.settings().revision, changes=(Change(path=path, value=3000),)
        ... )
        >>> client.apply(draft)
        """
        return self._post(("settings", "apply"), Settings, draft)

    def versions(self) -> tuple[FileVersion, ...]:
        """Return the earlier network files, newest first."""
        return self._get("settings/versions", tuple[FileVersion, ...])

    def revert(self, number: int, *, revision: str) -> Settings:
        """Go back to an earlier network file."""
        body = Revert(number=number, revision=revision)
        return self._post(("settings", "revert"), Settings, body)

    def me(self) -> Me:
        """Return who this client is to the node, and what it may."""
        return self._get("me", Me)

    def users(self) -> tuple[UserView, ...]:
        """Return all users."""
        return self._get("users", tuple[UserView, ...])

    def add_user(self, user: AddUser) -> UserView:
        """Add a user.

        >>> client.add_user(AddUser(name="ann", password="twelve or more", right=Right.ADMIN))
        """
        return self._post(("users",), UserView, user)

    def change_user(self, name: str, change: ChangeUser) -> UserView:
        """Change a user's right or password."""
        return self._post(("users", name), UserView, change)

    def remove_user(self, name: str) -> UserView:
        """Remove a user with all sessions and tokens."""
        return self._post(("users", name, "remove"), UserView)

    def tokens(self) -> tuple[TokenView, ...]:
        """Return the tokens that this client may see."""
        return self._get("tokens", tuple[TokenView, ...])

    def remove_token(self, number: int) -> TokenView:
        """End a token."""
        return self._post(("tokens", str(number), "remove"), TokenView)

    def audit(self, *, before: int | None = None, words: str = "") -> AuditPage:
        """Return who changed what, newest first."""
        query: dict[str, object] = {"words": words}
        if before is not None:
            query["before"] = before
        return self._get("audit", AuditPage, query)

    def openapi(self) -> dict[str, Any]:
        """Return the API's OpenAPI document."""
        return self._get("openapi.json", dict[str, Any])

    def stream(self, *, after: int | None = None) -> Iterator[Update]:
        """Yield a snapshot and then every change; ends where the node ends it.

        With `after`, the number of the last update a client saw, there is no snapshot first if the
        node still knows what changed since. `self.number` is the number of the newest update.

        >>> for update in client.stream():
        ...     print(type(update).__name__)
        """
        connection = self._connection(SILENCE_LIMIT_S)
        decoder = SseDecoder()
        try:
            seen = {} if after is None else {"Last-Event-ID": str(after)}
            response = self._request(connection, "GET", "/api/v1/stream", headers=seen)
            while received := response.read1(65536):
                for event in decoder.feed(received):
                    self.number = event.number if event.number is not None else self.number
                    if event.kind in UPDATES:
                        yield msgspec.json.decode(event.data, type=UPDATES[event.kind])
        except (OSError, http.client.HTTPException) as error:
            raise QnxError(f"the node at {self._host}:{self._port} is gone: {error}") from error
        finally:
            connection.close()

    def _get(
        self, path: str, answer: type[_Answer], query: Mapping[str, object] | None = None
    ) -> _Answer:
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._ask("GET", f"/api/v1/{path}{asked}", answer)

    def _post(
        self, path: tuple[str, ...], answer: type[_Answer], body: Command | None = None
    ) -> _Answer:
        return self._ask("POST", f"/api/v1/{_path(*path)}", answer, body or Nothing())

    def _ask(
        self, method: str, path: str, answer: type[_Answer], body: Command | None = None
    ) -> _Answer:
        connection = self._connection(self._timeout_s)
        try:
            response = self._request(connection, method, path, body)
            return msgspec.json.decode(response.read(), type=answer)
        except (OSError, http.client.HTTPException) as error:
            place = f"{self._host}:{self._port}"
            why = getattr(error, "strerror", None) or error
            raise QnxError(
                f"no answer from the node at {place}: {why}; "
                "start it with `qnx run FILE`, or say where it is"
            ) from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_s, context=self._tls
        )

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Command | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> http.client.HTTPResponse:
        ours = {"X-QNX-Client": self._name, "Content-Type": "application/json"}
        if self._token:
            ours["Authorization"] = f"Bearer {self._token}"
        text = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, body=text, headers={**ours, **headers})
        response = connection.getresponse()
        if response.status >= 400:
            raise QnxError(_sentence(response.status, response.read()))
        return response


def _path(*parts: str) -> str:
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)


def _sentence(status: int, body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error
    except UNREADABLE:
        return f"the node answered with status {status}"
