"""Wires on VISA resources, through pyvisa.

Byte streams (`TCPIP0::host::port::SOCKET`, `ASRL/dev/ttyUSB0::INSTR`) are read as they come, by
pyvisa-py, whose sessions have a descriptor. Message resources (`USB0::...::INSTR`,
`GPIB0::9::INSTR`, `TCPIP0::host::INSTR`) answer only what was asked: asking for a reply that nobody
promised is an error there. So each line is written as a message of its own, and where it holds a
question, one reply is read (IEEE 488.2, section 6.4); not one in quotes, which a mainframe passes
on (`SNDT 1,"VOLT?"` of a SIM900).
"""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qnx_hw.errors import NotConnected
from qnx_hw.transports.bridge import BridgedWire

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

OpenResource = Callable[[str, str, float], "MessageBasedResource"]

READ_BYTES = 1 << 16
# What is there is there at once; the rest of it is read at the next turn.
STREAM_TIMEOUT_MS = 2
# How long a message resource may keep its thread; a stop waits so long behind a question.
REPLY_TIMEOUT_MS = 2000
LINE_END = 0x0A
# What a port of pyserial has and a socket has not.
IN_WAITING = "in_waiting"
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")


def open_resource(name: str, library: str, timeout_s: float) -> MessageBasedResource:
    """Open a resource by pyvisa; `library` is `@py` for pyvisa-py, or as pyvisa takes it."""
    import pyvisa
    from pyvisa.resources import MessageBasedResource

    resource = pyvisa.ResourceManager(library).open_resource(
        name, open_timeout=max(round(timeout_s * 1000), 1)
    )
    if not isinstance(resource, MessageBasedResource):
        resource.close()
        raise NotConnected(f"{name} exchanges no messages")
    return resource


class VisaWire(BridgedWire):
    """Bytes to and from one VISA resource; `baud` counts for serial ones."""

    def __init__(
        self,
        name: str,
        *,
        baud: int = 115_200,
        has_flow_control: bool = False,
        library: str = "@py",
        opener: OpenResource = open_resource,
    ) -> None:
        super().__init__(f"visa://{name}")
        self._name = name
        self._baud = baud
        self._has_flow_control = has_flow_control
        self._library = library
        self._opener = opener
        self._resource: MessageBasedResource | None = None

    def _reach(self, timeout_s: float) -> None:
        try:
            self._resource = self._opener(self._name, self._library, timeout_s)
            if self._is_stream:
                self._prepare_stream(self._resource)
            else:
                self._resource.timeout = REPLY_TIMEOUT_MS
        except Exception as error:  # pyvisa-py raises a bare Exception where it cannot connect
            self._let_go()
            raise NotConnected(f"{self._place} cannot be opened: {error}") from error

    @property
    def _is_stream(self) -> bool:
        name = self._name.upper()
        return name.startswith("ASRL") or name.endswith("::SOCKET")

    def _prepare_stream(self, resource: MessageBasedResource) -> None:
        from pyvisa.constants import ResourceAttribute, SerialTermination, VisaBoolean

        resource.timeout = STREAM_TIMEOUT_MS
        interface = _interface(resource)
        if self._name.upper().startswith("ASRL"):
            flow = 2 if self._has_flow_control else 0  # VI_ASRL_FLOW_RTS_CTS
            resource.set_visa_attribute(ResourceAttribute.asrl_baud_rate, self._baud)
            resource.set_visa_attribute(ResourceAttribute.asrl_flow_control, flow)
            resource.set_visa_attribute(ResourceAttribute.asrl_end_in, SerialTermination.none)
            # Only what waits is read, which takes no time; but pyvisa-py throws away what it has
            # where a busy machine takes longer than the timeout.
            resource.timeout = REPLY_TIMEOUT_MS
            # pyvisa-py gives a write the time of a read, too little on a busy machine.
            interface.write_timeout = REPLY_TIMEOUT_MS / 1000
            interface.reset_input_buffer()
            return
        interface.getpeername()  # pyvisa-py takes a refused connection for an open one
        interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        resource.set_visa_attribute(ResourceAttribute.termchar, LINE_END)
        resource.set_visa_attribute(ResourceAttribute.termchar_enabled, VisaBoolean.true)
        # Without this pyvisa-py holds the beginning of a message back until its time is over.
        resource.set_visa_attribute(ResourceAttribute.suppress_end_enabled, VisaBoolean.false)

    def _serve(self, far: socket.socket) -> None:
        import pyvisa

        resource = self._resource
        if resource is None:
            raise NotConnected(f"{self._place} is closed")
        try:
            if self._is_stream:
                _serve_stream(resource, far)
            else:
                _serve_messages(resource, far)
        except (pyvisa.Error, ValueError) as error:
            # ValueError: pyvisa-py and pyserial wait by select, which knows 1024 open files.
            raise NotConnected(f"{self._place} is gone: {error}") from error
        finally:
            self._let_go()

    def _let_go(self) -> None:
        resource, self._resource = self._resource, None
        if resource is not None:
            resource.close()


def _serve_stream(resource: MessageBasedResource, far: socket.socket) -> None:
    interface = _interface(resource)
    with selectors.DefaultSelector() as selector:
        selector.register(far, selectors.EVENT_READ)
        selector.register(interface, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if far in ready:
                written = far.recv(READ_BYTES)
                if not written:
                    return
                resource.write_raw(written)
            if interface in ready:
                received = _arrived(resource)
                if not received and not hasattr(interface, IN_WAITING):
                    return  # a socket readable without bytes: the other side is gone
                far.sendall(received)


def _arrived(resource: MessageBasedResource) -> bytes:
    """Return all that is here; a line, then the next, until pyvisa has none left."""
    import pyvisa

    received = bytearray()
    while True:
        wanted = getattr(_interface(resource), IN_WAITING, READ_BYTES)
        if received and not wanted:
            return bytes(received)
        try:
            with resource.ignore_warning(pyvisa.constants.StatusCode.success_max_count_read):
                part, _ = resource.visalib.read(resource.session, max(wanted, 1))
        except pyvisa.VisaIOError as error:
            if error.error_code != pyvisa.constants.StatusCode.error_timeout:
                raise
            return bytes(received)
        received += part


def _serve_messages(resource: MessageBasedResource, far: socket.socket) -> None:
    import pyvisa

    pending = bytearray()
    while written := far.recv(READ_BYTES):
        pending += written
        while (size := pending.find(b"\n") + 1) > 0:
            line = bytes(pending[:size])
            del pending[:size]
            resource.write_raw(line)
            if not is_question(line):
                continue
            try:
                far.sendall(resource.read_raw())
            except pyvisa.VisaIOError as error:
                if error.error_code != pyvisa.constants.StatusCode.error_timeout:
                    raise


def is_question(line: bytes) -> bool:
    """Whether a reply belongs to a line: a question within quotes is for another device."""
    return b"?" in _QUOTED.sub(b"", line)


def _interface(resource: MessageBasedResource) -> Any:  # pyvisa-py does not type it
    """Return what a session of pyvisa-py reads from: a socket, or a port of pyserial."""
    sessions = getattr(resource.visalib, "sessions", None)
    if sessions is None:
        raise NotConnected("serial ports and sockets need the VISA library @py")
    return sessions[resource.session].interface
