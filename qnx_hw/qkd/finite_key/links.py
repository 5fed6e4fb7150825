"""What a link should show: rates and errors of pair sources, losses of fibres and of air."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from qnx_hw.qkd.finite_key.entropy import binary_entropy


@dataclass(frozen=True, slots=True)
class LinkRates:
    """What two stations see of a pair source."""

    singles_a_cps: float
    singles_b_cps: float
    true_cps: float
    accidental_cps: float
    coincidences_cps: float
    qber: float

    @property
    def visibility(self) -> float:
        """V = 1 - 2 QBER."""
        return 1.0 - 2.0 * self.qber

    def key_bps(self, f: float, sifting: float = 0.5) -> float:
        """Return q CC (1 - f h(Q) - h(Q)), secret bits per second of an endless key."""
        entropy = binary_entropy(self.qber)
        return max(0.0, sifting * self.coincidences_cps * (1.0 - (1.0 + f) * entropy))


@dataclass(frozen=True, slots=True)
class PairLink:
    """A continuously pumped pair source between two stations.

    Neumann, Scheidl, Selimovic, Pivoluska, Liu, Bohmann, Ursin, PRA 104, 022406 (2021), section
    II. Good to 0.3 % up to 1e-3 singles per window.
    """

    pairs_cps: float
    efficiency_a: float
    efficiency_b: float
    dark_a_cps: float
    dark_b_cps: float
    window_s: float
    jitter_fwhm_s: float
    """Of the difference of the two times: both detectors, taggers, dispersion, in quadrature."""
    polarization_error: float

    def __post_init__(self) -> None:
        numbers = dataclasses.astuple(self)
        parts = (self.efficiency_a, self.efficiency_b, self.polarization_error)
        if not all(0.0 <= number < math.inf for number in numbers) or max(parts) > 1.0:
            raise ValueError(f"no number of a link is negative, and no part above 1: {self}")

    def rates(self) -> LinkRates:
        """Return singles, coincidences and the error rate."""
        singles_a = self.pairs_cps * self.efficiency_a + self.dark_a_cps
        singles_b = self.pairs_cps * self.efficiency_b + self.dark_b_cps
        inside = 1.0
        if self.jitter_fwhm_s > 0.0:
            inside = math.erf(math.sqrt(math.log(2.0)) * self.window_s / self.jitter_fwhm_s)
        true = self.pairs_cps * self.efficiency_a * self.efficiency_b * inside
        accidental = singles_a * singles_b * self.window_s
        both = true + accidental
        errors = self.polarization_error * true + accidental / 2.0
        qber = errors / both if both > 0.0 else 0.5
        return LinkRates(singles_a, singles_b, true, accidental, both, qber)


def dead_time_rate(rate_cps: float, dead_time_s: float) -> float:
    """Return what a detector counts that is blind for a fixed time after each click."""
    return rate_cps / (1.0 + rate_cps * dead_time_s)


def pulsed_pair_statistics(
    pairs_per_mode: float,
    efficiencies: tuple[float, float],
    backgrounds: tuple[float, float],
    misalignment: float,
) -> tuple[float, float]:
    """Return coincidences per pulse and their error rate of a pulsed two-mode pair source.

    Ma, Fung, Lo, PRA 76, 012307 (2007), eq. 9 and 10, with 2 `pairs_per_mode` pairs per pulse.
    For efficiencies above 1e-5; below, the formula cancels and is refused.
    """
    lam, (ea, eb), (ya, yb) = pairs_per_mode, efficiencies, backgrounds
    if lam < 0.0 or min(ya, yb) < 0.0:
        raise ValueError(f"{lam!r} pairs and backgrounds of {ya!r} and {yb!r} cannot be")
    if min(ea, eb) < 1e-5:
        raise ValueError("the formula needs efficiencies above 1e-5")
    both = 1.0 + ea * lam + eb * lam - ea * eb * lam
    gain = (
        1.0
        - (1.0 - ya) / (1.0 + ea * lam) ** 2
        - (1.0 - yb) / (1.0 + eb * lam) ** 2
        + (1.0 - ya) * (1.0 - yb) / both**2
    )
    if gain <= 0.0:
        return 0.0, 0.5
    signal = ea * eb * lam * (1.0 + lam) / ((1.0 + ea * lam) * (1.0 + eb * lam) * both)
    return gain, 0.5 - (1.0 - 2.0 * misalignment) * signal / gain


def fibre_transmission(length_km: float, loss_db_per_km: float) -> float:
    """Return 10^(-alpha L/10)."""
    return float(10.0 ** (-loss_db_per_km * length_km / 10.0))


def free_space_transmission(
    length_m: float,
    *,
    transmitter_m: float,
    receiver_m: float,
    divergence_rad: float,
    visibility_km: float,
    wavelength_nm: float,
) -> float:
    """Return the part of the light that passes the air and enters the receiver.

    Geometric loss (D_r/(D_t + theta L))^2, at most 1, and Kruse's extinction
    13/V (lambda/550 nm)^-q dB/km with q by visibility (Kim, McArthur, Korevaar 2001).
    """
    if not visibility_km > 0.0:
        raise ValueError(f"air is seen through for some way, not {visibility_km!r} km")
    geometric = min(1.0, (receiver_m / (transmitter_m + divergence_rad * length_m)) ** 2)
    slope = _extinction_slope(visibility_km)
    loss_db_per_km = 13.0 / visibility_km * (wavelength_nm / 550.0) ** -slope
    return geometric * fibre_transmission(length_m / 1000.0, loss_db_per_km)


def _extinction_slope(visibility_km: float) -> float:
    if visibility_km > 50.0:
        return 1.6
    if visibility_km > 6.0:
        return 1.3
    if visibility_km > 1.0:
        return 0.16 * visibility_km + 0.34
    return max(0.0, visibility_km - 0.5)
