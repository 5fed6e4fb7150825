"""The tables of the closed loops other than alignment; each runs where its table stands."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qnx_hw.config.section import Name, Section

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Decibels = Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]


class BiasSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.END.bias]`: detector N of `detectors` is on tagger input N."""

    instruments: tuple[Name, ...] = ()
    """In place of `detectors`: one for each tagger input, where each has a single detector."""
    algorithm: Literal["relatch", "climb", "auto"] = "relatch"
    """Bring silent detectors back; and also climb to the bias with the most key; or first have
    the detectors find their bias in the dark, where they can."""
    dark_cps: Positive = 100.0
    """Dark counts per second for which `auto` finds the bias of each detector."""
    low: float | None = None
    high: float | None = None
    """Limits of `climb` and `auto` in the detectors' unit (A or V); theirs where not given."""
    step: Positive | None = None
    """First step of the climb; a twentieth of the range where not given."""
    starts_held: bool = False


class ThresholdsSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.END.thresholds]`: the comparators' levels climb to the most key."""

    instruments: tuple[Name, ...] = ()
    """In place of `detectors`, as for a bias."""
    low_v: float | None = None
    high_v: float | None = None
    """Limits; the instrument's where not given."""
    step_v: Positive | None = None
    """First step; a twentieth of the range where not given."""
    starts_held: bool = False


class DelaysSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.END.delays]`: the delays of an end's detectors against each other."""

    most_ps: Annotated[float, msgspec.Meta(gt=0.0, le=1e6)] = 20_000.0
    """No detector is corrected by more."""
    deadband_ps: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] = 20.0
    starts_held: bool = False


class WindowSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.window]`: Alice's node chooses the coincidence window, Bob's follows her.

    Where they are programs of their own, both need the table: each keeps to its own limits.
    """

    low_ps: Annotated[float, msgspec.Meta(ge=10.0, le=1e6)] = 100.0
    high_ps: Annotated[float, msgspec.Meta(ge=10.0, le=1e6)] = 100_000.0
    starts_held: bool = False


class PumpSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.pump]`: an attenuator of Alice's node in front of the pair source."""

    attenuator: Name
    least_db: Decibels = 0.0
    most_db: Decibels = 30.0
    starts_held: bool = False


class LaunchSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.launch]`: the mean photon number that leaves Alice, held by an attenuator."""

    attenuator: Name
    power_meter: Name
    """Behind the attenuator, at the strong arm of a splitter."""
    tap_db: Decibels
    """By how much weaker the light is that goes to the fibre than that at the meter."""
    wavelength_nm: Annotated[float, msgspec.Meta(ge=300.0, le=3000.0)] = 1550.0
    least_db: Decibels = 0.0
    """The attenuator never lets more light through."""
    most_db: Decibels = 60.0
    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600.0)] = 2.0
    starts_held: bool = False
