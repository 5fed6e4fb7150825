"""Levels of light: the pump of a pair source, and what leaves a decoy transmitter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.config import LinkSection
from qnx_hw.config.loops import LaunchSection, PumpSection
from qnx_hw.config.pulses import PulsesSection
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.control.source import MeansSeen, PowerSeen
from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.families import Attenuator, Instrument, PowerMeter
from qnx_hw.instruments.values import Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import READY_TIMEOUT_S, NodeLoop, Plan
from qnx_hw.node.recipes import MeansRecipe, PowerRecipe
from qnx_hw.node.window_loop import block_s

Result = TypeVar("Result")
ALGORITHM = "model"
WEAKEST = 0.5
"""A source with less than this part of its light fails; its mean is not held up."""
# Planck's constant times the velocity of light, J m.
HC_J_M = 6.62607015e-34 * 299_792_458.0


class Attenuation(Actuation):
    """An attenuator's decibels, between limits."""

    def __init__(self, mounted: Mounted, least_db: float, most_db: float, *, darkens: bool) -> None:
        """With `darkens` its safe state is the most attenuation, otherwise where it is."""
        self._mounted = mounted
        self._limits_db = least_db, most_db
        self._darkens = darkens

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return the only one."""
        low, high = self._limits_db
        return (ActuatorAxis(name="attenuation", unit="dB", low=low, high=high),)

    def positions(self) -> tuple[float, ...]:
        """Ask the attenuator."""
        held = self._mounted.ask(lambda instrument: instrument.settings())
        return (float(held["attenuation_db"]),)

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Set it."""
        (attenuation_db,) = values
        return (_ask_attenuator(self._mounted, lambda a: a.set_attenuation_db(attenuation_db)),)

    def make_safe(self) -> None:
        """Darken, where that is safer."""
        if self._darkens:
            self.move((self._limits_db[1],))


class PumpPower(Actuation):
    """The pump's power in percent of that without attenuation."""

    def __init__(self, inner: Attenuation) -> None:
        self._inner = inner

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return the only one."""
        (axis,) = self._inner.axes()
        low, high = _percent(axis.high), _percent(axis.low)
        return (ActuatorAxis(name="pump", unit="%", low=low, high=high),)

    def positions(self) -> tuple[float, ...]:
        """Ask the attenuator."""
        return (_percent(*self._inner.positions()),)

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Set the attenuator."""
        (axis,) = self._inner.axes()
        wanted_db = -10 * math.log10(values[0] / 100)
        return (_percent(*self._inner.move((min(max(wanted_db, axis.low), axis.high),))),)

    def make_safe(self) -> None:
        """A pump that stays as it is harms nothing."""


class PumpLoop(NodeLoop):
    """Sets the pump where blocks hold the most key; Alice's node sees and moves."""

    def __init__(
        self,
        title: Title,
        section: PumpSection,
        in_force: Callable[[], LinkSection],
        folder: Path,
    ) -> None:
        """`in_force` gives the link's table as the session follows it."""
        self.plan = Plan(title, (section.attenuator,), ALGORITHM, starts_held=section.starts_held)
        self._section = section
        self._in_force = in_force
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[PowerSeen]:
        """Make the loop once the attenuator is there."""
        (attenuator,) = mounted
        limits = _limits(attenuator, self._section.least_db, self._section.most_db)
        actuation = PumpPower(Attenuation(attenuator, *limits, darkens=False))
        (axis,) = actuation.axes()
        recipe = PowerRecipe(low=axis.low, high=axis.high)
        return Loop(
            self.plan.title,
            actuation,
            recipe.policy,
            algorithms=(ALGORITHM,),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], PowerSeen] | None:
        """Look at singles, coincidences and errors.

        Bob's singles are what the accidentals tell of them: singles times singles times window.
        """
        if judged is None:
            return None
        metrics, section = judged.metrics, self._in_force()
        coincidences, accidentals = metrics.coincidence_rate_cps, metrics.accidental_rate_cps
        singles, qber = sum(metrics.singles_cps), metrics.qber.value
        if coincidences is None or accidentals is None or qber is None or not singles:
            return None
        window_s = section.coincidence_window_ps * 1e-12
        theirs = accidentals / (singles * window_s)
        seen = (singles, theirs, coincidences, accidentals, qber, window_s)
        return lambda powers: PowerSeen(powers, *seen, block_s(section, coincidences))


class LaunchLoop(NodeLoop):
    """Holds the mean photon number that leaves Alice at what the protocol reckons with."""

    def __init__(
        self,
        title: Title,
        section: LaunchSection,
        pulses: PulsesSection,
        is_generating: Callable[[], bool],
        folder: Path,
    ) -> None:
        """`is_generating` says whether the transmitter plays what makes keys."""
        instruments = (section.attenuator, section.power_meter)
        self.plan = Plan(
            title,
            instruments,
            ALGORITHM,
            starts_held=section.starts_held,
            interval_s=section.interval_s,
        )
        self._section = section
        self._pulses = pulses
        self._is_generating = is_generating
        self._folder = folder
        self._meter: Mounted | None = None

    def open(self, mounted: Sequence[Mounted]) -> Loop[MeansSeen]:
        """Make the loop once attenuator and meter are there."""
        attenuator, self._meter = mounted
        self._measure(self._meter, timeout_s=READY_TIMEOUT_S)
        limits = _limits(attenuator, self._section.least_db, self._section.most_db)
        pulses = zip(self._pulses.intensities, self._pulses.shares, strict=True)
        mean = sum(intensity * share for intensity, share in pulses)
        recipe = MeansRecipe(
            targets=(mean,), least_db=limits[0], most_db=limits[1], weakest=WEAKEST
        )
        return Loop(
            self.plan.title,
            Attenuation(attenuator, *limits, darkens=True),
            recipe.policy,
            algorithms=(ALGORITHM,),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], MeansSeen] | None:
        """Measure the light while keys are made; at other times it means nothing."""
        meter = self._meter
        if meter is None or not self._is_generating():
            return None
        return lambda attenuations: MeansSeen(attenuations, (self._measure(meter),), (0.0,))

    def _measure(self, meter: Mounted, *, timeout_s: float = 0.0) -> float:
        """Return mean photons per pulse in the fibre."""

        def read(instrument: Instrument) -> float:
            _check_family(instrument, Family.POWER_METER, meter.name)
            # The family says which interface the instrument has; protocols do not narrow.
            return cast("PowerMeter", instrument).power_w()

        launched_w = meter.ask(read, timeout_s=timeout_s) * 10 ** (-self._section.tap_db / 10)
        photon_j = HC_J_M / (self._section.wavelength_nm * 1e-9)
        return launched_w / photon_j / self._pulses.rate_hz


def _percent(attenuation_db: float) -> float:
    return float(100 * 10 ** (-attenuation_db / 10))


def _limits(mounted: Mounted, least_db: float, most_db: float) -> tuple[float, float]:
    """Return the limits of the file, narrowed to those that the attenuator tells, if it does."""
    told = _ask_attenuator(
        mounted, lambda a: getattr(a, "limits_db", (least_db, most_db)), READY_TIMEOUT_S
    )
    return max(least_db, told[0]), min(most_db, told[1])


def _ask_attenuator(
    mounted: Mounted, function: Callable[[Attenuator], Result], timeout_s: float = 0.0
) -> Result:
    def ask(instrument: Instrument) -> Result:
        _check_family(instrument, Family.ATTENUATOR, mounted.name)
        # The family says which interface the instrument has; protocols do not narrow.
        return function(cast("Attenuator", instrument))

    return mounted.ask(ask, timeout_s=timeout_s)


def _check_family(instrument: Instrument, family: Family, name: str) -> None:
    if instrument.family is not family:
        raise InstrumentError(f"'{name}' is no {family.replace('_', ' ')}")
