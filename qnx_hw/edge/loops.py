"""The two loops that move a session's bytes, compiled: they run without the interpreter.

Each is entered with the session's figures and a scratch of a few words, and returns when something
is due that is not users' data: a control record, a new key, a lost circuit. A loop that fails in
the cipher returns `BROKEN`; the session then ends, so no number is ever used again.

Importing this module compiles the loops, or loads them from disk. It needs libcrypto and Linux.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
from numba import njit, typeof, types

from qnx_hw.edge import libcrypto, pages
from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY
from qnx_hw.edge.figures import ACKNOWLEDGE_BYTES, Figures, Outcome
from qnx_hw.edge.records import (
    ACKNOWLEDGE_BEGIN,
    DATA_BEGIN,
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    TAG_BYTES,
)

DUE, UNSENT, ENDED, LOST, USER_FAILED, BROKEN = (int(each) for each in Outcome)
SCRATCH_WORDS = 9

# linux/errno.h, poll.h, bits/socket.h and bits/time.h
_EINTR, _EAGAIN = 4, 11
_POLLIN, _POLLOUT = 1, 4
_MSG_NOSIGNAL = 0x4000
_CLOCK_MONOTONIC = 1
_SECOND_NS = 1_000_000_000
# openssl/evp.h: EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG
_GET_TAG, _SET_TAG = 0x10, 0x11
# Offsets, in words, into the scratch: a header, a time, what poll looks at, a length that nobody
# reads, an error.
_TIME, _POLL, _LENGTH, _ERROR = 4, 6, 7, 8
_NONCE_AT = 4
"""Epoch and number stand in the header as they do in the nonce."""

Words = npt.NDArray[np.int64]
AllFigures = npt.NDArray[Any]  # one element, of `FIGURES`

_int, _long = types.int32, types.int64
_system = ctypes.CDLL(None)
_cipher = libcrypto.library()


def _external(
    library: ctypes.CDLL | None, name: str, returned: Any, *arguments: Any
) -> Callable[..., int]:
    """Return a C function under a name of ours, which is looked up again when loops are loaded."""
    try:
        found = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError as error:
        raise ImportError(f"this system has no {name}") from error
    llvm.add_symbol(f"qnx_{name}", found)
    function: Callable[..., int] = types.ExternalFunction(f"qnx_{name}", returned(*arguments))
    return function


_recv = _external(_system, "recv", _long, _int, _long, _long, _int)
_send = _external(_system, "send", _long, _int, _long, _long, _int)
_poll = _external(_system, "poll", _int, _long, _long, _int)
_memmove = _external(_system, "memmove", _long, _long, _long, _long)
_errno_location = _external(_system, "__errno_location", _long)
_clock_gettime = _external(_system, "clock_gettime", _int, _int, _long)
_lock = _external(_system, "pthread_mutex_lock", _int, _long)
_try_lock = _external(_system, "pthread_mutex_trylock", _int, _long)
_unlock = _external(_system, "pthread_mutex_unlock", _int, _long)
_init_words = (_long, _long, _long, _long, _long)
_encrypt_init = _external(_cipher, "EVP_EncryptInit_ex", _int, *_init_words)
_decrypt_init = _external(_cipher, "EVP_DecryptInit_ex", _int, *_init_words)
_update_words = (_long, _long, _long, _long, _int)
_encrypt = _external(_cipher, "EVP_EncryptUpdate", _int, *_update_words)
_decrypt = _external(_cipher, "EVP_DecryptUpdate", _int, *_update_words)
_encrypt_final = _external(_cipher, "EVP_EncryptFinal_ex", _int, _long, _long, _long)
_decrypt_final = _external(_cipher, "EVP_DecryptFinal_ex", _int, _long, _long, _long)
_control = _external(_cipher, "EVP_CIPHER_CTX_ctrl", _int, _long, _int, _int, _long)

FIGURES = np.dtype(Figures)
_SCRATCH = np.zeros(SCRATCH_WORDS, np.int64)
_TABLE = np.zeros((1, 1), np.int64)
# `typeof` has no annotations.
_entered = [_long(typeof(np.zeros(1, FIGURES)), typeof(_TABLE), typeof(_SCRATCH))]  # type: ignore[no-untyped-call]
_compiled = njit(nogil=True, cache=True)
_loop = njit(_entered, nogil=True, cache=True)
_release, _turn = _compiled(pages.release), _compiled(pages.turn)


@_compiled
def _swapped(word: int) -> int:
    """Return a word with its bytes in the other order; the compiler knows an instruction for it."""
    word = ((word & 0x00FF00FF00FF00FF) << 8) | ((word >> 8) & 0x00FF00FF00FF00FF)
    word = ((word & 0x0000FFFF0000FFFF) << 16) | ((word >> 16) & 0x0000FFFF0000FFFF)
    return (word << 32) | ((word >> 32) & 0xFFFFFFFF)


@_compiled
def _errno(scratch: Words) -> int:
    scratch[_ERROR] = 0
    _memmove(scratch.ctypes.data + 8 * _ERROR, _errno_location(), 4)
    return int(scratch[_ERROR])


@_compiled
def _now_ns(scratch: Words) -> int:
    _clock_gettime(_CLOCK_MONOTONIC, scratch.ctypes.data + 8 * _TIME)
    return int(scratch[_TIME] * _SECOND_NS + scratch[_TIME + 1])


@_compiled
def _may_go_on(socket: int, events: int, scratch: Words) -> bool:
    """Wait where a call was interrupted or would block; whether to call again."""
    error = _errno(scratch)
    if error == _EAGAIN:
        scratch[_POLL] = socket | (events << 32)
        return _poll(scratch.ctypes.data + 8 * _POLL, 1, -1) >= 0 or _errno(scratch) == _EINTR
    return error == _EINTR


@_compiled
def _receive_some(socket: int, address: int, size: int, scratch: Words) -> int:
    while True:
        received = _recv(socket, address, size, 0)
        if received >= 0 or not _may_go_on(socket, _POLLIN, scratch):
            return received


@_compiled
def _send_all(socket: int, address: int, size: int, scratch: Words) -> bool:
    while size > 0:
        sent = _send(socket, address, size, _MSG_NOSIGNAL)
        if sent >= 0:
            address += sent
            size -= sent
        elif not _may_go_on(socket, _POLLOUT, scratch):
            return False
    return True


@_compiled
def _give_all(figures: Figures, size: int, scratch: Words) -> bool:
    """Send what was opened to the user; a call returns now and then where he takes nothing."""
    address, end = figures.opened, figures.opened + size
    while address < end:
        given = _send(figures.user, address, end - address, _MSG_NOSIGNAL)
        if given >= 0:
            address += given
        elif _errno(scratch) != _EAGAIN and scratch[_ERROR] != _EINTR:
            return False
        if figures.stops != 0:
            return False
    return True


@_compiled
def _seal_one(figures: Figures, begin: int, plain: int, size: int, scratch: Words) -> bool:
    """Seal one record behind the others; whether the cipher did."""
    header, cipher = scratch.ctypes.data, figures.cipher
    scratch[0] = _swapped((begin << 32) | figures.epoch)
    scratch[1] = _swapped(figures.number)
    scratch[2] = _swapped(figures.expected)
    scratch[3] = _swapped(size + TAG_BYTES)
    record = figures.page + figures.page_used
    body, length = record + HEADER_BYTES, header + 8 * _LENGTH
    # The number is spent before anything is made with it.
    figures.number += 1
    figures.under_key += 1
    _memmove(record, header, HEADER_BYTES)
    if (
        _encrypt_init(cipher, 0, 0, 0, header + _NONCE_AT) != 1
        or _encrypt(cipher, 0, length, header, HEADER_BYTES) != 1
        or (size > 0 and _encrypt(cipher, body, length, plain, size) != 1)
        or _encrypt_final(cipher, body + size, length) != 1
        or _control(cipher, _GET_TAG, TAG_BYTES, body + size) != 1
    ):
        return False
    figures.page_used += HEADER_BYTES + size + TAG_BYTES
    figures.records += 1
    return True


@_compiled
def _has_room(figures: Figures, table: Words, size: int, count: int, scratch: Words) -> bool:
    """Whether so much may be sealed, and there is memory for it; needs the send lock."""
    _release(figures, table, figures.acknowledged)
    return (
        figures.under_key + count <= MAX_RECORDS_PER_KEY
        and _now_ns(scratch) < figures.key_ends_ns
        and _turn(figures, table, size + count * (HEADER_BYTES + TAG_BYTES))
    )


@_compiled
def _pass_out(figures: Figures, table: Words, scratch: Words) -> int:
    """Seal what is pending and send it; needs the send lock."""
    size = figures.pending
    count = (size + MAX_PLAIN_BYTES - 1) // MAX_PLAIN_BYTES
    if (
        figures.attention != 0
        or figures.turn != figures.send_turn
        or not _has_room(figures, table, size, count, scratch)
    ):
        return UNSENT
    first = figures.page_used
    start = 0
    while start < size:
        piece = min(size - start, MAX_PLAIN_BYTES)
        if not _seal_one(figures, DATA_BEGIN, figures.plain + start, piece, scratch):
            return BROKEN
        start += piece
    figures.pending = 0
    figures.uncounted += size
    figures.unacknowledged_in = 0
    if not _send_all(figures.circuit, figures.page + first, figures.page_used - first, scratch):
        return LOST
    return DUE


@_loop
def send_loop(all_figures: AllFigures, table: Words, scratch: Words) -> int:
    """Read the user, seal and send until something else is due."""
    figures = all_figures[0]
    while figures.attention == 0 and figures.budget > 0:
        most = min(figures.plain_bytes, figures.budget)
        size = _receive_some(figures.user, figures.plain, most, scratch)
        if size < 0:
            figures.error = _errno(scratch)
            return USER_FAILED
        if size == 0:
            return ENDED
        figures.bytes_in += size
        figures.budget -= size
        figures.pending = size
        _lock(figures.send_lock)
        outcome = _pass_out(figures, table, scratch)
        _unlock(figures.send_lock)
        if outcome != DUE:
            return outcome
    return DUE


@_compiled
def _open_one(figures: Figures, record: int, size: int, opened: int, scratch: Words) -> bool:
    """Open a record whose header stands in the scratch; whether its tag is right."""
    header, cipher = scratch.ctypes.data, figures.peer_cipher
    body, length = record + HEADER_BYTES, header + 8 * _LENGTH
    return (
        _decrypt_init(cipher, 0, 0, 0, header + _NONCE_AT) == 1
        and _decrypt(cipher, 0, length, header, HEADER_BYTES) == 1
        and (size == 0 or _decrypt(cipher, opened, length, body, size) == 1)
        and _control(cipher, _SET_TAG, TAG_BYTES, body + size) == 1
        and _decrypt_final(cipher, opened + size, length) == 1
    )


@_compiled
def _open_run(figures: Figures, scratch: Words) -> tuple[int, bool]:
    """Open what came in a row; return how much data, and whether more must come.

    Stops before anything that is not the next record under the newest key, of data or of nothing
    but what it acknowledges: the interpreter knows what to do about it.
    """
    filled = 0
    data = (DATA_BEGIN << 32) | figures.peer_epoch
    acknowledgement = (ACKNOWLEDGE_BEGIN << 32) | figures.peer_epoch
    while figures.arrived_end - figures.arrived_start >= HEADER_BYTES:
        record = figures.arrived + figures.arrived_start
        _memmove(scratch.ctypes.data, record, HEADER_BYTES)
        length = _swapped(scratch[3])
        begin = _swapped(scratch[0])
        if (
            not (begin == data or (begin == acknowledgement and length == TAG_BYTES))
            or _swapped(scratch[1]) != figures.expected
            or not TAG_BYTES <= length <= MAX_PLAIN_BYTES + TAG_BYTES
        ):
            return filled, False
        size = length - TAG_BYTES
        if figures.arrived_start + HEADER_BYTES + length > figures.arrived_end:
            return filled, True
        if filled + size > figures.opened_bytes:
            return filled, False
        acknowledged = _swapped(scratch[2])
        if not _open_one(figures, record, size, figures.opened + filled, scratch):
            return filled, False
        figures.expected += 1
        figures.arrived_start += HEADER_BYTES + length
        figures.acknowledged = max(figures.acknowledged, acknowledged)
        filled += size
    is_finished = figures.has_got_end != 0 and 0 < figures.end_arrives <= figures.acknowledged
    return filled, not is_finished


@_compiled
def _acknowledge(figures: Figures, table: Words, scratch: Words) -> int:
    """Tell the peer what has come where that takes no waiting; `DUE` where the interpreter must."""
    if _try_lock(figures.send_lock) != 0:
        return UNSENT  # who holds it sends, and tells with that
    outcome = UNSENT
    if figures.unacknowledged_in >= ACKNOWLEDGE_BYTES and figures.turn == figures.receive_turn:
        scratch[_POLL] = figures.circuit_in | (_POLLOUT << 32)
        if figures.cipher == 0 or not _has_room(figures, table, 0, 1, scratch):
            outcome = DUE
        elif _poll(scratch.ctypes.data + 8 * _POLL, 1, 0) > 0:
            first = figures.page_used
            if not _seal_one(figures, ACKNOWLEDGE_BEGIN, 0, 0, scratch):
                outcome = BROKEN
            else:
                figures.unacknowledged_in = 0
                size = figures.page_used - first
                if not _send_all(figures.circuit_in, figures.page + first, size, scratch):
                    outcome = LOST
    _unlock(figures.send_lock)
    return outcome


@_loop
def receive_loop(all_figures: AllFigures, table: Words, scratch: Words) -> int:
    """Receive, open and give to the user until there is something else than data."""
    figures = all_figures[0]
    while True:
        left = figures.arrived_end - figures.arrived_start
        if figures.arrived_start > 0:
            _memmove(figures.arrived, figures.arrived + figures.arrived_start, left)
            figures.arrived_start = 0
            figures.arrived_end = left
        size = _receive_some(
            figures.circuit_in, figures.arrived + left, figures.arrived_bytes - left, scratch
        )
        if size <= 0:
            return LOST
        figures.arrived_end += size
        figures.heard_ns = _now_ns(scratch)
        _lock(figures.receive_lock)
        filled, is_all = 0, False
        if figures.turn == figures.receive_turn:
            filled, is_all = _open_run(figures, scratch)
        _unlock(figures.receive_lock)
        if filled > 0:
            figures.is_delivering = 1
            is_given = _give_all(figures, filled, scratch)
            figures.is_delivering = 0
            if not is_given:
                figures.error = _errno(scratch)
                return USER_FAILED
            figures.bytes_out += filled
            figures.unacknowledged_in += filled
        if not is_all:
            return DUE
        if figures.unacknowledged_in >= ACKNOWLEDGE_BYTES:
            outcome = _acknowledge(figures, table, scratch)
            if outcome != UNSENT:
                return outcome
