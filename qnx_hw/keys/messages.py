"""What two key managers say to each other: names, places and counts, never a key bit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Protocol, TypeAlias
from uuid import UUID

import msgspec

from qnx_hw.errors import UNREADABLE, ChannelError
from qnx_hw.keys.ledger import Order, Place, Run

MOST_REQUESTS = 64
"""Requests in one message; each reserves at most `MOST_KEYS`."""
MOST_KEYS = 1024
LONGEST_PATH = 16

Path = Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=LONGEST_PATH)]
Word = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Step = Annotated[int, msgspec.Meta(ge=0, lt=LONGEST_PATH)]


class Meet(msgspec.Struct, frozen=True, tag=True):
    """How far the sender has seen each ledger of a link used; asked first on each connection."""

    link: str
    marks: dict[str, Place]


class Reserve(msgspec.Struct, frozen=True, tag=True):
    """Keys that the sender cut from its direction of a link."""

    link: str
    order: Order


class SetAside(msgspec.Struct, frozen=True, tag=True):
    """Bytes that the sender moved from its keys to its pads, where they begin at `offset`."""

    link: str
    offset: Place
    runs: tuple[Run, ...]


class Deliver(msgspec.Struct, frozen=True, tag=True):
    """Keys that holders at another node have already, under one-time pad and a tag."""

    link: str
    order: Order
    offset: Place
    sealed: bytes
    mark: bytes


class Fetched(msgspec.Struct, frozen=True, tag=True):
    """How many keys of a link were fetched at the sender, for the receiver to remember."""

    link: str
    count: Place


class Join(msgspec.Struct, frozen=True, tag=True):
    """An application here opens the stream of key that one at the receiver made."""

    link: str
    stream: UUID
    maker: str
    partner: str
    chunk_bytes: Word
    """What the partner takes it for; 0 where it takes any."""
    ttl_s: Word


class Parcel(msgspec.Struct, frozen=True):
    """What a relayed key says about itself on each hop; all public, covered by the hop's tag."""

    path: Path
    at: Step
    """Which node of the path the message is for."""
    pair: str
    block: Place
    share: Step
    shares: Step
    """The key is the sum of so many, each over a path of its own."""
    is_simulated: bool


class Carry(msgspec.Struct, frozen=True, tag=True):
    """Relayed key under one-time pad, from one node of its path to the next."""

    link: str
    parcel: Parcel
    offset: Place
    """Of the pad between the two."""
    sealed: bytes
    mark: bytes


class Forward(msgspec.Struct, frozen=True, tag=True):
    """Words of two key managers without a link, from one node of their path to the next."""

    link: str
    path: Path
    at: Step
    number: Place
    """By which the first node of a question's path knows the answer."""
    is_answer: bool
    content: bytes


class Lost(msgspec.Struct, frozen=True, tag=True):
    """A message did not get further; goes back along its path."""

    link: str
    path: Path
    at: Step
    stuck: tuple[str, str]
    """The two nodes between which it stopped."""
    pair: str
    number: Place
    """Of the block, or of the question where `pair` is empty."""


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """A relayed block is on the destination's disk; or not, where `proof` is empty."""

    link: str
    block: Place
    proof: bytes
    is_simulated: bool
    newest: Place
    """The newest block of the maker's that the destination ever kept."""


class Joined(msgspec.Struct, frozen=True, tag=True):
    """What the stream really is."""

    is_open: bool
    chunk_bytes: Word = 0
    ttl_s: Word = 0


class Done(msgspec.Struct, frozen=True, tag=True):
    """What was asked is on disk."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Nothing of what was asked was kept."""

    reason: str


Request: TypeAlias = (
    Meet | Reserve | SetAside | Fetched | Deliver | Join | Carry | Forward | Lost | Arrived
)
Reply: TypeAlias = Meet | Joined | Done | Refused


class Peer(Protocol):
    """A way to the key manager of another node that has proved who it is."""

    @abstractmethod
    async def call(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Ask several things at once; one reply each, in order, or `ChannelError`."""


_REQUESTS = msgspec.json.Decoder(list[Request])
_REPLIES = msgspec.json.Decoder(list[Reply])


def encode(messages: Sequence[Request] | Sequence[Reply]) -> bytes:
    """Return messages as they go over the wire."""
    return msgspec.json.encode(messages)


def decode_requests(octets: bytes) -> list[Request]:
    """Read the peer's requests."""
    try:
        requests = _REQUESTS.decode(octets)
    except (ValueError, *UNREADABLE) as error:
        raise ChannelError("the peer's key manager asks in words that are not known") from error
    if len(requests) > MOST_REQUESTS:
        raise ChannelError(f"the peer's key manager asks more than {MOST_REQUESTS} things at once")
    return requests


def decode_replies(octets: bytes, expected: int) -> list[Reply]:
    """Read the peer's replies."""
    try:
        replies = _REPLIES.decode(octets)
    except (ValueError, *UNREADABLE) as error:
        raise ChannelError("the peer's key manager answers in words not known") from error
    if len(replies) != expected:
        raise ChannelError("the peer's key manager did not answer each question")
    return replies
