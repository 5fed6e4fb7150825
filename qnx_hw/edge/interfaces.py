"""What the kernel tells at once: an interface of this host lost its carrier, or is gone.

By rtnetlink, in Linux alone; elsewhere, and where the kernel says no, nothing is told, and a cut is
found by the probes. Layouts are those of rtnetlink(7) and linux/rtnetlink.h.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ROUTE_FAMILY = 0
"""`NETLINK_ROUTE`."""
LINKS_GROUP = 1
"""`RTMGRP_LINK`."""
NEW_LINK, GONE_LINK, NEW_ROUTE, ASK_ROUTE = 16, 17, 24, 26
REQUEST = 1
TO, LEAVES_BY = 1, 4
"""`RTA_DST` and `RTA_OIF`."""
UP, CARRIED = 0x1, 0x10000
"""`IFF_UP` and `IFF_LOWER_UP`."""
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_INDEX = struct.Struct("=i")
_READ_BYTES = 64 << 10
_MOST_READS = 64
_ANSWER_S = 0.1
"""The kernel answers within the call."""


@contextmanager
def watching(on_down: Callable[[int], None]) -> Iterator[None]:
    """Call with the number of each interface that is down from now on, in the loop's thread."""
    told = _connected(LINKS_GROUP)
    if told is None:
        yield
        return
    told.setblocking(False)

    def hear() -> None:
        # Where too much came at once the kernel drops some and says so; the probes know soon.
        with suppress(OSError):
            for _ in range(_MOST_READS):
                for index in downs(told.recv(_READ_BYTES)):
                    on_down(index)

    loop = asyncio.get_running_loop()
    with told:
        loop.add_reader(told, hear)
        try:
            yield
        finally:
            loop.remove_reader(told)


def towards(circuit: socket.socket) -> int | None:
    """Return the number of the interface by which a connected socket sends; None if untold."""
    asked = _connected()
    if asked is None:
        return None
    with asked, suppress(OSError, struct.error):
        address = socket.inet_pton(circuit.family, circuit.getpeername()[0].partition("%")[0])
        route = _ROUTE.pack(circuit.family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
        wanted = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), TO) + address
        length = _HEADER.size + len(route) + len(wanted)
        asked.settimeout(_ANSWER_S)
        asked.send(_HEADER.pack(length, ASK_ROUTE, REQUEST, 1, 0) + route + wanted)
        return leaves_by(asked.recv(_READ_BYTES))
    return None


def downs(octets: bytes) -> Iterator[int]:
    """Yield the interfaces that the kernel's messages say are down or gone."""
    for kind, body in _messages(octets):
        if kind in (NEW_LINK, GONE_LINK) and len(body) >= _LINK.size:
            family, _, index, flags, _ = _LINK.unpack_from(body)
            is_down = kind == GONE_LINK or flags & (UP | CARRIED) != UP | CARRIED
            # Other families tell of bridges' ports: one that leaves its bridge is "gone".
            if is_down and family == socket.AF_UNSPEC:
                yield index


def leaves_by(octets: bytes) -> int | None:
    """Return the interface that the kernel's answer about a route names."""
    for kind, body in _messages(octets):
        place = _ROUTE.size
        while kind == NEW_ROUTE and place + _ATTRIBUTE.size <= len(body):
            length, name = _ATTRIBUTE.unpack_from(body, place)
            if name == LEAVES_BY and length >= _ATTRIBUTE.size + _INDEX.size:
                return int(_INDEX.unpack_from(body, place + _ATTRIBUTE.size)[0])
            place += max(_ATTRIBUTE.size, -(-length // 4) * 4)
    return None


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + _HEADER.size <= len(octets):
        length, kind, *_ = _HEADER.unpack_from(octets, place)
        if length < _HEADER.size:
            return
        yield kind, octets[place + _HEADER.size : place + length]
        place += -(-length // 4) * 4


def _connected(groups: int = 0) -> socket.socket | None:
    """Return a socket to the kernel's routing; None where there is none to be had."""
    if sys.platform != "linux":
        return None
    with suppress(OSError):
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ROUTE_FAMILY)
        try:
            kernel.bind((0, groups))
        except OSError:
            kernel.close()
            return None
        return kernel
    return None
