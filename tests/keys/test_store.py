"""Every byte leaves the key store at most once, whatever happens to the process."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ConfigError, Conflict, KeyExhausted
from qnx_hw.keys import KeyStore, Pending, Provenance, Purpose
from qnx_hw.keys.ledger import address_of
from qnx_hw.secret import Secret

LINK = "alice-bob"
MADE = Provenance(is_simulated=True, made_s=1_000.0, qber=0.02, epsilon=1e-10)
LEDGER = Purpose.KEY_FROM_ALICE


def fill(store: KeyStore, block: int, octets: bytes) -> None:
    store.ingest(LINK, block, {LEDGER: Secret(octets)}, MADE)


@given(
    blocks=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    takes=st.lists(st.integers(1, 40), max_size=20),
)
def test_no_byte_is_handed_out_twice(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[int], takes: list[int]
) -> None:
    made = [secrets.token_bytes(size) for size in blocks]
    seen: set[tuple[int, int]] = set()
    with KeyStore(tmp_path_factory.mktemp("store")) as store:
        for number, octets in enumerate(made, start=1):
            fill(store, number, octets)
        for size in takes:
            try:
                portion = store.take(LINK, LEDGER, size)
            except KeyExhausted:
                continue
            offset = portion.address - address_of(portion.block)
            places = {(portion.block, offset + index) for index in range(size)}

            assert not places & seen
            assert portion.secret.reveal() == made[portion.block - 1][offset : offset + size]
            seen |= places


def test_both_parties_find_the_same_bytes_at_an_address(tmp_path: Path) -> None:
    octets = secrets.token_bytes(64)
    with KeyStore(tmp_path / "a") as alice, KeyStore(tmp_path / "b") as bob:
        for store in (alice, bob):
            fill(store, 3, octets)
        alice.take(LINK, LEDGER, 16)
        portion = alice.take(LINK, LEDGER, 16)

        assert bob.take_at(LINK, LEDGER, portion.address, 16).secret.equals(portion.secret)
        assert bob.stock_bits(LINK, LEDGER) == alice.stock_bits(LINK, LEDGER) == 8 * 32
        with pytest.raises(Conflict, match="used before"):
            bob.take_at(LINK, LEDGER, portion.address, 16)


def test_an_address_too_far_ahead_takes_nothing(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        fill(store, 1, bytes(64))
        fill(store, 2, bytes(64))
        far = address_of(2, 16)
        with pytest.raises(Conflict, match="skips 80 bytes"):
            store.take_at(LINK, LEDGER, far, 16, skip_limit_bytes=79)
        assert store.stock_bits(LINK, LEDGER) == 8 * 128

        store.take_at(LINK, LEDGER, far, 16, skip_limit_bytes=80)

        assert store.stock_bits(LINK, LEDGER) == 8 * 32


def test_the_cursor_survives_reopening(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        fill(store, 1, b"0123456789")
        first = store.take(LINK, LEDGER, 4)
    with KeyStore(tmp_path) as store:
        second = store.take(LINK, LEDGER, 4)

    assert (first.secret.reveal(), second.secret.reveal()) == (b"0123", b"4567")


def test_giving_up_everything_below_an_address_never_goes_back(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        fill(store, 1, b"0123456789")
        store.advance(LINK, LEDGER, address_of(1, 6))
        store.advance(LINK, LEDGER, address_of(1, 2))

        assert store.high_water(LINK, LEDGER) == address_of(1, 6)
        assert store.take(LINK, LEDGER, 4).secret.reveal() == b"6789"


def test_storing_a_block_twice_changes_nothing(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        assert store.ingest(LINK, 2, {LEDGER: Secret(b"first")}, MADE)
        assert not store.ingest(LINK, 2, {LEDGER: Secret(b"again")}, MADE)
        with pytest.raises(Conflict, match="older"):
            fill(store, 1, b"older")

        assert store.take(LINK, LEDGER, 5).secret.reveal() == b"first"


def test_a_pending_key_waits_until_it_is_released_or_dropped(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        store.start_block(LINK, 7)
        store.keep_pending(LINK, Pending(7, Secret(b"token"), Secret(b"key"), MADE))
    with KeyStore(tmp_path) as store:
        memory = store.memory(LINK)
        assert memory.next_block == 8
        assert memory.pending is not None
        assert memory.pending.provenance == MADE
        assert memory.pending.key.reveal() == b"key"
        assert store.stock_bits(LINK, LEDGER) == 0

        fill(store, 7, memory.pending.key.reveal())

        assert store.memory(LINK).pending is None
        store.keep_pending(LINK, Pending(8, Secret(b"token"), Secret(b"key"), MADE))
        store.drop_pending(LINK, 7)
        assert store.memory(LINK).pending is not None
        store.drop_pending(LINK, 8)
        assert store.memory(LINK).pending is None


def test_the_released_token_is_kept_with_its_block(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        store.ingest(LINK, 4, {LEDGER: Secret(b"key")}, MADE, released=Secret(b"token"))

        released = store.memory(LINK).released

        assert released is not None
        assert (released[0], released[1].reveal()) == (4, b"token")


def test_nothing_secret_is_readable_in_the_folder(tmp_path: Path) -> None:
    octets = secrets.token_bytes(48)
    with KeyStore(tmp_path) as store:
        fill(store, 1, octets)
        store.keep_pending(LINK, Pending(2, Secret(octets), Secret(octets), MADE))

        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

        assert octets[:16] not in stored
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_second_opening_is_refused(tmp_path: Path) -> None:
    with KeyStore(tmp_path), pytest.raises(ConfigError, match="in use"):
        KeyStore(tmp_path)


def test_a_lost_key_file_is_not_replaced(tmp_path: Path) -> None:
    KeyStore(tmp_path).close()
    (tmp_path / "keys.key").unlink()

    with pytest.raises(ConfigError, match=r"keys\.key"):
        KeyStore(tmp_path)


def test_another_key_file_opens_nothing(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        fill(store, 1, b"0123456789")
    (tmp_path / "keys.key").write_bytes(bytes(32))

    with KeyStore(tmp_path) as store, pytest.raises(ConfigError, match="wrong key file"):
        store.take(LINK, LEDGER, 4)


def test_equal_blocks_have_equal_digests_and_others_do_not(tmp_path: Path) -> None:
    salt = Secret(secrets.token_bytes(32))
    with KeyStore(tmp_path / "a") as alice, KeyStore(tmp_path / "b") as bob:
        for store, last in ((alice, b"same"), (bob, b"none")):
            fill(store, 1, b"0123456789")
            fill(store, 2, last)
        ours, theirs = alice.digests(LINK, salt), bob.digests(LINK, salt)

    assert ours[1] == theirs[1]
    assert ours[2] != theirs[2]


TAKER = """
import sys
from pathlib import Path
from qnx_hw.errors import KeyExhausted
from qnx_hw.keys import KeyStore, Purpose
with KeyStore(Path(sys.argv[1])) as store:
    while True:
        try:
            portion = store.take("alice-bob", Purpose.KEY_FROM_ALICE, 8)
        except KeyExhausted:
            break
        print(portion.address, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_9_at_any_moment_repeats_no_byte(tmp_path: Path) -> None:
    with KeyStore(tmp_path) as store:
        for block in range(1, 9):
            fill(store, block, secrets.token_bytes(4000))
    addresses: list[int] = []
    for lines in (1, 7, 40, 3, 111):
        with subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as taker:
            assert taker.stdout is not None
            addresses += [int(taker.stdout.readline()) for _ in range(lines)]
            taker.send_signal(signal.SIGKILL)
            addresses += [int(line) for line in taker.stdout if line.endswith("\n")]

    assert len(addresses) == len(set(addresses))
    assert addresses == sorted(addresses)
    with KeyStore(tmp_path) as store:
        assert store.high_water(LINK, LEDGER) >= addresses[-1] + 8
