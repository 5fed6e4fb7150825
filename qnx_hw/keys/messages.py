"""What two key managers say to each other: names, places and counts, never a key bit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from qnx_hw.errors import ChannelError
from qnx_hw.keys.ledger import Order, Place, Run

MOST_REQUESTS = 64
"""Requests in one message; each reserves at most `MOST_KEYS`."""
MOST_KEYS = 1024


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


class Fetched(msgspec.Struct, frozen=True, tag=True):
    """How many keys of a link were fetched at the sender, for the receiver to remember."""

    link: str
    count: Place


class Done(msgspec.Struct, frozen=True, tag=True):
    """What was asked is on disk."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Nothing of what was asked was kept."""

    reason: str


Request: TypeAlias = Meet | Reserve | SetAside | Fetched
Reply: TypeAlias = Meet | Done | Refused


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
    except (msgspec.DecodeError, ValueError) as error:
        raise ChannelError("the peer's key manager asks in words that are not known") from error
    if len(requests) > MOST_REQUESTS:
        raise ChannelError(f"the peer's key manager asks more than {MOST_REQUESTS} things at once")
    return requests


def decode_replies(octets: bytes, expected: int) -> list[Reply]:
    """Read the peer's replies."""
    try:
        replies = _REPLIES.decode(octets)
    except (msgspec.DecodeError, ValueError) as error:
        raise ChannelError("the peer's key manager answers in words not known") from error
    if len(replies) != expected:
        raise ChannelError("the peer's key manager did not answer each question")
    return replies
