"""What instruments with lines of text in and out have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from sim_devices.emulators.emulator import Emulator, LineBuffer, Outbox, Output, PortKind
from sim_devices.emulators.faults import faults_option

MOST_WAITING = 256
"""Replies that wait for one that takes long."""


class LineEmulator(Emulator):
    """One port; each client's bytes are cut at any of `ends`, empty lines are left out.

    Replies come in the order of the commands: none overtakes one that takes longer.
    """

    ports: tuple[PortKind, ...] = (PortKind.STREAM,)
    default_listen: tuple[str, ...] = ("tcp://127.0.0.1:0",)
    ends = b"\r\n"
    hears_empty_lines = False

    def __init__(self, options: Mapping[str, object]) -> None:
        self.faults = faults_option(options)
        self._buffers: dict[int, LineBuffer] = {}
        self._later = Outbox()

    @abstractmethod
    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one command and return the reply, or nothing."""

    def elapse(self, now_s: float) -> None:
        """Let time pass; what is sent then goes through `reply_at`."""

    def reply_at(self, due_s: float, client: int, payload: bytes) -> None:
        """Send a reply later; one too many is lost, as in the device's own buffer."""
        if len(self._later) < MOST_WAITING:
            self._later.put(due_s, Output(0, client, payload))

    def forget_replies(self) -> None:
        """Drop the replies that have not been sent yet."""
        self._later.clear()

    def connected(self, port: int, client: int) -> bytes:
        """Start a new client's first line."""
        self._buffers[client] = LineBuffer(self.ends)
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget an unfinished line."""
        self._buffers.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the lines that are complete now."""
        buffer = self._buffers.setdefault(client, LineBuffer(self.ends))
        replies = b""
        for line in buffer.feed(received):
            command = line.decode("latin-1").strip()
            reply = (
                self.answer(command, client, now_s) if command or self.hears_empty_lines else b""
            )
            before_s = self._later.last_s(client)
            if reply and before_s is not None:
                self.reply_at(before_s, client, reply)
            else:
                replies += reply
        return [Output(0, client, replies)] if replies else []

    def tick(self, now_s: float) -> list[Output]:
        """Let time pass and send what is due."""
        self.elapse(now_s)
        return self._later.due(now_s)


def as_number(text: str) -> float | None:
    """Return the finite number that the text is, if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
