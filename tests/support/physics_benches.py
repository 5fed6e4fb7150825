"""Benches for tests of the simulated physics, and a matcher that is slow but plain."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.bench import Bench

STATION: dict[str, Any] = {"efficiency": 0.5, "loss_db": 3.0}


def network(
    alice: dict[str, Any] | None = None,
    bob: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    window_ps: int = 2000,
    **bench: Any,
) -> dict[str, Any]:
    """Return a network file of two stations and one source, with changes."""
    spdc = {"kind": "spdc", "pair_rate_hz": 1e6, "arms": ["alice", "bob"]} | (source or {})
    return copy.deepcopy(
        {
            "bench": {
                "seed": 7,
                "stations": {
                    "alice": STATION | (alice or {}),
                    "bob": STATION | (bob or {}),
                },
                "sources": {"spdc": spdc},
            }
            | bench,
            "links": {
                "alice-bob": {
                    "coincidence_window_ps": window_ps,
                    "alice": {"node": "alice"},
                    "bob": {"node": "bob"},
                }
            },
        }
    )


def bench(*changes: Any, **more: Any) -> Bench:
    """Return the bench of `network(...)`."""
    return Bench.from_network(network(*changes, **more))


def coincidences(
    made: Bench, span_s: float, window_ps: int, shift_ps: int = 0, n_detectors: int = 4
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Run the bench; return singles of Alice and Bob, and the matrix of coincidences.

    Each click of Alice is paired with Bob's nearest one; Bob's stamps are moved by `shift_ps`.
    """
    times_a, inputs_a = made.station("alice").take_tags(span_s)
    times_b, inputs_b = made.station("bob").take_tags(span_s)
    times_b = times_b + shift_ps
    right = np.searchsorted(times_b, times_a).clip(1, len(times_b) - 1)
    is_left = times_a - times_b[right - 1] < times_b[right] - times_a
    nearest = right - is_left
    is_pair = np.abs(times_b[nearest] - times_a) <= window_ps / 2
    matrix = np.zeros((4, n_detectors), dtype=np.int64)
    np.add.at(matrix, (inputs_a[is_pair] - 1, inputs_b[nearest[is_pair]] - 1), 1)
    return (
        np.bincount(inputs_a, minlength=5)[1:],
        np.bincount(inputs_b, minlength=n_detectors + 1)[1:],
        matrix,
    )


def error_rate(matrix: NDArray[np.int64]) -> float:
    """Return the part of the matched-basis coincidences whose outcomes differ."""
    wrong = matrix[0, 1] + matrix[1, 0] + matrix[2, 3] + matrix[3, 2]
    return float(wrong / (matrix[:2, :2].sum() + matrix[2:, 2:].sum()))
