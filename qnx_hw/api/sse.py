"""Server-sent events, cut from a byte stream (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_LONGEST_EVENT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its kind, its data, and its number where it has one."""

    kind: str
    data: bytes
    number: int | None = None


class SseDecoder:
    """Cut a byte stream into events, however the bytes happen to arrive."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[ServerEvent]:
        """Yield each event that is complete once `received` has arrived; comments are dropped."""
        self._pending += received.replace(b"\r\n", b"\n")
        while (end := self._pending.find(b"\n\n")) >= 0:
            event = _parse(bytes(self._pending[:end]))
            del self._pending[: end + 2]
            if event is not None:
                yield event
        if len(self._pending) > _LONGEST_EVENT:
            raise ValueError(f"an event is longer than {_LONGEST_EVENT} bytes")


def _parse(text: bytes) -> ServerEvent | None:
    kind, number, lines = "message", None, []
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            kind = value.decode("utf-8", "replace")
        elif field == b"data":
            lines.append(value)
        elif field == b"id" and value.isdigit():
            number = int(value[:18])
    if not lines:
        return None
    return ServerEvent(kind, b"\n".join(lines), number)
