"""How our instruments are recognised: USB descriptors, and one question that changes nothing.

Sources: the makers' manuals, as the drivers name them. Descriptors are given where a manual or the
maker's software gives them; the chip of a USB cable alone says nothing about what is behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from drivers import agiltron, dd100, elliptec, fpga_frames, swabian_package
from drivers import thorlabs_apt as apt
from drivers.id120 import first_number
from qnx_hw.errors import InstrumentError, NotConnected
from qnx_hw.instruments.discovery import Discovery, UsbMark
from qnx_hw.instruments.values import Identity
from qnx_hw.transports import Messages, message

Reader = Callable[[bytes], Identity | None]
IDENTIFY = 0x0223  # MGMSG_MOD_IDENTIFY: the unit's display or lamp blinks (APT protocol)
FTDI = 0x0403
APT_PRODUCT = 0xFAF0
ELLIPTEC_PRODUCT = 0x6015
THORLABS, ID_QUANTIQUE = 0x1313, 0x1DDC
SCPI_PORT = 5025
CABLE = "its serial cable says nothing of what is behind it"
NO_DESCRIPTOR = "no document gives what its USB port says of itself"
ANY_PORT = "a board is at the port its builder chose"


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


def _agiltron(received: bytes) -> Identity | None:
    for frame in agiltron.Frames().feed(received):
        if frame[:3] == agiltron.QUERY[:3] and frame[3]:
            return Identity("Agiltron", "switch")
    return None


def _dd100(received: bytes) -> Identity | None:
    for reply in dd100.Replies().feed(received):
        fields = dd100.fields_of(reply.decode("latin-1"))
        if "MAX ATTEN" in fields:
            return Identity("OZ Optics", fields.get("", "DD-100-MC"))
    return None


def _epc400(received: bytes) -> Identity | None:
    is_whole = b"Operating Mode" in received and b"Done" in received
    return Identity("OZ Optics", "EPC-400") if is_whole else None


def _id120(received: bytes) -> Identity | None:
    """Take the one that knows its bias; it is not known to say its name."""
    lines = _lines(received)
    try:
        return Identity("ID Quantique", "ID120") if lines and first_number(lines[0]) >= 0 else None
    except InstrumentError:
        return None


def _idn_message(model: str) -> Reader:
    def read(received: bytes) -> Identity | None:
        for reply in Messages().feed(received):
            words = [word.strip() for word in reply.decode("latin-1").split(",")]
            if len(words) == 4 and words[1].startswith(model):
                return Identity(*words)
        return None

    return read


def _board(role: str) -> Reader:
    def read(received: bytes) -> Identity | None:
        for frame in fpga_frames.Frames().feed(received):
            reply = fpga_frames.read(frame)
            if reply.kind != fpga_frames.Kind.IDENTIFY | fpga_frames.REPLY:
                continue
            facts = json.loads(reply.payload)
            if isinstance(facts, dict) and facts.get("role") == role:
                said = [str(facts.get(key, "")) for key in ("maker", "model", "serial", "firmware")]
                return Identity(*said)
        return None

    return read


def _swabian() -> Iterable[tuple[str, Identity]]:
    """List what the maker's package sees; nothing where it is not installed."""
    try:
        serials = swabian_package.makers_package().scanTimeTagger()
    except NotConnected:
        return
    for serial in serials:
        yield f"swabian://{serial}", Identity("Swabian Instruments", "Time Tagger", serial)


def _websq(received: bytes) -> Identity | None:
    for said in received.split(b"\x17"):
        try:
            label = json.loads(said)
        except ValueError:
            continue
        if isinstance(label, dict) and label.get("label") == "NumberOfDetectors":
            return Identity("Single Quantum", "WebSQ")
    return None


_REQUEST_INFO = apt.short(apt.Id.HW_REQ_INFO)
_BLINK = bytes((IDENTIFY & 0xFF, IDENTIFY >> 8, 0, 0, apt.USB_UNIT, apt.HOST))

TDC1 = Discovery(
    b"*IDN?\r\n",
    _line("S-Fifteen", "TDC1"),
    (UsbMark(product="TDC1"),),
    test_read=b"LEVEL?\r\n",
)
S15SPD = Discovery(
    b"*idn?\r\n",
    _line("S-Fifteen", "SPD"),
    test_read=b"counts?\r\n",
    only_named=NO_DESCRIPTOR,
)
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
    test_read=b"0gp",
)
POLATIS = Discovery(
    b"*IDN?\n", _idn("Polatis"), tcp_port=SCPI_PORT, test_read=b":oxc:swit:conn:stat?\n"
)
DG645 = Discovery(b"*IDN?\n", _idn("DG645"), tcp_port=SCPI_PORT, test_read=b"TRAT?\n")
PM100 = Discovery(
    b"*IDN?\n",
    _idn("PM100"),
    (UsbMark(THORLABS, 0x8078, is_own=True), UsbMark(THORLABS, 0x8072, is_own=True)),
    tcp_port=SCPI_PORT,
    test_read=b"MEAS:POW?\n",
)
PAX1000 = Discovery(
    b"*IDN?\n",
    _idn("PAX1000"),
    (UsbMark(THORLABS, 0x8031, is_own=True),),
    tcp_port=SCPI_PORT,
    test_read=b"SENS:DATA:PRIM:LAT?\n",
)
SIM900 = Discovery(
    b"\n*IDN?\n",
    _idn("SIM900"),
    options="baud=9600",
    test_read=b"\nCTCR?\n",
    only_named=CABLE,
)
CC1 = Discovery(
    b"FIRM?\n",
    _line("Qubitekk", "Firmware"),
    options="baud=19200",
    test_read=b"COUN:C1?\n",
    only_named=CABLE,
)
LCC25 = Discovery(b"*idn?\r", _line("Thorlabs", "LCC25 "), test_read=b"volt1?\r", only_named=CABLE)
OSW = Discovery(b"I?\n", _line("Thorlabs", "OSW"), test_read=b"S?\n", only_named=NO_DESCRIPTOR)
WEBSQ = Discovery(b'{"request": "labelProps", "value": "None"}', _websq, tcp_port=12000)
AGILTRON = Discovery(agiltron.QUERY, _agiltron, options="baud=9600", only_named=CABLE)
DD100 = Discovery(b"CD\r", _dd100, options="baud=9600", test_read=b"D\r", only_named=CABLE)
EPC400 = Discovery(b"M?\r\n", _epc400, options="baud=9600", test_read=b"V?\r\n", only_named=CABLE)
ID120 = Discovery(
    b"BIAS:VOLTAGE?\n",
    _id120,
    (UsbMark(ID_QUANTIQUE, 0x0330, is_own=True),),
    test_read=b"COUNTERS:DETECTION_FREQ?\n",
)
ID900 = Discovery(
    message(b"*IDN?"),
    _idn_message("ID"),
    tcp_port=5555,
    scheme="zmq",
    test_read=message(b"INPU1:COUN?"),
)
FPGA_TAGGER = Discovery(
    fpga_frames.encode(fpga_frames.Kind.IDENTIFY, 0), _board("tagger"), only_named=ANY_PORT
)
FPGA_TRANSMITTER = Discovery(
    fpga_frames.encode(fpga_frames.Kind.IDENTIFY, 0), _board("transmitter"), only_named=ANY_PORT
)
SWABIAN = Discovery(b"", lambda _: None, scan=_swabian)
