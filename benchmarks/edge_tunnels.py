"""The tunnels that `edge.py` measures, each between two ends of a place: on loopback, or two hosts.

A tunnel is two processes; its user connects at one end, what it leads to is at the other. Our keys
come from a seed that both processes know: what is measured is the data plane.
`python benchmarks/edge_tunnels.py node FILE NODE` is one of our ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.commands.ports import free_ports
from qnx_hw.config import load
from qnx_hw.edge.engine import Engine
from qnx_hw.edge.keysource import KeySource, SharedKey, SharedPad, Stock
from qnx_hw.edge.site import Surroundings, open_site
from qnx_hw.errors import KeyExhausted
from qnx_hw.keys.vault import open_vault
from qnx_hw.secret import Secret

if TYPE_CHECKING:
    from hosts import Hosts

START_DEADLINE_S = 60.0
NEAR, FAR = "alice", "bob"


class Place(Protocol):
    """Where both ends are."""

    name: str

    @abstractmethod
    def address(self, end: str) -> str:
        """Return where one end reaches the other one, `end`."""

    @abstractmethod
    def command(self, end: str, *words: str) -> list[str]:
        """Return the command that runs `words` at an end."""

    @abstractmethod
    def inside(self, end: str) -> AbstractContextManager[None]:
        """Stand at an end: sockets that are made now belong to it."""


class Loopback(Place):
    """Both ends on this machine."""

    name = "loopback"

    def address(self, end: str) -> str:
        """Return the machine itself."""
        return "127.0.0.1"

    def command(self, end: str, *words: str) -> list[str]:
        """Return the words."""
        return list(words)

    def inside(self, end: str) -> AbstractContextManager[None]:
        """Stay here."""
        return nullcontext()


class TwoHosts(Place):
    """Each end in a network namespace, a virtual wire between."""

    name = "two hosts"

    def __init__(self, net: Hosts) -> None:
        self._net = net

    def address(self, end: str) -> str:
        """Return an end's address on the wire."""
        return self._net.address(end, NEAR if end == FAR else FAR)

    def command(self, end: str, *words: str) -> list[str]:
        """Return the command for the namespace."""
        return self._net.command(end, *words)

    def inside(self, end: str) -> AbstractContextManager[None]:
        """Enter the namespace."""
        return self._net.inside(end)


@dataclass
class Tunnel:
    """A running tunnel: where its user connects, and its processes."""

    name: str
    address: str
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def cpu_s(self) -> float:
        """Return the processor time that its processes used so far."""
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def ours(place: Place, folder: Path, target: int, *, settings: str = "") -> Iterator[Tunnel]:
    """Run our two edges; `settings` are lines of the tunnel's table."""
    ports = free_ports(3)
    folder.mkdir()
    file = folder / "net.toml"
    file.write_text(
        f'[network]\nname = "bench"\ndata_dir = "{folder}"\n'
        f'[nodes.alice]\nlisten = "127.0.0.1:1"\n'
        f'[nodes.alice.edge]\nlisten = "{place.address(NEAR)}:{ports[0]}"\nhops.bob = {{}}\n'
        f'[nodes.bob]\nlisten = "127.0.0.1:1"\n'
        f'[nodes.bob.edge]\nlisten = "{place.address(FAR)}:{ports[1]}"\nhops.alice = {{}}\n'
        f'[tunnels.t]\nsource = "alice"\ndestination = "bob"\n{settings}'
        f'listen = "127.0.0.1:{ports[2]}"\ntarget = "{place.address(FAR)}:{target}"\n'
    )
    processes = [
        subprocess.Popen(place.command(node, sys.executable, __file__, "node", str(file), node))
        for node in (FAR, NEAR)
    ]
    with _ended(processes):
        _wait(place, place.address(NEAR), ports[0])
        _wait(place, place.address(FAR), ports[1])
        _wait(place, "127.0.0.1", ports[2])
        yield Tunnel("qnx", "127.0.0.1", ports[2], processes)


@contextmanager
def stunnel(place: Place, folder: Path, target: int) -> Iterator[Tunnel]:
    """Run a client and a server of stunnel: TLS 1.3, AES-256-GCM."""
    middle, front = free_ports(2)
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2",
         "-subj", "/CN=bench"],
        check=True, capture_output=True,
    )  # fmt: skip
    common = (
        "foreground = yes\npid =\ndebug = 3\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
    )
    tls = "sslVersion = TLSv1.3\nciphersuites = TLS_AES_256_GCM_SHA384\n"
    far = place.address(FAR)
    (folder / "bob.conf").write_text(
        f"{common}[s]\naccept = {far}:{middle}\nconnect = {far}:{target}\n{tls}"
        f"cert = {folder}/cert.pem\nkey = {folder}/key.pem\n"
    )
    (folder / "alice.conf").write_text(
        f"{common}[c]\nclient = yes\naccept = 127.0.0.1:{front}\nconnect = {far}:{middle}\n"
        f"{tls}CAfile = {folder}/cert.pem\nverifyPeer = yes\n"
    )
    processes = [
        subprocess.Popen(
            place.command(end, "stunnel", str(folder / f"{end}.conf")), stderr=subprocess.DEVNULL
        )
        for end in (FAR, NEAR)
    ]
    with _ended(processes):
        _wait(place, far, middle)
        _wait(place, "127.0.0.1", front)
        yield Tunnel("stunnel", "127.0.0.1", front, processes)


@contextmanager
def wireguard(place: Place, target: int) -> Iterator[Tunnel]:
    """Run wireguard-go in both hosts: not TCP but packets, each encrypted by itself."""
    inner = {NEAR: "10.99.0.1", FAR: "10.99.0.2"}
    keys = {end: _told(["wg", "genkey"]) for end in inner}
    # Both hosts see one folder of control sockets, so the devices have different names.
    devices = {end: f"wg-{end}" for end in inner}
    processes = [
        subprocess.Popen(
            place.command(end, "wireguard-go", "--foreground", device),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end, device in devices.items()
    ]
    with _ended(processes):
        for end, device in devices.items():
            peer = FAR if end == NEAR else NEAR
            public = _told(["wg", "pubkey"], keys[peer])
            shown = place.command(end, "wg", "show", device)
            _until(partial(_succeeds, shown), "wireguard-go did not start")
            _told(
                place.command(end, "wg", "set", device, "listen-port", "51820", "private-key",
                              "/dev/stdin", "peer", public, "allowed-ips", "10.99.0.0/24",
                              "endpoint", f"{place.address(peer)}:51820"),
                keys[end],
            )  # fmt: skip
            _told(place.command(end, "ip", "addr", "add", f"{inner[end]}/24", "dev", device))
            _told(place.command(end, "ip", "link", "set", device, "up"))
        with place.inside(NEAR):
            _reached(inner[FAR], target)
        yield Tunnel("wireguard-go", inner[FAR], target, processes)


@contextmanager
def users(place: Place) -> Iterator[tuple[int, int]]:
    """Run, at the far end, a user that swallows and answers one byte at the end, and an echo."""
    process = subprocess.Popen(
        place.command(FAR, sys.executable, "-c", USERS), stdout=subprocess.PIPE
    )
    with _ended([process]):
        assert process.stdout is not None
        sink, echo = process.stdout.readline().split()
        yield int(sink), int(echo)


USERS = """
import socket, threading
def serve(listener, echo):
    while True:
        user, _ = listener.accept()
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=work, args=(user, echo), daemon=True).start()
def work(user, echo):
    buffer = bytearray(1 << 20)
    while size := user.recv_into(buffer):
        if echo: user.sendall(memoryview(buffer)[:size])
    if not echo: user.sendall(b'.')
    user.close()
listeners = [socket.create_server(('0.0.0.0', 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in listeners), flush=True)
threading.Thread(target=serve, args=(listeners[0], False), daemon=True).start()
serve(listeners[1], True)
"""


class SeedKeys(KeySource):
    """Keys that both processes compute from a seed; for measuring only."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    async def fresh(self, peer: str) -> SharedKey:
        """Return a new key."""
        key_id = str(uuid.uuid4())
        return SharedKey(key_id, self._of(key_id))

    async def fetch(self, peer: str, key_id: str) -> Secret:
        """Return the key of a name."""
        return self._of(key_id)

    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        """Refuse."""
        raise KeyExhausted("not measured")

    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        """Refuse."""
        raise KeyExhausted("not measured")

    def stock(self, peer: str) -> Stock:
        """Return nothing."""
        return Stock(0, 0)

    def _of(self, key_id: str) -> Secret:
        return Secret(hashlib.sha256(self._seed + key_id.encode()).digest())


async def _run_node(file: Path, node: str) -> None:
    network = load(file)
    folder = network.folder_of(node)
    engine = Engine()
    engine.load()
    around = Surroundings(
        source=SeedKeys(b"benchmark"),
        bus=InProcessBus(),
        folder=folder,
        sealer=open_vault(folder / "edge.key", may_create=True),
        tell=lambda *_: None,
        engine=engine,
    )
    async with open_site(network, node, around):
        await asyncio.Event().wait()


def _told(words: list[str], said: str = "") -> str:
    done = subprocess.run(words, input=said, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _succeeds(words: list[str]) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _wait(place: Place, address: str, port: int) -> None:
    """Wait until something listens."""
    with place.inside(FAR if address == place.address(FAR) else NEAR):
        _reached(address, port)


def _reached(address: str, port: int) -> None:
    def tries() -> bool:
        try:
            socket.create_connection((address, port), timeout=2.0).close()
        except OSError:
            return False
        return True

    _until(tries, f"nothing listens at {address}:{port}")


def _until(condition: Callable[[], bool], trouble: str) -> None:
    end_s = time.monotonic() + START_DEADLINE_S
    while not condition():
        if time.monotonic() > end_s:
            raise SystemExit(trouble)
        threading.Event().wait(0.05)


@contextmanager
def _ended(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    asyncio.run(_run_node(Path(sys.argv[2]), sys.argv[3]))
