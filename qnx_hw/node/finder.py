"""Looks for instruments for clients, and tries one; what the nodes work with is left alone.

A search has a thread of its own. Cancelling is immediate for clients: the thread is told to end,
takes at most one question's deadline to notice, and what it still finds is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from threading import Event, Lock
from typing import TypeVar, cast

import msgspec

from qnx_hw.api.discovery import (
    DriverView,
    FoundInstrument,
    Place,
    SearchView,
    StartSearch,
    TestRead,
)
from qnx_hw.errors import Cancelled, Conflict, InstrumentTimeout, QnxError, Unsupported
from qnx_hw.instruments.discovery import (
    QUESTION_TIMEOUT_S,
    Discovery,
    Found,
    at_host,
    blink,
    discover,
    known,
)
from qnx_hw.instruments.families import Instrument, TimeTagger
from qnx_hw.instruments.registry import GROUP, make
from qnx_hw.instruments.values import Family
from qnx_hw.node.api.discovery import DiscoveryCommands
from qnx_hw.node.readings import counts, readings
from qnx_hw.node.worker import Worker
from qnx_hw.transports import UsbPort, make_wire, plugged_in, usb_serial_url

TRY_DEADLINE_S = 10.0
COUNT_S = 0.2

_Answer = TypeVar("_Answer")
_Step = tuple[str, Callable[[Event], Sequence[Found]]]


class Finder(DiscoveryCommands):
    """Runs one search at a time; all methods belong to the event loop's thread.

    `owners` says by URL which instruments the nodes of this process work with.
    """

    def __init__(
        self,
        owners: Mapping[str, str],
        *,
        ports: Callable[[], Sequence[UsbPort]] = plugged_in,
        timeout_s: float = QUESTION_TIMEOUT_S,
    ) -> None:
        self._owners = {_place(url): owner for url, owner in owners.items()}
        self._ports = ports
        self._timeout_s = timeout_s
        self._search = _Search(0, (), {}, ())

    def start(self, wish: StartSearch) -> SearchView:
        """Search anew; a search that still runs is cancelled."""
        self._search.cancel()
        discoveries = known()
        steps, skipped = self._steps(wish, discoveries)
        self._search = _Search(self._search.number + 1, steps, discoveries, skipped)
        worker = Worker("search for instruments")
        worker.post(self._search.run)
        worker.close()
        return self._search.view()

    def search(self) -> SearchView:
        """Return what the newest search found so far."""
        return self._search.view()

    def cancel(self) -> SearchView:
        """End the search; what it found stays."""
        self._search.cancel()
        return self._search.view()

    async def identify(self, place: Place) -> None:
        """Have an instrument blink."""
        discovery = known().get(place.driver)
        if discovery is None or not discovery.blink:
            raise Unsupported(f"a {place.driver} cannot blink; try to read it instead")
        self._refuse_owned(place.url)
        await _off_loop(blink, make_wire(place.url), discovery, timeout_s=self._timeout_s)

    async def try_instrument(self, place: Place) -> TestRead:
        """Connect to an instrument, ask for identity, settings and numbers, and let it go."""
        self._refuse_owned(place.url)
        return await _off_loop(_read_once, make(place.driver, place.url, "it"))

    async def drivers(self) -> tuple[DriverView, ...]:
        """Return what is installed; loads every driver."""
        return await _off_loop(_installed)

    def _steps(
        self, wish: StartSearch, discoveries: Mapping[str, Discovery]
    ) -> tuple[tuple[_Step, ...], tuple[str, ...]]:
        steps: list[_Step] = []
        skipped: list[str] = []

        def at_port(port: UsbPort) -> _Step:
            return (
                f"{port.device} {port.product}".strip(),
                lambda cancel: discover(
                    [port], discoveries, timeout_s=self._timeout_s, cancel=cancel
                ),
            )

        def at(host: str) -> _Step:
            return (
                host,
                lambda cancel: at_host(
                    host,
                    discoveries,
                    in_use=self._owners,
                    timeout_s=self._timeout_s,
                    cancel=cancel,
                ),
            )

        for port in self._ports() if wish.usb else ():
            owner = self._owner(f"serial://{port.device}", usb_serial_url(port))
            if owner:
                skipped.append(f"{port.device} is {owner}")
            else:
                steps.append(at_port(port))
        for host in wish.hosts:
            mine = [
                f"{place} is {owner}"
                for place, owner in self._owners.items()
                if place == host or place.rpartition(":")[0] == host
            ]
            skipped += mine
            if host not in self._owners:
                steps.append(at(host))
        return tuple(steps), tuple(skipped)

    def _owner(self, *urls: str) -> str:
        return next((self._owners[p] for p in map(_place, urls) if p in self._owners), "")

    def _refuse_owned(self, url: str) -> None:
        if owner := self._owner(url):
            raise Conflict(f"{url} is {owner}, which this node works with; look at its readings")


class _Search:
    def __init__(
        self,
        number: int,
        steps: Iterable[_Step],
        discoveries: Mapping[str, Discovery],
        skipped: tuple[str, ...],
    ) -> None:
        self.number = number
        self._steps = tuple(steps)
        self._discoveries = discoveries
        self._cancelled = Event()
        self._lock = Lock()
        self._view = SearchView(
            number=number, is_running=bool(self._steps), total=len(self._steps), skipped=skipped
        )

    def view(self) -> SearchView:
        with self._lock:
            return self._view

    def cancel(self) -> None:
        self._cancelled.set()
        self._change(is_running=False, asking="")

    def run(self) -> None:
        for number, (name, step) in enumerate(self._steps):
            self._note(number, name)
            try:
                found = step(self._cancelled)
            except Cancelled:
                return
            except QnxError as error:
                self._note(number + 1, name, problem=f"{name}: {error}")
            else:
                self._note(number + 1, name, found=found)
        if not self._cancelled.is_set():
            self._change(is_running=False, asking="")

    def _note(
        self, done: int, asking: str, *, found: Sequence[Found] = (), problem: str = ""
    ) -> None:
        if self._cancelled.is_set():
            return
        view = self.view()
        self._change(
            done=done,
            asking=asking,
            found=(*view.found, *(_shown(each, self._discoveries) for each in found)),
            problems=(*view.problems, problem) if problem else view.problems,
        )

    def _change(self, **changes: object) -> None:
        with self._lock:
            self._view = msgspec.structs.replace(self._view, **changes)


async def _off_loop(
    function: Callable[..., _Answer], *arguments: object, **named: object
) -> _Answer:
    worker = Worker("try an instrument")
    try:
        async with asyncio.timeout(TRY_DEADLINE_S):
            return await worker.call(function, *arguments, **named)
    except TimeoutError as error:
        raise InstrumentTimeout(f"it did not answer within {TRY_DEADLINE_S:g} s") from error
    finally:
        worker.close()


def _read_once(instrument: Instrument) -> TestRead:
    began_s = time.monotonic()
    identity = instrument.connect()
    try:
        settings = dict(instrument.settings())
        if instrument.family is Family.TIME_TAGGER:
            # The family says which interface the instrument has; protocols do not narrow.
            numbers = counts(cast("TimeTagger", instrument).count_rates(COUNT_S))
        else:
            numbers = readings(instrument)
    finally:
        instrument.close()
    return TestRead(
        maker=identity.maker,
        model=identity.model,
        serial=identity.serial,
        firmware=identity.firmware,
        family=instrument.family.value,
        settings=settings,
        readings=numbers,
        took_s=time.monotonic() - began_s,
    )


def _installed() -> tuple[DriverView, ...]:
    discoveries = known()
    return tuple(
        _driver(entry.name, entry.load, discoveries.get(entry.name))
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    )


def _driver(name: str, load: Callable[[], object], discovery: Discovery | None) -> DriverView:
    family = error = ""
    try:
        family = getattr(load(), "family", "")
    except (ImportError, AttributeError) as problem:
        error = str(problem)
    return DriverView(
        name=name,
        family=str(family),
        can_blink=discovery is not None and bool(discovery.blink),
        can_be_found=discovery is not None and not discovery.only_named,
        error=error,
    )


def _shown(found: Found, discoveries: Mapping[str, Discovery]) -> FoundInstrument:
    who = found.identity
    return FoundInstrument(
        driver=found.driver,
        url=found.url,
        confidence=found.confidence.value,
        maker=who.maker if who else "",
        model=who.model if who else "",
        serial=who.serial if who else "",
        firmware=who.firmware if who else "",
        note=found.note,
        can_blink=bool(discoveries[found.driver].blink),
    )


def _place(url: str) -> str:
    """Return where a URL leads, without scheme and options: `HOST:PORT`, or a device."""
    return url.partition("://")[2].partition("?")[0]
