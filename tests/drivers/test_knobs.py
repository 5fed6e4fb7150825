"""Settings on their way to an instrument and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.knobs import Knob, apply
from qnx_hw.errors import InstrumentRefused, ProtocolError, RangeError


@given(st.floats(900.0, 1700.0))
def test_a_value_comes_back(wavelength_nm: float) -> None:
    knob = Knob("WAV", 900.0, 1700.0, unit=1e-9)

    assert knob.decode(knob.encode("wavelength_nm", wavelength_nm)) == pytest.approx(wavelength_nm)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "dark", -1, 2, 0.5])
def test_a_switch_takes_on_and_off_only(value: float | str) -> None:
    with pytest.raises(RangeError):
        Knob("AUTO", kind=bool).encode("auto_range", value)


def test_a_choice_is_named() -> None:
    knob = Knob("TSRC", choices=("internal", "line"))

    assert knob.encode("trigger", "line") == "1"
    assert knob.decode("0") == "internal"
    with pytest.raises(ProtocolError):
        knob.decode("2")


def test_what_was_set_is_set_back_when_a_later_one_is_refused() -> None:
    held = {"A": "1", "B": "2"}

    def tell(command: str) -> None:
        header, value = command.split()
        if value == "9":
            raise InstrumentRefused("9 is too much")
        held[header] = value

    with pytest.raises(InstrumentRefused):
        apply(
            "unit",
            {"a": Knob("A", 0, 10), "b": Knob("B", 0, 10)},
            {"a": 5, "b": 9},
            lambda command: held[command.removesuffix("?")],
            tell,
        )
    assert held == {"A": "1", "B": "2"}


def test_a_damaged_reading_is_never_set_back() -> None:
    told: list[str] = []

    with pytest.raises(ProtocolError):
        apply("unit", {"a": Knob("A", 0, 10)}, {"a": 5}, lambda _: "\x9e1", told.append)

    assert told == []
