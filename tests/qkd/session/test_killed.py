"""A party that is killed at any message: both ledgers hold the same, and the link goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qnx_hw.config import LinkSection, SecuritySection, StationSection
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.keys import KeyStore, initial
from qnx_hw.node.keeping import Keeper
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    BlockStarted,
    KeyDropped,
    KeyPending,
    KeyReady,
    Output,
    Send,
    Session,
)
from qnx_hw.secret import Secret

pytestmark = pytest.mark.slow

LINK = "test"
END = StationSection(node="x", tagger="t")
SECTION = LinkSection(
    alice=END,
    bob=END,
    clock_offset_limit_s=0.1,
    clock_drift_limit_ppm=10.0,
    block_sifted_bits=8_000,
    security=SecuritySection(test_fraction=0.3),
)
Streams = tuple[list[TagBlock], list[TagBlock]]


class Killed(Exception):
    """Somebody pulled the plug."""


class Link:
    """Two sessions on real key stores; one of them may die before it acts on a message's turn."""

    def __init__(self, keepers: dict[Role, Keeper], victim: tuple[Role, type] | None) -> None:
        self._keepers = keepers
        self._victim = victim
        self._queue: list[tuple[Role, bytes]] = []
        self._sessions: dict[Role, Session] = {
            role: keeper.open_session() for role, keeper in keepers.items()
        }
        for role in Role:
            self._act(role, self._sessions[role].start())

    def run(self, streams: Streams) -> None:
        self._deliver()
        for alice, bob in zip(*streams, strict=True):
            self._act(Role.ALICE, self._sessions[Role.ALICE].detections(alice))
            self._act(Role.BOB, self._sessions[Role.BOB].detections(bob))
            self._deliver()

    def _deliver(self) -> None:
        while self._queue:
            role, message = self._queue.pop(0)
            self._act(role, self._sessions[role].receive(message))

    def _act(self, role: Role, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send():
                    if self._victim == (role, type(decode(output.message))):
                        raise Killed
                    self._queue.append((role.peer, output.message))
                case BlockStarted() | KeyPending() | KeyReady() | KeyDropped():
                    self._keepers[role].keep(output)


@contextmanager
def stores(folder: Path) -> Iterator[dict[Role, KeyStore]]:
    folders = {role: folder / role.value for role in Role}
    initial.prepare(LINK, (folders[Role.ALICE], folders[Role.BOB]))
    with KeyStore(folders[Role.ALICE]) as alice, KeyStore(folders[Role.BOB]) as bob:
        for role, store in ((Role.ALICE, alice), (Role.BOB, bob)):
            initial.adopt(store, folders[role], LINK)
        yield {Role.ALICE: alice, Role.BOB: bob}


@pytest.fixture(name="streams", scope="module")
def _streams(bench: ModuleType) -> Any:
    return bench.Source(seconds=2.4, visibility=0.99).blocks()


@pytest.mark.parametrize(
    "victim",
    [
        (Role.ALICE, messages.Pairs),
        (Role.BOB, messages.Corrected),
        (Role.ALICE, messages.Amplify),
        (Role.ALICE, messages.Seal),
        (Role.BOB, messages.Seal),
        (Role.ALICE, messages.Release),
    ],
    ids=lambda victim: f"{victim[0]}-{victim[1].__name__}",
)
def test_ledgers_agree_after_a_death(
    tmp_path: Path, streams: Streams, victim: tuple[Role, type]
) -> None:
    with stores(tmp_path) as held:
        keepers = {
            role: Keeper(store, LINK, SECTION, role, is_simulated=True)
            for role, store in held.items()
        }
        with pytest.raises(Killed):
            Link(keepers, victim).run(streams)
        Link(keepers, None).run(streams)

        salt = Secret(b"test")
        alice, bob = (held[role].digests(LINK, salt) for role in Role)
        assert alice == bob
        assert len(alice) >= 1
        # A block that Alice had stored before she died is Bob's as well, by its token.
        is_stored = victim == (Role.ALICE, messages.Release)
        assert (min(alice) == 1) is is_stored
        assert all(store.memory(LINK).pending is None for store in held.values())
