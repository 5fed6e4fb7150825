"""Find instruments without disturbing any: descriptors first, then one harmless question.

A USB port is asked only where its descriptor says that it is one driver's instrument, or where the
user names the port; the question is the driver's own and is sent once. TCP hosts are asked only
where they are configured or named. Nothing is sent to any other port: a question to the wrong
instrument can do harm.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from types import MappingProxyType

from qnx_hw.errors import Cancelled, ConfigError, InstrumentError, InstrumentTimeout
from qnx_hw.instruments.values import Identity
from qnx_hw.transports import Cancel, UsbPort, Wire, make_wire, usb_serial_url

GROUP = "qnx_hw.discovery"
QUESTION_TIMEOUT_S = 1.0
LONGEST_ANSWER = 4096
LOOK_S = 0.05
Reader = Callable[[bytes], Identity | None]
Scan = Callable[[], Iterable[tuple[str, Identity]]]


@dataclass(frozen=True, slots=True)
class UsbMark:
    """What the descriptor of an instrument's USB port says; what is not given fits anything."""

    vendor_id: int | None = None
    product_id: int | None = None
    product: str = ""
    serial: str = ""
    """How the serial number begins, where the maker tells models apart by it."""
    is_own: bool = False
    """Whether vendor and product are the instrument's own, and not those of a chip."""

    def fits(self, port: UsbPort) -> bool:
        """Whether a port carries this mark."""
        return (
            self.vendor_id in (None, port.vendor_id)
            and self.product_id in (None, port.product_id)
            and self.product.lower() in port.product.lower()
            and port.serial.startswith(self.serial)
        )

    @property
    def is_telling(self) -> bool:
        """Whether it names the instrument, and not just the chip in its cable."""
        return bool(self.product or self.serial) or self.is_own

    def __str__(self) -> str:
        ids = "" if self.vendor_id is None else f"{self.vendor_id:04x}:{self.product_id or 0:04x}"
        return " ".join(filter(None, [ids, self.product, self.serial and f"{self.serial}..."]))


@dataclass(frozen=True, slots=True)
class Discovery:
    """How a driver's instruments are recognised; an entry point of the driver's name holds it."""

    question: bytes
    """Asks who is there, and changes nothing in the instrument."""
    read: Reader
    """Return the identity once all received bytes hold it, and None before."""
    usb: tuple[UsbMark, ...] = ()
    options: str = ""
    """What the driver's URL needs behind `?`, for example `baud=9600`."""
    tcp_port: int | None = None
    """Where it listens on a host."""
    scheme: str = "tcp"
    """How its URL begins there."""
    blink: bytes = b""
    """Has the instrument blink, where it can."""
    test_read: bytes = b""
    """Asks for what it measures or holds, where it cannot blink; changes nothing."""
    scan: Scan | None = None
    """Lists what its maker's package sees, without opening it: URLs and who is there."""
    only_named: str = ""
    """Why it is asked only where a user or a network file names its place."""

    @property
    def ways(self) -> str:
        """How it is found, in the words of the docs."""
        usb = [f"`{mark}`" for mark in self.usb if mark.is_telling]
        host = f"host, port {self.tcp_port}" if self.tcp_port is not None else ""
        scan = "the maker's package" if self.scan is not None else ""
        ways = ", ".join(filter(None, ["USB " + " ".join(usb) if usb else "", host, scan]))
        return ways or f"named only: {self.only_named}"


class Confidence(StrEnum):
    """How sure a find is."""

    ANSWERED = "answered"
    DESCRIBED = "described"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Found:
    """An instrument, or a port that may be one."""

    driver: str
    url: str
    confidence: Confidence
    identity: Identity | None = None
    note: str = ""


def known() -> dict[str, Discovery]:
    """Return what the installed drivers say about how they are found."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def discover(
    ports: Iterable[UsbPort],
    discoveries: Mapping[str, Discovery],
    *,
    addresses: Sequence[tuple[str, str]] = (),
    allowed: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float = QUESTION_TIMEOUT_S,
    cancel: Cancel | None = None,
) -> tuple[Found, ...]:
    """Look at every port, ask where that is harmless, and return what was found.

    `addresses` are (driver, URL) pairs that are configured; `allowed` names the driver to ask for
    at a port whose descriptor names no instrument. A set `cancel` raises `Cancelled`.
    """
    found: list[Found] = []
    for port in ports:
        found += _at_port(port, discoveries, allowed.get(port.device, ""), timeout_s, cancel)
    for driver, discovery in discoveries.items():
        for url, identity in discovery.scan() if discovery.scan is not None else ():
            found.append(Found(driver, url, Confidence.DESCRIBED, identity))
    at_ports = {each.url for each in found}
    for driver, url in addresses:
        if url not in at_ports:
            found.append(_asked(driver, url, discoveries, timeout_s, cancel))
    return tuple(found)


def at_host(
    host: str,
    discoveries: Mapping[str, Discovery],
    *,
    in_use: Collection[str] = (),
    timeout_s: float = QUESTION_TIMEOUT_S,
    cancel: Cancel | None = None,
) -> tuple[Found, ...]:
    """Ask a host (`HOST` or `HOST:PORT`) once at each port where a driver's instrument listens.

    Addresses `in_use`, as `HOST:PORT`, are left alone.
    """
    name, _, port = host.partition(":")
    asked: dict[tuple[str, int, bytes], dict[str, Reader]] = {}
    for driver, discovery in discoveries.items():
        if discovery.tcp_port is not None and port in ("", str(discovery.tcp_port)):
            place = (discovery.scheme, discovery.tcp_port, discovery.question)
            readers = asked.setdefault(place, {})
            readers[driver] = discovery.read
    if not asked and port.isdecimal():
        # A port of its own: the question that most instruments on a network know.
        scpi = {name: each for name, each in discoveries.items() if each.question == b"*IDN?\n"}
        asked["tcp", int(port), b"*IDN?\n"] = {name: each.read for name, each in scpi.items()}
    found = []
    for (scheme, number, question), readers in asked.items():
        url = f"{scheme}://{name}:{number}"
        if f"{name}:{number}" in in_use:
            continue
        try:
            driver, identity = ask(
                make_wire(url), question, readers, timeout_s=timeout_s, cancel=cancel
            )
        except Cancelled:
            raise
        except InstrumentError:
            continue  # most ports of a host are not there
        found.append(Found(driver, url, Confidence.ANSWERED, identity))
    return tuple(found)


def _at_port(
    port: UsbPort,
    discoveries: Mapping[str, Discovery],
    allowed: str,
    timeout_s: float,
    cancel: Cancel | None,
) -> list[Found]:
    fits = {
        driver: any(mark.is_telling for mark in discovery.usb if mark.fits(port))
        for driver, discovery in discoveries.items()
        if any(mark.fits(port) for mark in discovery.usb)
    }
    telling = [driver for driver, is_telling in fits.items() if is_telling]
    chosen = allowed or (telling[0] if len(telling) == 1 else "")
    if chosen:
        url = usb_serial_url(port, _discovery(chosen, discoveries).options)
        return [_asked(chosen, url, discoveries, timeout_s, cancel)]
    note = f"{port.device} ({port.product or 'no product name'}) was not asked"
    return [
        Found(
            driver,
            usb_serial_url(port, discoveries[driver].options),
            Confidence.POSSIBLE,
            note=note,
        )
        for driver in telling or fits
    ]


def _asked(
    driver: str,
    url: str,
    discoveries: Mapping[str, Discovery],
    timeout_s: float,
    cancel: Cancel | None,
) -> Found:
    if driver not in discoveries:
        return Found(driver, url, Confidence.DESCRIBED, note="its driver knows no question")
    discovery = discoveries[driver]
    if not discovery.question:
        return Found(driver, url, Confidence.DESCRIBED, note="it is found by its maker's package")
    try:
        _, identity = ask(
            make_wire(url),
            discovery.question,
            {driver: discovery.read},
            timeout_s=timeout_s,
            cancel=cancel,
        )
    except Cancelled:
        raise
    except InstrumentError as error:
        return Found(driver, url, Confidence.DESCRIBED, note=str(error))
    return Found(driver, url, Confidence.ANSWERED, identity)


def _discovery(driver: str, discoveries: Mapping[str, Discovery]) -> Discovery:
    if driver not in discoveries:
        names = ", ".join(sorted(discoveries)) or "none"
        raise ConfigError(f"the driver '{driver}' says no way to be found; these do: {names}")
    return discoveries[driver]


def ask(
    wire: Wire,
    question: bytes,
    readers: Mapping[str, Reader],
    *,
    timeout_s: float = QUESTION_TIMEOUT_S,
    cancel: Cancel | None = None,
) -> tuple[str, Identity]:
    """Send the question once, return whose instrument answers and who it is, and let go."""
    deadline_s = time.monotonic() + timeout_s
    received = b""
    try:
        wire.open(timeout_s=timeout_s)
        _send(wire, question, deadline_s)
        while len(received) < LONGEST_ANSWER and (left_s := deadline_s - time.monotonic()) > 0:
            if cancel is not None and cancel.is_set():
                raise Cancelled("the search for instruments was cancelled")
            ready, _, _ = select.select([wire.fileno()], [], [], min(left_s, LOOK_S))
            received += wire.read() if ready else b""
            for driver, read in readers.items():
                identity = read(received)
                if identity is not None:
                    return driver, identity
    finally:
        wire.close()
    said = f"said {received[:40]!r}" if received else "did not answer"
    raise InstrumentTimeout(f"it {said} within {timeout_s:g} s")


def read_once(wire: Wire, discovery: Discovery, *, timeout_s: float = QUESTION_TIMEOUT_S) -> str:
    """Ask an instrument for what it measures or holds, and return the first line it says."""
    question = _printable(discovery.test_read).strip()
    lines: list[str] = []

    def read(received: bytes) -> Identity | None:
        end = "" if discovery.scheme == "tcp" else "\n"
        whole = (_printable(received) + end).split("\n")[:-1]
        lines[:] = [line.strip() for line in whole if line.strip() not in ("", question)]
        return Identity("", "") if lines else None

    ask(wire, discovery.test_read, {"": read}, timeout_s=timeout_s)
    return lines[0]


def _printable(received: bytes) -> str:
    text = received.decode("latin-1").replace("\r", "\n")
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def blink(wire: Wire, discovery: Discovery, *, timeout_s: float = QUESTION_TIMEOUT_S) -> None:
    """Have an instrument blink."""
    try:
        wire.open(timeout_s=timeout_s)
        _send(wire, discovery.blink, time.monotonic() + timeout_s)
    finally:
        wire.close()


def _send(wire: Wire, payload: bytes, deadline_s: float) -> None:
    while payload:
        payload = payload[wire.write(payload) :]
        if payload and time.monotonic() >= deadline_s:
            raise InstrumentTimeout("it takes no bytes")
