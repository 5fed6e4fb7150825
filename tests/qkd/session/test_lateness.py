"""Alice finds out which of her detectors are late, from her own times alone."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from bench_sessions import example, settings, tag_blocks

from qnx_hw.qkd.arrivals import ArrivalTimes
from qnx_hw.qkd.roles import Role
from sim_devices.physics.bench import Bench


@pytest.mark.slow
def test_a_late_detector_is_told_from_the_others(bench: ModuleType) -> None:
    table = example("demo.toml")
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = 100_000.0
    table["bench"]["stations"]["alice"]["delay_ps"] = [0, 0, 2000, 0]
    table["links"]["alice-bob"]["block_sifted_bits"] = 2_500
    laboratory = Bench.from_network(table)
    parameters, stations = settings(table)
    pair = bench.Pair(parameters, stations=stations).start()
    for alice, bob in zip(*(tag_blocks(laboratory, n, 2.5) for n in ("alice", "bob")), strict=True):
        pair.feed([alice], [bob])

    metrics = pair.metrics(Role.ALICE)

    assert metrics.judged_block >= 1
    assert metrics.judged_span_s > 0
    late_ps, sigma_ps = np.array(metrics.late_ps), max(metrics.late_sigma_ps)
    others = late_ps[[0, 1, 3]]
    # Bob's times are rounded to the window, so that part of what is late falls out of it.
    assert 500.0 < late_ps[2] < 1600.0
    assert np.ptp(others) < 6 * sigma_ps < 700.0
    assert late_ps.sum() == pytest.approx(0.0, abs=1e-6)
    assert pair.metrics(Role.BOB).late_ps == ()


def test_few_pairs_say_nothing() -> None:
    lateness = ArrivalTimes()
    three = np.array([0, 0, 1], dtype=np.uint8)
    lateness.add(three, three, np.array([1, 2, 3]))

    assert lateness.late_ps == () == lateness.sigma_ps
