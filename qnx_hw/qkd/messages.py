"""What the two parties say to each other: MessagePack arrays that begin with a short tag.

Decoding is strict: an unknown tag, a missing or extra field, a wrong type, a value out of bounds
or bytes left over is a `ChannelError`. Bits travel packed, most significant first, and the number
of bits is always known from what was said before.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from qnx_hw.errors import UNREADABLE, ChannelError
from qnx_hw.qkd.roles import Role

MAX_MESSAGE_BYTES = 1 << 24
"""Longest message a party takes; the largest are a block's pairing and its amplification seeds."""

BlockNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=1 << 62)]
TimePs: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 62), lt=1 << 62)]
Octets: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MAX_MESSAGE_BYTES)]
Token: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
HashKey: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
HashTag: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=16)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
MAX_REASON = 200
WithinPs: TypeAlias = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
ErrorPs: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_REASON)]


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all messages."""


class Hello(Message, frozen=True, tag="hello"):
    """Both: the first message of a session."""

    version: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    role: Role
    link: Annotated[str, msgspec.Meta(max_length=63)]
    fingerprint: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    next_block: BlockNumber
    released_block: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
    """Alice: the last block she released, 0 if none; Bob: 0."""
    released_token: Annotated[bytes, msgspec.Meta(max_length=16)]


class Training(Message, frozen=True, tag="training"):
    """Alice, decoy BB84: the transmitter goes dark and then sends public pulses by this key."""

    key: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class BlockMessage(Message, frozen=True):
    """Base of what belongs to one block, and so to its transcript."""

    block: BlockNumber


class Probe(Message, frozen=True, tag="probe"):
    """Bob: times outside any block, for the clock and the rate; never used for key.

    In decoy BB84 the times of this message, of `Plan` and `Times` are numbers of pulses.
    """

    start_ps: TimePs
    end_ps: TimePs
    events: Octets


class Plan(BlockMessage, frozen=True, tag="plan"):
    """Alice: collect a block over this span, beginning with your next tags."""

    duration_ps: Annotated[int, msgspec.Meta(gt=0, lt=1 << 53)]


class Cut(BlockMessage, frozen=True, tag="cut"):
    """Alice: end the block with your next times, before its span is over."""


class Times(BlockMessage, frozen=True, tag="times"):
    """Bob: when he saw something, rounded to the window; chunks join without a gap."""

    start_ps: TimePs
    end_ps: TimePs
    is_final: bool
    events: Octets


class Pairs(BlockMessage, frozen=True, tag="pairs"):
    """Alice: which of Bob's events have a partner (one bit each), and her bases for those.

    In decoy BB84 every event has one and `paired` is empty; `intensities` holds the low bits of
    each pulse's intensity, then the high ones.
    """

    count: Count
    paired: Octets
    bases: Octets
    intensities: Octets


class Bases(BlockMessage, frozen=True, tag="bases"):
    """Bob: his bases for the paired events, 0 to 3: the low bits, and in E91 the high bits."""

    bases: Octets
    settings: Octets


class Test(BlockMessage, frozen=True, tag="test"):
    """Alice: which sifted rounds of each basis are tested, with her outcomes there and in the
    rounds whose bases differ; how reconciliation goes, and the seed of its shuffles."""

    __test__ = False  # not a test of pytest's

    chosen_z: Octets
    chosen_x: Octets
    outcomes_z: Octets
    outcomes_x: Octets
    mismatched: Octets
    way: Annotated[str, msgspec.Meta(max_length=16)]
    """One of `session.choosing.Way`."""
    shuffle: Token


class Disclosure(BlockMessage, frozen=True, tag="disclosure"):
    """Bob: his outcomes in the same rounds."""

    outcomes_z: Octets
    outcomes_x: Octets
    mismatched: Octets


class Question(BlockMessage, frozen=True, tag="question"):
    """Bob: reconciliation requests of both bases; empty where a basis is done."""

    z: Octets
    x: Octets


class Answer(BlockMessage, frozen=True, tag="answer"):
    """Alice: the answers, empty where nothing was asked."""

    z: Octets
    x: Octets


class Corrected(BlockMessage, frozen=True, tag="corrected"):
    """Bob: both strings are corrected; bits leaked by Alice's and by all messages, Z and X.

    In decoy BB84 also the errors that were corrected, by intensity.
    """

    alice_z: Count
    total_z: Count
    alice_x: Count
    total_x: Count
    errors: Annotated[tuple[Count, ...], msgspec.Meta(max_length=4)]


class Arrivals(BlockMessage, frozen=True, tag="arrivals"):
    """Alice: by how much each of Bob's detectors was later than their mean in the rounds that both
    published, and standard errors; empty where she has no times or he too few clicks."""

    late_ps: Annotated[tuple[WithinPs, ...], msgspec.Meta(max_length=8)]
    sigma_ps: Annotated[tuple[ErrorPs, ...], msgspec.Meta(max_length=8)]


class Amplify(BlockMessage, frozen=True, tag="amplify"):
    """Alice: verification key and tag, length and seed of privacy amplification, Z and X; and how
    many bytes of the key are set aside for her tags and for Bob's."""

    check_z: HashKey
    tag_z: HashTag
    check_x: HashKey
    tag_x: HashTag
    length_z: Count
    length_x: Count
    seed_z: Octets
    seed_x: Octets
    aside: tuple[Count, Count]


class Seal(BlockMessage, frozen=True, tag="seal"):
    """Both: the authentication tag of everything said in this block so far; a signature in the
    first session of a link that began without a secret."""

    seal: Annotated[bytes, msgspec.Meta(min_length=32, max_length=4627)]


class Release(BlockMessage, frozen=True, tag="release"):
    """Alice: the key is in her store; the token proves that she holds it."""

    token: Token


class Abort(BlockMessage, frozen=True, tag="abort"):
    """Both: this block is given up."""

    reason: Reason


class Close(Message, frozen=True, tag="close"):
    """Both: the session is over."""

    reason: Reason


AnyMessage: TypeAlias = (
    Hello
    | Probe
    | Training
    | Plan
    | Cut
    | Times
    | Pairs
    | Bases
    | Test
    | Disclosure
    | Question
    | Answer
    | Corrected
    | Arrivals
    | Amplify
    | Seal
    | Release
    | Abort
    | Close
)

Bits: TypeAlias = npt.NDArray[np.uint8]

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """Return the bytes of a message; equal messages have equal bytes."""
    octets = _encoder.encode(message)
    if len(octets) > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a {type(message).__name__} of {len(octets)} bytes is too long to send")
    return octets


def decode(octets: bytes) -> AnyMessage:
    """Return the message these bytes are, or raise `ChannelError`, which quotes none of them."""
    if len(octets) > MAX_MESSAGE_BYTES:
        raise ChannelError(f"the peer sent a message of {len(octets)} bytes, too long to take")
    try:
        return _decoder.decode(octets)
    except UNREADABLE:
        # The decoder's own words could quote what the peer sent.
        raise ChannelError(
            f"the peer sent {len(octets)} bytes that are no message of this protocol"
        ) from None


def pack_bits(bits: Bits) -> bytes:
    """Pack 0/1 values eight to a byte, most significant first, zeros at the end."""
    return np.packbits(bits).tobytes()


def unpack_bits(octets: bytes, count: int) -> Bits:
    """Return `count` bits; another length, or a one among the padding, is a `ChannelError`."""
    if len(octets) != (count + 7) // 8:
        raise ChannelError(f"the peer sent {len(octets)} bytes for {count} bits")
    bits = np.unpackbits(np.frombuffer(octets, dtype=np.uint8))
    if bits[count:].any():
        raise ChannelError("the peer sent bits beyond the end")
    return bits[:count]
