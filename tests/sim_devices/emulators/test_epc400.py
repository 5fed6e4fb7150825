"""The squeezers' physics, by what their maker says of them."""

from __future__ import annotations

import math

import pytest

from sim_devices.emulators.epc400 import Epc400Emulator
from sim_devices.emulators.station import RandomStation


class Watched(RandomStation):
    """Keeps what each retarder was given."""

    def __init__(self) -> None:
        super().__init__((0.0,) * 4, 0)
        self.retarders: dict[int, tuple[float, float]] = {}

    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        self.retarders[place] = retardance_rad, angle_deg


@pytest.mark.parametrize("squeezer", [1, 2, 3, 4])
def test_a_squeezer_makes_a_half_wave_of_two_and_a_half_to_three_and_a_half_volt(
    squeezer: int,
) -> None:
    station = Watched()
    device = Epc400Emulator(station)

    retardances_rad = []
    for millivolt in (2500, 3500):
        device.feed(0, 1, f"V{squeezer},{millivolt}\r\n".encode(), 0.0)
        retardances_rad.append(station.retarders[squeezer][0])

    assert retardances_rad[0] <= math.pi <= retardances_rad[1]
    assert station.retarders[squeezer][1] == 45.0 * ((squeezer - 1) % 2)
