"""What requests for key and key itself are likely to be in the slots to come."""

from __future__ import annotations

import numpy as np

from qnx_hw.network.keyflow import CRITICAL, Outlook
from qnx_hw.network.topology import Floats

DAYS = 3
"""Days back that the same time of day is averaged over."""
# Critical requests are expected somewhat higher and key somewhat lower than likely: bulk that waits
# for nothing costs little, a critical flow that is blocked much.
_CRITICAL_MORE, _KEY_LESS = 1.1, 0.9
LATE_SLOTS = 8
"""Slots that tell how today differs from the days before."""
_MOST, _LEAST = 2.0, 0.5
"""Today is taken for at most this much more, or less, than the days before."""


def look_ahead(wanted: Floats, gains: Floats, now: Floats, *, season: int, horizon: int) -> Outlook:
    """Return the outlook from the past `wanted` `(T, C, P)`, `gains` `(T, L)`, and requests `now`.

    The same time on the days before, scaled by how today went lately; before a whole day is known
    the mean of the last slots.
    """
    requests = np.concatenate((wanted, now[None]))
    flat = requests.reshape(len(requests), -1)
    expected = _expected(flat, season, horizon - 1).reshape(-1, *now.shape)
    expected[:, CRITICAL] *= _CRITICAL_MORE
    known = gains if len(gains) else np.zeros((1, gains.shape[1]))
    gained = _KEY_LESS * _expected(known, season, horizon)
    return Outlook(np.concatenate((now[None], expected)), gained)


def _expected(past: Floats, season: int, horizon: int) -> Floats:
    """Return the `horizon` rows after `past` `(T, K)`."""
    late = past[-LATE_SLOTS:]
    if len(past) < season + LATE_SLOTS:
        return np.repeat(late.mean(axis=0)[None], horizon, axis=0)
    days = min(DAYS, len(past) // season)
    ahead = np.arange(len(past), len(past) + horizon)
    # The same slot on each day before; further ahead than a day it is the last whole day's.
    back = np.ceil((ahead - len(past) + 1) / season).astype(np.int64)
    rows = [ahead - season * (back + day) for day in range(days)]
    usual = np.stack([past[np.maximum(row, 0)] for row in rows]).mean(axis=0)
    before = np.stack([past[-LATE_SLOTS - season : len(past) - season]]).mean(axis=(0, 1))
    total = before.sum()
    scale = 1.0 if total <= 0 else np.clip(late.mean(axis=0).sum() / total, _LEAST, _MOST)
    # Each quantity's own turn counts half: alone it is noise.
    own = np.divide(late.mean(axis=0), before, out=np.full_like(before, scale), where=before > 0)
    scaled: Floats = usual * np.sqrt(scale * np.clip(own, _LEAST, _MOST))
    return scaled
