"""What users of `store` tunnels said while there was no key: sealed on disk, first in, first out.

A spool lives as long as its session. Its key is in memory alone, so what a killed node leaves on
disk is of no use to anybody, and the next start deletes it.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from qnx_hw.edge.sealed_file import CHUNK_BYTES, SealedFile, new_key


class SpoolRoom:
    """The space that the sessions of a node share; any thread."""

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        longest_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest_s = longest_s
        self.now = now
        self._folder = folder
        self._left_bytes = limit_bytes
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def open(self) -> Spool:
        """Return an empty spool."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Spool(self, self._folder / secrets.token_hex(16))

    def take(self, n_bytes: int, *, at_most: bool = True) -> int:
        """Keep room for so many bytes, or for what of them there is room for; return how many."""
        with self._lock:
            taken = min(n_bytes, max(0, self._left_bytes)) if at_most else n_bytes
            self._left_bytes -= taken
            return taken

    def give_back(self, n_bytes: int) -> None:
        """Return room."""
        with self._lock:
            self._left_bytes += n_bytes


class Spool:
    """Belongs to a session's sending thread; `waiting_bytes` and `age_s` may be read by others."""

    def __init__(self, room: SpoolRoom, path: Path) -> None:
        self.waiting_bytes = 0
        self._room = room
        self._path = path
        self._file = SealedFile(path, new_key())
        self._written = self._read = 0
        self._held_bytes = 0
        """Of the room: a file gives nothing back before it is empty."""
        self._tail = bytearray()
        """What is not a whole chunk yet; it stays in memory."""
        self._since_s: deque[tuple[int, float]] = deque()
        """When the bytes up to a count came, a second apart at least."""
        self._put_bytes = self._taken_bytes = 0

    @property
    def age_s(self) -> float | None:
        """How long the oldest byte waits; None where nothing does."""
        oldest = next(iter(tuple(self._since_s)), None)
        return self._room.now() - oldest[1] if oldest and self.waiting_bytes else None

    @property
    def is_too_old(self) -> bool:
        """Whether something waits longer than the node allows."""
        return (self.age_s or 0.0) > self._room.longest_s

    def reserve(self, n_bytes: int, *, at_most: bool = True) -> int:
        """Return how much may be put now; all, where it was read already and has no other place."""
        taken = self._room.take(n_bytes, at_most=at_most)
        self._held_bytes += taken
        return taken

    def put(self, octets: memoryview, reserved: int) -> None:
        """Keep bytes; what of the reservation they do not need is given back."""
        self._room.give_back(reserved - len(octets))
        self._held_bytes -= reserved - len(octets)
        self._tail += octets
        self._put_bytes += len(octets)
        now_s = self._room.now()
        if not self._since_s or now_s - self._since_s[-1][1] >= 1.0:
            self._since_s.append((self._put_bytes, now_s))
        else:
            self._since_s[-1] = self._put_bytes, self._since_s[-1][1]
        while len(self._tail) >= CHUNK_BYTES:
            self._file.write(self._written, bytes(self._tail[:CHUNK_BYTES]))
            self._written += 1
            del self._tail[:CHUNK_BYTES]
        self.waiting_bytes += len(octets)

    def take(self) -> bytes:
        """Return the oldest bytes, at most a chunk; empty where nothing waits."""
        if self._read < self._written:
            octets = self._file.read(self._read)
            self._read += 1
        else:
            octets = bytes(self._tail)
            self._tail.clear()
        self._taken_bytes += len(octets)
        self.waiting_bytes -= len(octets)
        while self._since_s and self._since_s[0][0] <= self._taken_bytes:
            self._since_s.popleft()
        if not self.waiting_bytes:
            self.close()
        return octets

    def close(self) -> None:
        """Forget everything; another key begins, since chunks count from 0 again."""
        self._path.unlink(missing_ok=True)
        self._file = SealedFile(self._path, new_key())
        self._written = self._read = self.waiting_bytes = 0
        self._tail.clear()
        self._since_s.clear()
        self._room.give_back(self._held_bytes)
        self._held_bytes = 0
