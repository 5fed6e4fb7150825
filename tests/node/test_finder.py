"""Searching for instruments through the API: found, left alone, cancelled, tried."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from answering import TcpDevice
from emulated import emulated
from served_api import ServedApi, Site, served

from qnx_hw.api.discovery import Place, SearchView, StartSearch
from qnx_hw.errors import QnxError
from qnx_hw.transports import UsbPort

LONG_S = 120.0


@pytest.fixture(name="api")
def _api() -> Iterator[ServedApi]:
    with served() as api:
        yield api


def finished(api: ServedApi) -> SearchView:
    """Ask until the search is over."""
    end_s = time.monotonic() + LONG_S
    while (view := api.client().search()).is_running:
        assert time.monotonic() < end_s
    return view


def test_before_the_first_search_there_is_none(api: ServedApi) -> None:
    view = api.client().search()

    assert (view.number, view.is_running, view.found) == (0, False, ())


def test_a_named_host_is_asked_and_found(api: ServedApi) -> None:
    with emulated("dg645", "tcp://127.0.0.1:0") as place:
        host = place.url.removeprefix("tcp://")
        begun = api.client().start_search(StartSearch(hosts=(host,)))
        view = finished(api)

    assert (begun.number, begun.total) == (1, 1)
    assert [(each.driver, each.confidence) for each in view.found] == [("dg645", "answered")]
    assert view.found[0].serial
    assert view.done == view.total == 1


def test_an_instrument_that_a_node_works_with_hears_nothing() -> None:
    heard = threading.Event()

    def answer(_: bytes) -> bytes:
        heard.set()
        return b""

    device = TcpDevice(answer)
    place = f"127.0.0.1:{device.port}"
    port = UsbPort("/dev/ttyUSB7", 0x0403, 0x6001, product="S-Fifteen TDC1")
    owners = {
        f"tcp://{place}?counts_port=1": "'tagger' of node 'alice'",
        "serial:///dev/ttyUSB7": "b",
    }
    with served(Site(owners=owners, ports=(port,))) as api:
        api.client().start_search(StartSearch(hosts=(place,)))
        view = finished(api)
        with pytest.raises(QnxError, match="'tagger' of node 'alice', which this node works with"):
            api.client().try_instrument(Place(driver="dg645", url=f"tcp://{place}"))

    assert view.skipped == ("/dev/ttyUSB7 is b", f"{place} is 'tagger' of node 'alice'")
    assert view.found == ()
    assert not heard.is_set()


def test_cancelling_does_not_wait_for_who_never_answers(api: ServedApi) -> None:
    heard = threading.Event()

    def silence(_: bytes) -> bytes:
        heard.set()
        return b""

    device = TcpDevice(silence)
    api.client().start_search(StartSearch(hosts=(f"127.0.0.1:{device.port}",)))
    assert heard.wait(LONG_S)
    assert api.client().search().asking == f"127.0.0.1:{device.port}"

    cancelled = api.client().cancel_search()
    again = api.client().start_search(StartSearch(usb=False))

    assert (cancelled.is_running, cancelled.asking) == (False, "")
    assert (again.number, again.is_running, again.total) == (2, False, 0)


def test_a_port_that_may_be_anything_is_shown_and_not_asked() -> None:
    port = UsbPort("/dev/ttyUSB1", 0x0403, 0x6015, product="FT230X Basic UART")
    with served(Site(ports=(port,))) as api:
        api.client().start_search(StartSearch())
        view = finished(api)

    assert [(each.driver, each.confidence) for each in view.found] == [("ell14", "possible")]
    assert "/dev/ttyUSB1" in view.found[0].note


@pytest.mark.parametrize("driver", ["websq", "tdc1", "mpc320"])
def test_a_test_read_tells_who_is_there_and_lets_go(api: ServedApi, driver: str) -> None:
    listen = ["tcp://127.0.0.1:0"] * (2 if driver == "websq" else 1)
    with emulated(driver, *listen) as place:
        first = api.client().try_instrument(Place(driver=driver, url=place.url))
        second = api.client().try_instrument(Place(driver=driver, url=place.url))

    assert first.model == second.model
    assert first.model
    assert len(first.readings) >= 3
    assert first.settings


def test_a_dead_address_is_told_in_a_sentence(api: ServedApi) -> None:
    with pytest.raises(QnxError, match=r"127\.0\.0\.1"):
        api.client().try_instrument(Place(driver="tdc1", url="tcp://127.0.0.1:1"))


def test_what_cannot_blink_says_so(api: ServedApi) -> None:
    with pytest.raises(QnxError, match="cannot blink"):
        api.client().identify(Place(driver="dg645", url="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("host", ["a b", "tcp://h", "-x", "h:port", "../../etc"])
def test_what_is_no_host_is_refused(api: ServedApi, host: str) -> None:
    status, answer, _ = api.ask("POST", "/api/v1/discovery/start", {"hosts": [host]})

    assert status == 400
    assert answer["field"] == "hosts[0]"


def test_the_installed_drivers_are_listed_with_their_family(api: ServedApi) -> None:
    found = {each.name: each for each in api.client().drivers()}

    assert found["tdc1"].family == "time_tagger"
    assert found["mpc320"].can_blink
    assert found["swabian"].can_be_found
    assert not found["agiltron"].can_be_found
