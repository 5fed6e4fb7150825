"""Names of keys: UUIDs as RFC 9562, section 4, writes them, in lower case.

A name is text in messages and answers, and 16 bytes in the store. Nothing between needs its value,
and a `uuid.UUID` for each key would cost as much as the rest of the key's way.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

NAME_BYTES = 16
NAME_CHARACTERS = 36
_VERSION_4 = bytes(octet & 0x0F | 0x40 for octet in range(256))
_VARIANT_10 = bytes(octet & 0x3F | 0x80 for octet in range(256))


def fresh(count: int) -> tuple[str, ...]:
    """Return random names, RFC 9562, section 5.4."""
    octets = bytearray(secrets.token_bytes(NAME_BYTES * count))
    octets[6::NAME_BYTES] = octets[6::NAME_BYTES].translate(_VERSION_4)
    octets[8::NAME_BYTES] = octets[8::NAME_BYTES].translate(_VARIANT_10)
    return unpacked(bytes(octets))


def canonical(name: str) -> str:
    """Return a name in lower case; `ValueError` where it is none."""
    lower = name.lower()
    packed((lower,))
    return lower


def packed(names: Sequence[str]) -> bytes:
    """Return the bytes of names, one after the other; `ValueError` where one is none."""
    digits = "".join(names).replace("-", "")
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    if len(octets) != NAME_BYTES * len(names) or unpacked(octets) != tuple(names):
        raise ValueError("the name of a key is a UUID in lower case")
    return octets


def unpacked(octets: bytes) -> tuple[str, ...]:
    """Return the names whose bytes these are."""
    if not octets:
        return ()
    # Two bytes a group, for all names at once; then the hyphens that UUIDs lack go.
    text = bytearray(octets.hex("-", 2).encode() + b"-")
    for place, width in ((4, 40), (28, 39), (32, 38)):
        del text[place::width]
    text[NAME_CHARACTERS :: NAME_CHARACTERS + 1] = b" " * (len(octets) // NAME_BYTES)
    return tuple(text.decode().split())
