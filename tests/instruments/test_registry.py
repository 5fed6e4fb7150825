"""Drivers are found by name; one that is broken is reported and hurts no other."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from qnx_hw.errors import ConfigError
from qnx_hw.instruments.registry import GROUP, installed, make
from qnx_hw.instruments.values import Family


def test_our_drivers_are_installed() -> None:
    reports = {entry.driver: entry.error for entry in installed()}

    assert {"tdc1", "mpc320", "websq"} <= set(reports)
    assert not any(reports.values())


@pytest.mark.parametrize(
    ("driver", "family"),
    [
        ("tdc1", Family.TIME_TAGGER),
        ("mpc320", Family.POLARIZATION_CONTROLLER),
        ("websq", Family.PHOTON_DETECTOR),
    ],
)
def test_a_driver_is_made_by_name_without_connecting(driver: str, family: Family) -> None:
    instrument = make(driver, "tcp://127.0.0.1:1", "alice.x")

    assert instrument.family is family
    assert instrument.status().state.value == "disconnected"


def test_an_unknown_driver_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'warp'.*tdc1"):
        make("warp", "tcp://127.0.0.1:1", "alice.x")


def test_a_broken_driver_is_reported() -> None:
    entries = [
        EntryPoint("broken", "no_such_module:Driver", GROUP),
        EntryPoint("empty", "qnx_hw.errors:NoSuchDriver", GROUP),
        EntryPoint("tdc1", "drivers.sfifteen_tdc1:Tdc1", GROUP),
    ]

    reports = {entry.driver: entry.error for entry in installed(lambda: entries)}

    assert "no_such_module" in reports["broken"]
    assert "NoSuchDriver" in reports["empty"]
    assert reports["tdc1"] == ""
