"""Messages keep their borders on a byte wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ProtocolError
from qnx_hw.transports import Messages, message


@given(st.lists(st.binary(max_size=300)), st.integers(1, 7))
def test_messages_survive_any_chunking(payloads: list[bytes], chunk: int) -> None:
    stream = b"".join(map(message, payloads))
    framer = Messages()

    received = [
        payload
        for start in range(0, len(stream), chunk)
        for payload in framer.feed(stream[start : start + chunk])
    ]

    assert received == payloads


def test_a_drain_in_the_middle_of_a_message_loses_nothing() -> None:
    framer, sent = Messages(), message(b"hello")
    begun = list(framer.feed(sent[:6]))

    framer.reset()

    assert begun == []
    assert list(framer.feed(sent[6:])) == [b"hello"]


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(ProtocolError, match="announced"):
        list(Messages(limit=10).feed(message(bytes(11))))
