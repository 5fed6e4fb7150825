"""Wires between hosts with delay, loss and cuts, as a process that carries their packets.

Each wire is two TUN devices, which the caller moves into the hosts' network namespaces; what goes
into one comes out of the other. Not every kernel has `netem`; every one that can do namespaces has
TUN. Rates are the kernel's own (`tc tbf` at the devices).

python tests/support/wires.py MTU DEVICE DEVICE [DEVICE DEVICE …]

Each line on standard input is `WIRE DELAY_S LOSS`, and is answered with an empty line once it
holds. A loss of 1 is a cut. It ends with its input.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000  # linux/if_tun.h
WAITING_PACKETS = 4096
"""On their way in one direction; further ones are lost, as in a full queue."""
AT_ONCE = 64


class Direction:
    """Packets from one end of a wire to the other."""

    def __init__(self, source: int, sink: int, randomness: random.Random) -> None:
        self.source = source
        self.delay_s = 0.0
        self.loss = 0.0
        self._sink = sink
        self._randomness = randomness
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take(self, mtu: int) -> None:
        """Read what is there, and lose some of it."""
        now_s = time.monotonic()
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self.source, mtu)
            except BlockingIOError:
                return
            if self.loss and self._randomness.random() < self.loss:
                continue
            if len(self._waiting) < WAITING_PACKETS:
                self._waiting.append((now_s + self.delay_s, packet))

    def give(self, now_s: float) -> float | None:
        """Write what is due; return when the next is."""
        while self._waiting and self._waiting[0][0] <= now_s:
            try:
                os.write(self._sink, self._waiting.popleft()[1])
            except OSError:
                continue  # the device is down, or its reader's queue is full
        return self._waiting[0][0] if self._waiting else None


def tun(name: str) -> int:
    """Make a TUN device."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def carry(mtu: int, names: list[str]) -> None:
    """Carry packets until the input ends."""
    randomness = random.Random(1)
    ends = [tun(name) for name in names]
    directions = [Direction(ends[at], ends[at ^ 1], randomness) for at in range(len(ends))]
    _answer()
    by_source = {each.source: each for each in directions}
    commands = sys.stdin.buffer.fileno()
    due_s: float | None = None
    while True:
        wait_s = None if due_s is None else max(0.0, due_s - time.monotonic())
        ready, _, _ = select.select([commands, *by_source], [], [], wait_s)
        for each in ready:
            if each != commands:
                by_source[each].take(mtu)
            elif not obey(os.read(commands, 1 << 16), directions):
                return
        now_s = time.monotonic()
        dues = [each.give(now_s) for each in directions]
        due_s = min((due for due in dues if due is not None), default=None)


def obey(octets: bytes, directions: list[Direction]) -> bool:
    """Change wires as told; whether there may be more."""
    for line in octets.decode().splitlines():
        wire, delay_s, loss = line.split()
        for each in directions[2 * int(wire) : 2 * int(wire) + 2]:
            each.delay_s, each.loss = float(delay_s), float(loss)
        _answer()
    return bool(octets)


def _answer() -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()


if __name__ == "__main__":
    carry(int(sys.argv[1]), sys.argv[2:])
