"""A link that is planned, and what the network file would say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from qnx_hw.api.commands import Change, Setting
from qnx_hw.api.keylength import BlockCounts

LABELS = ("H", "V", "D", "A", "22.5", "112.5", "67.5", "157.5")
RECONCILIATION = 1.1
"""Leak over Shannon's limit that interactive reconciliation reaches at these error rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One station."""

    node: str = ""
    tagger: str = ""
    transmitter: str = ""
    detectors: str = ""
    polarization: str = ""
    inputs: tuple[int, ...] = (1, 2, 3, 4)
    loss_db: float = 3.0
    efficiency: float = 0.6
    dark_cps: float = 200.0
    """Of each detector."""

    @property
    def transmission(self) -> float:
        """How likely a photon of the source becomes a click here."""
        return float(10 ** (-self.loss_db / 10) * self.efficiency)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """Everything the wizard asks for."""

    name: str
    protocol: str = "bbm92"
    alice: End = field(default_factory=End)
    bob: End = field(default_factory=End)
    pair_rate_hz: float = 1e6
    visibility: float = 0.97
    pulse_rate_hz: float = 1e8
    intensities: tuple[float, ...] = (0.5, 0.1)
    shares: tuple[float, ...] = (0.9, 0.1)
    window_ps: int = 2000
    dead_time_ps: int = 50_000
    block_sifted_bits: int = 100_000
    qber_limit: float = 0.08
    test_fraction: float = 0.1

    @property
    def is_pulsed(self) -> bool:
        """Whether Alice sends pulses rather than sharing a source of pairs."""
        return self.protocol == "decoy-bb84"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a source of pairs should bring."""

    singles_a_cps: float
    singles_b_cps: float
    pairs_cps: float
    """True coincidences."""
    accidentals_cps: float
    qber: float
    sifted_bps: float
    block_s: float

    @property
    def car(self) -> float:
        """Coincidences over accidentals."""
        return self.pairs_cps / self.accidentals_cps if self.accidentals_cps else math.inf


def expect(plan: LinkPlan) -> Expectation:
    """Return the rates of a continuous source of pairs.

    Accidentals are S_A S_B τ; half of them, and (1 - V)/2 of the true pairs, are errors; both
    ends choose the same basis half of the time (Neumann et al., Phys. Rev. A 104, 022406 (2021)).
    Four detectors at each end, not paralysable, share its clicks.
    """
    dead_s = plan.dead_time_ps * 1e-12
    clicks_a, seen_a = _singles(plan.alice, plan.pair_rate_hz, dead_s)
    clicks_b, seen_b = _singles(plan.bob, plan.pair_rate_hz, dead_s)
    live = (seen_a / clicks_a if clicks_a else 0.0) * (seen_b / clicks_b if clicks_b else 0.0)
    pairs = plan.pair_rate_hz * plan.alice.transmission * plan.bob.transmission * live
    accidentals = seen_a * seen_b * plan.window_ps * 1e-12
    both = pairs + accidentals
    errors = pairs * (1 - plan.visibility) / 2 + accidentals / 2
    return Expectation(
        singles_a_cps=seen_a,
        singles_b_cps=seen_b,
        pairs_cps=pairs,
        accidentals_cps=accidentals,
        qber=errors / both if both else 0.5,
        sifted_bps=both / 2,
        block_s=2 * plan.block_sifted_bits / both if both else math.inf,
    )


def counts(plan: LinkPlan, expected: Expectation) -> BlockCounts:
    """Return what one basis of a block would count."""
    basis = plan.block_sifted_bits / 2
    n, k = round(basis * (1 - plan.test_fraction)), round(basis * plan.test_fraction)
    leak = math.ceil(RECONCILIATION * n * _entropy(expected.qber))
    return BlockCounts(n=n, k=k, errors=round(k * expected.qber), leak=min(n, leak))


def changes(plan: LinkPlan) -> tuple[Change, ...]:
    """Return the link as changes of the network file; it does not start by itself."""
    here = ("links", plan.name)
    said: dict[tuple[str, ...], Setting | tuple[Setting, ...]] = {
        (*here, "protocol"): plan.protocol,
        (*here, "coincidence_window_ps"): plan.window_ps,
        (*here, "dead_time_ps"): plan.dead_time_ps,
        (*here, "block_sifted_bits"): plan.block_sifted_bits,
        (*here, "autostart"): False,
        (*here, "security", "qber_limit"): plan.qber_limit,
    }
    for role, end in (("alice", plan.alice), ("bob", plan.bob)):
        kinds = ("node", "tagger", "transmitter", "detectors", "polarization")
        said |= {(*here, role, kind): getattr(end, kind) for kind in kinds if getattr(end, kind)}
        inputs = zip(LABELS, end.inputs, strict=False)
        said |= {(*here, role, "channels", label): number for label, number in inputs}
    if plan.is_pulsed:
        said[*here, "pulses", "rate_hz"] = plan.pulse_rate_hz
        said[*here, "pulses", "intensities"] = plan.intensities
        said[*here, "pulses", "shares"] = plan.shares
    return tuple(Change(path=path, value=value) for path, value in said.items())


def _singles(end: End, pair_rate_hz: float, dead_s: float) -> tuple[float, float]:
    """Return the clicks of four detectors, and those that are seen past their dead time."""
    clicks = pair_rate_hz * end.transmission + 4 * end.dark_cps
    return clicks, clicks / (1 + clicks / 4 * dead_s)


def _entropy(share: float) -> float:
    if not 0 < share < 1:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)
