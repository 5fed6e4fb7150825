"""The past of everything that has numbers: the last hours in memory, a month in roll-ups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from qnx_hw.api.loops import LoopView
from qnx_hw.api.schema import LinkView, NodeView, Series, View
from qnx_hw.api.traffic import HopView, PlanView, PoolView, TunnelView
from qnx_hw.node.archive import Archive

KEPT_SAMPLES = 7_200
"""Two hours at one sample a second."""
MOST_POINTS = 2_000
"""More points than pixels help nobody; longer spans are thinned evenly."""

_Source = Callable[[Any], float | None]  # of the kind's view
KINDS_KEPT: Final[Mapping[str, type[View]]] = {
    "link": LinkView,
    "node": NodeView,
    "pool": PoolView,
    "hop": HopView,
    "tunnel": TunnelView,
    "loop": LoopView,
    "plan": PlanView,
}
QUANTITIES: Final[Mapping[str, Mapping[str, tuple[str, _Source]]]] = {
    "link": {
        "qber": ("", lambda link: link.qber.value),
        "qber_z": ("", lambda link: link.qber_z.value),
        "qber_x": ("", lambda link: link.qber_x.value),
        "chsh_s": ("", lambda link: link.chsh_s.value),
        "coincidence_rate_cps": ("1/s", lambda link: link.coincidence_rate_cps),
        "accidental_rate_cps": ("1/s", lambda link: link.accidental_rate_cps),
        "car": ("", lambda link: link.car),
        "sifted_rate_bps": ("bit/s", lambda link: link.sifted_rate_bps),
        "secret_rate_bps": ("bit/s", lambda link: link.secret_rate_bps),
        "pool_bits": ("bit", lambda link: float(link.pool_bits)),
        "offset_ps": ("ps", lambda link: link.clock.offset_ps),
        "drift_ppb": ("ppb", lambda link: link.clock.drift_ppb),
        "jitter_ps": ("ps", lambda link: link.clock.jitter_ps),
    },
    "node": {"pool_bits": ("bit", lambda node: float(node.pool_bits))},
    "pool": {
        "stock_bits": ("bit", lambda pool: float(pool.stock_bits)),
        "in_bps": ("bit/s", lambda pool: pool.in_bps),
        "out_bps": ("bit/s", lambda pool: pool.out_bps),
    },
    "hop": {
        "load_bps": ("bit/s", lambda hop: hop.load_bps),
        "utilisation": ("", lambda hop: hop.load_bps / max(hop.capacity_bps, 1.0)),
        "delay_s": ("s", lambda hop: hop.delay_s),
        "loss": ("", lambda hop: hop.loss),
    },
    "tunnel": {
        "rate_bps": ("bit/s", lambda tunnel: tunnel.rate_bps),
        "key_draw_bps": ("bit/s", lambda tunnel: tunnel.key_draw_bps),
        "queue_bytes": ("byte", lambda tunnel: float(tunnel.queue_bytes)),
        "rtt_s": ("s", lambda tunnel: tunnel.rtt_s),
    },
    "loop": {"residual": ("", lambda loop: loop.residual.value)},
    "plan": {
        "expected_utilisation": ("", lambda plan: plan.expected_utilisation),
        "measured_utilisation": ("", lambda plan: plan.measured_utilisation),
    },
}
"""Unit and source of everything that has a history, by kind."""


class History:
    """Samples of all quantities: the newest as they came, older ones from the archive."""

    def __init__(self, archive: Archive | None = None) -> None:
        self._archive = archive
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._values: dict[tuple[str, str, str], deque[float | None]] = {}

    def sample(self, view: View, time_s: float) -> None:
        """Add one sample of each quantity of a view, taken at Unix time `time_s`."""
        kind = _kind_of(view)
        if kind is None:
            return
        times = self._times.setdefault((kind, view.name), deque(maxlen=KEPT_SAMPLES))
        times.append(time_s)
        for name, (_, read) in QUANTITIES[kind].items():
            key = (kind, view.name, name)
            value = read(view)
            self._values.setdefault(key, deque(maxlen=KEPT_SAMPLES)).append(value)
            if self._archive is not None and value is not None:
                self._archive.add(key, time_s, value)

    def series(self, link: str, name: str, *, since_s: float, kind: str = "link") -> Series:
        """Return what memory holds of `name` from Unix time `since_s` on."""
        pairs = [
            (at, value)
            for at, value in zip(
                self._times.get((kind, link), ()),
                self._values.get((kind, link, name), ()),
                strict=True,
            )
            if at >= since_s
        ]
        step = -(-len(pairs) // MOST_POINTS) or 1
        kept = pairs[::-1][::step][::-1]
        return Series(
            link=link,
            name=name,
            kind=kind,
            unit=QUANTITIES[kind][name][0],
            times_s=tuple(at for at, _ in kept),
            values=tuple(value for _, value in kept),
            step_s=float(step),
        )

    async def read(
        self, link: str, name: str, *, kind: str, since_s: float, until_s: float | None = None
    ) -> Series:
        """Return `name` from `since_s` to `until_s`: from memory as far as it reaches back."""
        times = self._times.get((kind, link))
        reaches = times is not None and times[0] <= since_s
        if self._archive is None or (reaches and until_s is None):
            return self.series(link, name, since_s=since_s, kind=kind)
        unit = QUANTITIES[kind][name][0]
        return await self._archive.read((kind, link, name), unit, since_s, until_s)


def _kind_of(view: View) -> str | None:
    for kind, type_ in KINDS_KEPT.items():
        if type(view) is type_:
            return kind
    return None
