"""An Agiltron 1xN fibre switch: fixed frames of four bytes.

Source: Agiltron, "Command List for CL-LB Switch Driver". Set `01 12 00 ch` is echoed when the
switch has moved; query `01 11 00 00` shows the channel in the last byte; a channel that does not
exist is not answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.emulator import Emulator, Outbox, Output, PortKind, number_option
from sim_devices.emulators.station import Station

SWITCHING_S = 0.008
START, QUERY, SET = 0x01, 0x11, 0x12
FRAME_BYTES = 4


class AgiltronEmulator(Emulator):
    """Options: `channels` (8), `faults`."""

    ports = (PortKind.STREAM,)
    default_listen = ("tcp://127.0.0.1:0",)

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        self._n_channels = int(number_option(options or {}, "channels", 8))
        self._channel = 1
        self._settled_s = 0.0
        self._later = Outbox()
        self._pending: dict[int, bytearray] = {}

    def connected(self, port: int, client: int) -> bytes:
        """Start a new client's first frame."""
        self._pending[client] = bytearray()
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget an unfinished frame."""
        self._pending.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the frames that are complete now; bytes that begin none are dropped."""
        pending = self._pending.setdefault(client, bytearray())
        outputs: list[Output] = []
        for byte in received:
            pending.append(byte)
            while pending and not _may_begin(pending):
                del pending[0]
            if len(pending) == FRAME_BYTES:
                outputs += self._obey(bytes(pending), client, now_s)
                pending.clear()
        return outputs

    def tick(self, now_s: float) -> list[Output]:
        """Send the echoes of moves that are over."""
        return self._later.due(now_s)

    def _obey(self, frame: bytes, client: int, now_s: float) -> list[Output]:
        """Obey a frame after those before it: a reply waits until the switch has moved."""
        reply = frame
        if frame[1] == QUERY:
            reply = bytes((START, QUERY, 0, self._channel))
        elif 1 <= frame[3] <= self._n_channels:
            self._channel = frame[3]
            self._settled_s = max(now_s, self._settled_s) + SWITCHING_S
        else:
            return []
        if self._settled_s <= now_s:
            return [Output(0, client, reply)]
        self._later.put(self._settled_s, Output(0, client, reply))
        return []


def _may_begin(pending: bytearray) -> bool:
    wanted = (pending[:1] == bytes((START,)), bytes(pending[1:2]) in {b"", b"\x11", b"\x12"})
    return all(wanted) and bytes(pending[2:3]) in {b"", b"\0"}
