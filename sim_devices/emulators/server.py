"""Serve emulated instruments: one thread, one selector, ticks at least every 10 ms."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from sim_devices.emulators.emulator import Emulator, Output, PortKind
from sim_devices.emulators.faults import FaultKind, Faults, FaultyWire
from sim_devices.endpoints import (
    Endpoint,
    MessageEndpoint,
    Wire,
    WireClosed,
    endpoint,
    host_and_port,
    spread,
)

log = logging.getLogger(__name__)

TICK_S = 0.005
# What one turn of the loop may add to the devices' clock; the rest of a longer turn is slipped.
LONGEST_STEP_S = 0.1
# Devices that have lost this much time against the wall clock say so, once.
WORTH_TELLING_S = 2.0


class SteadyClock:
    """Seconds since the start that never jump: a late turn slips the clock, not the devices."""

    def __init__(self, real_s: Callable[[], float] = time.monotonic) -> None:
        self._real_s = real_s
        self._last_s = real_s()
        self.now_s = 0.0
        self.slipped_s = 0.0

    def resume(self) -> None:
        """Go on from here: what passed since the last call does not count."""
        self._last_s = self._real_s()

    def advance(self) -> float:
        """Move on by the real time since the last call, at most by the longest step."""
        present_s = self._real_s()
        step_s = present_s - self._last_s
        self._last_s = present_s
        self.now_s += min(step_s, LONGEST_STEP_S)
        self.slipped_s += max(step_s - LONGEST_STEP_S, 0.0)
        return self.now_s


class Device:
    """One emulator with its endpoints and clients."""

    def __init__(
        self,
        name: str,
        emulator: Emulator,
        faults: Faults,
        endpoints: list[tuple[int, Endpoint]],
        selector: selectors.BaseSelector,
    ) -> None:
        self.name = name
        self.endpoints = endpoints
        self._emulator = FaultyWire(emulator, faults)
        self._faults = faults
        self._selector = selector
        self._wires: dict[int, tuple[int, Wire]] = {}
        self._numbers = count(1)
        self._plugged = False
        self._warned_of_loss = False

    def plug(self) -> None:
        """Open all endpoints; raises OSError where an address is taken."""
        self._plugged = True
        for port, place in self.endpoints:
            wire = place.open()
            listener = place.listener()
            if wire is not None:
                self._add(port, wire)
            if listener is not None:
                meet = self._receive if isinstance(place, MessageEndpoint) else self._accept
                answer = partial(meet, port, place)
                self._selector.register(listener, selectors.EVENT_READ, answer)

    def unplug(self) -> None:
        """Close all endpoints and cut all clients off."""
        self._plugged = False
        # Listeners first: who is cut off and comes straight back must not meet a dying one.
        for _, place in self.endpoints:
            listener = place.listener()
            if listener is not None:
                self._selector.unregister(listener)
                place.close()
        for number in list(self._wires):
            self._drop(number)
        for _, place in self.endpoints:
            place.close()

    def tick(self, now_s: float) -> None:
        """Let the emulator's time pass, and pull or push the plug as the faults say."""
        if self._plugged and self._faults.strikes(FaultKind.UNPLUG, now_s):
            self.unplug()
        if not self._plugged and not self._faults.strikes(FaultKind.UNPLUG, now_s):
            self._plug_again()
        for port, place in self.endpoints:
            # A ZeroMQ descriptor tells of a message only once, so it is also asked here.
            self._receive(port, place, 0, now_s)
        self._send(self._emulator.tick(now_s))

    def _plug_again(self) -> None:
        """Come back, or try at the next tick: ZeroMQ frees an address a while after its socket."""
        try:
            self.plug()
        except OSError as error:
            log.debug("%s cannot come back yet: %s", self.name, error)
            self.unplug()

    def _receive(self, port: int, place: Endpoint, events: int, now_s: float) -> None:
        if not isinstance(place, MessageEndpoint) or not self._plugged:
            return
        for client, message in place.messages():
            self._send(self._emulator.feed(port, client, message, now_s))

    def _accept(self, port: int, place: Endpoint, events: int, now_s: float) -> None:
        wire = place.accept()
        if wire is not None:
            self._add(port, wire)

    def _add(self, port: int, wire: Wire) -> None:
        number = next(self._numbers)
        self._wires[number] = (port, wire)
        answer = partial(self._serve, number)
        self._selector.register(wire.descriptor, selectors.EVENT_READ, answer)
        greeting = self._emulator.connected(port, number)
        if greeting:
            self._send([Output(port, number, greeting)])

    def _drop(self, number: int) -> None:
        port, wire = self._wires.pop(number)
        self._selector.unregister(wire.descriptor)
        wire.close()
        self._emulator.disconnected(port, number)

    def _serve(self, number: int, events: int, now_s: float) -> None:
        if number not in self._wires:
            return
        port, wire = self._wires[number]
        try:
            if events & selectors.EVENT_WRITE:
                wire.flush()
                self._watch(number, wire)
            received = wire.read() if events & selectors.EVENT_READ else b""
        except WireClosed:
            self._drop(number)
            return
        if received:
            self._send(self._emulator.feed(port, number, received, now_s))

    def _send(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            for port, place in self.endpoints:
                if port == output.port and isinstance(place, MessageEndpoint) and self._plugged:
                    place.send(output.client or 0, output.payload)
            for number, (port, wire) in list(self._wires.items()):
                if port == output.port and output.client in {None, number}:
                    self._send_to(number, wire, output)

    def _send_to(self, number: int, wire: Wire, output: Output) -> None:
        try:
            wire.send(output.payload, droppable=output.droppable)
            self._watch(number, wire)
        except WireClosed:
            self._drop(number)
            return
        if wire.lost_bytes and not self._warned_of_loss:
            self._warned_of_loss = True
            log.warning("%s: a client reads too slowly, stream data are lost", self.name)

    def _watch(self, number: int, wire: Wire) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.is_blocked else 0)
        if self._selector.get_key(wire.descriptor).events != wanted:
            self._selector.modify(wire.descriptor, wanted, partial(self._serve, number))


class Server:
    """All devices of one process on one thread; `stop` may be called from anywhere."""

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self.clock = clock or SteadyClock()
        self._selector = selectors.DefaultSelector()
        self._devices: list[Device] = []
        self._stopping = False
        self._told_of_slip = False
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake)

    def add(
        self,
        name: str,
        emulator: Emulator,
        listen: Sequence[str] = (),
        faults: Faults | None = None,
    ) -> list[Endpoint]:
        """Serve a device at these addresses (none: its usual ones) and return its endpoints.

        Raises ValueError for an address that makes no sense and OSError for one that is taken.
        """
        places = [
            (port, _endpoint(emulator.ports[port], where))
            for port, where in spread(tuple(listen), emulator.default_listen)
        ]
        hidden = [
            (port, _endpoint(kind, places[0][1].url))
            for port, kind in enumerate(emulator.ports)
            if kind is PortKind.PAIR
        ]
        wanted = Faults() if faults is None else faults
        device = Device(name, emulator, wanted, places + hidden, self._selector)
        self._devices.append(device)
        device.plug()
        return [place for _, place in places]

    def run(self) -> None:
        """Serve until stopped."""
        self.clock.resume()
        next_tick_s = time.monotonic()
        while not self._stopping:
            ready = self._selector.select(max(next_tick_s - time.monotonic(), 0.0))
            now_s = self.clock.advance()
            for key, events in ready:
                key.data(events, now_s)
            if time.monotonic() >= next_tick_s:
                next_tick_s = time.monotonic() + TICK_S
                self._tick(now_s)

    def stop(self) -> None:
        """End `run`; safe from other threads and from signal handlers."""
        self._stopping = True
        self._waker.send(b"\0")

    def close(self) -> None:
        """Cut everybody off and free all addresses."""
        for device in self._devices:
            device.unplug()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _tick(self, now_s: float) -> None:
        for device in self._devices:
            device.tick(now_s)
        if self.clock.slipped_s > WORTH_TELLING_S and not self._told_of_slip:
            self._told_of_slip = True
            log.warning("this machine is too slow: simulated time falls behind real time")

    def _wake(self, events: int, now_s: float) -> None:
        self._woken.recv(64)


@contextmanager
def serving(
    emulator: Emulator, *listen: str, faults: Faults | None = None
) -> Iterator[list[Endpoint]]:
    """Serve one device from a thread of its own, as tests and notebooks want it."""
    server = Server()
    try:
        places = server.add("device", emulator, listen or ("tcp://127.0.0.1:0",), faults)
        thread = threading.Thread(target=server.run, name="emulator", daemon=True)
        thread.start()
        try:
            yield places
        finally:
            server.stop()
            thread.join()
    finally:
        server.close()


def _endpoint(kind: PortKind, listen: str) -> Endpoint:
    if kind is PortKind.STREAM:
        return endpoint(listen)
    from sim_devices.endpoints_zmq import PairEndpoint, ReplyEndpoint

    host, port = host_and_port(listen)
    return ReplyEndpoint(host, port) if kind is PortKind.REPLY else PairEndpoint(host)
