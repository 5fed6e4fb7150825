"""The values of ETSI GS QKD 004 V2.1.1: what its calls are given and answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import msgspec

from qnx_hw.keys.messages import Word
from qnx_hw.secret import Secret

JSON = "application/json"


class Status(IntEnum):
    """What a call answers; the standard's numbers."""

    SUCCESSFUL = 0
    PEER_NOT_CONNECTED = 1
    INSUFFICIENT_KEY = 2
    PEER_APPLICATION_NOT_CONNECTED = 3
    NO_QKD_CONNECTION = 4
    STREAM_ID_IN_USE = 5
    TIMEOUT = 6
    QOS_NOT_MET = 7
    METADATA_SIZE_INSUFFICIENT = 8


class Qos(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is wanted to be. Rates and jitter are noted, and promised by nobody."""

    Key_chunk_size: Word = 32
    """In bytes."""
    Max_bps: Word = 0
    Min_bps: Word = 0
    Jitter: Word = 0
    Priority: Word = 0
    Timeout: Word = 1000
    """Of a call, in ms; 0 for none."""
    TTL: Word = 3600
    """Of a chunk nobody read, in s."""
    Metadata_mimetype: Annotated[str, msgspec.Meta(max_length=256)] = JSON
    """Empty for no metadata."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer of OPEN_CONNECT."""

    status: Status
    stream: uuid.UUID | None
    qos: Qos


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The answer of GET_KEY."""

    status: Status
    index: int
    key: Secret | None = None
    metadata: bytes = b""
    metadata_bytes: int = 0
    """How many there are, also where there was too little room for them."""


class Metadata(msgspec.Struct, frozen=True):
    """What is told beside a chunk."""

    age: int
    """In ms, since it was cut."""
    is_relayed: bool
    """Whether nodes between the two ends knew it."""
