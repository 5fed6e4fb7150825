"""ETSI GS QKD 004 in JSON: the standard lays down no wire format, so this binding is ours.

`POST /api/v1/streams/open_connect`, `.../get_key` and `.../close` on the listener of 014.
"""

from __future__ import annotations

import base64
import uuid

import msgspec

from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.qkd004 import Streams
from qnx_hw.keys.delivery.qkd014 import refuse
from qnx_hw.keys.delivery.values004 import Chunk, Qos
from qnx_hw.keys.messages import Word

PATH = b"/api/v1/streams/"


class _Open(msgspec.Struct, frozen=True):
    source: str
    destination: str
    qos: Qos | None = None
    Key_stream_ID: uuid.UUID | None = None


class _Get(msgspec.Struct, frozen=True):
    Key_stream_ID: uuid.UUID
    index: Word | None = None
    Metadata_size: Word | None = None
    """Room for metadata in bytes; as much as there is where not said."""


class _Close(msgspec.Struct, frozen=True):
    Key_stream_ID: uuid.UUID


class StreamBinding:
    """The JSON binding; who asks is known from the certificate."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def answer(self, caller: str, request: Request) -> Response:
        """Answer one request of an SAE."""
        if request.method != "POST" or request.query:
            return refuse(405, "streams are asked with POST and a body", ("POST",))
        try:
            match request.path.removeprefix(PATH):
                case b"open_connect":
                    asked = msgspec.json.decode(request.body, type=_Open)
                    opened = await self._streams.open_connect(
                        caller, asked.source, asked.destination, asked.qos, asked.Key_stream_ID
                    )
                    return _json(Key_stream_ID=opened.stream, qos=opened.qos, status=opened.status)
                case b"get_key":
                    wanted = msgspec.json.decode(request.body, type=_Get)
                    return _chunk(
                        await self._streams.get_key(
                            caller, wanted.Key_stream_ID, wanted.index, wanted.Metadata_size
                        )
                    )
                case b"close":
                    closing = msgspec.json.decode(request.body, type=_Close)
                    status = await self._streams.close(caller, closing.Key_stream_ID)
                    return _json(status=status)
                case _:
                    return refuse(404, "there is nothing at this path")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return refuse(400, "bad request format")


def _json(**members: object) -> Response:
    return Response(200, msgspec.json.encode(members))


def _chunk(chunk: Chunk) -> Response:
    """Write a chunk by hand, so that no value holds the key."""
    key = b"" if chunk.key is None else base64.b64encode(chunk.key.reveal())
    metadata = msgspec.json.encode(
        {"Metadata_size": chunk.metadata_bytes, "Metadata_buffer": chunk.metadata.decode()}
    )
    head = b'{"index":%d,"status":%d,"Key_buffer":"%b","Metadata":%b}'
    return Response(200, head % (chunk.index, chunk.status, key, metadata))
