"""The detector's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.sfifteen_spd import SFifteenSpd
from qnx_hw.errors import (
    ConfigError,
    InstrumentRefused,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.values import DetectorLevels
from sim_devices.emulators.s15spd import S15SpdEmulator

Serve = Callable[..., list[str]]


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_bias_threshold_and_counts(serve: Serve, listen: str) -> None:
    (url,) = serve(S15SpdEmulator(), listen)

    with SFifteenSpd(f"{url}?max_bias_v=195") as detector:
        assert detector.set_bias(1, 192.5) == 192.5
        assert detector.set_threshold_v(1, 0.25) == 0.25
        assert detector.levels() == (DetectorLevels(192.5, 0.25),)
        assert detector.configure({"integration_ms": 50})["integration_ms"] == 50
        (rate,) = detector.count_rates()
        assert rate == pytest.approx(1800, rel=0.6)


def test_a_bias_is_not_raised_on_a_warm_chip(serve: Serve) -> None:
    (url,) = serve(S15SpdEmulator())

    with SFifteenSpd(f"{url}?max_bias_v=195") as detector:
        detector.configure({"temperature_loop": False, "temperature_c": -30})
        with pytest.raises(InstrumentRefused, match="temperature_loop"):
            detector.set_bias(1, 194.0)
        assert detector.set_bias(1, 188.0) == 188.0


@pytest.mark.parametrize(("option", "left_v"), [("&safe_on_close=1", False), ("", True)])
def test_leaving_takes_the_bias_away_only_when_asked(
    serve: Serve, option: str, left_v: bool
) -> None:
    (url,) = serve(S15SpdEmulator())
    sent: list[bytes] = []
    address = f"{url}?max_bias_v=195{option}"
    with SFifteenSpd(address, recorder=lambda way, payload: sent.append(payload)):
        pass

    assert (b"hvolt 0.00\r\n" not in sent) is left_v


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(S15SpdEmulator())

    with SFifteenSpd(url) as detector:
        sent = detector.status().counters["requests"]
        for channel, volt in ((1, 1.0), (1, float("nan")), (2, 0.0)):
            with pytest.raises(RangeError):
                detector.set_bias(channel, volt)
        with pytest.raises(RangeError):
            detector.set_threshold_v(1, 6.0)
        with pytest.raises(RangeError):
            detector.configure({"integration_ms": 10, "temperature_c": 26})
        with pytest.raises(Unsupported):
            detector.configure({"colour": 5})
        assert detector.status().counters["requests"] == sent


def test_the_owner_says_how_cold_the_chip_may_be(serve: Serve) -> None:
    (url,) = serve(S15SpdEmulator())

    with SFifteenSpd(f"{url}?temperature_c=-10..20") as detector:
        assert detector.configure({"temperature_c": -10.0})["temperature_c"] == -10.0
        with pytest.raises(RangeError, match="-10 to 20"):
            detector.configure({"temperature_c": -25.0})


@pytest.mark.parametrize("temperatures", ["cold", "-30", "25..-30", "-300..0"])
def test_temperatures_that_are_no_range_are_refused(temperatures: str) -> None:
    with pytest.raises(ConfigError, match="temperature_c"):
        SFifteenSpd(f"tcp://127.0.0.1:1?temperature_c={temperatures}")


def test_a_limit_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError):
        SFifteenSpd("tcp://127.0.0.1:1?max_bias_v=high")
