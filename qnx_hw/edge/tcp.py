"""What the kernel tells of a TCP connection."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_TOTAL_RETRANS = struct.Struct("=100xI")
"""`tcpi_total_retrans` in `struct tcp_info` (linux/tcp.h)."""


def retransmits(circuit: socket.socket) -> int:
    """Return how many segments were sent again; 0 where the kernel does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return 0
    with suppress(OSError, struct.error):
        octets = circuit.getsockopt(socket.IPPROTO_TCP, option, _TOTAL_RETRANS.size)
        return int(_TOTAL_RETRANS.unpack(octets)[0])
    return 0
