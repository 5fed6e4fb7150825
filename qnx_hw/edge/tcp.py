"""What the kernel tells of a TCP connection, and is told about it."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress

_TOTAL_RETRANS = struct.Struct("=100xI")
"""`tcpi_total_retrans` in `struct tcp_info` (linux/tcp.h)."""
_UNDER_WAY = struct.Struct("=24xI40xII")
"""`tcpi_unacked`, `tcpi_rtt` and `tcpi_rttvar` there; times in microseconds."""

SHORT_WAY_US = 250
"""A round trip on one machine, or in one room."""
QUEUE_BYTES = 512 << 10
"""In 250 us that is 2 GB/s; the kernel may allow less."""
PACING = b"bbr"
"""How the names of the congestion controls begin that wait for a timer before each burst."""
UNPACED = b"reno"
"""Always there and allowed; on a short way cubic is the same (RFC 9438, section 4.3)."""
_NAME_BYTES = 16
"""`TCP_CA_NAME_MAX` (net/tcp.h)."""


def retransmits(circuit: socket.socket) -> int:
    """Return how many segments were sent again; 0 where the kernel does not tell."""
    told = _ask(circuit, _TOTAL_RETRANS)
    return told[0] if told is not None else 0


def due_s(circuit: socket.socket) -> float | None:
    """Return the time after which what was sent should be acknowledged (RFC 6298, section 2).

    None where nothing is under way, or the kernel does not tell. The far kernel acknowledges,
    however busy the program there is.
    """
    told = _ask(circuit, _UNDER_WAY)
    if told is None or told[0] == 0:
        return None
    return 1e-6 * (told[1] + 4 * told[2])


def begin_unpaced(circuit: socket.socket) -> None:
    """Tell a socket that is not connected yet, or listens, not to pace; `settle` follows.

    A kernel that once paced a connection does so to its end, whatever else is chosen then.
    """
    with suppress(OSError):
        if congestion_control(circuit).startswith(PACING):
            circuit.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)


def settle(circuit: socket.socket, short_way_us: int = SHORT_WAY_US) -> None:
    """Let a new connection be paced as the system wants, but where its way is short.

    There a timer for each burst takes two to four times the processor time of the sending itself.
    """
    with suppress(OSError):
        if congestion_control(circuit) != UNPACED or _is_within(circuit, short_way_us):
            return
        with socket.socket(circuit.family) as fresh:
            usual = congestion_control(fresh)
        circuit.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, usual)


def hold_little(circuit: socket.socket) -> None:
    """Keep little in the kernel's queues where the way is short: no rate needs more there.

    What waits in a long queue has left the processor's cache before it is read: with 512 KiB the
    processor time per byte is a tenth less.
    """
    if not _is_within(circuit, SHORT_WAY_US):
        return
    with suppress(OSError):
        circuit.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        circuit.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)


def congestion_control(circuit: socket.socket) -> bytes:
    """Return its name; empty where the system has no choice of them."""
    option = getattr(socket, "TCP_CONGESTION", None)
    if option is None:
        return b""
    return circuit.getsockopt(socket.IPPROTO_TCP, option, _NAME_BYTES).rstrip(b"\0")


def _is_within(circuit: socket.socket, round_trip_us: int) -> bool:
    told = _ask(circuit, _UNDER_WAY)
    return told is not None and told[1] <= round_trip_us


def _ask(circuit: socket.socket, fields: struct.Struct) -> tuple[int, ...] | None:
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    with suppress(OSError, struct.error):
        return fields.unpack(circuit.getsockopt(socket.IPPROTO_TCP, option, fields.size))
    return None


def reset(user: socket.socket) -> None:
    """Close so that the user sees a failure, not an end."""
    user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    user.close()


def limit_sending(user: socket.socket, seconds: float) -> None:
    """Let a blocking call that sends return after so long where nothing is taken."""
    whole, rest = divmod(seconds, 1.0)
    value = struct.pack("@ll", int(whole), int(1e6 * rest))  # struct timeval
    if sys.platform == "win32":
        value = struct.pack("=I", int(1000 * seconds))
    user.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
