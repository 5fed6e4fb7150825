"""The C library's AES-256-GCM, for compiled loops: where its functions are, and keyed contexts.

It is the library that Python's own `ssl` uses, or the newer one that an installed package brings:
from 3.1 on AES-256-GCM takes half the time where the processor has wide AES instructions. Where
none is to be had, records are sealed and opened by the interpreter alone.
"""

from __future__ import annotations

import _ssl
import ctypes
import weakref
from functools import cache
from importlib import metadata

from qnx_hw.secret import Secret


class Context:
    """AES-256-GCM under one key, for sealing or for opening; freed, and wiped, with this object."""

    def __init__(self, library: ctypes.CDLL, key: Secret) -> None:
        context = library.EVP_CIPHER_CTX_new()
        if not context:
            raise MemoryError("libcrypto has no room for a cipher")
        self.address: int = context
        place = ctypes.c_void_p(context)
        # Not when the interpreter ends: a thread that it does not wait for may be inside a loop.
        weakref.finalize(self, library.EVP_CIPHER_CTX_free, place).atexit = False
        kind = ctypes.c_void_p(library.EVP_aes_256_gcm())
        if library.EVP_EncryptInit_ex(place, kind, None, key.reveal(), None) != 1:
            raise ValueError("libcrypto refuses the key of a cipher")


@cache
def library() -> ctypes.CDLL | None:
    """Return the newest library; None where none can be reached."""
    own = getattr(_ssl, "__file__", None)
    found = [each for each in map(_opened, (own, *_brought())) if each is not None]
    return max(found, key=lambda each: int(each.OpenSSL_version_num()), default=None)


def _brought() -> list[str]:
    """Return where a package that is used anyway keeps a library of its own."""
    try:
        files = metadata.files("psycopg-binary") or []
    except metadata.PackageNotFoundError:
        return []
    return [str(each.locate()) for each in files if each.name.startswith("libcrypto")]


def _opened(path: str | None) -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(path)
        for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
            getattr(found, name).restype = ctypes.c_void_p
        found.EVP_CIPHER_CTX_free.restype = None
        found.EVP_EncryptInit_ex.restype = ctypes.c_int
        found.OpenSSL_version_num.restype = ctypes.c_ulong
    except (OSError, AttributeError):
        return None
    return found


def context(key: Secret) -> Context | None:
    """Return a context under a key; None where there is no library."""
    found = library()
    return Context(found, key) if found is not None else None
