"""What a judged block says of the key rate: the yardstick of loops that trade light for errors."""

from __future__ import annotations

import math

import numpy as np

from qnx_hw.qkd.session import Metrics


def merit_of(metrics: Metrics) -> tuple[float, float]:
    """Return secret bits per second that blocks like this one make, and the standard error.

    Either end can tell: both know what was disclosed, and how long the block took.
    """
    from qnx_hw.qkd.finite_key.expectation import secret_rate_bps

    counts, span_s, qber = np.sum(metrics.matrix), metrics.judged_span_s, metrics.qber.value
    if not counts or not span_s or qber is None:
        return math.nan, 0.0
    rate_cps = float(counts) / span_s
    merit = secret_rate_bps(rate_cps, qber, span_s)
    if not merit:
        # Below the threshold fewer errors are still better.
        return -qber, metrics.qber.sigma or 0.0
    worse = secret_rate_bps(rate_cps, min(qber + (metrics.qber.sigma or 0.0), 0.5), span_s)
    return merit, math.hypot(merit / math.sqrt(float(counts)), merit - worse)
