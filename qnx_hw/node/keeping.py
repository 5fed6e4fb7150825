"""What one end of a link keeps: builds its sessions and stores what they bring.

Every method blocks (the disk) and belongs to the station's worker thread.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from qnx_hw.config import LinkSection, SecuritySection, StationSection
from qnx_hw.errors import AuthenticationError, ConfigError, KeyExhausted
from qnx_hw.keys import KEYS, TAGS, KeyStore, Pending, Provenance
from qnx_hw.keys.ledger import First
from qnx_hw.keys.signing import SigningKeys
from qnx_hw.keys.split import split
from qnx_hw.node.meeting import Marks, agreed_window_ps, windows_of
from qnx_hw.node.pads import FULL_BYTES, LEDGERS, LedgerPads
from qnx_hw.qkd.authentication import PAD_BYTES, Authenticator
from qnx_hw.qkd.parameters import (
    PendingBlock,
    Protocol,
    Reconciliation,
    ReleasedBlock,
    Resumption,
    SessionParameters,
    StationInputs,
)
from qnx_hw.qkd.pulses import PulseParameters, Score
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import LateSealer, Sealer
from qnx_hw.qkd.session import (
    BlockStarted,
    KeyDropped,
    KeyPending,
    KeyReady,
    Session,
    SystemRandomness,
)
from qnx_hw.qkd.session import Provenance as SessionProvenance
from qnx_hw.qkd.session.hands import Hands
from qnx_hw.qkd.signatures import KEPT_BYTES, SignatureSealer
from qnx_hw.secret import Secret

RESERVE_BITS = 4 * 8 * PAD_BYTES
"""Of each direction: a hash, the tags of the two blocks that can be under way, and one to spare."""

Kept = BlockStarted | KeyPending | KeyReady | KeyDropped

SEAL_BYTES = 32
NO_MARKS = b"\0"
"""What an end says that has no pads yet."""


@dataclass(frozen=True, slots=True)
class Met:
    """What came of meeting the peer before a session."""

    has_forgotten: bool
    """Whether this store had forgotten pads that the peer knows were used."""
    window_ps: int | None
    """The window of both; None where they do not agree."""
    peer: Marks


class Keeper:
    """The key store as one end of a link uses it."""

    def __init__(  # noqa: PLR0913 -- what an end is, and what it has to work with, each by name
        self,
        store: KeyStore,
        name: str,
        link: LinkSection,
        role: Role,
        *,
        is_simulated: bool,
        now: Callable[[], float] = time.time,
        hands: Hands | None = None,
        signing: SigningKeys | None = None,
        score: Callable[[], Score | None] = lambda: None,
    ) -> None:
        """`signing` is there where the link's first session is signed, or just was.

        `score` returns what a recorded session's pulses were chosen by; None for a live one.
        """
        self._store = store
        self._name = name
        self._link = link
        self._role = role
        self._is_simulated = is_simulated
        self._now = now
        self._hands = hands
        self._signing = signing
        self._score = score

    @property
    def _has_first_key(self) -> bool:
        """Whether there is something to make tags from."""
        signing = self._signing
        return signing is None or self._store.initial_identity(self._name) == signing.identity

    def adopt(self, link: LinkSection) -> None:
        """Build the sessions from now on from another table."""
        self._link = link

    def marks(self) -> bytes:
        """Return how far the link's pads were used and which window is wanted, sealed.

        The seal needs no nonce: what was used once stays used, and a window is only agreed on.
        """
        return self._sealed(self._own_marks()) if self._has_first_key else NO_MARKS

    def meet(self, theirs: bytes) -> Met | None:
        """Go beyond what the peer's `marks` say was used, and find the window of both.

        `AuthenticationError` where they are not the peer's. None where an end has no pads yet.
        """
        if not self._has_first_key or (self._signing is not None and theirs == NO_MARKS):
            return None
        seal, text = theirs[:SEAL_BYTES], theirs[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(self._role.peer, text)):
            raise AuthenticationError(
                f"link '{self._name}': who connected does not hold the link's initial secret"
            )
        marks, own = msgspec.json.decode(text, type=Marks), self._own_marks()
        has_forgotten = self._store.meet(self._name, LEDGERS[self._role], marks.used)
        alice, bob = (own, marks) if self._role is Role.ALICE else (marks, own)
        return Met(has_forgotten, agreed_window_ps(alice, bob), marks)

    def _own_marks(self) -> Marks:
        return Marks(
            used={each: self._store.high_water(self._name, each) for each in TAGS},
            window_ps=self._link.coincidence_window_ps,
            windows_ps=windows_of(self._link),
        )

    def _sealed(self, marks: Marks) -> bytes:
        text = msgspec.json.encode(marks)
        return self._seal(self._role, text) + text

    def open_session(self, round_trip_s: Callable[[], float | None] = lambda: None) -> Session:
        """Make a session that goes on where the last one stopped.

        `round_trip_s` is asked from the session's thread.

        `KeyExhausted` where fewer bits for authentication are left than the reserve: a session that
        begins must be able to end its blocks in good order.
        """
        for purpose in TAGS if self._has_first_key else ():
            if self._store.stock_bits(self._name, purpose) < RESERVE_BITS:
                raise KeyExhausted(
                    f"link '{self._name}' has used up its authentication key and stops; carry a "
                    f"new initial secret to both nodes with `qnx keys init --force`"
                )
        return Session(
            self._role,
            session_parameters(self._name, self._link),
            LateSealer(self._sealer),
            SystemRandomness(),
            station=station_inputs(getattr(self._link, self._role.value)),
            resumption=self.resumption(),
            round_trip_s=round_trip_s,
            hands=self._hands,
            score=self._score(),
        )

    def _sealer(self) -> Sealer:
        """Return tags where there is key for them, by what is stored now: never by what is said.

        A pending first key can be released by the peer's greeting, before the first seal.
        """
        if self._signing is None or self._has_first_key:
            return Authenticator(
                self._role,
                self._name,
                self._store.hash_keys(self._name),
                LedgerPads(self._store, self._name, self._role),
            )
        return SignatureSealer(
            self._role,
            self._name,
            self._signing.own,
            self._signing.peer,
            lacking=(FULL_BYTES, FULL_BYTES),
        )

    def resumption(self) -> Resumption:
        """Return what the next session must know of the earlier ones."""
        memory = self._store.memory(self._name)
        pending = memory.pending
        return Resumption(
            next_block=memory.next_block,
            released=None
            if self._role is Role.BOB or memory.released is None
            else ReleasedBlock(*memory.released),
            pending=None
            if self._role is Role.ALICE or pending is None
            else PendingBlock(pending.block, pending.token, pending.key, pending.aside),
        )

    def keep(self, output: Kept) -> None:
        """Make an output durable."""
        match output:
            case BlockStarted():
                self._store.start_block(self._name, output.block)
            case KeyPending():
                made = self._provenance(output.provenance)
                pending = output.pending
                self._store.keep_pending(
                    self._name,
                    Pending(output.block, pending.token, pending.key, made, pending.aside),
                )
            case KeyDropped():
                self._store.drop_pending(self._name, output.block)
            case KeyReady():
                self._ingest(output)

    def _ingest(self, ready: KeyReady) -> None:
        first, key = None, ready.key
        has_first_key = self._has_first_key
        if self._signing is not None and not has_first_key:
            octets = key.reveal()
            first = First(self._signing.identity, Secret(octets[:KEPT_BYTES]))
            key = Secret(octets[KEPT_BYTES:])
        self._store.ingest(
            self._name,
            ready.block,
            split(ready.block, key, ready.aside),
            self._origin(ready),
            released=ready.released.token if ready.released else None,
            first=first,
        )
        if self._signing is not None and has_first_key:
            # The peer proved with a tag that it has the first key too.
            self._signing.destroy()
            self._signing = None

    def pool_bits(self) -> int:
        """Return how many key bits wait, those for tags not counted."""
        return self._store.stock_bits(self._name, *KEYS)

    def _seal(self, author: Role, text: bytes) -> bytes:
        """Seal what an end says of its pads; the initial secret's name binds it to these."""
        about = f"qnx marks 2 {self._name} {author} {self._store.initial_identity(self._name)} "
        key = self._store.channel_key(self._name).reveal()
        return hmac.digest(key, about.encode() + text, "sha256")

    def _origin(self, output: KeyReady) -> Provenance:
        if output.provenance is not None:
            return self._provenance(output.provenance)
        pending = self._store.memory(self._name).pending
        if pending is None or pending.block != output.block:
            raise ConfigError(f"link {self._name}: block {output.block} was released unasked")
        return pending.provenance

    def _provenance(self, made: SessionProvenance) -> Provenance:
        return Provenance(
            is_simulated=self._is_simulated,
            made_s=self._now(),
            protocol=self._link.protocol,
            qber=made.qber,
            epsilon=made.epsilon_secrecy + made.epsilon_correctness,
        )


def session_parameters(name: str, link: LinkSection) -> SessionParameters:
    """Return what both ends of a link must agree on, from its table in the network file."""
    security = link.security
    try:
        return _session_parameters(name, link, security)
    except ValueError as error:
        raise ConfigError(f"links.{name}: {error}") from error


def _session_parameters(
    name: str, link: LinkSection, security: SecuritySection
) -> SessionParameters:
    pulses = link.pulses
    return SessionParameters(
        link=name,
        pulses=None
        if pulses is None
        else PulseParameters(
            rate_hz=pulses.rate_hz,
            intensities=pulses.intensities,
            shares=pulses.shares,
            z_probability=pulses.z_probability,
            training_s=pulses.training_s,
        ),
        protocol=Protocol(link.protocol),
        coincidence_window_ps=link.coincidence_window_ps,
        slots_per_window=link.slots_per_window,
        dead_time_ps=link.dead_time_ps,
        max_block_s=link.max_block_s,
        cross_click_limit=security.cross_click_limit,
        imbalance_limit=security.imbalance_limit,
        efficiency_deviation=security.efficiency_deviation,
        detectors_swapped=_are_swapped(link),
        arrival_limit=security.arrival_limit,
        z_share=security.z_share,
        bell_share=security.bell_share,
        watch_multi_clicks=security.watch_multi_clicks,
        clock_offset_limit_s=link.clock_offset_limit_s,
        clock_drift_limit_ppm=link.clock_drift_limit_ppm,
        block_sifted_bits=link.block_sifted_bits,
        epsilon_secrecy=security.epsilon_secrecy,
        epsilon_correctness=security.epsilon_correctness,
        qber_limit=security.qber_limit,
        chsh_minimum=security.chsh_minimum,
        test_fraction=security.test_fraction,
        reconciliation=Reconciliation(link.reconciliation),
        count_leak=security.count_leak,
    )


def _are_swapped(link: LinkSection) -> bool:
    """Return whether each station that has detectors has a switch for their roles."""
    return all(end.channels.switch is not None for end in (link.alice, link.bob) if end.tagger)


def station_inputs(station: StationSection) -> StationInputs:
    """Return which tagger input sees which polarization, and how late."""
    channels = station.channels
    return StationInputs(
        channels=channels.inputs, delays_ps=station.delays_ps, swap_channels=channels.switch
    )
