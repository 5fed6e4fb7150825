"""Measure tunnels over loopback and between two hosts: ours, stunnel, wireguard-go, none at all.

All are measured in turns in one run, and medians compared. Processor time is of both ends together.
A last part changes the key every 16 MiB under load and looks for pauses.
`python benchmarks/edge.py` or `qnx bench edge`.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from qnx_hw.commands.bench import Result

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from edge_tunnels import (
    FAR,
    NEAR,
    Loopback,
    Place,
    Tunnel,
    TwoHosts,
    ours,
    stunnel,
    users,
    wireguard,
)
from hosts import hosts, missing

ROUNDS = 3
BULK_BYTES = 1 << 30
"""Long enough that neither the first connection nor the first memory shows in the rates."""
PINGS = 2000
PING_BYTES = 64
PIECE_BYTES = 1 << 20
REKEYED_BYTES = 256 << 20
REKEY_BYTES = 16 << 20
REKEYED_ROUNDS = 5
PAUSE_LIMIT_MS = 20.0


def suite() -> Iterator[Result]:
    """Measure at both places."""
    yield from _measured(Loopback())
    if reason := missing():
        yield Result(name="two hosts", value=0.0, unit="", peer=f"not measured: {reason}")
        return
    with hosts((NEAR, FAR), {(NEAR, FAR): None}) as net:
        yield from _measured(TwoHosts(net))


def _measured(place: Place) -> Iterator[Result]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink, echo = stack.enter_context(users(place))
        tunnels = [tuple(Tunnel("direct", place.address(FAR), port) for port in (sink, echo))]
        make = {"qnx": ours, "stunnel": stunnel}
        if shutil.which("stunnel") is None:
            del make["stunnel"]
        for name, begin in make.items():
            made = [
                stack.enter_context(begin(place, folder / f"{name}-{port}", port))
                for port in (sink, echo)
            ]
            tunnels.append(tuple(made))
        rates: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        trips: dict[str, list[float]] = {}
        if isinstance(place, TwoHosts) and shutil.which("wireguard-go") and shutil.which("wg"):
            both = stack.enter_context(wireguard(place, sink))
            tunnels.append((both, Tunnel(both.name, both.address, echo)))
        for _ in range(ROUNDS):
            for bulk, ping in tunnels:
                with place.inside(NEAR):
                    rate, cost = _send(bulk)
                    trip = _round_trip(ping)
                rates.setdefault(bulk.name, []).append(rate)
                costs.setdefault(bulk.name, []).append(cost)
                trips.setdefault(bulk.name, []).append(trip)
        where = place.name
        yield from _compared(f"throughput, {where}", "GB/s", rates, goal=1.2, is_more_better=True)
        yield from _compared(
            f"processor time, {where}", "s/GB", costs, goal=0.8, is_more_better=False
        )
        yield from _compared(
            f"round trip of 64 B, {where}", "us", trips, goal=1.0, is_more_better=False
        )
        yield from _rekeyed(place, folder)


def _compared(
    what: str, unit: str, values: dict[str, list[float]], *, goal: float, is_more_better: bool
) -> Iterator[Result]:
    medians = {name: statistics.median(each) for name, each in values.items()}
    mine, peer = medians["qnx"], medians.get("stunnel")
    yield Result(name=f"{what}, no tunnel", value=medians["direct"], unit=unit)
    if "wireguard-go" in medians:
        yield Result(
            name=f"{what}, beside packets",
            value=mine,
            unit=unit,
            peer="wireguard-go",
            peer_value=medians["wireguard-go"],
            ratio=mine / medians["wireguard-go"],
        )
    if peer is None:
        yield Result(name=f"{what}, tunnel", value=mine, unit=unit, peer="stunnel is not installed")
        return
    ratio = mine / peer
    yield Result(
        name=f"{what}, tunnel",
        value=mine,
        unit=unit,
        goal=goal * peer,
        met=ratio >= goal if is_more_better else ratio <= goal,
        peer="stunnel",
        peer_value=peer,
        ratio=ratio,
    )


def _send(tunnel: Tunnel) -> tuple[float, float]:
    """Return GB/s, and processor seconds per GB."""
    piece = bytes(PIECE_BYTES)
    before_s = tunnel.cpu_s()
    with socket.create_connection((tunnel.address, tunnel.port)) as user:
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
    with socket.create_connection((tunnel.address, tunnel.port)) as user:
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PINGS):
            start_s = time.perf_counter()
            user.sendall(bytes(PING_BYTES))
            left = PING_BYTES
            while left:
                left -= len(user.recv(left))
            trips.append(time.perf_counter() - start_s)
    return 1e6 * statistics.median(trips)


def _rekeyed(place: Place, folder: Path) -> Iterator[Result]:
    """Change keys under load: no byte may be lost, and no pause may come of it.

    A busy machine makes pauses too, so those without a change of key stand beside.
    """
    gaps: dict[str, list[float]] = {}
    with ExitStack() as stack:
        with place.inside(FAR):
            listener = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
        port = listener.getsockname()[1]
        tunnels = {
            name: stack.enter_context(ours(place, folder / name, port, settings=settings))
            for name, settings in (("one key", ""), ("many", f"rekey_bytes = {REKEY_BYTES}\n"))
        }
        for _ in range(REKEYED_ROUNDS):
            for name, tunnel in tunnels.items():
                gaps.setdefault(name, []).append(_longest_gap_ms(place, tunnel, listener))
    usual, rekeyed = (statistics.median(each) for each in gaps.values())
    yield Result(
        name=f"longest pause, {REKEYED_BYTES // REKEY_BYTES} changes of key, {place.name}",
        value=rekeyed,
        unit="ms",
        goal=PAUSE_LIMIT_MS,
        met=rekeyed <= PAUSE_LIMIT_MS,
        peer="one key",
        peer_value=usual,
        ratio=rekeyed / usual,
    )


def _longest_gap_ms(place: Place, tunnel: Tunnel, listener: socket.socket) -> float:
    """Send through a tunnel to ourselves; return the longest time without a byte that came."""
    with place.inside(NEAR):
        user = socket.create_connection((tunnel.address, tunnel.port))
    piece = bytes(PIECE_BYTES)

    def send() -> None:
        for _ in range(REKEYED_BYTES // len(piece)):
            user.sendall(piece)
        user.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    with user:
        sending.start()
        with _first_that_speaks(listener) as taken:
            times, got, buffer = [], 1, bytearray(PIECE_BYTES)
            while size := taken.recv_into(buffer):
                got += size
                times.append(time.perf_counter())
        sending.join()
    if got != REKEYED_BYTES:
        raise SystemExit(f"{REKEYED_BYTES - got} bytes were lost")
    return 1e3 * max(after - before for before, after in pairwise(times))


def _first_that_speaks(listener: socket.socket) -> socket.socket:
    """Accept; who only looked whether the tunnel stands said nothing."""
    while True:
        taken, _ = listener.accept()
        if taken.recv(1):
            return taken
        taken.close()


if __name__ == "__main__":
    for result in suite():
        beside = (
            "" if result.ratio is None else f"{result.peer_value:.3f}  ratio {result.ratio:.2f}"
        )
        print(f"{result.name:45}{result.value:10.3f} {result.unit:6}{result.peer or '':14}{beside}")
