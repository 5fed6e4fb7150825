"""What the two ends of a session say to go on over a new circuit, under a key of the session."""

from __future__ import annotations

import hmac

import msgspec

from qnx_hw.edge.handshake import Resume
from qnx_hw.errors import UNREADABLE, ChannelError
from qnx_hw.secret import Secret


def signed(key: Secret, session: bytes, attempt: int, expected: int) -> Resume:
    """Return what one end says: the number of the record that it wants next."""
    resume = Resume(session=session, attempt=attempt, expected=expected, tag=b"")
    return msgspec.structs.replace(resume, tag=_tag(key, resume))


def is_signed(key: Secret, resume: Resume) -> bool:
    """Whether the other end of the session said this."""
    return hmac.compare_digest(resume.tag, _tag(key, resume))


def verified(octets: bytes, key: Secret, attempt: int) -> Resume | None:
    """Return the answer to an attempt; None where the other end did not write it."""
    try:
        resume = read_resume(octets)
    except ChannelError:
        return None
    return resume if is_signed(key, resume) and resume.attempt == attempt else None


def read_resume(octets: bytes) -> Resume:
    """Read a request to go on; `ChannelError` for anything else."""
    try:
        return msgspec.msgpack.decode(octets, type=Resume)
    except UNREADABLE as error:
        raise ChannelError("not a request to go on") from error


def _tag(key: Secret, resume: Resume) -> bytes:
    text = msgspec.msgpack.encode((resume.session, resume.attempt, resume.expected))
    return hmac.digest(key.reveal(), text, "sha384")
