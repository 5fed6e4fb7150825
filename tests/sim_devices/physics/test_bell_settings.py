"""A station with the settings of E91, against closed formulas; four standard deviations."""

import math

import numpy as np
import physics_benches as benches

from sim_devices.physics.bench import Bench

BELL = {"analysers_deg": [0.0, 45.0, 22.5, 67.5]}


def test_pairs_show_the_correlations_of_every_setting() -> None:
    made = benches.bench(bob=BELL, source={"visibility": 0.95})

    singles_a, singles_b, matrix = benches.coincidences(made, 1.0, 2000, n_detectors=8)

    assert len(singles_b) == 8
    assert abs(singles_b.sum() - singles_a.sum()) < 4 * math.sqrt(2 * singles_a.sum())
    for a, angle_a in enumerate((0.0, 45.0)):
        for b, angle_b in enumerate(BELL["analysers_deg"]):
            cell = matrix[2 * a : 2 * a + 2, 2 * b : 2 * b + 2]
            e = (cell[0, 0] + cell[1, 1] - cell[0, 1] - cell[1, 0]) / cell.sum()
            wanted = 0.95 * math.cos(2 * math.radians(angle_a - angle_b))
            accidental_share = 0.02
            sigma = math.sqrt((1 - wanted**2) / cell.sum()) + 1e-9
            assert abs(e - wanted) < 4 * sigma + accidental_share


def test_what_is_expected_fits_the_state() -> None:
    file = benches.network(bob=BELL, source={"visibility": 0.95, "pair_rate_hz": 1e3})

    expected = Bench.from_network(file).expected("alice-bob")

    assert abs(expected.chsh_s - 0.95 * 2 * math.sqrt(2)) < 0.01
    assert abs(expected.sifted_fraction - 0.25) < 1e-3
    assert len(expected.singles_bob_cps) == 8
    assert np.allclose(expected.singles_bob_cps, expected.singles_bob_cps[0])
