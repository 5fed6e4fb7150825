"""USB test and measurement devices by what is plugged in, as the kernel lists them.

Only descriptors are read; nothing is opened. A device is one where an interface says so (USB Test
and Measurement Class Specification 1.0, table 43: class 0xFE, subclass 0x03).
"""

from __future__ import annotations

from pathlib import Path

from qnx_hw.transports.usb_serial import UsbPort, usb_ports

DEVICES = Path("/sys/bus/usb/devices")
APPLICATION_SPECIFIC, TEST_AND_MEASUREMENT = "fe", "03"


def usbtmc_ports(devices: Path = DEVICES) -> tuple[UsbPort, ...]:
    """Return what is plugged in, each with its VISA resource as device; none without Linux."""
    return tuple(
        _port(place)
        for place in sorted(devices.glob("*"))
        if (place / "idVendor").is_file() and _is_measuring(place)
    )


def plugged_in() -> tuple[UsbPort, ...]:
    """Return what is on USB and may be an instrument: serial ports and measuring devices."""
    return (*usb_ports(), *usbtmc_ports())


def _is_measuring(place: Path) -> bool:
    return any(
        (_text(interface / "bInterfaceClass"), _text(interface / "bInterfaceSubClass"))
        == (APPLICATION_SPECIFIC, TEST_AND_MEASUREMENT)
        for interface in place.glob("*:*")
    )


def _port(place: Path) -> UsbPort:
    vendor_id, product_id = int(_text(place / "idVendor"), 16), int(_text(place / "idProduct"), 16)
    serial = _text(place / "serial")
    resource = f"USB0::0x{vendor_id:04X}::0x{product_id:04X}::{serial}::INSTR"
    return UsbPort(
        f"visa://{resource}",
        vendor_id,
        product_id,
        serial,
        _text(place / "product"),
        _text(place / "manufacturer"),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""  # a descriptor need not have it, and a device may be unplugged meanwhile
