import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ChannelError
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import (
    Abort,
    Pairs,
    decode,
    encode,
    pack_bits,
    unpack_bits,
)


@given(st.integers(1, 1 << 40), st.binary(max_size=40), st.binary(max_size=40))
def test_messages_survive_the_way(block: int, paired: bytes, bases: bytes) -> None:
    message = Pairs(block, 8 * len(paired), paired, bases, b"")

    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(octets: bytes) -> None:
    try:
        message = decode(octets)
    except ChannelError:
        return
    assert isinstance(message, messages.Message)


@given(st.data())
def test_a_message_cut_short_is_refused(data: st.DataObject) -> None:
    octets = encode(Pairs(3, 16, b"ab", b"cd", b""))
    cut = data.draw(st.integers(0, len(octets) - 1))

    with pytest.raises(ChannelError):
        decode(octets[:cut])


@pytest.mark.parametrize(
    "fields",
    [
        ["abort", 1],
        ["abort", 1, "why", "more"],
        ["abort", "1", "why"],
        ["abort", 0, "why"],
        ["abort", 1, "w" * 201],
        ["release", 1, b"short"],
        ["nonsense", 1],
        [],
        "abort",
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: object) -> None:
    with pytest.raises(ChannelError):
        decode(msgspec.msgpack.encode(fields))


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(ChannelError):
        decode(encode(Abort(1, "why")) + b"\x00")


def test_a_message_too_long_is_neither_sent_nor_taken() -> None:
    too_long = bytes(messages.MAX_MESSAGE_BYTES)

    with pytest.raises(ChannelError, match="too long to send"):
        encode(Pairs(1, 1, too_long, b"", b""))
    with pytest.raises(ChannelError, match="too long to take"):
        decode(bytes(messages.MAX_MESSAGE_BYTES + 1))


@given(st.lists(st.integers(0, 1), max_size=60))
def test_bits_survive_packing(bits: list[int]) -> None:
    row = np.array(bits, dtype=np.uint8)

    assert unpack_bits(pack_bits(row), row.size).tolist() == bits


@pytest.mark.parametrize(("octets", "count"), [(b"", 1), (b"\x00\x00", 8), (b"\x01", 7)])
def test_bits_of_another_length_are_refused(octets: bytes, count: int) -> None:
    with pytest.raises(ChannelError):
        unpack_bits(octets, count)
