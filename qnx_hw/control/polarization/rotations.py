"""Rotations of the Poincaré sphere as 3 × 3 matrices; axes x (D/A), y (R/L), z (H/V)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

_ONE: Real = np.eye(3)
# [a]x = a @ _CROSS, row by row.
_CROSS: Real = np.zeros((3, 9))
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _CROSS[_k, 3 * _i + _j], _CROSS[_k, 3 * _j + _i] = -1.0, 1.0


def turn(vectors: Real) -> Real:
    """Return the rotations by |a| rad about a, for vectors a of shape (..., 3) (Rodrigues)."""
    square = np.sum(vectors * vectors, axis=-1)[..., None, None]
    # Both quotients have their limits at 0 to within rounding where the angle is this small.
    angle = np.sqrt(np.maximum(square, 1e-16))
    sine = np.sin(angle) / angle
    versine = 2 * (np.sin(angle / 2) / angle) ** 2
    cross = (vectors @ _CROSS).reshape(*vectors.shape, 3)
    outer = vectors[..., :, None] * vectors[..., None, :]
    return np.asarray((1 - versine * square) * _ONE + sine * cross + versine * outer)


def angle_between(first: Real, second: Real) -> Real:
    """Return by how many rad rotations of shape (..., 3, 3) differ."""
    trace = np.einsum("...ij,...ij->...", first, second)
    return np.asarray(np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0)))


def scattered(count: int, rng: np.random.Generator) -> Real:
    """Return Haar-random rotations."""
    q = rng.standard_normal((count, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
