"""Make the wire that a URL names; third parties add schemes by the group `qnx_hw.transports`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from urllib.parse import SplitResult, parse_qs, urlsplit

from qnx_hw.errors import ConfigError
from qnx_hw.transports.replay import SCHEME as TRANSCRIPT
from qnx_hw.transports.replay import recorded_at, replay_wire
from qnx_hw.transports.serial_port import SerialWire
from qnx_hw.transports.sockets import TcpWire
from qnx_hw.transports.usb_serial import UsbSerialWire
from qnx_hw.transports.visa import VisaWire
from qnx_hw.transports.wire import Wire
from qnx_hw.transports.zeromq import Pattern, ZmqWire

GROUP = "qnx_hw.transports"
VISA = "visa://"
USB_SERIAL = "usb-serial://"
KNOWN = ", ".join(
    [
        "tcp://",
        "serial://",
        "usb-serial://",
        "transcript://",
        VISA,
        *(f"{pattern}://" for pattern in Pattern),
    ]
)
WireFactory = Callable[[str], Wire]


def make_wire(url: str, *, default_baud: int = 115_200, has_flow_control: bool = False) -> Wire:
    """Return the closed wire that a URL names.

    `tcp://host:port`, `serial:///dev/ttyX?baud=115200`, `usb-serial://VID:PID/SERIAL` for what is
    plugged in, `transcript://FILE` for a recording of a wire, `zmq://host:port` for requests,
    `zmq+pair://`, `zmq+sub://` and `zmq+pull://host:port` for streams, and `visa://` with a VISA
    resource behind it (`visa://TCPIP0::host::5025::SOCKET`), or the resource alone.
    Raises `ConfigError` for a URL that makes no sense or a scheme nobody provides.
    """
    if (wire := _by_content(url, default_baud, has_flow_control)) is not None:
        return wire
    parts = _split(url)
    match parts.scheme:
        case "tcp" | "socket":
            return TcpWire(*address(url))
        case "serial":
            if not parts.path.strip("/"):
                raise ConfigError(f"'{url}' names no port; write serial:///dev/ttyUSB0")
            baud = _baud(url, default_baud)
            return SerialWire(parts.path, baud, has_flow_control=has_flow_control)
        case scheme if scheme in set(Pattern):
            return ZmqWire(*address(url), Pattern(scheme))
        case scheme:
            return _provided(scheme, url)


def _by_content(url: str, default_baud: int, has_flow_control: bool) -> Wire | None:
    """Return the wire of an address that is not built of host and port."""
    if is_visa(url):
        return VisaWire(
            _resource(url),
            baud=_baud(url, default_baud),
            has_flow_control=has_flow_control,
            library=option(url, "library", "@py"),
        )
    if url.startswith(USB_SERIAL):
        baud = _baud(url, default_baud)
        return UsbSerialWire(url, baud, has_flow_control=has_flow_control)
    return replay_wire(url) if url.startswith(TRANSCRIPT) else None


def address(url: str) -> tuple[str, int]:
    """Return host and port of a URL, or raise `ConfigError`; a transcript's are those recorded."""
    parts = _split(recorded_at(url))
    if not parts.hostname or not parts.port:
        raise ConfigError(f"'{url}' names no host and port; write tcp://host:port")
    return parts.hostname, parts.port


def option(url: str, name: str, default: str) -> str:
    """Return the value behind `?name=` in a URL, or in the one that a transcript was made of."""
    for place in (url, recorded_at(url)):
        if (values := parse_qs(place.partition("?")[2]).get(name)) is not None:
            return values[-1]
    return default


def is_visa(url: str) -> bool:
    """Whether a URL names a VISA resource."""
    return url.startswith(VISA) or ("::" in url and "://" not in url)


def _resource(url: str) -> str:
    name = url.removeprefix(VISA).partition("?")[0]
    if "::" not in name:
        raise ConfigError(f"'{url}' names no VISA resource; write {VISA}TCPIP0::host::5025::SOCKET")
    return name


def _baud(url: str, default: int) -> int:
    baud = option(url, "baud", str(default))
    if not baud.isdecimal() or not int(baud):
        raise ConfigError(f"'{url}': the baud rate '{baud}' is not a positive number")
    return int(baud)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"'{url}' is no URL: {error}") from error
    return parts


def _provided(scheme: str, url: str) -> Wire:
    found = entry_points(group=GROUP, name=scheme) if scheme else ()
    for entry in found:
        try:
            factory: WireFactory = entry.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the transport '{scheme}' cannot be loaded: {error}") from error
        return factory(url)
    raise ConfigError(f"'{url}' begins with no known scheme; known are {KNOWN}")
