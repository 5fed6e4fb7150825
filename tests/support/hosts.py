"""Hosts as network namespaces, joined by wires of a given delay, loss and rate.

All hosts also stand on one net for what is not the users' traffic (the bus, the classical
channels), which `address` gives. It needs root, iproute2 and TUN devices; `missing` says what of it
is not there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

WIRES = Path(__file__).with_name("wires.py")
CLONE_NEWNET = 0x40000000  # sched.h
MTU = 9000
BURST_S = 0.01
"""What a wire's rate may send at once."""
QUEUE_S = 0.05
CORE = "core"
"""A namespace for servers: the hosts' common net begins there."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a wire does to packets, in each direction."""

    delay_s: float = 0.0
    loss: float = 0.0
    rate_bps: float = 0.0
    """0 for as much as the machine can."""
    queue_s: float = QUEUE_S
    """How long what is too much for the rate waits at most."""


@dataclass(slots=True)
class Wire:
    """Two hosts and what is between them; without a shape, a virtual cable of the kernel's."""

    ends: tuple[str, str]
    shape: Shape | None


def missing() -> str:
    """Say why there can be no hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "iproute2 (ip, tc) is not installed"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"no TUN devices: {error.strerror}"
    try:
        _ip("netns", "add", f"qnx{os.getpid()}")
        _ip("netns", "del", f"qnx{os.getpid()}")
    except RuntimeError as error:
        return f"no network namespaces: {error}"
    return ""


class Hosts:
    """Running hosts; `hosts` makes them."""

    def __init__(self, names: Sequence[str], wires: Mapping[tuple[str, str], Shape | None]) -> None:
        self.names = tuple(names)
        self.wires = [Wire(ends, shape) for ends, shape in wires.items()]
        self._carrier: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[str]] = []

    def address(self, host: str, towards: str = "") -> str:
        """Return a host's address on the common net, or on its wire to another host."""
        if not towards:
            return f"10.97.0.{(CORE, *self.names).index(host) + 1}"
        number, wire = self._wire(host, towards)
        return f"10.98.{number}.{wire.ends.index(host) + 1}"

    def command(self, host: str, *words: str) -> list[str]:
        """Return the command that runs `words` in a host."""
        return ["ip", "netns", "exec", _space(host), *words]

    def start(
        self, host: str, *words: str, log: IO[str] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start a program in a host; it is killed at the end if nobody did before."""
        process = subprocess.Popen(
            self.command(host, *words), stdout=log, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(process)
        return process

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Stand in a host: sockets and threads that are made in this thread belong to it."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            try:
                with open(f"/var/run/netns/{_space(host)}", "rb") as there:
                    _enter(there.fileno())
                yield
            finally:
                _enter(home.fileno())

    def shape(self, one: str, other: str, shape: Shape) -> None:
        """Change a wire; it holds when this returns."""
        number, wire = self._wire(one, other)
        rate = shape.rate_bps, shape.queue_s
        if wire.shape is None or rate != (wire.shape.rate_bps, wire.shape.queue_s):
            for end, host in enumerate(wire.ends):
                _rate(host, _device(number, end), shape)
        wire.shape = shape
        self._tell(number, shape)

    def cut(self, one: str, other: str) -> None:
        """Lose all packets of a wire; neither host is told."""
        self._tell(self._wire(one, other)[0], Shape(loss=1.0))

    def plug(self, one: str, other: str, way: str) -> None:
        """Put a virtual cable in at `other` ("up") or take it out ("down"): `one` is told."""
        number, wire = self._wire(one, other)
        _in(other, "ip", "link", "set", _device(number, wire.ends.index(other)), way)

    def mend(self, one: str, other: str) -> None:
        """Let a cut wire be what it was."""
        number, wire = self._wire(one, other)
        assert wire.shape is not None
        self._tell(number, wire.shape)

    def _wire(self, one: str, other: str) -> tuple[int, Wire]:
        for number, wire in enumerate(self.wires):
            if {one, other} == set(wire.ends):
                return number, wire
        raise KeyError(f"no wire joins {one} and {other}")

    def _tell(self, number: int, shape: Shape) -> None:
        carrier = self._carrier
        assert carrier is not None
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        shaped = [wire for wire in self.wires if wire.shape is not None]
        at = shaped.index(self.wires[number])
        carrier.stdin.write(f"{at} {shape.delay_s} {shape.loss}\n".encode())
        carrier.stdin.flush()
        assert carrier.stdout.readline() == b"\n"

    def _build(self) -> None:
        for host in (CORE, *self.names):
            _ip("netns", "add", _space(host))
            _in(host, "ip", "link", "set", "lo", "up")
        _in(CORE, "ip", "link", "add", "common", "type", "bridge")
        _in(CORE, "ip", "addr", "add", f"{self.address(CORE)}/24", "dev", "common")
        _in(CORE, "ip", "link", "set", "common", "up")
        for number, host in enumerate(self.names):
            port = f"port{number}"
            _in(CORE, "ip", "link", "add", port, "type", "veth", "peer", "name", "common",
                "netns", _space(host))  # fmt: skip
            _in(CORE, "ip", "link", "set", port, "master", "common", "up")
            _in(host, "ip", "addr", "add", f"{self.address(host)}/24", "dev", "common")
            _in(host, "ip", "link", "set", "common", "up")
        devices = [
            _device(number, end)
            for number, wire in enumerate(self.wires)
            for end in (0, 1)
            if wire.shape is not None
        ]
        if devices:
            self._carrier = _carrier(devices)
        for number, wire in enumerate(self.wires):
            self._lay(number, wire)

    def _lay(self, number: int, wire: Wire) -> None:
        ours, theirs = (_device(number, end) for end in (0, 1))
        if wire.shape is None:
            _ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
        for end, host in enumerate(wire.ends):
            device = _device(number, end)
            _ip("link", "set", device, "netns", _space(host))
            towards = wire.ends[1 - end]
            _in(host, "ip", "addr", "add", f"{self.address(host, towards)}/30", "dev", device)
            if wire.shape is None:
                _in(host, "ip", "link", "set", device, "up")
            else:
                _in(host, "ip", "link", "set", device, "mtu", str(MTU), "up")
                _rate(host, device, wire.shape)
        if wire.shape is not None:
            self._tell(number, wire.shape)

    def _remove(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()
        if self._carrier is not None:
            self._carrier.communicate()
        for host in (CORE, *self.names):
            with suppress(RuntimeError):
                _ip("netns", "del", _space(host))


@contextmanager
def hosts(names: Sequence[str], wires: Mapping[tuple[str, str], Shape | None]) -> Iterator[Hosts]:
    """Build hosts and the wires between them, virtual cables where None is given.

    All of it is gone afterwards.
    """
    made = Hosts(names, wires)
    try:
        made._build()
        yield made
    finally:
        made._remove()


def _carrier(devices: Sequence[str]) -> subprocess.Popen[bytes]:
    carrier = subprocess.Popen(
        [sys.executable, str(WIRES), str(MTU), *devices],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert carrier.stdout is not None
    assert carrier.stdout.readline() == b"\n", "the wires could not be made"
    return carrier


def _enter(space: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def _space(host: str) -> str:
    return f"qnx{os.getpid()}-{host}"


def _device(wire: int, end: int) -> str:
    return f"q{os.getpid()}.{wire}{'ab'[end]}"


def _rate(host: str, device: str, shape: Shape) -> None:
    if not shape.rate_bps:
        with suppress(RuntimeError):  # there was none
            _in(host, "tc", "qdisc", "del", "dev", device, "root")
        return
    burst = max(2 * MTU, int(shape.rate_bps / 8 * BURST_S))
    _in(host, "tc", "qdisc", "replace", "dev", device, "root", "tbf",
        "rate", f"{shape.rate_bps:.0f}bit", "burst", f"{burst}b",
        "latency", f"{1000 * shape.queue_s:.0f}ms")  # fmt: skip


def _in(host: str, *words: str) -> None:
    _ip("netns", "exec", _space(host), *words)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
