"""Kinds of user traffic, and what has become of each so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qnx_hw.api.traffic import KeyPolicy
from qnx_hw.config import TrafficSection, TunnelSection
from qnx_hw.edge.epochs import TunnelKeys
from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.limits import Limit
from qnx_hw.edge.session import Session


@dataclass(frozen=True, slots=True)
class Traffic:
    """What two edges agreed on, from the network file that both read."""

    name: str
    service: str
    source: str
    destination: str
    traffic_class: str = "bulk"
    mode: Mode = Mode.AES
    policy: KeyPolicy = KeyPolicy.BLOCK
    mix_kem: bool = True
    rekey_s: float = 60.0
    rekey_bytes: int = 16 << 30
    rate_limit_bps: float | None = None
    """Users' bits per second and direction, over all connections."""
    target: str = ""
    """Where a tunnel's connections go."""

    @classmethod
    def of(cls, name: str, service: str, section: TrafficSection) -> Traffic:
        """Return what a table of the network file says."""
        return cls(
            name=name,
            service=service,
            source=section.source,
            destination=section.destination,
            traffic_class=section.traffic_class,
            mode=Mode(section.mode),
            policy=KeyPolicy(section.policy),
            mix_kem=section.mix_kem and Mode(section.mode) is Mode.AES,
            rekey_s=section.rekey_s,
            rekey_bytes=section.rekey_bytes,
            rate_limit_bps=section.rate_limit_bps,
            target=section.target if isinstance(section, TunnelSection) else "",
        )


@dataclass(slots=True)
class Totals:
    """Sums over sessions."""

    bytes_in: int = 0
    bytes_out: int = 0
    records: int = 0
    failures: int = 0
    arrived_bytes: int = 0
    retransmits: int = 0

    def add(self, session: Session) -> None:
        """Add what a session did."""
        counters = session.counters
        self.bytes_in += counters.bytes_in
        self.bytes_out += counters.bytes_out
        self.records += counters.records
        self.failures += counters.failures
        self.retransmits += counters.retransmits
        self.arrived_bytes += max(0, counters.bytes_in - session.unacknowledged_bytes)


@dataclass(slots=True, eq=False)
class Line:
    """One kind of traffic at one of its ends: its keys, its live sessions, its sums."""

    traffic: Traffic
    peer: str
    keys: TunnelKeys
    is_opener: bool
    own_limit: Limit = field(default_factory=Limit)
    limits: Sequence[Limit] = ()
    """To what rates its users are held: the plan's, and its own."""
    sessions: set[Session] = field(default_factory=set)
    ended: Totals = field(default_factory=Totals)
    waiting: int = 0
    """Users whose session does not stand yet."""
    message: str = ""
    """Why the newest session could not be opened; empty after one that could."""
    is_in_order: bool = False
    """Whether a session stood since one ended early, or at all."""
    saved_bytes: int = 0
    """What local processing took away."""
    added_delay_s: float | None = None
    """How long local processing kept a record, on average."""
    waiting_bytes: int = 0
    """In a queue before the sessions."""
    waiting_age_s: float | None = None
    last_path: tuple[str, ...] = ()

    def totals(self) -> Totals:
        """Return the sums so far."""
        sums = Totals(
            self.ended.bytes_in,
            self.ended.bytes_out,
            self.ended.records,
            self.ended.failures,
            self.ended.arrived_bytes,
            self.ended.retransmits,
        )
        for session in tuple(self.sessions):
            sums.add(session)
        return sums

    def rate_limit_bps(self) -> float | None:
        """Return the lowest rate that its users are held to; None where there is none."""
        rates = [limit.rate_bps for limit in self.limits]
        return min((rate for rate in rates if rate is not None), default=None)

    def end(self, session: Session) -> None:
        """Move a session from the live ones into the sums."""
        if session in self.sessions:
            self.sessions.remove(session)
            self.ended.add(session)

    def rtt_s(self) -> float | None:
        """Return the shortest round trip of the live sessions."""
        known = [each.counters.rtt_s for each in tuple(self.sessions)]
        return min((rtt for rtt in known if rtt is not None), default=None)
