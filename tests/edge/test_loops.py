"""Compiled loops and the interpreter do the same, byte for byte, and each goes on for the other."""

import ctypes
import secrets
import socket
import threading

import pytest
from edge_net import compiled
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.edge import libcrypto
from qnx_hw.edge.ciphers import MAX_RECORDS_PER_KEY, GcmCipher
from qnx_hw.edge.engine import Loops, Runner
from qnx_hw.edge.figures import ACKNOWLEDGE_BYTES, Memory, Outcome, SharedLock
from qnx_hw.edge.halves import ReceivingHalf, SendingHalf
from qnx_hw.edge.pages import BATCH_ROOM_BYTES, PAGE_BYTES
from qnx_hw.edge.records import MAX_PLAIN_BYTES, RecordReader, RecordType, parse_header
from qnx_hw.secret import Secret

KEY = secrets.token_bytes(32)
EPOCH = 3
NEVER_NS = (1 << 63) - 1
TEXT = secrets.token_bytes(100_000)
SIZES = st.sampled_from([1, 64, 5000, MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1, len(TEXT)])


@pytest.fixture(name="loops", scope="module")
def _loops() -> Loops:
    loops = compiled().loops
    assert loops is not None
    return loops


def sending_half() -> SendingHalf:
    return SendingHalf(GcmCipher(Secret(KEY), EPOCH))


class Sender:
    """A sending half whose user and circuit are in the test's hands."""

    def __init__(self, loops: Loops) -> None:
        self.half = sending_half()
        self.user, self._theirs = socket.socketpair()
        self.far, self._circuit = socket.socketpair()
        for each in (self.user, self._circuit):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.figures = figures = self.half.figures
        self._lock, self._plain = SharedLock(), Memory.of(len(TEXT))
        figures.user, figures.circuit = self._theirs.fileno(), self._circuit.fileno()
        figures.plain, figures.plain_bytes = self._plain.address, len(TEXT)
        figures.send_lock, figures.key_ends_ns = self._lock.address, NEVER_NS
        self._runner = Runner(loops.send, figures, self.half.pages, loops.n_words)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.user, self._theirs, self.far, self._circuit):
            each.close()

    def run(self, said: bytes) -> tuple[Outcome, bytes]:
        """Let the loop take what the user says; return its outcome and what it sent."""
        self.user.sendall(said)
        self.figures.budget = len(said)
        outcome = Outcome(self._runner.run())
        self._circuit.shutdown(socket.SHUT_WR)
        return outcome, b"".join(iter(lambda: self.far.recv(1 << 20), b""))


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(0, 5), st.integers(0, 2**40))
def test_both_seal_the_same_bytes(loops: Loops, size: int, before: int, acknowledged: int) -> None:
    alone = sending_half()
    with Sender(loops) as sender:
        sender.figures.expected = acknowledged
        pieces = [TEXT[: 10 * number] for number in range(before)]
        begun = [
            bytes(half.seal(RecordType.DATA, memoryview(piece), acknowledged))
            for piece in pieces
            for half in (alone, sender.half)
        ]
        outcome, sent = sender.run(TEXT[:size])
        went_on = bytes(sender.half.seal(RecordType.END, memoryview(b""), acknowledged))

        assert outcome is Outcome.DUE
        assert begun[::2] == begun[1::2]
        assert sent == alone.seal(RecordType.DATA, memoryview(TEXT)[:size], acknowledged)
        assert went_on == alone.seal(RecordType.END, memoryview(b""), acknowledged)
        assert b"".join(sender.half.repeat_from(0)) == b"".join(begun[::2]) + sent + went_on
        assert sender.figures.records == sender.half.number == alone.number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention", 1),
        ("turn", 1),
        ("under_key", MAX_RECORDS_PER_KEY),
        ("key_ends_ns", 0),
        ("page_used", PAGE_BYTES),
    ],
)
def test_nothing_is_sealed_that_the_interpreter_must_look_at(
    loops: Loops, name: str, value: int
) -> None:
    with Sender(loops) as sender:
        figures = sender.figures
        figures.number, figures.acknowledged = 9, 2
        setattr(figures, name, value)
        outcome, sent = sender.run(b"wait")

        assert not sent
        assert figures.number == 9
        if name == "attention":
            assert outcome is Outcome.DUE
            assert figures.bytes_in == 0
        else:
            assert outcome is Outcome.UNSENT
            assert figures.pending == len(b"wait")


def test_what_a_lost_circuit_took_is_kept_for_the_next(loops: Loops) -> None:
    with Sender(loops) as sender:
        sender.far.close()
        sender.user.sendall(b"lost?")
        sender.figures.budget = 5

        assert sender._runner.run() == Outcome.LOST
        kept = b"".join(sender.half.repeat_from(0))
        assert kept == sending_half().seal(RecordType.DATA, memoryview(b"lost?"), 0)


def test_a_number_is_spent_even_where_the_cipher_fails(loops: Loops) -> None:
    library = libcrypto.library()
    assert library is not None
    without_key = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    with Sender(loops) as sender:
        sender.figures.cipher = without_key.value or 0
        outcome, sent = sender.run(b"secret")
    library.EVP_CIPHER_CTX_free(without_key)

    assert outcome is Outcome.BROKEN
    assert not sent
    assert sender.figures.number == 1


class Receiver:
    """A receiving half whose circuit and user are in the test's hands."""

    def __init__(self, loops: Loops) -> None:
        self.back = sending_half()
        self.figures = figures = self.back.figures
        self.half = ReceivingHalf(GcmCipher(Secret(KEY), EPOCH), EPOCH, figures)
        self.reader = RecordReader(BATCH_ROOM_BYTES, figures)
        self.far, self._circuit = socket.socketpair()
        self.user, self._theirs = socket.socketpair()
        self.sending, self._lock = SharedLock(), SharedLock()
        self._opened = Memory.of(BATCH_ROOM_BYTES)
        figures.send_lock, figures.key_ends_ns = self.sending.address, NEVER_NS
        figures.circuit_in, figures.user = self._circuit.fileno(), self._theirs.fileno()
        figures.opened, figures.opened_bytes = self._opened.address, BATCH_ROOM_BYTES
        figures.receive_lock = self._lock.address
        self._runner = Runner(loops.receive, figures, self.back.pages, loops.n_words)
        self.given = bytearray()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.far, self._circuit, self.user, self._theirs):
            each.close()

    def run(self, stream: bytes, chunk: int) -> Outcome:
        """Let the loop open a stream that comes in pieces; return its outcome."""

        def speak() -> None:
            for start in range(0, len(stream), chunk):
                self.far.sendall(stream[start : start + chunk])
            self.far.shutdown(socket.SHUT_WR)

        def hear() -> None:
            while piece := self.user.recv(1 << 20):
                self.given += piece

        threads = [threading.Thread(target=each) for each in (speak, hear)]
        for thread in threads:
            thread.start()
        outcome = Outcome(self._runner.run())
        self._theirs.shutdown(socket.SHUT_WR)
        self._circuit.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        return outcome


@settings(max_examples=20, deadline=None)
@given(st.lists(SIZES, max_size=5), st.integers(1000, 150_000))
def test_a_stream_in_any_pieces_comes_out_whole(loops: Loops, sizes: list[int], chunk: int) -> None:
    half = sending_half()
    records = [bytes(half.seal(RecordType.DATA, memoryview(TEXT)[:size], 7)) for size in sizes]
    with Receiver(loops) as receiver:
        assert receiver.run(b"".join(records), chunk) is Outcome.LOST  # the stream has ended

        assert receiver.given == b"".join(TEXT[:size] for size in sizes)
        assert receiver.half.expected == half.number
        assert receiver.figures.acknowledged == (7 if sizes else 0)
        assert receiver.figures.bytes_out == len(receiver.given)


def flipped(record: bytes, at: int) -> bytes:
    return record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]


@pytest.mark.parametrize("at", [0, 1, 5, 15, 20, 24, 28, 31, 40, -1])
def test_a_changed_record_is_left_to_be_refused(loops: Loops, at: int) -> None:
    half = sending_half()
    first, second = (bytes(half.seal(RecordType.DATA, memoryview(TEXT)[:100], 0)) for _ in range(2))
    with Receiver(loops) as receiver:
        receiver.run(first + flipped(second, at % len(second)), 1000)

        assert receiver.given == TEXT[:100]
        assert receiver.half.expected == 1


@pytest.mark.parametrize("order", [(0, 0), (0, 2, 1), (1, 0)])
def test_repeated_and_reordered_records_are_left_to_be_refused(
    loops: Loops, order: tuple[int, ...]
) -> None:
    half = sending_half()
    records = [bytes(half.seal(RecordType.DATA, memoryview(b"%d" % i), 0)) for i in range(3)]
    with Receiver(loops) as receiver:
        outcome = receiver.run(b"".join(records[i] for i in order), 1000)

        assert outcome is Outcome.DUE
        assert receiver.given == (b"0" if order[0] == 0 else b"")


def test_what_is_no_data_is_left_to_the_interpreter(loops: Loops) -> None:
    half = sending_half()
    data = bytes(half.seal(RecordType.DATA, memoryview(b"data"), 0))
    ping = bytes(half.seal(RecordType.PING, memoryview(b"12345678"), 0))
    with Receiver(loops) as receiver:
        assert receiver.run(data + ping, 1000) is Outcome.DUE

        assert receiver.given == b"data"
        found = receiver.reader.take()
        assert found is not None
        plain = memoryview(bytearray(100))
        assert plain[: receiver.half.open(*found, plain)] == b"12345678"


def acknowledging(half: SendingHalf, number: int) -> bytes:
    return bytes(half.seal(RecordType.PONG, memoryview(b""), number))


def test_what_only_acknowledges_is_followed_without_the_interpreter(loops: Loops) -> None:
    half = sending_half()
    data = bytes(half.seal(RecordType.DATA, memoryview(b"data"), 0))
    with Receiver(loops) as receiver:
        assert receiver.run(data + acknowledging(half, 5), 1000) is Outcome.LOST

        assert receiver.figures.acknowledged == 5
        assert receiver.half.expected == 2


@pytest.mark.parametrize("at", [0, 5, 15, 20, 31, -1])
def test_a_changed_acknowledgement_is_left_to_be_refused(loops: Loops, at: int) -> None:
    record = acknowledging(sending_half(), 5)
    with Receiver(loops) as receiver:
        receiver.run(flipped(record, at % len(record)), 1000)

        assert receiver.figures.acknowledged == 0
        assert receiver.half.expected == 0


def test_the_last_acknowledgement_is_shown_to_the_interpreter(loops: Loops) -> None:
    with Receiver(loops) as receiver:
        receiver.figures.has_got_end, receiver.figures.end_arrives = 1, 5

        assert receiver.run(acknowledging(sending_half(), 5), 1000) is Outcome.DUE


def test_much_data_is_acknowledged_without_the_interpreter(loops: Loops) -> None:
    half, peer = sending_half(), ReceivingHalf(GcmCipher(Secret(KEY), EPOCH), EPOCH)
    batches = 1 + ACKNOWLEDGE_BYTES // len(TEXT)
    stream = b"".join(
        bytes(half.seal(RecordType.DATA, memoryview(TEXT), 0)) for _ in range(batches)
    )
    with Receiver(loops) as receiver:
        assert receiver.run(stream, 1 << 20) is Outcome.LOST

        record = memoryview(receiver.far.recv(1000))
        header = parse_header(record)
        assert header.kind is RecordType.PONG
        assert 0 < header.acknowledged <= half.number
        assert peer.open(header, record, memoryview(bytearray(100))) == 0
        assert receiver.figures.unacknowledged_in < ACKNOWLEDGE_BYTES
        assert receiver.back.repeat_from(0) == [record]


def test_who_holds_the_circuit_acknowledges(loops: Loops) -> None:
    half = sending_half()
    data = bytes(half.seal(RecordType.DATA, memoryview(b"data"), 0))
    with Receiver(loops) as receiver, receiver.sending:
        receiver.figures.unacknowledged_in = ACKNOWLEDGE_BYTES
        assert receiver.run(data, 1000) is Outcome.LOST

        assert receiver.figures.number == 0
        assert receiver.given == b"data"


def test_nothing_is_opened_once_the_circuit_was_replaced(loops: Loops) -> None:
    record = bytes(sending_half().seal(RecordType.DATA, memoryview(b"late"), 0))
    with Receiver(loops) as receiver:
        receiver.figures.turn = 1
        receiver.run(record, 1000)

        assert not receiver.given
        assert receiver.half.expected == 0
