"""What two greetings add up to; both parties reach the same result from the same two messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import Hello
from qnx_hw.qkd.parameters import PROTOCOL_VERSION, Resumption, SessionParameters
from qnx_hw.qkd.roles import Role


@dataclass(frozen=True, slots=True)
class Agreed:
    """The session can begin."""

    session: str
    """Its name, the same at both ends and never used before."""
    first_block: int
    greeting: bytes
    """Both greetings, Alice's first; the beginning of every transcript."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The parties do not fit together."""

    reason: str


def greet(role: Role, parameters: SessionParameters, resumption: Resumption, nonce: bytes) -> Hello:
    """Return this party's greeting."""
    released = resumption.released
    return Hello(
        version=PROTOCOL_VERSION,
        role=role,
        link=parameters.link,
        fingerprint=parameters.fingerprint(),
        nonce=nonce,
        next_block=resumption.next_block,
        released_block=released.block if released else 0,
        released_token=released.token.reveal() if released else b"",
    )


def answer(ours: Hello, theirs: Hello) -> Agreed | Refused:
    """Decide whether two greetings make a session; swapping them changes nothing."""
    for reason, differs in (
        ("the two ends speak different versions of the protocol", ours.version != theirs.version),
        ("the two ends name different links", ours.link != theirs.link),
        ("both ends play the same role", ours.role is theirs.role),
        ("the two ends hold different settings", ours.fingerprint != theirs.fingerprint),
        ("both ends drew the same nonce", ours.nonce == theirs.nonce),
    ):
        if differs:
            return Refused(reason)
    alice, bob = (ours, theirs) if ours.role is Role.ALICE else (theirs, ours)
    if (
        bob.released_block
        or bob.released_token
        or (len(alice.released_token) != (16 if alice.released_block else 0))
    ):
        return Refused("a greeting that no party of this protocol sends")
    greeting = framed(messages.encode(alice)) + framed(messages.encode(bob))
    return Agreed(
        session=hashlib.sha256(greeting).hexdigest()[:32],
        first_block=max(alice.next_block, bob.next_block),
        greeting=greeting,
    )


def framed(octets: bytes) -> bytes:
    """Put the length before, so that no two rows of messages join to the same bytes."""
    return len(octets).to_bytes(8, "big") + octets
