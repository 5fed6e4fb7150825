"""Files that wait at a node: sealed on disk, chunk by chunk."""

from __future__ import annotations

import os
import secrets
import struct
from abc import abstractmethod
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qnx_hw.errors import QnxError
from qnx_hw.secret import Secret

CHUNK_BYTES = 1 << 20
SEALED_BYTES = CHUNK_BYTES + 16

_NONCE = struct.Struct(">IQ")


class Sealer(Protocol):
    """Seals the keys of files; the node's vault does."""

    @abstractmethod
    def seal(self, secret: Secret, context: str) -> bytes:
        """Return what only `open` with the same context gives back."""

    @abstractmethod
    def open(self, sealed: bytes, context: str) -> Secret:
        """Return what was sealed."""


class SealedFile:
    """Chunks of `CHUNK_BYTES`, the last one shorter, under a key of this file alone.

    The nonce is the chunk's number. A chunk that is written again after a crash is the same text,
    because both ends check the whole content by its hash before it counts.
    """

    def __init__(self, path: Path, key: Secret) -> None:
        self._path = path
        self._cipher = AESGCM(key.reveal())

    def chunks(self) -> int:
        """Return how many whole chunks there are; half a sealed chunk does not count."""
        size = self._path.stat().st_size if self._path.exists() else 0
        return size // SEALED_BYTES

    def write(self, number: int, chunk: bytes) -> None:
        """Write a chunk and wait for the disk."""
        sealed = self._cipher.encrypt(_NONCE.pack(0, number), chunk, b"")
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(number * SEALED_BYTES)
            file.truncate()
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())

    def read(self, number: int) -> bytes:
        """Return a chunk."""
        with self._path.open("rb") as file:
            file.seek(number * SEALED_BYTES)
            sealed = file.read(SEALED_BYTES)
        try:
            return self._cipher.decrypt(_NONCE.pack(0, number), sealed, b"")
        except (InvalidTag, ValueError) as error:
            raise QnxError(f"chunk {number} of {self._path.name} is damaged") from error


def new_key() -> Secret:
    """Return a key for one file."""
    return Secret(secrets.token_bytes(32))


def write_private(path: Path, octets: bytes) -> None:
    """Write a small file that only its owner may read; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
