"""Measure tunnels over loopback: ours, stunnel, and no tunnel at all, in turns in one run.

Each tunnel is two processes. Processor time is of both together. `python benchmarks/edge.py` or
`qnx bench edge`. Our keys come from a seed that both processes know: what is measured is the data
plane, key delivery has its own suite.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.commands.bench import Result
from qnx_hw.config import load
from qnx_hw.edge.keysource import KeySource, SharedKey, SharedPad, Stock
from qnx_hw.edge.site import Surroundings, open_site
from qnx_hw.errors import KeyExhausted
from qnx_hw.keys.vault import open_vault
from qnx_hw.secret import Secret

ROUNDS = 3
BULK_BYTES = 256 << 20
PINGS = 2000
PING_BYTES = 64
START_DEADLINE_S = 30.0


class SeedKeys(KeySource):
    """Keys that both processes compute from a seed; for measuring only."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    async def fresh(self, peer: str) -> SharedKey:
        key_id = str(uuid.uuid4())
        return SharedKey(key_id, self._of(key_id))

    async def fetch(self, peer: str, key_id: str) -> Secret:
        return self._of(key_id)

    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        raise KeyExhausted("not measured")

    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        raise KeyExhausted("not measured")

    def stock(self, peer: str) -> Stock:
        return Stock(0, 0)

    def _of(self, key_id: str) -> Secret:
        return Secret(hashlib.sha256(self._seed + key_id.encode()).digest())


class Tunnel:
    """A running tunnel: where users connect, and its processes."""

    def __init__(self, name: str, port: int, processes: list[subprocess.Popen[bytes]]) -> None:
        self.name = name
        self.port = port
        self._processes = processes

    def cpu_s(self) -> float:
        """Return the processor time that its processes used so far."""
        ticks = 0
        for process in self._processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def suite() -> Iterator[Result]:
    """Measure all tunnels in turns and compare medians."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink, echo = stack.enter_context(_users())
        bulk = [Tunnel("direct", sink, []), stack.enter_context(_ours(folder, "bulk", sink))]
        ping = [Tunnel("direct", echo, []), stack.enter_context(_ours(folder, "ping", echo))]
        if shutil.which("stunnel"):
            bulk.append(stack.enter_context(_stunnel(folder, "bulk", sink)))
            ping.append(stack.enter_context(_stunnel(folder, "ping", echo)))
        rates: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        trips: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for tunnel in bulk:
                rate, cost = _send(tunnel)
                rates.setdefault(tunnel.name, []).append(rate)
                costs.setdefault(tunnel.name, []).append(cost)
            for tunnel in ping:
                trips.setdefault(tunnel.name, []).append(_round_trip(tunnel))
        yield from _compared("throughput", "GB/s", rates, goal=1.2, more_is_better=True)
        yield from _compared("processor time", "s/GB", costs, goal=0.8, more_is_better=False)
        yield from _compared("round trip of 64 B", "us", trips, goal=1.0, more_is_better=False)


def _compared(
    what: str, unit: str, values: dict[str, list[float]], *, goal: float, more_is_better: bool
) -> Iterator[Result]:
    medians = {name: statistics.median(each) for name, each in values.items()}
    ours, peer = medians["qnx"], medians.get("stunnel")
    yield Result(name=f"{what}, no tunnel", value=medians["direct"], unit=unit)
    if peer is None:
        yield Result(name=f"{what}, tunnel", value=ours, unit=unit, peer="stunnel is not installed")
        return
    ratio = ours / peer
    yield Result(
        name=f"{what}, tunnel",
        value=ours,
        unit=unit,
        goal=goal * peer,
        met=ratio >= goal if more_is_better else ratio <= goal,
        peer="stunnel",
        peer_value=peer,
        ratio=ratio,
    )


def _send(tunnel: Tunnel) -> tuple[float, float]:
    piece = bytes(1 << 20)
    before_s = tunnel.cpu_s()
    with socket.create_connection(("127.0.0.1", tunnel.port)) as user:
        start_s = time.perf_counter()
        for _ in range(BULK_BYTES // len(piece)):
            user.sendall(piece)
        user.shutdown(socket.SHUT_WR)
        user.recv(1)
        spent_s = time.perf_counter() - start_s
    gigabytes = BULK_BYTES / 1e9
    return gigabytes / spent_s, (tunnel.cpu_s() - before_s) / gigabytes


def _round_trip(tunnel: Tunnel) -> float:
    trips = []
    with socket.create_connection(("127.0.0.1", tunnel.port)) as user:
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PINGS):
            start_s = time.perf_counter()
            user.sendall(bytes(PING_BYTES))
            left = PING_BYTES
            while left:
                left -= len(user.recv(left))
            trips.append(time.perf_counter() - start_s)
    return 1e6 * statistics.median(trips)


@contextmanager
def _users() -> Iterator[tuple[int, int]]:
    """Run a user that swallows and answers one byte at the end, and one that echoes."""
    code = (
        "import socket, sys, threading\n"
        "def serve(listener, echo):\n"
        "    while True:\n"
        "        user, _ = listener.accept()\n"
        "        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
        "        threading.Thread(target=work, args=(user, echo), daemon=True).start()\n"
        "def work(user, echo):\n"
        "    buffer = bytearray(1 << 20)\n"
        "    while size := user.recv_into(buffer):\n"
        "        if echo: user.sendall(memoryview(buffer)[:size])\n"
        "    if not echo: user.sendall(b'.')\n"
        "    user.close()\n"
        "listeners = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]\n"
        "print(*(each.getsockname()[1] for each in listeners), flush=True)\n"
        "threading.Thread(target=serve, args=(listeners[0], False), daemon=True).start()\n"
        "serve(listeners[1], True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        sink, echo = process.stdout.readline().split()
        yield int(sink), int(echo)
    finally:
        _end([process])


@contextmanager
def _ours(folder: Path, name: str, target: int) -> Iterator[Tunnel]:
    ports = [_free_port() for _ in range(3)]
    place = folder / f"qnx-{name}"
    place.mkdir()
    file = place / "net.toml"
    file.write_text(
        f'[network]\nname = "bench"\ndata_dir = "{place}"\n'
        f'[nodes.alice]\nlisten = "127.0.0.1:1"\n'
        f'[nodes.alice.edge]\nlisten = "127.0.0.1:{ports[0]}"\nhops = {{ bob = {{}} }}\n'
        f'[nodes.bob]\nlisten = "127.0.0.1:1"\n'
        f'[nodes.bob.edge]\nlisten = "127.0.0.1:{ports[1]}"\nhops = {{ alice = {{}} }}\n'
        f'[tunnels.t]\nsource = "alice"\ndestination = "bob"\n'
        f'listen = "127.0.0.1:{ports[2]}"\ntarget = "127.0.0.1:{target}"\n'
    )
    processes = [
        subprocess.Popen([sys.executable, __file__, "node", str(file), node])
        for node in ("bob", "alice")
    ]
    try:
        for port in ports:
            _wait(port)
        yield Tunnel("qnx", ports[2], processes)
    finally:
        _end(processes)


@contextmanager
def _stunnel(folder: Path, name: str, target: int) -> Iterator[Tunnel]:
    middle, front = _free_port(), _free_port()
    place = folder / f"stunnel-{name}"
    place.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", place / "key.pem", "-out", place / "cert.pem", "-days", "2",
         "-subj", "/CN=bench"],
        check=True, capture_output=True,
    )  # fmt: skip
    common = (
        "foreground = yes\npid =\ndebug = 3\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
    )
    tls = "sslVersion = TLSv1.3\nciphersuites = TLS_AES_256_GCM_SHA384\n"
    (place / "server.conf").write_text(
        f"{common}[s]\naccept = 127.0.0.1:{middle}\nconnect = 127.0.0.1:{target}\n{tls}"
        f"cert = {place}/cert.pem\nkey = {place}/key.pem\n"
    )
    (place / "client.conf").write_text(
        f"{common}[c]\nclient = yes\naccept = 127.0.0.1:{front}\nconnect = 127.0.0.1:{middle}\n"
        f"{tls}CAfile = {place}/cert.pem\nverifyPeer = yes\n"
    )
    processes = [
        subprocess.Popen(["stunnel", str(place / f"{end}.conf")], stderr=subprocess.DEVNULL)
        for end in ("server", "client")
    ]
    try:
        _wait(middle)
        _wait(front)
        yield Tunnel("stunnel", front, processes)
    finally:
        _end(processes)


async def _run_node(file: Path, node: str) -> None:
    network = load(file)
    folder = network.folder_of(node)
    around = Surroundings(
        source=SeedKeys(b"benchmark"),
        bus=InProcessBus(),
        folder=folder,
        sealer=open_vault(folder / "edge.key", may_create=True),
        tell=lambda level, source, message: None,
    )
    async with open_site(network, node, around):
        await asyncio.Event().wait()


def _wait(port: int) -> None:
    end_s = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise SystemExit(f"nothing listens at port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["node"]:
        asyncio.run(_run_node(Path(sys.argv[2]), sys.argv[3]))
    else:
        for result in suite():
            print(
                f"{result.name:40}{result.value:10.3f} {result.unit:6}", result.peer or "", end=" "
            )
            print(
                "" if result.ratio is None else f"{result.peer_value:.3f}  ratio {result.ratio:.2f}"
            )
