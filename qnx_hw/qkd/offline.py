"""Both parties of a link in one place, on tags that were recorded: what key would there have been?

The two sessions are those of a running link; only their messages stay in memory, and their pads
are made up. The keys are compared, counted, and destroyed.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections import deque
from collections.abc import Iterable, Mapping

from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd.authentication import HASH_KEY_BYTES, PAD_BYTES, Authenticator, Pad, PadSource
from qnx_hw.qkd.parameters import SessionParameters, StationInputs
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    Aborted,
    Ended,
    KeyReady,
    Metrics,
    Output,
    Progress,
    Provenance,
    Randomness,
    Send,
    Session,
)
from qnx_hw.secret import Secret

PADS = 4096
THE_END = "the recordings end here"
PEER_CLOSED = "the peer closed the session"


@dataclasses.dataclass(slots=True)
class Outcome:
    """What both parties made of two recordings."""

    made: list[Provenance] = dataclasses.field(default_factory=list)
    """Of each key that both hold."""
    are_equal: bool = True
    """Whether no key of one party differs from the other's."""
    given_up: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    """Blocks that made no key, and why."""
    ended: str = ""
    """Why the parties stopped before the recordings did."""
    alice: Metrics = dataclasses.field(default_factory=Metrics)
    bob: Metrics = dataclasses.field(default_factory=Metrics)


class Rehearsal:
    """Two sessions that are fed in turns; call `finish` last."""

    def __init__(
        self,
        parameters: SessionParameters,
        inputs: Mapping[Role, StationInputs],
        randomness: Randomness,
        score: Score | None = None,
    ) -> None:
        """`score` is what Alice's recorded pulses were chosen by, for decoy BB84."""
        hash_keys = randomness.octets(2 * HASH_KEY_BYTES)
        pads = {role: randomness.octets(PADS * PAD_BYTES) for role in Role}
        self.outcome = Outcome()
        self._keys: dict[Role, dict[int, KeyReady]] = {role: {} for role in Role}
        self._waiting: deque[tuple[Role, bytes]] = deque()
        self._sessions = {
            role: Session(
                role,
                parameters,
                Authenticator(
                    role,
                    parameters.link,
                    Secret(hash_keys),
                    _Pads(pads[role], pads[role.peer]),
                ),
                randomness,
                station=inputs[role],
                score=score,
            )
            for role in Role
        }
        for role in Role:
            self._act(role, self._sessions[role].start())
        self._deliver()

    def feed(self, alice: Iterable[TagBlock], bob: Iterable[TagBlock]) -> None:
        """Give both parties what their taggers saw next, and let them talk until both wait."""
        for role, blocks in ((Role.ALICE, alice), (Role.BOB, bob)):
            for block in blocks:
                self._act(role, self._sessions[role].detections(block))
        self._deliver()

    def finish(self) -> Outcome:
        """End the sessions; blocks that are not done make no key."""
        self._act(Role.ALICE, self._sessions[Role.ALICE].close(THE_END))
        self._deliver()
        ours, theirs = self._keys[Role.ALICE], self._keys[Role.BOB]
        for block in sorted(ours.keys() & theirs.keys()):
            made, same = ours[block].provenance, theirs[block]
            equal = hmac.compare_digest(ours[block].key.reveal(), same.key.reveal())
            self.outcome.are_equal = self.outcome.are_equal and equal
            if equal and made is not None:
                self.outcome.made.append(made)
        for ready in (*ours.values(), *theirs.values()):
            ready.key.wipe()
        return self.outcome

    def _deliver(self) -> None:
        while self._waiting:
            role, message = self._waiting.popleft()
            self._act(role, self._sessions[role].receive(message))

    def _act(self, role: Role, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send():
                    self._waiting.append((role.peer, output.message))
                case KeyReady():
                    self._keys[role][output.block] = output
                case Progress() if role is Role.ALICE:
                    self.outcome.alice = output.metrics
                case Progress():
                    self.outcome.bob = output.metrics
                case Aborted() if role is Role.BOB:
                    self.outcome.given_up.append((output.block, output.reason))
                case Ended() if not self.outcome.ended and output.reason not in (
                    THE_END,
                    PEER_CLOSED,
                ):
                    self.outcome.ended = output.reason


class _Pads(PadSource):
    """Pads for a party that talks to itself."""

    def __init__(self, own: bytes, peers: bytes) -> None:
        self._own, self._peers = own, peers
        self._taken = self._peer_taken = 0

    def take_pad(self) -> Pad:
        address, self._taken = self._taken, self._taken + PAD_BYTES
        if self._taken > len(self._own):
            raise KeyExhausted("the recordings hold more blocks than there are pads")
        return Pad(address, Secret(self._own[address : self._taken]))

    def take_peer_pad(self, address: int) -> Secret:
        if address < self._peer_taken:
            raise Conflict("this pad was used")
        self._peer_taken = address + PAD_BYTES
        return Secret(self._peers[address : self._peer_taken])

    def lacking(self) -> Aside:
        return 0, 0
