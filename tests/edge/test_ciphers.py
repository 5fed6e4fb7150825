"""Records open once, whole, in their place, and nowhere else."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.edge.ciphers import Cipher, GcmCipher, PadCipher, PadLender
from qnx_hw.edge.records import (
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    MAX_RECORD_BYTES,
    BadRecord,
    Header,
    RecordDecoder,
    RecordType,
    pack_header,
    parse_header,
)
from qnx_hw.errors import Conflict
from qnx_hw.secret import Secret


class PadBook(PadLender):
    """One pad that two ciphers read, each byte once."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._given = 0
        self._used = 0

    def take(self, n_bytes: int) -> tuple[int, Secret]:
        address, self._given = self._given, self._given + n_bytes
        return address, Secret(self._octets[address : address + n_bytes])

    def take_peers(self, address: int, n_bytes: int) -> Secret:
        if address < self._used or address + n_bytes > len(self._octets):
            raise Conflict("used before")
        self._used = address + n_bytes
        return Secret(self._octets[address : address + n_bytes])


def gcm() -> tuple[Cipher, Cipher]:
    key = secrets.token_bytes(32)
    return GcmCipher(Secret(key), 3), GcmCipher(Secret(key), 3)


def pad() -> tuple[Cipher, Cipher]:
    book = PadBook(secrets.token_bytes(1 << 16))
    key = secrets.token_bytes(16)
    return PadCipher(book, Secret(key), 3), PadCipher(book, Secret(key), 3)


def seal(cipher: Cipher, plain: bytes, number: int = 0) -> bytes:
    buffer = bytearray(MAX_RECORD_BYTES)
    header = (RecordType.DATA, number, 5)
    size = cipher.seal_into(header, memoryview(plain), memoryview(buffer))
    return bytes(buffer[:size])


def unseal(cipher: Cipher, record: bytes) -> tuple[Header, bytes]:
    header = parse_header(record)
    plain = bytearray(MAX_PLAIN_BYTES)
    size = cipher.open_into(header, memoryview(bytearray(record)), memoryview(plain))
    return header, bytes(plain[:size])


ciphers = pytest.mark.parametrize("make", [gcm, pad])


@ciphers
@given(plain=st.binary(max_size=300), number=st.integers(0, 2**64 - 1))
def test_a_record_opens_to_what_was_sealed(make: object, plain: bytes, number: int) -> None:
    sealing, opening = make()

    header, opened = unseal(opening, seal(sealing, plain, number))

    assert opened == plain
    assert (header.kind, header.epoch, header.number, header.acknowledged) == (1, 3, number, 5)


@ciphers
@given(plain=st.binary(max_size=100), data=st.data())
def test_a_flipped_bit_anywhere_is_refused(make: object, plain: bytes, data: st.DataObject) -> None:
    sealing, opening = make()
    record = bytearray(seal(sealing, plain))
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8

    with pytest.raises((BadRecord, Conflict, ValueError)):
        unseal(opening, bytes(record))


@given(plain=st.binary(max_size=100), extra=st.binary(min_size=16, max_size=16))
def test_a_ciphertext_under_another_number_is_refused(plain: bytes, extra: bytes) -> None:
    sealing, opening = gcm()
    record = bytearray(seal(sealing, plain, 7))
    record[15] = 8

    with pytest.raises(BadRecord):
        unseal(opening, bytes(record))


def test_a_pad_is_never_used_twice() -> None:
    sealing, opening = pad()
    first = seal(sealing, b"attack at dawn", 0)
    second = seal(sealing, b"attack at dusk", 1)

    assert first[HEADER_BYTES : HEADER_BYTES + 8] != second[HEADER_BYTES : HEADER_BYTES + 8]
    assert unseal(opening, first)[1] == b"attack at dawn"
    with pytest.raises(BadRecord, match="used before"):
        unseal(opening, first)
    assert unseal(opening, second)[1] == b"attack at dusk"


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 50))
def test_records_survive_any_chunking(plains: list[bytes], chunk: int) -> None:
    sealing, opening = gcm()
    stream = b"".join(seal(sealing, plain, number) for number, plain in enumerate(plains))
    decoder = RecordDecoder()

    received = [
        unseal(opening, record)[1]
        for start in range(0, len(stream), chunk)
        for _, record in decoder.feed(stream[start : start + chunk])
    ]

    assert received == plains
    assert decoder.is_between_records


@given(st.binary(max_size=60), st.integers(1, 90))
def test_a_truncated_record_is_not_given_out(plain: bytes, missing: int) -> None:
    record = seal(gcm()[0], plain)
    decoder = RecordDecoder()

    assert not list(decoder.feed(record[: max(1, len(record) - missing)]))
    assert not decoder.is_between_records


@given(st.binary(min_size=HEADER_BYTES, max_size=200))
def test_no_announced_length_is_taken_on_trust(noise: bytes) -> None:
    decoder = RecordDecoder()
    try:
        for header, record in decoder.feed(noise):
            assert len(record) == HEADER_BYTES + header.length
    except BadRecord:
        return


def test_a_record_longer_than_the_limit_is_refused_at_its_header() -> None:
    header = bytearray(HEADER_BYTES)
    pack_header(header, 0, (RecordType.DATA, 0, 0, 0, 1 << 20))

    with pytest.raises(BadRecord, match="cannot have"):
        list(RecordDecoder().feed(header))
