"""Commands to a running bench, as one line each, and what they do to the light."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from physics_benches import bench, coincidences, error_rate

from qnx_hw.commands.sim import tell
from qnx_hw.errors import QnxError
from sim_devices.emulators.bench_control import BenchControl
from sim_devices.emulators.server import serving
from sim_devices.physics.bench import Bench


def _say(control: BenchControl, line: str) -> str:
    control.connected(0, 1)
    (output,) = control.feed(0, 1, line.encode() + b"\n", 0.0)
    return output.payload.decode().strip()


def _told(control: BenchControl, line: str) -> str:
    said = _say(control, line)
    assert said.startswith("OK"), said
    return said


def _seen(made: Bench) -> tuple[float, float]:
    """Return Bob's singles and the error rate of 0.1 s from what is not drawn yet."""
    coincidences(made, made.now_s + 0.02, 100)
    _, singles, matrix = coincidences(made, made.now_s + 0.1, 100)
    return float(singles.sum()), error_rate(matrix)


def test_a_knock_spoils_the_correlations_and_its_reverse_heals_them() -> None:
    made = bench(window_ps=100)
    control = BenchControl(made)
    _, before = _seen(made)

    _told(control, "knock bob 1.5708")
    _, knocked = _seen(made)
    _told(control, "knock bob -1.5708")

    assert before < 0.01
    # A right angle about (0.8, 0.6, 0) leaves z·z at 0 and x·x at 0.64: mean error rate 0.34.
    assert abs(knocked - 0.34) < 0.02
    assert _seen(made)[1] < 0.01


def test_loss_thins_the_light() -> None:
    made = bench(source={"pair_rate_hz": 1e5})
    _told(BenchControl(made), "loss bob 0")
    clear, _ = _seen(made)

    _told(BenchControl(made), "loss bob 10")

    dimmed, _ = _seen(made)
    assert abs(dimmed - clear / 10) < 5 * math.sqrt(clear / 10)


def test_an_eavesdropper_comes_and_goes() -> None:
    made = bench(window_ps=100)
    control = BenchControl(made)

    _told(control, "eavesdropper bob 1")
    _, watched = _seen(made)
    _told(control, "eavesdropper bob off")

    assert abs(watched - 0.25) < 0.02
    assert _seen(made)[1] < 0.01


@pytest.mark.parametrize(("line", "moves"), [("drift bob 3", True), ("drift bob 0", False)])
def test_a_storm_turns_the_fibre(line: str, moves: bool) -> None:
    made = bench()
    _told(BenchControl(made), line)
    before = made.station("bob").channel.jones.copy()

    made.advance(0.1)

    assert np.allclose(before, made.station("bob").channel.jones) is not moves


def test_a_clock_that_is_put_forward_keeps_its_stamps_in_order() -> None:
    made = bench(window_ps=100)
    station = made.station("bob")
    first, _ = station.take_tags(0.1)

    _told(BenchControl(made), "clock-jump bob 0.25")

    later, _ = station.take_tags(0.3)
    stamps = np.concatenate([first, later])
    assert np.all(np.diff(stamps) >= 0)
    assert np.diff(stamps).max() > 0.249e12


def test_a_change_of_rate_shows_in_the_stamps() -> None:
    made = bench()
    _told(BenchControl(made), "clock-drift bob 100")

    made.advance(0.5)

    now = made.station("bob").clock.segment()
    assert now.stamp_ps - now.true_ps == pytest.approx(100e-6 * now.true_ps, rel=0.01)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("knock carol 1", "no station 'carol'"),
        ("knock bob much", "needs a number"),
        ("knock bob", "say 'knock STATION RAD'"),
        ("clock-jump bob -1", "from 0 to 1"),
        ("eavesdropper bob 2", "needs 0 to 1"),
        ("dance", "no command 'dance'"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(line: str, why: str) -> None:
    control = BenchControl(bench())
    before = _told(control, "status")

    said = _say(control, line)

    assert said.startswith("ERROR")
    assert why in said
    assert _told(control, "status") == before


def test_the_command_speaks_to_a_bench_over_its_port() -> None:
    with serving(BenchControl(bench())) as (place,):
        assert tell(place.url, "loss bob 7") == "loss bob 7"
        status = json.loads(tell(place.url, "status"))
        with pytest.raises(QnxError, match="no station 'carol'"):
            tell(place.url, "knock carol 1")

    assert status["stations"]["bob"]["loss_db"] == 7
    with pytest.raises(QnxError, match="no bench answers"):
        tell(place.url, "status", timeout_s=2.0)
