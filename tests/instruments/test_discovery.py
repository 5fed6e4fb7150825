"""Instruments are found by descriptor and one question; nobody else hears anything."""

from __future__ import annotations

import json
import select
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from answering import TcpDevice, pty_device
from emulated import emulated
from fake_timetagger import FakePackage

from qnx_hw.cli import main
from qnx_hw.errors import Cancelled, ConfigError, NotConnected
from qnx_hw.instruments import registry
from qnx_hw.instruments.discovery import Confidence, at_host, discover, known, read_once
from qnx_hw.transports import UsbPort, make_wire, usb_serial_url, usbtmc_ports
from qnx_hw.transports.usb_serial import find_port

LONG_S = 120.0
APT = (0x0403, 0xFAF0)


def port(place: str, **more: object) -> UsbPort:
    return UsbPort(place.removeprefix("serial://"), 0x04D8, 0x000A, **more)


def test_a_port_whose_descriptor_names_the_instrument_is_asked() -> None:
    with emulated("tdc1", "pty") as place:
        (found,) = discover([port(place.url, product="S-Fifteen TDC1")], known(), timeout_s=LONG_S)

    assert (found.driver, found.confidence) == ("tdc1", Confidence.ANSWERED)
    assert found.identity is not None
    assert "TDC1" in found.identity.model
    assert found.url == place.url


def test_other_ports_hear_nothing() -> None:
    heard = threading.Event()

    def answer(_: bytes) -> bytes:
        heard.set()
        return b""

    with pty_device(answer) as path:
        plain = UsbPort(path, 0x0403, 0x6001, product="FT232R USB UART")
        cable = UsbPort(path, 0x0403, 0x6015, product="FT230X Basic UART")
        found = discover([plain, cable], known())

    assert [(each.driver, each.confidence) for each in found] == [("ell14", Confidence.POSSIBLE)]
    assert "not asked" in found[0].note
    assert not heard.is_set()


def test_a_port_that_the_user_names_is_asked() -> None:
    with emulated("lcc25", "pty") as place:
        plain = port(place.url)
        (found,) = discover([plain], known(), allowed={plain.device: "lcc25"}, timeout_s=LONG_S)

    assert found.confidence is Confidence.ANSWERED
    assert found.identity is not None


@pytest.mark.parametrize(("driver", "serial"), [("mpc320", "38000001"), ("kdc101", "27000001")])
def test_models_with_one_descriptor_are_told_apart_by_serial_number(
    driver: str, serial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulated(driver, "pty") as place:
        plugged = UsbPort(place.url.removeprefix("serial://"), *APT, serial=serial)
        _plug(monkeypatch, plugged)
        (found,) = discover([plugged], known(), timeout_s=LONG_S)

    assert (found.driver, found.url) == (driver, f"usb-serial://0403:faf0/{serial}")
    assert found.identity is not None
    assert found.identity.serial == serial


def test_a_host_is_asked_once_for_all_drivers_of_a_port() -> None:
    questions: list[bytes] = []

    def answer(received: bytes) -> bytes:
        questions.append(received)
        return b"Stanford Research Systems,DG645,s/n001013,ver1.10.00E\r\n"

    with TcpDevice(answer) as device:
        (found,) = at_host(f"127.0.0.1:{device.port}", known(), timeout_s=LONG_S)

    assert found.driver == "dg645"
    assert questions == [b"*IDN?\n"]


def test_every_driver_says_how_it_is_found() -> None:
    ways = known()

    assert sorted(ways) == sorted(entry.name for entry in entry_points(group=registry.GROUP))
    for discovery in ways.values():
        is_found = any(mark.is_telling for mark in discovery.usb) or discovery.tcp_port is not None
        is_found = is_found or discovery.scan is not None
        assert is_found != bool(discovery.only_named), discovery.ways


def test_a_measuring_device_on_usb_is_found_by_its_descriptor(tmp_path: Path) -> None:
    def plug(place: str, interface: tuple[str, str], **descriptor: str) -> None:
        (tmp_path / place / f"{place}:1.0").mkdir(parents=True)
        for name, text in descriptor.items():
            (tmp_path / place / name).write_text(f"{text}\n")
        for name, text in zip(("bInterfaceClass", "bInterfaceSubClass"), interface, strict=True):
            (tmp_path / place / f"{place}:1.0" / name).write_text(f"{text}\n")

    meter = {"idVendor": "1313", "idProduct": "8078", "serial": "P0001234", "product": "PM100D"}
    plug("1-1", ("fe", "03"), **meter)
    plug("1-2", ("08", "06"), idVendor="0781", idProduct="5567", product="a memory stick")
    (tmp_path / "usb1").mkdir()

    (port,) = usbtmc_ports(tmp_path)
    (found,) = discover([port], known(), timeout_s=0.05)

    assert found.driver == "pm100"
    assert found.url == "visa://USB0::0x1313::0x8078::P0001234::INSTR"
    assert found.confidence is Confidence.DESCRIBED  # there is no such device to answer


def test_taggers_are_listed_by_their_makers_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", FakePackage(serial="1740000ABC"))
    monkeypatch.setitem(sys.modules, "Swabian", ModuleType("Swabian"))

    (found,) = discover([], known())

    assert (found.driver, found.url) == ("swabian", "swabian://1740000ABC")
    assert found.confidence is Confidence.DESCRIBED


@pytest.mark.parametrize(
    ("driver", "said"),
    [("lcc25", "0"), ("pm100", "E"), ("id900", "0"), ("epc400", "CH1"), ("cc1", "")],
)
def test_an_instrument_without_a_lamp_is_told_by_what_it_reads(driver: str, said: str) -> None:
    with emulated(driver) as place:
        answer = read_once(make_wire(place.url), known()[driver], timeout_s=LONG_S)

    assert answer
    assert said in answer


@pytest.mark.parametrize("driver", sorted(set(known()) - {"websq", "swabian"}))
def test_every_question_is_understood_by_its_instrument(driver: str) -> None:
    with emulated(driver) as place:
        (found,) = discover([], known(), addresses=[(driver, place.url)], timeout_s=LONG_S)

    assert found.identity is not None, found.note
    assert found.confidence is Confidence.ANSWERED


def test_a_silent_address_is_reported_as_such() -> None:
    with TcpDevice(lambda _: b"") as device:
        url = f"tcp://127.0.0.1:{device.port}"
        (found,) = discover([], known(), addresses=[("dg645", url)], timeout_s=0.05)

    assert (found.confidence, found.identity) == (Confidence.DESCRIBED, None)
    assert "did not answer" in found.note


def test_a_search_can_be_cancelled() -> None:
    cancel = threading.Event()
    cancel.set()
    with TcpDevice(lambda _: b"") as device:
        places = [("dg645", f"tcp://127.0.0.1:{device.port}")]
        with pytest.raises(Cancelled):
            discover([], known(), addresses=places, timeout_s=LONG_S, cancel=cancel)


def test_an_address_finds_its_instrument_at_any_port() -> None:
    first = UsbPort("/dev/ttyUSB0", *APT, serial="38000001")
    second = UsbPort("/dev/ttyUSB1", *APT, serial="38000002")
    url = usb_serial_url(second, "baud=9600")

    assert url == "usb-serial://0403:faf0/38000002?baud=9600"
    assert find_port(url, [first, second]) is second
    assert find_port(url, [UsbPort("/dev/ttyUSB7", *APT, serial="38000002")]).device.endswith("7")
    with pytest.raises(NotConnected, match="38000002"):
        find_port(url, [first])
    with pytest.raises(ConfigError, match="2 ports"):
        find_port("usb-serial://0403:faf0/", [first, second])
    with pytest.raises(ConfigError, match="SERIAL"):
        find_port("usb-serial://nonsense", [first])


def test_a_wire_reopens_where_the_instrument_is_plugged_in_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pty_device(lambda _: b"") as before, pty_device(lambda received: received) as now:
        wire = make_wire("usb-serial://0403:faf0/38000001")
        _plug(monkeypatch, UsbPort(before, *APT, serial="38000001"))
        wire.open(timeout_s=LONG_S)
        wire.close()
        _plug(monkeypatch, UsbPort(now, *APT, serial="38000001"))
        wire.open(timeout_s=LONG_S)
        wire.write(b"here")
        received = b""
        while len(received) < 4:
            assert select.select([wire.fileno()], [], [], LONG_S)[0]
            received += wire.read()
        wire.close()

    assert received == b"here"


def test_the_command_shows_and_writes_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulated("mpc320", "pty") as place:
        device = place.url.removeprefix("serial://")
        _plug(monkeypatch, UsbPort(device, *APT, serial="38000001", product="MPC320"))
        words = ["--timeout", "20", "--json", str(tmp_path / "found.json")]
        assert main(["devices", *words, "--identify", "38000001"]) == 0

    shown = capsys.readouterr().out
    assert "Thorlabs MPC320 38000001" in shown
    assert "blinks" in shown
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert found["confidence"] == "answered"
    assert found["identity"]["serial"] == "38000001"


def _plug(monkeypatch: pytest.MonkeyPatch, plugged: UsbPort) -> None:
    """Have the operating system list one port."""
    listed = SimpleNamespace(
        device=plugged.device,
        vid=plugged.vendor_id,
        pid=plugged.product_id,
        serial_number=plugged.serial,
        product=plugged.product,
        manufacturer=plugged.maker,
    )
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [listed])
