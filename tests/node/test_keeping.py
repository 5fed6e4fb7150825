"""What a session brings outlives the process, exactly once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qnx_hw.config import ChannelMap, LinkSection, StationSection
from qnx_hw.errors import AuthenticationError, ConfigError, Conflict
from qnx_hw.keys import TAGS, KeyStore, initial
from qnx_hw.node.keeping import Keeper, Met, session_parameters, station_inputs
from qnx_hw.node.pads import LedgerPads
from qnx_hw.qkd.parameters import PendingBlock, ReleasedBlock
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import BlockStarted, KeyDropped, KeyPending, KeyReady, Provenance
from qnx_hw.secret import Secret

LINK = "alice-bob"
STATION = StationSection(node="x", tagger="t", channels=ChannelMap(H=4, V=3, D=2, A=1))
SECTION = LinkSection(alice=STATION, bob=STATION, coincidence_window_ps=6000)
MADE = Provenance(
    link=LINK,
    block=3,
    session="00",
    secret_bits=800,
    sifted_bits=2000,
    tested_bits=200,
    leaked_bits=300,
    qber=0.02,
    chsh_s=2.7,
    epsilon_secrecy=1e-10,
    epsilon_correctness=1e-15,
)
KEY = bytes(range(100))


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[KeyStore]:
    initial.make(LINK, (tmp_path, tmp_path / "other"))
    with KeyStore(tmp_path) as store:
        initial.adopt(store, tmp_path, LINK)
        yield store


def keeper(store: KeyStore, role: Role) -> Keeper:
    return Keeper(store, LINK, SECTION, role, is_simulated=True, now=lambda: 1.0)


def test_a_block_number_that_was_begun_is_never_begun_again(store: KeyStore) -> None:
    keeper(store, Role.ALICE).keep(BlockStarted(5))

    assert keeper(store, Role.ALICE).resumption().next_block == 6


def test_alice_remembers_what_she_released(store: KeyStore) -> None:
    released = ReleasedBlock(3, Secret(bytes(16)))
    keeper(store, Role.ALICE).keep(KeyReady(3, Secret(KEY), MADE, released))

    remembered = keeper(store, Role.ALICE).resumption().released

    assert remembered is not None
    assert remembered.block == 3
    assert remembered.token.equals(released.token)


def test_bobs_pending_key_is_released_in_a_later_session(store: KeyStore) -> None:
    pending = PendingBlock(3, Secret(bytes(16)), Secret(KEY), (20, 30))
    bob = keeper(store, Role.BOB)
    bob.keep(KeyPending(3, pending, MADE))
    assert bob.pool_bits() == 0

    resumed = keeper(store, Role.BOB).resumption().pending
    assert resumed is not None
    tags = [store.stock_bits(LINK, each) for each in TAGS]
    bob.keep(KeyReady(3, resumed.key, None, aside=resumed.aside))

    assert bob.resumption().pending is None
    assert bob.pool_bits() == 8 * (len(KEY) - 50)
    assert [store.stock_bits(LINK, each) for each in TAGS] == [tags[0] + 160, tags[1] + 240]


def test_a_dropped_key_is_gone(store: KeyStore) -> None:
    bob = keeper(store, Role.BOB)
    bob.keep(KeyPending(3, PendingBlock(3, Secret(bytes(16)), Secret(KEY)), MADE))
    bob.keep(KeyDropped(3, "never released"))

    assert bob.resumption().pending is None
    assert bob.pool_bits() == 0


def test_a_key_from_nowhere_is_refused(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match="unasked"):
        keeper(store, Role.BOB).keep(KeyReady(9, Secret(KEY), None))


def test_the_links_table_becomes_the_sessions_parameters() -> None:
    assert session_parameters(LINK, SECTION).coincidence_window_ps == 6000
    assert station_inputs(STATION).channels == (4, 3, 2, 1)


def both_ends(folder: Path) -> None:
    """Make two stores with the same initial secret."""
    folders = (folder / "alice", folder / "bob")
    initial.make(LINK, folders)
    for each in folders:
        with KeyStore(each) as store:
            initial.adopt(store, each, LINK)


def has_forgotten(met: Met | None) -> bool:
    assert met is not None
    return met.has_forgotten


def test_an_old_copy_of_a_store_uses_no_pad_again(tmp_path: Path) -> None:
    both_ends(tmp_path)
    shutil.copytree(tmp_path / "alice", tmp_path / "copy")
    with KeyStore(tmp_path / "alice") as alice, KeyStore(tmp_path / "bob") as bob:
        used = [LedgerPads(alice, LINK, Role.ALICE).take_pad() for _ in range(3)]
        for pad in used:
            LedgerPads(bob, LINK, Role.BOB).take_peer_pad(pad.address)
        theirs = LedgerPads(bob, LINK, Role.BOB).take_pad().address

    with KeyStore(tmp_path / "copy") as old, KeyStore(tmp_path / "bob") as bob:
        ours, peers = keeper(old, Role.ALICE), keeper(bob, Role.BOB)
        told = peers.marks()
        assert not has_forgotten(peers.meet(ours.marks()))
        assert has_forgotten(ours.meet(told))
        assert not has_forgotten(ours.meet(told))

        assert LedgerPads(old, LINK, Role.ALICE).take_pad().address > used[-1].address
        with pytest.raises(Conflict):
            LedgerPads(old, LINK, Role.ALICE).take_peer_pad(theirs)


def test_marks_that_the_peer_did_not_seal_move_nothing(tmp_path: Path) -> None:
    both_ends(tmp_path)
    with KeyStore(tmp_path / "alice") as alice, KeyStore(tmp_path / "bob") as bob:
        LedgerPads(bob, LINK, Role.BOB).take_pad()
        ours, theirs = keeper(alice, Role.ALICE), keeper(bob, Role.BOB)
        marks = theirs.marks()
        for forged in (marks[:-2] + b"9}", ours.marks(), b"", marks[:40]):
            with pytest.raises(AuthenticationError):
                ours.meet(forged)

        assert [alice.high_water(LINK, purpose) for purpose in TAGS] == [0, 0]
