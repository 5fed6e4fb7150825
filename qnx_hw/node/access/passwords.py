"""Passwords, kept as scrypt hashes (RFC 7914)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from qnx_hw.errors import ConfigError

LEAST_CHARACTERS = 12
# 32 MiB and some 80 ms a guess: OWASP's password storage cheat sheet, scrypt, third row.
COST, BLOCK, LANES = 1 << 15, 8, 3
_MEMORY_LIMIT = 128 * COST * BLOCK * 2


def hashed(password: str, *, cost: int = COST) -> str:
    """Return what to keep of a password; `ConfigError` where it is too short."""
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(f"a password has at least {LEAST_CHARACTERS} characters")
    salt = secrets.token_bytes(16)
    digest = _derive(password, salt, cost, BLOCK, LANES)
    return f"scrypt${cost}${BLOCK}${LANES}${_text(salt)}${_text(digest)}"


def fits(password: str, kept: str) -> bool:
    """Whether a password is the one that was kept."""
    _, cost, block, lanes, salt, digest = kept.split("$")
    derived = _derive(password, _octets(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(derived, _octets(digest))


def nobodys(cost: int = COST) -> str:
    """Return what fits no password; checking it takes as long as checking a user's."""
    return f"scrypt${cost}${BLOCK}${LANES}${'A' * 24}${'A' * 44}"


def _derive(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY_LIMIT, dklen=32
    )


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
