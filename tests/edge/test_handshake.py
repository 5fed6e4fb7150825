"""Keys hang on every secret and every byte of the greetings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.edge.handshake import KemKey, Schedule, encapsulate, hash_key
from qnx_hw.edge.records import BadRecord
from qnx_hw.secret import Secret

TRANSCRIPT = b"hello and welcome"


def first_key(
    transcript: bytes = TRANSCRIPT,
    direction: str = "out",
    quantum: bytes = b"q" * 32,
    kem: bytes | None = None,
) -> bytes:
    secret = None if kem is None else Secret(kem)
    return Schedule(transcript, direction, Secret(quantum), secret).traffic_key(0).reveal()


@given(st.binary(min_size=1, max_size=40), st.integers(0, 319))
def test_a_changed_greeting_gives_another_key(transcript: bytes, bit: int) -> None:
    changed = bytearray(transcript)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8

    assert first_key(transcript) == first_key(transcript)
    assert first_key(transcript) != first_key(bytes(changed))


def test_directions_secrets_and_epochs_give_different_keys() -> None:
    schedule = Schedule(TRANSCRIPT, "out", Secret(b"q" * 32), None)
    keys = [
        first_key(),
        first_key(direction="back"),
        first_key(quantum=b"r" * 32),
        first_key(kem=b"k" * 32),
        schedule.resume_key().reveal(),
        schedule.traffic_key(1).reveal(),
    ]
    schedule.renew(Secret(b"n" * 32), 1)
    keys.append(schedule.traffic_key(1).reveal())

    assert len(set(keys)) == len(keys)


def test_a_renewed_key_hangs_on_what_was_before() -> None:
    made = []
    for kem in (None, Secret(b"k" * 32)):
        schedule = Schedule(TRANSCRIPT, "out", Secret(b"q" * 32), kem)
        schedule.renew(Secret(b"n" * 32), 1)
        made.append(schedule.traffic_key(1).reveal())

    assert made[0] != made[1]


def test_both_sides_of_a_kem_exchange_hold_the_same_secret() -> None:
    key = KemKey()
    secret, ciphertext = encapsulate(key.public())

    assert key.open(ciphertext).equals(secret)
    assert not KemKey().open(ciphertext).equals(secret)


def test_what_is_no_kem_message_is_refused() -> None:
    with pytest.raises(BadRecord):
        encapsulate(b"short")
    with pytest.raises(BadRecord):
        KemKey().open(b"short")


def test_the_pad_modes_hash_key_is_key_itself() -> None:
    assert hash_key(Secret(bytes(range(32)))).reveal() == bytes(range(16))
