"""A wire on a serial port or a pseudo terminal."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from qnx_hw.errors import NotConnected
from qnx_hw.transports.wire import Wire

if TYPE_CHECKING:
    import serial

READ_BYTES = 1 << 16


class SerialWire(Wire):
    """Bytes over a serial port: pyserial sets it up, the operating system moves the bytes.

    pyserial's own reads cost two to five times more, `read_until` most of all.
    """

    def __init__(self, path: str, baud: int, *, has_flow_control: bool = False) -> None:
        self._path = path
        self._baud = baud
        self._has_flow_control = has_flow_control
        self._port: serial.Serial | None = None

    def open(self, *, timeout_s: float) -> None:
        """Open the port raw, 8N1, for this process alone, and forget what waits in it."""
        import serial

        try:
            self._port = serial.Serial(
                self._path,
                self._baud,
                timeout=0,
                write_timeout=0,
                exclusive=True,
                rtscts=self._has_flow_control,
            )
            os.set_blocking(self._port.fileno(), False)
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:
            self.close()
            raise NotConnected(f"{self._path} cannot be opened: {error}") from error
        if self._has_flow_control:
            self._raise_rts()

    def fileno(self) -> int:
        """Return the port's descriptor."""
        return self._descriptor()

    def read(self) -> bytes:
        """Return what has arrived."""
        try:
            received = os.read(self._descriptor(), READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            raise NotConnected(f"{self._path} is gone: {error}") from error
        if not received:
            raise NotConnected(f"{self._path} is gone")
        return received

    def write(self, payload: bytes) -> int:
        """Write what fits."""
        try:
            return os.write(self._descriptor(), payload)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise NotConnected(f"{self._path} is gone: {error}") from error

    def close(self) -> None:
        """Close the port."""
        if self._port is not None:
            self._port.close()
        self._port = None

    def _descriptor(self) -> int:
        if self._port is None:
            raise NotConnected(f"{self._path} is closed")
        descriptor: int = self._port.fileno()
        return descriptor

    def _raise_rts(self) -> None:
        """Raise RTS; a pseudo terminal has none and says ENOTTY, which is no reason to stop."""
        try:
            if self._port is not None:
                self._port.rts = True
        except OSError as error:
            if error.errno not in {errno.ENOTTY, errno.EINVAL}:
                raise NotConnected(f"{self._path} refuses RTS: {error}") from error
