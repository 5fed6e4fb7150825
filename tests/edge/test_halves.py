"""Batches of records: what leaves at once arrives in any pieces, and repeats from any record on."""

import secrets
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.edge.ciphers import GcmCipher
from qnx_hw.edge.halves import ReceivingHalf, SendingHalf, SessionOver
from qnx_hw.edge.pages import BATCH_BYTES, BATCH_ROOM_BYTES, RETAINED_BYTES
from qnx_hw.edge.records import MAX_PLAIN_BYTES, RecordDecoder, RecordReader, RecordType
from qnx_hw.secret import Secret

KEY = secrets.token_bytes(32)
TEXT = memoryview(secrets.token_bytes(BATCH_BYTES))


def sender() -> SendingHalf:
    return SendingHalf(GcmCipher(Secret(KEY), 0))


def receiver() -> ReceivingHalf:
    return ReceivingHalf(GcmCipher(Secret(KEY), 0), 0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 64, 5000, MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1, BATCH_BYTES])),
    st.integers(1, 150_000),
)
def test_batches_survive_any_chunking(sizes: list[int], chunk: int) -> None:
    sending, receiving, reader = sender(), receiver(), RecordReader(BATCH_ROOM_BYTES)
    stream = b"".join(bytes(sending.seal(RecordType.DATA, TEXT[:size], 0)) for size in sizes)
    plain, arrived = memoryview(bytearray(BATCH_ROOM_BYTES)), bytearray()
    one, other = socket.socketpair()
    with one, other:
        for start in range(0, len(stream), chunk):
            one.sendall(stream[start : start + chunk])
            left = len(stream[start : start + chunk])
            while left:
                before = len(reader.pending())
                reader.fill(other)
                left -= len(reader.pending()) - before
                run = receiving.open_run(reader.pending(), plain)
                reader.skip(run.octets)
                arrived += plain[: run.plain]

    assert arrived == b"".join(TEXT[:size] for size in sizes)
    assert receiving.expected == sending.number
    assert not reader.pending()


def test_a_new_circuit_begins_at_any_record_with_the_same_bytes() -> None:
    sending = sender()
    stream = b"".join(bytes(sending.seal(RecordType.DATA, TEXT[:size], 0)) for size in (9, 200_000))
    records = [record for _, record in RecordDecoder().feed(stream)]

    for expected in range(sending.number + 1):
        assert b"".join(sending.repeat_from(expected)) == b"".join(records[expected:])


def test_what_was_crowded_out_is_not_made_up() -> None:
    sending = sender()
    for _ in range(RETAINED_BYTES // BATCH_BYTES + 1):
        sending.seal(RecordType.DATA, TEXT, 0)

    assert sending.pages.unacknowledged_bytes() <= RETAINED_BYTES
    with pytest.raises(SessionOver, match="more was under way"):
        sending.repeat_from(0)


def test_memory_of_what_has_arrived_is_used_again() -> None:
    sending = sender()
    for _ in range(50):
        sending.seal(RecordType.DATA, TEXT, 0)
        sending.figures.acknowledged = sending.number - 4

    assert sending.pages.in_use <= 3


@pytest.mark.parametrize("at", [0, 5, 20, 28, 40, -1])
def test_a_run_stops_before_a_record_that_was_changed(at: int) -> None:
    sending, receiving = sender(), receiver()
    first = bytes(sending.seal(RecordType.DATA, TEXT[:100], 0))
    second = bytearray(sending.seal(RecordType.DATA, TEXT[:100], 0))
    second[at] ^= 1

    run = receiving.open_run(memoryview(first + second), memoryview(bytearray(BATCH_ROOM_BYTES)))

    assert (run.records, run.octets, run.plain) == (1, len(first), 100)
    assert receiving.expected == 1
