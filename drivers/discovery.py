"""How our instruments are recognised: USB descriptors, and one question that changes nothing.

Sources: the makers' manuals, as the drivers name them. Descriptors are given where a manual or the
maker's software gives them; the chip of a USB cable alone says nothing about what is behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from drivers import elliptec
from drivers import thorlabs_apt as apt
from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.discovery import Discovery, UsbMark
from qnx_hw.instruments.values import Identity

Reader = Callable[[bytes], Identity | None]
IDENTIFY = 0x0223  # MGMSG_MOD_IDENTIFY: the unit's display or lamp blinks (APT protocol)
FTDI = 0x0403
APT_PRODUCT = 0xFAF0
ELLIPTEC_PRODUCT = 0x6015
SCPI_PORT = 5025


def _idn(mark: str) -> Reader:
    """Read maker, model, serial number and firmware from a line that holds a mark."""

    def read(received: bytes) -> Identity | None:
        for line in _lines(received):
            words = [word.strip() for word in line.split(",")]
            if len(words) == 4 and mark in line:
                return Identity(*words)
        return None

    return read


def _line(maker: str, mark: str) -> Reader:
    """Take the line that holds a mark for the model."""

    def read(received: bytes) -> Identity | None:
        for line in _lines(received):
            if mark in line:
                return Identity(maker, line.strip(" >\r"))
        return None

    return read


def _lines(received: bytes) -> list[str]:
    """Return the lines that are complete; the last piece is not."""
    text = received.decode("latin-1").replace("\r", "\n")
    return text.split("\n")[:-1]


def _apt(*models: str) -> Reader:
    def read(received: bytes) -> Identity | None:
        for frame in apt.AptFramer().feed(received):
            message = apt.decode(frame)
            if message.number != apt.Id.HW_GET_INFO:
                continue
            identity = apt.hardware_identity(message)
            return identity if identity.model.startswith(models) else None
        return None

    return read


def _elliptec(received: bytes) -> Identity | None:
    for line in _lines(received):
        try:
            reply = elliptec.decode(line.encode("latin-1"))
            if reply is None or reply.mnemonic != "IN":
                continue
            module = elliptec.module(reply)
        except InstrumentError:
            continue
        model = elliptec.ROTATION_MOUNTS.get(module.kind)
        return Identity("Thorlabs", model, module.serial, module.firmware) if model else None
    return None


def _websq(received: bytes) -> Identity | None:
    for message in received.split(b"\x17"):
        try:
            label = json.loads(message)
        except ValueError:
            continue
        if isinstance(label, dict) and label.get("label") == "NumberOfDetectors":
            return Identity("Single Quantum", "WebSQ")
    return None


_REQUEST_INFO = apt.short(apt.Id.HW_REQ_INFO)
_BLINK = bytes((IDENTIFY & 0xFF, IDENTIFY >> 8, 0, 0, apt.USB_UNIT, apt.HOST))

TDC1 = Discovery(b"*IDN?\r\n", _line("S-Fifteen", "TDC1"), (UsbMark(product="TDC1"),))
S15SPD = Discovery(b"*idn?\r\n", _line("S-Fifteen", "SPD"))
MPC320 = Discovery(
    _REQUEST_INFO,
    _apt("MPC"),
    (UsbMark(FTDI, APT_PRODUCT, serial="38"),),
    blink=_BLINK,
)
KDC101 = Discovery(
    _REQUEST_INFO,
    _apt("KDC101", "K10CR1"),
    (UsbMark(FTDI, APT_PRODUCT, serial="27"), UsbMark(FTDI, APT_PRODUCT, serial="55")),
    blink=_BLINK,
)
ELL14 = Discovery(
    b"0in",
    _elliptec,
    (UsbMark(FTDI, ELLIPTEC_PRODUCT, product="ELLx"), UsbMark(FTDI, ELLIPTEC_PRODUCT)),
    options="baud=9600",
)
POLATIS = Discovery(b"*IDN?\n", _idn("Polatis"), tcp_port=SCPI_PORT)
DG645 = Discovery(b"*IDN?\n", _idn("DG645"), tcp_port=SCPI_PORT)
PM100 = Discovery(b"*IDN?\n", _idn("PM100"), tcp_port=SCPI_PORT)
PAX1000 = Discovery(b"*IDN?\n", _idn("PAX1000"), tcp_port=SCPI_PORT)
SIM900 = Discovery(b"\n*IDN?\n", _idn("SIM900"), options="baud=9600")
CC1 = Discovery(b"FIRM?\n", _line("Qubitekk", "Firmware"), options="baud=19200")
LCC25 = Discovery(b"*idn?\r", _line("Thorlabs", "LCC25 "))
OSW = Discovery(b"I?\n", _line("Thorlabs", "OSW"))
WEBSQ = Discovery(b'{"request": "labelProps", "value": "None"}', _websq, tcp_port=12000)
