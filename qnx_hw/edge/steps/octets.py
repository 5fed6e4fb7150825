"""Steps on batches: compress, cache."""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict

import msgspec

from qnx_hw.edge.steps.interface import ByteStep

MAX_BATCH_BYTES = 16 << 20
TRIAL_BYTES = 64 << 10
WORTH_IT = 0.95
"""Compression that leaves more than this part is not worth the time."""
PAUSE_BATCHES = 32
"""How many batches go uncompressed after a trial that was not worth it."""

_SIZE = struct.Struct(">I")
_PLAIN, _CHANGED = b"\0", b"\1"


class CompressSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`compress`: Zstandard."""

    level: int = 1


class Compress(ByteStep):
    """Compresses what compresses: tries the start of a batch, and leaves it where that fails."""

    def __init__(self, settings: CompressSettings) -> None:
        import pyarrow as pa

        self._codec = pa.Codec("zstd", compression_level=settings.level)
        self._pause = 0

    def encode(self, octets: bytes) -> bytes:
        """Return the smaller form with a mark."""
        if self._pause:
            self._pause -= 1
            return _PLAIN + octets
        start = octets[:TRIAL_BYTES]
        trial: bytes = self._codec.compress(start, asbytes=True)
        if len(trial) > WORTH_IT * len(start):
            self._pause = PAUSE_BATCHES
            return _PLAIN + octets
        whole: bytes = trial if start == octets else self._codec.compress(octets, asbytes=True)
        return _CHANGED + _SIZE.pack(len(octets)) + whole

    def decode(self, octets: bytes) -> bytes:
        """Undo it."""
        mark, body = octets[:1], octets[1:]
        if mark == _PLAIN:
            return body
        if mark != _CHANGED or len(body) < _SIZE.size:
            raise ValueError("not a compressed batch")
        (size,) = _SIZE.unpack_from(body)
        if size > MAX_BATCH_BYTES:
            raise ValueError(f"a batch of {size} bytes")
        try:
            plain: bytes = self._codec.decompress(body[_SIZE.size :], size, asbytes=True)
        except OSError as error:
            raise ValueError(f"a compressed batch is damaged: {error}") from error
        return plain


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cache`: what was sent before is named, not repeated."""

    megabytes: int = 16


class Cache(ByteStep):
    """Both ends keep the newest contents under their SHA-256, and forget them in the same order."""

    def __init__(self, settings: CacheSettings) -> None:
        self._limit = settings.megabytes << 20
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def encode(self, octets: bytes) -> bytes:
        """Return the content, or its name where the other end has it."""
        name = hashlib.sha256(octets).digest()
        if name in self._kept:
            self._kept.move_to_end(name)
            return _CHANGED + name
        self._keep(name, octets)
        return _PLAIN + octets

    def decode(self, octets: bytes) -> bytes:
        """Undo it."""
        mark, body = octets[:1], octets[1:]
        if mark == _PLAIN:
            self._keep(hashlib.sha256(body).digest(), body)
            return body
        if mark != _CHANGED or body not in self._kept:
            raise ValueError("a batch names content that is not here")
        self._kept.move_to_end(body)
        return self._kept[body]

    def _keep(self, name: bytes, octets: bytes) -> None:
        if name in self._kept:
            self._kept.move_to_end(name)
            return
        self._kept[name] = octets
        self._size += len(octets)
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])
