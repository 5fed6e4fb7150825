"""The polarimeter's driver against an emulated unit."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.pax1000 import Measurement, Pax1000, decode_measurement
from qnx_hw.errors import (
    InstrumentRefused,
    InstrumentTimeout,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.pax1000 import Pax1000Emulator

Serve = Callable[..., list[str]]
LONG_S = 120.0


@given(
    st.floats(-math.pi / 2, math.pi / 2), st.floats(-math.pi / 4, math.pi / 4), st.floats(0.0, 1.0)
)
def test_the_length_is_the_degree_of_polarization(
    azimuth: float, ellipticity: float, degree: float
) -> None:
    _, *vector = Measurement(9, 0, azimuth, ellipticity, degree, 1.0).stokes()

    assert math.hypot(*vector) == pytest.approx(degree, abs=1e-12)


@pytest.mark.parametrize(
    ("azimuth_deg", "ellipticity_deg", "vector"),
    [(0, 0, (1, 0, 0)), (90, 0, (-1, 0, 0)), (45, 0, (0, 1, 0)), (0, 45, (0, 0, 1))],
)
def test_known_states_stand_on_their_axes(
    azimuth_deg: float, ellipticity_deg: float, vector: tuple[float, float, float]
) -> None:
    seen = Measurement(9, 0, math.radians(azimuth_deg), math.radians(ellipticity_deg), 1.0, 2e-6)

    assert seen.stokes() == pytest.approx((2e-6, *vector), abs=1e-12)


@pytest.mark.parametrize("reply", ["", "1,2,3", ",".join(["x"] * 13), ",".join(["nan"] * 13)])
def test_replies_that_are_none_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        decode_measurement(reply)


@pytest.mark.slow
def test_the_state_is_measured_once_the_plate_turns(serve: Serve) -> None:
    (url,) = serve(
        Pax1000Emulator(options={"azimuth_rad": 0.3, "ellipticity_rad": 0.1, "dop": 0.5})
    )

    with Pax1000(url) as polarimeter:
        assert polarimeter.connect().model == "PAX1000IR2/M"
        polarimeter.configure({"mode": 9, "rotation_on": True})
        power_w, *vector = polarimeter.stokes(timeout_s=LONG_S)

    assert power_w == pytest.approx(1e-6)
    wanted = (math.cos(0.6) * math.cos(0.2), math.sin(0.6) * math.cos(0.2), math.sin(0.2))
    assert vector == pytest.approx([0.5 * part for part in wanted], abs=0.01)


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_settings_are_read_back_and_leaving_halts_the_plate(serve: Serve, listen: str) -> None:
    (url,) = serve(Pax1000Emulator(), listen)

    with Pax1000(url) as polarimeter:
        held = polarimeter.configure({"wavelength_nm": 1310.0, "rotation_hz": 100.0})
        assert held["wavelength_nm"] == pytest.approx(1310.0)
        assert polarimeter.configure({"rotation_on": True})["rotation_on"] is True

    with Pax1000(url) as polarimeter:
        assert polarimeter.settings()["rotation_on"] is False


def test_an_idle_unit_says_what_to_do(serve: Serve) -> None:
    (url,) = serve(Pax1000Emulator())

    with Pax1000(url) as polarimeter:
        with pytest.raises(InstrumentRefused, match="rotation_on"):
            polarimeter.stokes()
        polarimeter.configure({"mode": 9, "rotation_on": True})
        with pytest.raises(InstrumentTimeout):
            polarimeter.stokes(timeout_s=0.3)


def test_nonsense_is_refused(serve: Serve) -> None:
    (url,) = serve(Pax1000Emulator())

    with Pax1000(url) as polarimeter:
        sent = polarimeter.status().counters["requests"]
        for settings in ({"mode": 10}, {"mode": 1.5}, {"rotation_hz": 1.0}):
            with pytest.raises(RangeError):
                polarimeter.configure(settings)
        with pytest.raises(Unsupported):
            polarimeter.configure({"colour": 5})
        assert polarimeter.status().counters["requests"] == sent
        with pytest.raises(InstrumentRefused, match="-222"):
            polarimeter.configure({"mode": 5, "wavelength_nm": 500.0})
        assert polarimeter.settings()["mode"] == 1
