"""Free ports for a test, which no other test process and no connection takes before it does."""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from qnx_hw.commands.ports import is_free, local_ports, moved

# Below the ports that systems hand out by themselves, beside those that our programs choose.
LANE_PORTS = 200
LANES = range(10_000, 15_000, LANE_PORTS)


def free_ports(count: int) -> list[int]:
    """Return different ports of this process's own, the longest unused ones first."""
    _, lane = _lane()
    tried = itertools.islice(lane, LANE_PORTS)
    ports = list(itertools.islice(filter(is_free, tried), count))
    assert len(ports) == count, "the ports of this process are all taken"
    return ports


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]


def free_row(count: int) -> range:
    """Return such ports side by side."""
    while True:
        ports = free_ports(count)
        if ports[-1] - ports[0] == count - 1:
            return range(ports[0], ports[-1] + 1)


def on_free_ports(table: dict[str, Any]) -> dict[str, Any]:
    """Return a network file's document with all its local ports replaced by such ports."""
    taken = sorted(local_ports(table))
    document: dict[str, Any] = moved(table, dict(zip(taken, free_ports(len(taken)), strict=True)))
    return document


@functools.cache
def _lane() -> tuple[int, Iterator[int]]:
    """Take a lane for as long as this process lives: who listens at its first port has it."""
    for first in LANES:
        flag = socket.socket()
        with suppress(OSError):
            flag.bind(("127.0.0.1", first))
            flag.listen()
            return flag.detach(), itertools.cycle(range(first + 1, first + LANE_PORTS))
        flag.close()
    raise RuntimeError("too many test processes run on this machine")
