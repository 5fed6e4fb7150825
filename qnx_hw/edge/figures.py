"""What a session's two directions count, in memory that compiled loops work on as well.

The interpreter and the loops of `loops` see the same numbers, under the same locks: neither keeps
a copy, so either may go on where the other one stopped.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import NamedTuple, Protocol

import numpy as np

ACKNOWLEDGE_BYTES = 1 << 20
"""An acknowledgement wakes a thread at the other end; a late one keeps more memory in use there."""
_MUTEX_BYTES = 64
"""At least `sizeof(pthread_mutex_t)`: 40 with glibc on x86-64, 48 on arm64."""


class Outcome(IntEnum):
    """Why a loop returned."""

    DUE = 0
    """The interpreter is wanted; nothing is pending."""
    UNSENT = 1
    """It is wanted before `pending` bytes of `plain` are sealed."""
    ENDED = 2
    """The user has no more to say."""
    LOST = 3
    """The circuit failed."""
    USER_FAILED = 4
    """Reading or writing the user failed: `error` says how."""
    BROKEN = 5
    """The cipher failed."""


class Figures(ctypes.Structure):
    """One session's numbers. Addresses and file numbers are set by who enters a loop."""

    # What goes out; under the send lock.
    number: int
    """Of the next record."""
    under_key: int
    """Records that the key in use protected."""
    epoch: int
    cipher: int
    """Address of the context that seals; 0 where only the interpreter can."""
    page: int
    """Address of the memory for sealed records."""
    page_index: int
    page_used: int
    page_first: int
    """Number of the first record in it."""
    full: int
    """How many pages are full, and kept."""
    full_at: int
    """Where the queue of the full ones begins."""
    full_bytes: int
    """What they hold."""
    free: int
    """How many pages can be used again."""
    end_arrives: int
    """What the peer expects next when it has all that this end will say; 0 until that is known."""
    uncounted: int
    """Sealed bytes that the tunnel's key does not know of yet."""
    records: int
    bytes_in: int
    """From the user into the network."""

    # What comes in; under the receive lock.
    expected: int
    """The number of the next record."""
    peer_epoch: int
    peer_cipher: int
    """Address of the context that opens; 0 where only the interpreter can."""
    has_got_end: int
    """Whether the peer has said all that it will."""
    bytes_out: int
    """To the user."""
    heard_ns: int
    """When something came, in monotonic time."""
    is_delivering: int
    """Whether the user is being given something, which may take him long."""
    arrived: int
    """Address of what the circuit brought."""
    arrived_bytes: int
    """How much there is room for."""
    arrived_start: int
    arrived_end: int
    """What of it was not taken yet."""

    # What both directions tell each other; each is written by one of them, or may be late.
    acknowledged: int
    """The number that the peer expects next."""
    unacknowledged_in: int
    """Bytes given out since the peer was told."""
    attention: int
    """Whether something else than the user's bytes waits to be sent."""
    turn: int
    """Grows whenever the circuit is lost or replaced."""

    # What loops are entered with, and say when they return.
    user: int
    circuit: int
    send_turn: int
    """At which turn the circuit to send over was looked up."""
    budget: int
    """How much of the user may be taken before the interpreter is asked again."""
    key_ends_ns: int
    plain: int
    plain_bytes: int
    pending: int
    """What of `plain` was read and not sealed."""
    circuit_in: int
    receive_turn: int
    opened: int
    """Address for what was opened."""
    opened_bytes: int
    error: int
    """`errno` of the call that failed."""
    stops: int
    """Whether a user that takes nothing is no longer waited for."""
    send_lock: int
    receive_lock: int

    _fields_ = [(name, ctypes.c_int64) for name in __annotations__]


class Memory(NamedTuple):
    """Zeroed memory that loops know by its address."""

    view: memoryview
    address: int

    @classmethod
    def of(cls, n_bytes: int) -> Memory:
        """Return new memory; the system gives it when it is first written to."""
        octets = np.zeros(n_bytes, np.uint8)
        return cls(octets.data, octets.ctypes.data)


class _Threads(Protocol):
    """The system's mutexes."""

    def pthread_mutex_init(self, mutex: object, attributes: None) -> int: ...
    def pthread_mutex_lock(self, mutex: object) -> int: ...
    def pthread_mutex_trylock(self, mutex: object) -> int: ...
    def pthread_mutex_unlock(self, mutex: object) -> int: ...


class SharedLock:
    """A lock that threads in the interpreter and in compiled loops take alike."""

    def __init__(self) -> None:
        self._mutex = ctypes.create_string_buffer(_MUTEX_BYTES)
        self.address = ctypes.addressof(self._mutex)
        # Trying and unlocking never wait, so they need not let go of the interpreter.
        self._quick: _Threads = ctypes.PyDLL(None)
        self._patient: _Threads = ctypes.CDLL(None)
        self._quick.pthread_mutex_init(self._mutex, None)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take it; whether it was to be had."""
        if not self._quick.pthread_mutex_trylock(self._mutex):
            return True
        if blocking:
            self._patient.pthread_mutex_lock(self._mutex)
        return blocking

    def release(self) -> None:
        """Give it back; only who took it may."""
        self._quick.pthread_mutex_unlock(self._mutex)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
