"""What the screens see of a link: the reports of its hosted ends laid over each other."""

from __future__ import annotations

from dataclasses import dataclass

from qnx_hw.api.delays import DelaysView
from qnx_hw.api.schema import ChannelRate, LinkPhase, LinkView
from qnx_hw.config import LinkSection
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Metrics

LABELS = ("H", "V", "D", "A", "22.5°", "112.5°", "67.5°", "157.5°")


@dataclass(frozen=True, slots=True)
class EndReport:
    """What one end of a link says about itself."""

    role: Role
    phase: LinkPhase
    message: str
    metrics: Metrics
    """Of the running session; its counts are summed over the sessions of this process."""
    rates_cps: tuple[float, ...]
    """This station's own detectors, H V D A; empty where the tagger is silent."""
    running_s: float
    pool_bits: int


def delays_view(name: str, ends: tuple[EndReport, ...]) -> DelaysView | None:
    """Return how the delays of H V D A with H V D A spread; only Alice's end knows it."""
    known = next((end.metrics.delays for end in ends if end.metrics.delays is not None), None)
    if known is None:
        return None
    return DelaysView(
        name=name,
        block=known.block,
        start_ps=known.start_ps,
        bin_ps=known.bin_ps,
        counts=tuple(row[:4] for row in known.counts),
    )


def link_view(name: str, link: LinkSection, ends: tuple[EndReport, ...]) -> LinkView:
    """Lay the reports of the ends over each other; Alice's counts where both are here."""
    leading = min(ends, key=lambda end: end.role)
    metrics = leading.metrics
    rates = tuple(
        ChannelRate(station=end.role.value, label=label, rate_cps=rate)
        for end in sorted(ends, key=lambda end: end.role)
        for label, rate in zip(LABELS, end.rates_cps, strict=False)
    )
    return LinkView(
        name=name,
        alice=link.alice.node,
        bob=link.bob.node,
        protocol=link.protocol,
        phase=leading.phase,
        stage=metrics.stage,
        message=leading.message,
        block=metrics.block,
        progress=metrics.progress,
        running_s=leading.running_s,
        rates=rates,
        coincidence_rate_cps=metrics.coincidence_rate_cps,
        accidental_rate_cps=metrics.accidental_rate_cps,
        car=metrics.car,
        window_ps=link.coincidence_window_ps,
        slots=link.slots,
        histogram=metrics.histogram,
        matrix=metrics.matrix,
        clock=next((e.metrics.clock for e in ends if e.metrics.clock.drift_ppb is not None), None)
        or metrics.clock,
        qber_z=metrics.qber_z,
        qber_x=metrics.qber_x,
        qber=metrics.qber,
        qber_limit=link.security.qber_limit,
        chsh_s=metrics.chsh_s,
        sifted_rate_bps=metrics.sifted_rate_bps,
        secret_rate_bps=metrics.secret_rate_bps,
        epsilon=metrics.epsilon,
        pairs=metrics.pairs,
        sifted_bits=metrics.sifted_bits,
        leaked_bits=metrics.leaked_bits,
        secret_bits=metrics.secret_bits,
        last_block_secret_bits=metrics.last_block_secret_bits,
        pool_bits=leading.pool_bits,
        blocks_done=metrics.blocks_done,
        blocks_aborted=metrics.blocks_aborted,
    )
