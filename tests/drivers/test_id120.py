"""The detector's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.id120 import Id120, first_number
from qnx_hw.errors import (
    ConfigError,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.values import DetectorLevels
from sim_devices.emulators.id120 import Id120Emulator

Serve = Callable[..., list[str]]


@given(st.integers(-(10**9), 10**9), st.sampled_from(["", " uV", "uV", " ns"]))
def test_a_number_is_read_with_and_without_its_unit(number: int, unit: str) -> None:
    assert first_number(f"{number}{unit}") == number


@pytest.mark.parametrize("reply", ["", "uV", "TRUE", "-"])
def test_replies_that_are_no_numbers_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        first_number(reply)


@pytest.mark.parametrize(("listen", "units"), [("tcp://127.0.0.1:0", 0), ("pty", 1)])
def test_bias_threshold_and_counts(serve: Serve, listen: str, units: int) -> None:
    (url,) = serve(Id120Emulator(options={"rate_cps": 20_000.0, "units": units}), listen)

    with Id120(f"{url}?max_bias_v=170") as detector:
        assert detector.set_bias(1, 159.5) == 159.5
        assert detector.set_threshold_v(1, 0.25) == 0.25
        assert detector.levels() == (DetectorLevels(159.5, 0.25),)
        (rate,) = detector.count_rates()
        assert rate == pytest.approx(19_500, rel=0.1)
        assert detector.enable(False) is False
        assert detector.count_rates() == (0.0,)
        assert detector.enable(True) is True
        assert detector.set_bias(1, 160.0) == 160.0


def test_what_the_unit_holds_comes_back(serve: Serve) -> None:
    (url,) = serve(Id120Emulator())
    wanted: dict[str, float | int | str | bool] = {
        "dead_time_ns": 1500,
        "temperature_c": -35.5,
        "integration_ms": 200,
        "cooler_on": False,
    }

    with Id120(url) as detector:
        assert detector.settings() != wanted
        assert detector.configure(wanted) == wanted


def test_settings_are_taken_all_or_none(serve: Serve) -> None:
    (url,) = serve(Id120Emulator())

    with Id120(url) as detector:
        before = detector.settings()
        # The unit's own shortest dead time is longer.
        with pytest.raises(InstrumentRefused, match="DEADTIME"):
            detector.configure({"integration_ms": 50, "dead_time_ns": 2})
        assert detector.settings() == before


def test_connecting_changes_nothing_and_leaving_takes_the_bias_away(serve: Serve) -> None:
    (url,) = serve(Id120Emulator())
    sent: list[bytes] = []

    with Id120(url, recorder=lambda way, payload: sent.append(payload)):
        assert not [line for line in sent if line.startswith(b"BIAS:VOLTAGE ")]
    assert b"BIAS:VOLTAGE 0\n" in sent

    with Id120(url) as detector:
        assert detector.enable(True) is False


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Id120Emulator())

    with Id120(url) as detector:
        sent = detector.status().counters["requests"]
        for channel, volt in ((1, 1.0), (1, float("nan")), (1, -1.0), (2, 0.0)):
            with pytest.raises(RangeError):
                detector.set_bias(channel, volt)
        with pytest.raises(RangeError):
            detector.set_threshold_v(1, 6.0)
        for key, value in (("temperature_c", 31), ("dead_time_ns", "long"), ("cooler_on", "no")):
            with pytest.raises(RangeError):
                detector.configure({"integration_ms": 10, key: value})
        with pytest.raises(Unsupported):
            detector.configure({"colour": 5})
        with pytest.raises(Unsupported):
            detector.auto_bias([100.0])
        assert detector.status().counters["requests"] == sent


def test_a_limit_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError):
        Id120("tcp://127.0.0.1:1?max_bias_v=high")
