"""Agiltron 1xN fibre switches.

Source: Agiltron, "Command List for CL-LB Switch Driver". Frames of four bytes: set `01 12 00 ch`,
echoed once the light path stands; query `01 11 00 00`, the reply's last byte is the channel. The
unit does not say who it is, nor how many channels it has; one that it lacks is not answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drivers.held_link import HeldLink
from drivers.knobs import Setting
from drivers.operation import Operation
from qnx_hw.errors import (
    ConfigError,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import OpticalSwitch
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Fence, Framer, LinkTraits, Recorder, option

BAUD = 9600
FRAME_BYTES = 4
QUERY_CODE, SET_CODE = 0x11, 0x12
QUERY = bytes((0x01, QUERY_CODE, 0x00, 0x00))
MOST_CHANNELS = 255
REPLY_TIMEOUT_S = 1.0
# Four bytes take 4 ms at 9600 baud; the start of a frame that stays alone so long is none.
STALE_S = 0.1
TRAITS = LinkTraits(stale_s=STALE_S, fence=Fence(QUERY, lambda frame: frame[1] == QUERY_CODE))


class Agiltron(OpticalSwitch):
    """A switch at `serial:///dev/ttyUSB0?channels=8`; its one input is number 1."""

    def __init__(
        self, url: str, *, name: str = "agiltron", recorder: Recorder | None = None
    ) -> None:
        channels = option(url, "channels", "8")
        if not channels.isdecimal() or not 1 <= int(channels) <= MOST_CHANNELS:
            raise ConfigError(f"'{name}' can have 1 to {MOST_CHANNELS} channels, not {channels}")
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS, baud=BAUD)
        self._n_channels = int(channels)
        self._operation = Operation(name)

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the port and see that a switch answers; the path stays."""
        with self._held.opening(Frames(), timeout_s=timeout_s):
            self.connections(timeout_s=timeout_s)
        return Identity("Agiltron", f"1x{self._n_channels}")

    def close(self) -> None:
        """Let go of the port; the path stands as it is, which harms nothing."""
        self._held.close()

    def status(self) -> InstrumentStatus:
        """Return how the switch is, without asking it."""
        return self._held.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Return nothing: there is nothing to set but the path."""
        self._held.link()
        return {}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Refuse every setting."""
        for key in settings:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: the mirror moves for less than 10 ms and cannot be halted."""

    def connections(self, *, timeout_s: float | None = None) -> Mapping[int, int]:
        """Return input 1 and the output that it is connected to."""
        link = self._held.link()
        reply = link.query(
            QUERY, lambda frame: frame[1] != SET_CODE, timeout_s=timeout_s or REPLY_TIMEOUT_S
        )
        if not 1 <= reply[3] <= self._n_channels:
            link.drain()
            raise ProtocolError(f"'{self.name}' reports channel {reply[3]}", reply)
        return {1: reply[3]}

    def apply(
        self, connections: Mapping[int, int], *, timeout_s: float | None = None
    ) -> Mapping[int, int]:
        """Connect input 1 to an output; it is always connected to one."""
        channel = connections.get(1, 0)
        if len(connections) != 1 or not 1 <= channel <= self._n_channels:
            raise RangeError(
                f"'{self.name}' connects input 1 to an output of 1 to {self._n_channels}, "
                f"not {dict(connections)}"
            )
        with self._operation.within(timeout_s):
            held = self.connections(timeout_s=timeout_s)
            if held == connections:
                return held
            command = set_frame(channel)
            self._held.link().query(
                command, lambda frame: frame == command, timeout_s=timeout_s or REPLY_TIMEOUT_S
            )
            return self.connections(timeout_s=timeout_s)


class Frames(Framer):
    """Messages of four bytes, without any delimiter."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each frame that is complete now."""
        self._pending += received
        while len(self._pending) >= FRAME_BYTES:
            frame = bytes(self._pending[:FRAME_BYTES])
            del self._pending[:FRAME_BYTES]
            yield frame

    def reset(self) -> int:
        """Forget a frame that is not complete."""
        size = len(self._pending)
        self._pending.clear()
        return size


def set_frame(channel: int) -> bytes:
    """Return the command that connects an output."""
    return bytes((0x01, SET_CODE, 0x00, channel))
