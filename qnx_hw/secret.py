"""Secret bits in memory: they show their length and nothing else."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """A string of secret bytes that cannot be printed, formatted, pickled or compared by accident.

    Reading the bytes takes a call whose name says so, `reveal`; `wipe` overwrites this copy.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes | bytearray) -> None:
        self._octets = bytearray(octets)

    def reveal(self) -> bytes:
        """Return the secret bytes; the caller answers for where they go."""
        return bytes(self._octets)

    def equals(self, other: Secret) -> bool:
        """Compare without telling by time where the two differ."""
        return hmac.compare_digest(self._octets, other._octets)

    def wipe(self) -> None:
        """Overwrite the bytes with zeros and forget their length."""
        self._octets[:] = bytes(len(self._octets))
        self._octets.clear()

    def __len__(self) -> int:
        return len(self._octets)

    def __repr__(self) -> str:
        return f"<Secret of {len(self._octets)} bytes>"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied")

    __hash__ = None  # type: ignore[assignment]  # a hash would leak, equality would tempt
