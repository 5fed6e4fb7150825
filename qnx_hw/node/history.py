"""The recent past of each link, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from qnx_hw.api.schema import LinkView, Series

KEPT_SAMPLES = 7_200
"""Two hours at one sample a second."""
MOST_POINTS = 2_000
"""More points than pixels help nobody; longer spans are thinned evenly."""

QUANTITIES: Final[Mapping[str, tuple[str, Callable[[LinkView], float | None]]]] = {
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
}
"""Unit and source of everything that has a history."""


class History:
    """Samples of all links' quantities; the oldest fall out."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._values: dict[tuple[str, str], deque[float | None]] = {}

    def sample(self, link: LinkView, time_s: float) -> None:
        """Add one sample of each quantity, taken at Unix time `time_s`."""
        self._times.setdefault(link.name, deque(maxlen=KEPT_SAMPLES)).append(time_s)
        for name, (_, read) in QUANTITIES.items():
            values = self._values.setdefault((link.name, name), deque(maxlen=KEPT_SAMPLES))
            values.append(read(link))

    def series(self, link: str, name: str, *, since_s: float) -> Series:
        """Return what is known of `name` from Unix time `since_s` on."""
        unit, _ = QUANTITIES[name]
        pairs = [
            (at, value)
            for at, value in zip(
                self._times.get(link, ()), self._values.get((link, name), ()), strict=True
            )
            if at >= since_s
        ]
        step = -(-len(pairs) // MOST_POINTS) or 1
        kept = pairs[::-1][::step][::-1]
        return Series(
            link=link,
            name=name,
            unit=unit,
            times_s=tuple(at for at, _ in kept),
            values=tuple(value for _, value in kept),
        )
