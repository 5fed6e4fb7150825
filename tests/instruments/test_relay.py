"""A relay damages what an instrument says, and never the connection that carries it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from emulated import emulated
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ConfigError, NotConnected, ProtocolError
from qnx_hw.instruments import registry
from qnx_hw.instruments.conformance import Relay, Sabotage
from qnx_hw.instruments.conformance.pieces import (
    COMMAND,
    GREETING_BYTES,
    LONG,
    MORE,
    Piece,
    ZmqMessages,
    frame,
)

LONG_S = 120.0
bodies = st.binary(max_size=600)


def more(body: bytes) -> bytes:
    if len(body) < 256:
        return bytes((MORE, len(body))) + body
    return struct.pack(">BQ", MORE | LONG, len(body)) + body


@given(
    st.binary(min_size=GREETING_BYTES, max_size=GREETING_BYTES),
    st.lists(st.tuples(st.lists(bodies, max_size=2), bodies), max_size=5),
    st.integers(1, 97),
)
def test_messages_keep_their_borders_however_they_arrive(
    greeting: bytes, messages: list[tuple[list[bytes], bytes]], chunk: int
) -> None:
    command = bytes((COMMAND, 6)) + b"\x05READY"
    envelopes = [b"".join(map(more, envelope)) for envelope, _ in messages]
    said = [(e, body) for e, (_, body) in zip(envelopes, messages, strict=True)]
    sent = greeting + command + b"".join(e + frame(body) for e, body in said)
    cutter = ZmqMessages()

    pieces = [
        piece
        for start in range(0, len(sent), chunk)
        for piece in cutter.feed(sent[start : start + chunk])
    ]

    assert b"".join(piece.wire for piece in pieces) == sent
    assert [(p.before, p.body) for p in pieces if p.is_content] == said


@given(st.binary(min_size=3, max_size=300))
def test_a_damaged_message_is_still_one_message(body: bytes) -> None:
    piece = Piece(more(b"7"), body, is_framed=True)
    cutter = ZmqMessages()
    list(cutter.feed(bytes(GREETING_BYTES)))

    arrived = [
        found.body
        for damaged in (piece.stray(b"\x9e"), piece.slipped(2))
        for found in cutter.feed(damaged.wire)
    ]

    assert arrived == [b"\x9e" + body, body[:-2]]


def test_a_frame_without_end_is_refused() -> None:
    cutter = ZmqMessages()
    list(cutter.feed(bytes(GREETING_BYTES)))

    with pytest.raises(ProtocolError, match="was announced"):
        list(cutter.feed(struct.pack(">BQ", LONG, 1 << 40)))


@pytest.fixture
def by_visa() -> Iterator[Relay]:
    with emulated("dg645") as place:
        host, _, port = place.url.removeprefix("tcp://").partition(":")
        with Relay(f"visa://TCPIP0::{host}::{port}::SOCKET?library=@py") as relay:
            yield relay


def test_a_visa_resource_is_relayed_as_one(by_visa: Relay) -> None:
    generator = registry.make("dg645", by_visa.url, "delays")

    assert by_visa.url.startswith("visa://TCPIP0::127.0.0.1::")
    assert generator.connect(timeout_s=LONG_S).model == "DG645"
    by_visa.strike(Sabotage.UNPLUG)
    with pytest.raises(NotConnected):
        generator.settings(timeout_s=LONG_S)
    by_visa.heal()
    assert generator.connect(timeout_s=LONG_S).model == "DG645"
    generator.close()


def test_what_nobody_can_stand_in_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="swabian"):
        Relay("swabian://")
