"""JSON objects that follow each other without any delimiter."""

from __future__ import annotations

import json
from collections.abc import Mapping

# No object a host sends is longer; more than this without an end is noise.
LARGEST_OBJECT = 1 << 16


class JsonObjects:
    """Cut a byte stream into JSON objects by counting braces outside of strings.

    Bytes between objects, and objects that turn out not to be JSON, are dropped.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, received: bytes) -> list[Mapping[str, object]]:
        """Return each object that is complete now."""
        complete = []
        for byte in received:
            if self._depth == 0 and byte != ord("{"):
                continue
            self._pending.append(byte)
            self._count(byte)
            if self._depth == 0 or len(self._pending) > LARGEST_OBJECT:
                complete += _parsed(self._pending)
                self._restart()
        return complete

    def _count(self, byte: int) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif byte == ord("\\"):
                self._escaped = True
            elif byte == ord('"'):
                self._in_string = False
        elif byte == ord('"'):
            self._in_string = True
        elif byte == ord("{"):
            self._depth += 1
        elif byte == ord("}"):
            self._depth -= 1

    def _restart(self) -> None:
        self._pending.clear()
        self._depth = 0
        self._in_string = False
        self._escaped = False


def _parsed(text: bytearray) -> list[Mapping[str, object]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [value] if isinstance(value, dict) else []
