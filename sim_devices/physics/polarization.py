"""Polarization of photon pairs: states, retarders, analysers, all as real 4 × 4 matrices.

A two-photon state is its Pauli matrix T, ρ = ¼ Σ T[i, j] σi ⊗ σj, with i, j over (1, x, y, z);
z is H/V, x is D/A, y is R/L. What a photon passes is a Mueller matrix in the same order
(1 ⊕ SO(3) for a retarder), what detects it is an effect e, E = Σ e[i] σi. Then
p = eᵀ A T Bᵀ f, with A and B what lies in the two arms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

PAULI: Complex = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]]
)
BELL_KETS: dict[str, Complex] = {
    "phi+": np.array([1, 0, 0, 1], dtype=np.complex128) / np.sqrt(2),
    "phi-": np.array([1, 0, 0, -1], dtype=np.complex128) / np.sqrt(2),
    "psi+": np.array([0, 1, 1, 0], dtype=np.complex128) / np.sqrt(2),
    "psi-": np.array([0, 1, -1, 0], dtype=np.complex128) / np.sqrt(2),
}
# Bloch vectors (x, y, z) of what inputs 1 to 4 see: H, V, D, A.
DIRECTIONS: Real = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0]], dtype=np.float64)


def pauli_matrix(density: Complex) -> Real:
    """Return T of a two-photon density matrix (basis HH, HV, VH, VV)."""
    tensor = density.reshape(2, 2, 2, 2)
    return np.asarray(np.einsum("abcd,ica,jdb->ij", tensor, PAULI, PAULI).real)


def werner(ket: Complex, visibility: float) -> Real:
    """Return T of V |ψ><ψ| + (1 − V) 𝟙/4 (Werner, PRA 40, 4277)."""
    unit = ket / np.linalg.norm(ket)
    noise = (1 - visibility) * np.eye(4) / 4
    return pauli_matrix(np.asarray(visibility * np.outer(unit, unit.conj()) + noise))


def retarder(retardance_rad: float, angle_rad: float) -> Complex:
    """Return the Jones matrix, in SU(2), of a plate whose fast axis stands at `angle_rad` to H."""
    direction = np.cos(2 * angle_rad) * PAULI[3] + np.sin(2 * angle_rad) * PAULI[1]
    half = retardance_rad / 2
    return np.asarray(np.cos(half) * PAULI[0] - 1j * np.sin(half) * direction)


def paddles(angles_deg: Sequence[float]) -> Complex:
    """Return the Jones matrix of λ/4, λ/2, λ/4 passed in this order; all at 0 is the identity."""
    first, middle, last = np.deg2rad(angles_deg)
    plates = retarder(np.pi / 2, last) @ retarder(np.pi, middle) @ retarder(np.pi / 2, first)
    return np.asarray(plates)


def mueller(jones: Complex) -> Real:
    """Return 1 ⊕ SO(3) of a unitary Jones matrix."""
    turned = jones @ PAULI @ jones.conj().T
    return np.asarray(np.einsum("iab,jba->ij", PAULI, turned).real / 2)


def rotation(axis_angle: Real) -> Complex:
    """Return exp(−i a·σ/2), which turns the Poincaré sphere by |a| rad about a (order x, y, z)."""
    x, y, z = axis_angle.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    scale = math.sin(angle / 2) / angle if angle else 0.0
    whole = math.cos(angle / 2)
    return np.array(
        [
            [complex(whole, -scale * z), complex(-scale * y, -scale * x)],
            [complex(scale * y, -scale * x), complex(whole, scale * z)],
        ]
    )


def random_rotation(rng: np.random.Generator) -> Complex:
    """Return a Haar-random element of SU(2)."""
    q = rng.standard_normal(4)
    q /= np.linalg.norm(q)
    return np.asarray(q[0] * PAULI[0] - 1j * np.tensordot(q[1:], PAULI[1:], axes=1))


def directions(angles_deg: Sequence[float]) -> Real:
    """Return the Bloch vectors that each analyser's two detectors see, first along, then across."""
    double = 2 * np.deg2rad(np.asarray(angles_deg, dtype=np.float64))
    along = np.stack([np.sin(double), np.zeros_like(double), np.cos(double)], axis=1)
    return np.asarray(np.stack([along, -along], axis=1).reshape(-1, 3))


def analyser(weights: Sequence[float], extinction: float, along: Real = DIRECTIONS) -> Real:
    """Return the effects of the detectors (H V D A, or those that see `along`) and of no click.

    `weights[d]` is the probability that a photon of fitting polarization is sent to and seen by
    detector d; `extinction` is the part of the wrong polarization that gets there all the same.
    """
    effects = np.empty((len(along) + 1, 4))
    half = np.asarray(weights) / 2
    effects[:-1, 0] = half
    effects[:-1, 1:] = half[:, None] * (1 - 2 * extinction) * along
    effects[-1] = np.array([1.0, 0.0, 0.0, 0.0]) - effects[:-1].sum(axis=0)
    return effects


def intercept_resend(fraction: float) -> Real:
    """Return what an eavesdropper does to an arm who measures this fraction of the photons.

    She measures in Z or X at random and sends on what she saw: x and z shrink to half, y is lost.
    """
    attack = np.diag([1.0, 0.5, 0.0, 0.5])
    return (1 - fraction) * np.eye(4) + fraction * attack


def click_probabilities(pair: Real, effects_a: Real, effects_b: Real) -> Real:
    """Return p[a, b] for effects that contain what lies in the arms; sums to 1 with 'none'."""
    probabilities: Real = np.clip(effects_a @ pair @ effects_b.T, 0.0, 1.0)
    return probabilities
