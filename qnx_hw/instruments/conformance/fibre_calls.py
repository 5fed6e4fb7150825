"""The blocking calls of what stands in a fibre's way or at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qnx_hw.instruments.conformance.call import N_TURNS, Call, number_flaw
from qnx_hw.instruments.families import Attenuator, OpticalSwitch, Polarimeter, PowerMeter


def switch_calls(switch: OpticalSwitch) -> tuple[Call, ...]:
    """Return the calls of an optical switch."""

    def wanted(turn: int) -> dict[int, int]:
        return {1: 1 + turn % 2}

    def is_map(turn: int, answer: object) -> str:
        assert isinstance(answer, Mapping)
        ports = [*answer.keys(), *answer.values()]
        return "" if all(isinstance(port, int) and port >= 1 for port in ports) else f"{answer}"

    return (
        Call("connections", lambda turn, s: switch.connections(timeout_s=s), is_map),
        Call(
            "apply",
            lambda turn, s: switch.apply(wanted(turn), timeout_s=s),
            lambda turn, answer: "" if answer == wanted(turn) else f"{answer} is connected",
            True,
        ),
    )


def attenuator_calls(attenuator: Attenuator) -> tuple[Call, ...]:
    """Return the calls of an attenuator."""

    def wanted_db(turn: int) -> float:
        return 10.0 + turn % N_TURNS

    return (
        Call(
            "set_attenuation_db",
            lambda turn, s: attenuator.set_attenuation_db(wanted_db(turn), timeout_s=s),
            lambda turn, held: number_flaw(held, wanted_db(turn), 0.3),
            True,
        ),
    )


def power_meter_calls(meter: PowerMeter) -> tuple[Call, ...]:
    """Return the calls of a power meter."""

    def flaw(turn: int, power_w: object) -> str:
        assert isinstance(power_w, float)
        return "" if -1.0 < power_w < 100.0 else f"{power_w:g} W is no optical power"

    return (Call("power_w", lambda turn, s: meter.power_w(timeout_s=s), flaw),)


def polarimeter_calls(polarimeter: Polarimeter) -> tuple[Call, ...]:
    """Return the calls of a polarimeter."""

    def flaw(turn: int, stokes: object) -> str:
        assert isinstance(stokes, tuple)
        length = math.hypot(*stokes[1:])
        return "" if len(stokes) == 4 and length <= 1.05 else f"{stokes} is no state"

    return (Call("stokes", lambda turn, s: polarimeter.stokes(timeout_s=s), flaw),)
