"""Serial ports by what is plugged in: `usb-serial://VID:PID/SERIAL` finds the port by itself.

The name of a port (`/dev/ttyUSB0`) changes with the order of plugging; the instrument's own serial
number does not, so a supervisor that reconnects by it never takes another's port.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from qnx_hw.errors import ConfigError, NotConnected
from qnx_hw.transports.serial_port import SerialWire

SCHEME = "usb-serial"


@dataclass(frozen=True, slots=True)
class UsbPort:
    """A serial port on USB and what its descriptor says."""

    device: str
    vendor_id: int
    product_id: int
    serial: str = ""
    product: str = ""
    maker: str = ""


def usb_ports() -> tuple[UsbPort, ...]:
    """Return the serial ports on USB that this computer has now; nothing is opened."""
    from serial.tools import list_ports

    return tuple(
        UsbPort(
            port.device,
            port.vid,
            port.pid,
            port.serial_number or "",
            port.product or "",
            port.manufacturer or "",
        )
        for port in list_ports.comports()
        if port.vid is not None
    )


def usb_serial_url(port: UsbPort, options: str = "") -> str:
    """Return the address that finds this instrument again, wherever it is plugged in.

    Where the instrument has no serial number of its own, the port's name must do.
    """
    query = f"?{options}" if options else ""
    if "://" in port.device:
        return port.device
    if not port.serial:
        return f"serial://{port.device}{query}"
    where = f"{port.vendor_id:04x}:{port.product_id:04x}/{quote(port.serial, safe='')}"
    return f"{SCHEME}://{where}{query}"


def find_port(url: str, ports: Iterable[UsbPort]) -> UsbPort:
    """Return the port that a URL means; raise `NotConnected` where it is not plugged in."""
    parts = urlsplit(url)
    vendor, _, product = parts.netloc.partition(":")
    serial = unquote(parts.path.strip("/"))
    try:
        ids = int(vendor, 16), int(product, 16)
    except ValueError as error:
        raise ConfigError(f"'{url}': write {SCHEME}://0403:faf0/SERIAL") from error
    fits = [
        port
        for port in ports
        if (port.vendor_id, port.product_id) == ids and serial in ("", port.serial)
    ]
    if len(fits) > 1:
        raise ConfigError(f"'{url}' fits {len(fits)} ports; add the serial number")
    if not fits:
        raise NotConnected(f"nothing that is plugged in is '{url}'")
    return fits[0]


class UsbSerialWire(SerialWire):
    """A serial port that is looked up each time it is opened."""

    def __init__(self, url: str, baud: int, *, has_flow_control: bool = False) -> None:
        super().__init__("", baud, has_flow_control=has_flow_control)
        self._url = url

    def open(self, *, timeout_s: float) -> None:
        """Find the port and open it."""
        self._path = find_port(self._url, usb_ports()).device
        super().open(timeout_s=timeout_s)
