"""A driver on a maker's package keeps its family's promises, too, whatever the package does."""

from __future__ import annotations

import pytest
from fake_timetagger import FakePackage, Plug

from drivers.swabian import Swabian
from qnx_hw.errors import InstrumentTimeout
from qnx_hw.instruments.conformance import (
    Check,
    Outcome,
    Patience,
    Sabotage,
    Saboteur,
    Subject,
    run,
    run_drop,
    run_matrix,
)
from qnx_hw.instruments.families import Instrument
from qnx_hw.transports import Recorder

PATIENCE = Patience(usual_s=20.0, sabotaged_s=0.1, grace_s=20.0, back_s=20.0)
SLOW_S = 0.002
KINDS = (
    Sabotage.UNPLUG,
    Sabotage.SILENCE,
    Sabotage.SLOW,
    Sabotage.OVERFLOW,
    Sabotage.DEVICE_ERROR,
)


class Meddler(Saboteur):
    """Has the package misbehave."""

    def __init__(self, plug: Plug) -> None:
        self._plug = plug

    @property
    def skills(self) -> frozenset[Sabotage]:
        return frozenset(KINDS)

    def strike(self, sabotage: Sabotage) -> None:
        match sabotage:
            case Sabotage.UNPLUG:
                self._plug.is_in = False
            case Sabotage.SILENCE:
                self._plug.answers.clear()
            case Sabotage.SLOW:
                self._plug.slow_s = SLOW_S
            case Sabotage.OVERFLOW:
                self._plug.overflows += 1
            case _:
                self._plug.is_stubborn = True

    def heal(self) -> None:
        self._plug.is_in, self._plug.is_stubborn, self._plug.slow_s = True, False, 0.0
        self._plug.answers.set()


@pytest.fixture
def package() -> FakePackage:
    return FakePackage()


def subject_on(package: FakePackage) -> Subject:
    def make(url: str, recorder: Recorder | None) -> Instrument:
        return Swabian(url, package=package)  # it has its own

    return Subject("swabian://?channels=4", make, consent=True, patience=PATIENCE)


def check(checks: tuple[Check, ...]) -> int:
    failures = [check for check in checks if check.outcome is Outcome.FAIL]
    assert not failures, "\n".join(f"{check.name}: {check.sentence}" for check in failures)
    return sum(check.outcome is Outcome.PASS for check in checks)


@pytest.mark.slow
def test_the_driver_conforms(package: FakePackage) -> None:
    assert check(run(subject_on(package))[1]) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_driver_survives_a_package_that_misbehaves(
    package: FakePackage, kind: Sabotage
) -> None:
    assert check(run_matrix(subject_on(package), Meddler(package.plug), (kind,))) >= 8


def test_a_lost_tagger_comes_back_and_its_stream_says_what_is_missing(package: FakePackage) -> None:
    assert check(run_drop(subject_on(package), Meddler(package.plug))) == 2


def test_a_package_that_hangs_has_a_deadline_and_makes_no_call_that_was_given_up(
    package: FakePackage,
) -> None:
    tagger = Swabian("swabian://", package=package)
    tagger.connect()
    package.plug.answers.clear()

    with pytest.raises(InstrumentTimeout):
        tagger.settings(timeout_s=0.05)
    with pytest.raises(InstrumentTimeout):
        tagger.configure({"threshold_1_v": 1.0}, timeout_s=0.05)

    package.plug.answers.set()
    assert tagger.settings()["threshold_1_v"] == pytest.approx(0.5)
    tagger.close()
