"""Wires on ZeroMQ: requests with replies, and streams of messages.

A request goes out as a correlating REQ socket would send it, from a DEALER, which does not get
stuck where a reply is missing: its number travels in the envelope, which the other side returns
with the reply (RFC 28/REQREP), so a reply that comes after the next request is known and dropped.
One that comes just before it is the link's to sort out, by its fence. ZeroMQ reconnects by itself
without telling; here a lost connection ends the wire, so that the driver asks again who is there.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

from qnx_hw.errors import NotConnected, Unsupported
from qnx_hw.transports.bridge import BridgedWire
from qnx_hw.transports.messages import LONGEST_MESSAGE, Messages, message

if TYPE_CHECKING:
    import zmq

READ_BYTES = 1 << 16


class Pattern(StrEnum):
    """The scheme of a URL, and what sockets it joins."""

    REQUEST = "zmq"
    PAIR = "zmq+pair"
    SUBSCRIBE = "zmq+sub"
    PULL = "zmq+pull"


class ZmqWire(BridgedWire):
    """Messages to and from one ZeroMQ socket, each with its length before it.

    A request pattern is there once the other side has shaken hands; a stream may be announced later
    than it is listened to, so it is there at once.
    """

    def __init__(self, host: str, port: int, pattern: Pattern = Pattern.REQUEST) -> None:
        super().__init__(f"{pattern}://{host}:{port}")
        self._address = f"tcp://{host}:{port}"
        self._pattern = pattern
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._number = 0

    def write(self, payload: bytes) -> int:
        """Send; a subscriber or puller cannot."""
        if self._pattern in {Pattern.SUBSCRIBE, Pattern.PULL}:
            raise Unsupported(f"{self._place} only listens")
        return super().write(payload)

    def _reach(self, timeout_s: float) -> None:
        import zmq

        kinds = {
            Pattern.REQUEST: zmq.DEALER,
            Pattern.PAIR: zmq.PAIR,
            Pattern.SUBSCRIBE: zmq.SUB,
            Pattern.PULL: zmq.PULL,
        }
        self._context = zmq.Context()
        self._device = self._context.socket(kinds[self._pattern])
        self._device.linger = 0
        self._device.maxmsgsize = LONGEST_MESSAGE
        if self._pattern is Pattern.SUBSCRIBE:
            self._device.subscribe(b"")
        self._monitor = self._device.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        try:
            self._device.connect(self._address)
            if self._pattern is Pattern.REQUEST:
                self._shake_hands(timeout_s)
        except (zmq.ZMQError, NotConnected) as error:
            self._let_go()
            raise NotConnected(f"nothing answers at {self._place}: {error}") from error

    def _shake_hands(self, timeout_s: float) -> None:
        import zmq

        deadline_s = time.monotonic() + timeout_s
        while self._monitor.poll(round(max(deadline_s - time.monotonic(), 0.0) * 1000)):
            if self._event() == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
        raise NotConnected(f"no ZeroMQ within {timeout_s:g} s")

    def _serve(self, far: socket.socket) -> None:
        import zmq

        poller = zmq.Poller()
        for place in (self._device, self._monitor, far):
            poller.register(place, zmq.POLLIN)
        outgoing = Messages()
        try:
            while True:
                ready = dict(poller.poll())
                if self._device in ready:
                    self._pass_on(far)
                if far.fileno() in ready and not self._take(far, outgoing):
                    return
                if self._monitor in ready and self._event() == zmq.EVENT_DISCONNECTED:
                    self._pass_on(far)
                    return
        finally:
            self._let_go()

    def _pass_on(self, far: socket.socket) -> None:
        """Hand over every message that is here."""
        import zmq

        with suppress(zmq.Again):
            while True:
                *envelope, payload = self._device.recv_multipart(zmq.NOBLOCK)
                if envelope in ([], self._envelope()):
                    far.sendall(message(payload))

    def _take(self, far: socket.socket, outgoing: Messages) -> bool:
        """Send what the near end wrote; False once it is closed."""
        written = far.recv(READ_BYTES)
        for payload in outgoing.feed(written):
            self._number += 1
            self._device.send_multipart([*self._envelope(), payload])
        return bool(written)

    def _envelope(self) -> list[bytes]:
        """Return what goes before the newest request, and comes before its reply."""
        if self._pattern is not Pattern.REQUEST:
            return []
        return [self._number.to_bytes(8, "little"), b""]

    def _event(self) -> int:
        from zmq.utils.monitor import recv_monitor_message

        return int(recv_monitor_message(self._monitor)["event"])

    def _let_go(self) -> None:
        self._device.disable_monitor()
        self._monitor.close(linger=0)
        self._device.close(linger=0)
        if self._context is not None:
            self._context.term()
