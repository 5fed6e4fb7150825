"""Bytes to and from a device: one I/O thread per wire, deadlines, transcripts."""

from qnx_hw.transports.factory import address, is_visa, make_wire, option
from qnx_hw.transports.framing import Framer, Lines
from qnx_hw.transports.link import Link
from qnx_hw.transports.messages import Messages, message
from qnx_hw.transports.replay import other_wire
from qnx_hw.transports.request import (
    ByteStream,
    Cancel,
    Fence,
    KeepAlive,
    LinkTraits,
    Matcher,
    Priority,
    left_s,
    overtime,
    together,
)
from qnx_hw.transports.sockets import SocketWire
from qnx_hw.transports.transcript import Direction, Recorder, Transcript, of_wire
from qnx_hw.transports.usb_serial import UsbPort, usb_ports, usb_serial_url
from qnx_hw.transports.usbtmc import plugged_in, usbtmc_ports
from qnx_hw.transports.wire import Wire

__all__ = [
    "ByteStream",
    "Cancel",
    "Direction",
    "Fence",
    "Framer",
    "KeepAlive",
    "Lines",
    "Link",
    "LinkTraits",
    "Matcher",
    "Messages",
    "Priority",
    "Recorder",
    "SocketWire",
    "Transcript",
    "UsbPort",
    "Wire",
    "address",
    "is_visa",
    "left_s",
    "make_wire",
    "message",
    "of_wire",
    "option",
    "other_wire",
    "overtime",
    "plugged_in",
    "together",
    "usb_ports",
    "usb_serial_url",
    "usbtmc_ports",
]
