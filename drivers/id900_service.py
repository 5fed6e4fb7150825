"""The maker's DataLinkTargetService, which streams the time stamps of an ID900's inputs.

Source: ID Quantique, example scripts for the ID900: command lines in, JSON out, and each input on a
ZeroMQ PAIR socket that the service binds.
"""

from __future__ import annotations

import secrets
import shlex
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

from drivers import id900_replies as replies
from drivers.held_link import HeldLink
from qnx_hw.errors import InstrumentError, NotConnected
from qnx_hw.transports import (
    Fence,
    LinkTraits,
    Messages,
    Recorder,
    address,
    message,
    of_wire,
    other_wire,
)

REPLY_TIMEOUT_S = 3.0
WIRE = "data-link"
TRAITS = LinkTraits(fence=Fence(message(b"list"), lambda reply: reply[:1] == b"["))
# Nothing is asked on a stream, so nothing late can come.
STREAM_TRAITS = LinkTraits(quiet_s=0.0)
# Below the ports that systems give to clients, so that nobody takes one before the service does.
FREE_PORTS = range(20_000, 32_000)
PORTS_TRIED = 100


class DataLinkService:
    """The service at `place` for the controller at `url`.

    Input N comes on `first_port` + N - 1, or on free ports (0).
    `tunnel` is the host and the first port that lead there, where nobody reaches them directly.
    """

    def __init__(
        self,
        url: str,
        place: str,
        name: str,
        *,
        first_port: int,
        tunnel: tuple[str, int] | None,
        recorder: Recorder | None,
    ) -> None:
        self.name = name
        self._url = url
        self._host = address(f"zmq://{place}")[0]
        self._first_port = first_port
        self._tunnel = tunnel
        self._recorder = recorder
        self._held = HeldLink(
            other_wire(url, WIRE, f"zmq://{place}"),
            f"{name} data link",
            recorder=of_wire(recorder, WIRE),
            traits=TRAITS,
        )
        self._links: dict[int, HeldLink] = {}
        self._ids: dict[int, str] = {}
        self._left_behind: list[str] = []
        """Streams that were lost before they could be stopped; they keep their ports."""

    def start(self, controller: str, sinks: Mapping[int, Callable[[bytes], None]]) -> None:
        """Stream these inputs of a controller; each message goes to its sink, on an I/O thread."""
        self.stop()
        with self._held.opening(Messages(), timeout_s=REPLY_TIMEOUT_S):
            try:
                self._stop_all()
                for channel, sink in sinks.items():
                    self._start(controller, channel, sink)
            except InstrumentError:
                self._end_streams()
                raise

    def save(self, controller: str, filenames: Mapping[int, str], file_format: str) -> None:
        """Have the service write these inputs of a controller into files, where it runs."""
        self.stop()
        with self._held.opening(Messages(), timeout_s=REPLY_TIMEOUT_S):
            try:
                self._stop_all()
                for channel, filename in filenames.items():
                    command = f"start-save --address {controller} --channel {channel}"
                    command += f" --filename {shlex.quote(filename)}"
                    command += f" --format {shlex.quote(file_format)}" if file_format else ""
                    self._ids[channel] = replies.stream_id(self.name, self._ask(command))
            except InstrumentError:
                self._end_streams()
                raise

    def status(self, channel: int) -> replies.StreamStatus:
        """Ask how far the service is with an input; raise `NotConnected` if its stream is gone."""
        if channel not in self._ids:
            raise NotConnected(f"'{self.name}' does not record input {channel} any more")
        link = self._links.get(channel)
        if link is not None and (error := link.link().error) is not None:
            raise NotConnected(f"the stream of input {channel} of '{self.name}' ended: {error}")
        return replies.stream_status(self.name, self._ask(f"status --id {self._ids[channel]}"))

    def cut(self) -> None:
        """Let go of the streams at once; who waits for them gets `NotConnected`."""
        for link in self._links.values():
            link.close()

    def stop(self) -> None:
        """End all streams and let go of the service."""
        self._end_streams()
        self._held.close()

    def _start(self, controller: str, channel: int, sink: Callable[[bytes], None]) -> None:
        port = self._first_port + channel - 1 if self._first_port else _free_port()
        self._ids[channel] = replies.stream_id(
            self.name,
            self._ask(
                f"start-stream --address {controller} --channel {channel} --stream-port {port}"
            ),
        )
        host, first = self._tunnel or (self._host, port - channel + 1)
        wire = f"input-{channel}"
        link = HeldLink(
            other_wire(self._url, wire, f"zmq+pair://{host}:{first + channel - 1}"),
            f"{self.name} input {channel}",
            recorder=of_wire(self._recorder, wire),
            traits=STREAM_TRAITS,
        )
        self._links[channel] = link
        with link.opening(Messages(), timeout_s=REPLY_TIMEOUT_S, unsolicited=sink):
            return

    def _end_streams(self) -> None:
        links, self._links = self._links, {}
        self._left_behind += self._ids.values()
        self._ids = {}
        try:
            self._stop_all()
        except InstrumentError:
            return  # the wire to the service is gone; the next start stops them
        finally:
            for link in links.values():
                link.close()

    def _stop_all(self) -> None:
        while self._left_behind:
            self._ask(f"stop --id {self._left_behind[-1]}")
            self._left_behind.pop()

    def _ask(self, command: str) -> bytes:
        return self._held.link().query(
            message(command.encode()), lambda _: True, timeout_s=REPLY_TIMEOUT_S
        )


def _free_port() -> int:
    """Return a TCP port of this computer that nobody uses now."""
    for _ in range(PORTS_TRIED):
        port = secrets.choice(FREE_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise NotConnected("no TCP port of this computer is free for a stream")
