"""Two sessions on real key stores, in memory from one to the other; one of them may be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from qnx_hw.config import LinkSection, SecuritySection, StationSection
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.keys import KeyStore, initial, signing
from qnx_hw.node.keeping import Keeper
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    BlockStarted,
    Ended,
    KeyDropped,
    KeyPending,
    KeyReady,
    Output,
    Send,
    Session,
    Transmit,
)

LINK = "test"
END = StationSection(node="x", tagger="t")
SECTION = LinkSection(
    alice=END,
    bob=END,
    clock_offset_limit_s=0.1,
    clock_drift_limit_ppm=10.0,
    block_sifted_bits=11_000,
    security=SecuritySection(test_fraction=0.3),
)
Streams = tuple[list[TagBlock], list[TagBlock]]


class Killed(Exception):
    """Somebody pulled the plug."""


class StoredLink:
    """Both ends of a link; one may die before it acts on a message's turn."""

    def __init__(
        self,
        keepers: dict[Role, Keeper],
        victim: tuple[Role, type] | None = None,
        transmit: Callable[[Transmit], None] = lambda _: None,
    ) -> None:
        self.reasons: dict[Role, str] = {}
        self.keys: list[KeyReady] = []
        """Of both ends, as they were stored."""
        self._keepers = keepers
        self._victim = victim
        self._transmit = transmit
        self._queue: list[tuple[Role, bytes]] = []
        marks = {role: keeper.marks() for role, keeper in keepers.items()}
        for role, keeper in keepers.items():
            keeper.meet(marks[role.peer])
        self._sessions: dict[Role, Session] = {
            role: keeper.open_session() for role, keeper in keepers.items()
        }
        for role in Role:
            self._act(role, self._sessions[role].start())
        self._deliver()

    def feed(self, alice: TagBlock | None, bob: TagBlock | None) -> None:
        """Give the ends what their taggers saw, and deliver all messages."""
        for role, block in ((Role.ALICE, alice), (Role.BOB, bob)):
            if block is not None:
                self._act(role, self._sessions[role].detections(block))
        self._deliver()

    def run(self, streams: tuple[list[TagBlock], list[TagBlock]]) -> None:
        """Feed both ends block by block."""
        for alice, bob in zip(*streams, strict=True):
            self.feed(alice, bob)

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
                    if isinstance(output, KeyReady):
                        self.keys.append(output)
                    self._keepers[role].keep(output)
                case Transmit():
                    self._transmit(output)
                case Ended():
                    self.reasons[role] = output.reason


def folders_of(folder: Path) -> dict[Role, Path]:
    """Return where both ends keep their keys."""
    return {role: folder / role.value for role in Role}


@contextmanager
def stores(folder: Path, *, signed: bool = False) -> Iterator[dict[Role, KeyStore]]:
    """Open both ends' stores; they begin with an initial secret, or sign their first session."""
    folders = folders_of(folder)
    prepare = signing.prepare if signed else initial.prepare
    prepare(LINK, (folders[Role.ALICE], folders[Role.BOB]))
    with ExitStack() as stack:
        held = {role: stack.enter_context(KeyStore(folders[role])) for role in Role}
        for role, store in held.items():
            if not signed:
                initial.adopt(store, folders[role], LINK)
        yield held


def keepers(
    held: dict[Role, KeyStore], section: LinkSection, folder: Path | None = None
) -> dict[Role, Keeper]:
    """Return what keeps both ends' keys; with their `folder`, as far as they still sign."""
    return {
        role: Keeper(
            store,
            LINK,
            section,
            role,
            is_simulated=True,
            signing=signing.load(folders_of(folder)[role], LINK) if folder else None,
        )
        for role, store in held.items()
    }
