"""The loop's scaffold: hold, limits, failures, the log and its replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from actuators import actuator

from qnx_hw.api.loops import ActuatorAxis, LoopState
from qnx_hw.control import decision_log
from qnx_hw.control.decision_log import DecisionLog, Knows, Logged
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.control.polarization import Measurement, make
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.policy import Decision, Policy
from qnx_hw.errors import ConfigError, InstrumentError, InstrumentTimeout, RecordingError

TITLE = Title("alice-bob polarization", "bob", "alice-bob", "polarization", "paddles", "QBER")


class Rehearsed(Actuation):
    """The actuator of a rehearsal; it fails while told to."""

    def __init__(self, fibre: Rehearsal) -> None:
        self.fibre = fibre
        self.fails = False
        self.safe = False

    def axes(self) -> tuple[ActuatorAxis, ...]:
        return tuple(ActuatorAxis(name=f"{n}", unit="deg", low=0, high=170) for n in (1, 2, 3))

    def positions(self) -> tuple[float, ...]:
        return self.fibre.values

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        if self.fails:
            raise InstrumentTimeout("paddle 2 did not arrive")
        self.fibre.move(values)
        return self.fibre.values

    def make_safe(self) -> None:
        if self.fails:
            raise InstrumentError("unplugged")
        self.safe = True


class Restless(Policy[Measurement]):
    """Asks for what no paddle can do."""

    def observe(self, seen: Measurement) -> Decision:
        return Decision(LoopState.SEARCHING, (200.0, 0.0, 0.0), "up and away")

    def restart(self) -> None:
        return


def _loop(log: DecisionLog | None = None, seed: int = 3) -> tuple[Loop[Measurement], Rehearsed]:
    made = actuator("paddles")
    stage = Rehearsed(Rehearsal(made, np.random.default_rng(seed)))
    loop = Loop(
        TITLE,
        stage,
        lambda name, target: make(name, made, target=target),
        algorithms=("model", "spsa"),
        target=0.0,
        log=log,
    )
    return loop, stage


def _look(loop: Loop[Measurement], stage: Rehearsed, times: int) -> None:
    for _ in range(times):
        loop.observe(lambda values: stage.fibre.measure(5000))


def test_a_loop_aligns_and_shows_what_it_does() -> None:
    loop, stage = _loop()

    _look(loop, stage, 6)

    assert stage.fibre.excess < 0.01
    view = loop.view
    assert view.state is LoopState.TRACKING
    assert view.settings_used >= 1
    assert [axis.actual for axis in view.axes] == pytest.approx(list(stage.fibre.values))
    assert view.residual.value is not None
    assert all(abs(np.linalg.norm(each) - 1) < 1e-6 for each in view.stokes)


def test_a_held_loop_moves_nothing_until_it_may_go_on() -> None:
    loop, stage = _loop()
    loop.hold()
    before = stage.fibre.values

    _look(loop, stage, 4)
    assert stage.fibre.values == before
    assert loop.view.state is LoopState.HOLDING

    loop.resume()
    _look(loop, stage, 6)
    assert stage.fibre.excess < 0.01


def test_failed_moves_are_survived() -> None:
    loop, stage = _loop()
    stage.fails = True
    _look(loop, stage, 4)
    assert loop.view.state is LoopState.FAULT
    assert "did not arrive" in loop.view.message

    stage.fails = False
    _look(loop, stage, 7)

    assert stage.fibre.excess < 0.01
    assert loop.view.state is LoopState.TRACKING


def test_what_is_out_of_range_is_not_sent() -> None:
    _, stage = _loop()
    loop = Loop(TITLE, stage, lambda *_: Restless(), algorithms=("wild",), target=0.0)

    _look(loop, stage, 1)

    assert stage.fibre.values == (85.0, 85.0, 85.0)
    assert loop.view.state is LoopState.FAULT
    assert "the range is 0 to 170" in loop.view.message


def test_a_relock_searches_anew_and_is_counted() -> None:
    loop, stage = _loop()
    _look(loop, stage, 6)

    loop.relock()

    assert loop.view.state is LoopState.SEARCHING
    assert loop.view.relocks == 1


def test_algorithm_and_target_can_be_chosen() -> None:
    loop, _ = _loop()

    loop.choose(algorithm="spsa", target=0.04)

    assert (loop.view.algorithm, loop.view.target) == ("spsa", 0.04)
    with pytest.raises(ConfigError, match="no algorithm 'magic'"):
        loop.choose(algorithm="magic")


def test_a_closed_loop_is_safe() -> None:
    loop, stage = _loop()

    loop.close()

    assert stage.safe


def test_decisions_can_be_replayed(tmp_path: Path) -> None:
    loop, stage = _loop(DecisionLog(tmp_path, iter(range(100)).__next__))
    _look(loop, stage, 6)
    stage.fails = True
    stage.fibre.drift(1.0)
    _look(loop, stage, 2)
    loop.close()

    rows = list(decision_log.read(tmp_path))
    assert [row.time_s for row in rows] == list(range(8))
    assert "did not arrive" in "".join(row.trouble for row in rows)
    _assert_as_then(rows)


def test_what_was_asked_of_a_loop_is_replayed_too(tmp_path: Path) -> None:
    loop, stage = _loop(DecisionLog(tmp_path, lambda: 0.0, b"a recipe"))
    _look(loop, stage, 4)
    loop.relock()
    _look(loop, stage, 3)
    loop.choose(algorithm="spsa", target=0.01)
    _look(loop, stage, 3)
    loop.close()

    rows = list(decision_log.read(tmp_path))
    assert [row.chosen.knows for row in rows] == [
        *(Knows.NOTHING, Knows.ALL, Knows.ALL, Knows.ALL),
        *(Knows.LITTLE, Knows.ALL, Knows.ALL),
        *(Knows.NOTHING, Knows.ALL, Knows.ALL),
    ]
    assert (rows[-1].chosen.algorithm, rows[-1].chosen.target) == ("spsa", 0.01)
    assert {row.recipe for row in rows} == {b"a recipe"}
    _assert_as_then(rows)


def _assert_as_then(rows: list[Logged]) -> None:
    made = actuator("paddles")
    for row, _, decision in decision_log.replay(
        rows,
        lambda row: make(row.chosen.algorithm, made, target=row.chosen.target),
        lambda row: Measurement.of_numbers(row.values, row.seen),
    ):
        assert decision.move_to == row.decision.move_to
        assert decision.state is row.decision.state


def test_decisions_do_not_wait_for_long(tmp_path: Path) -> None:
    minutes = iter(range(0, 6000, 60)).__next__
    loop, stage = _loop(DecisionLog(tmp_path, minutes))

    _look(loop, stage, 6)
    assert [row.time_s for row in decision_log.read(tmp_path)] == [0, 60, 120, 180, 240, 300]
    _look(loop, stage, 2)
    assert len(list(decision_log.read(tmp_path))) == 6
    loop.close()
    assert len(list(decision_log.read(tmp_path))) == 8


def test_a_log_that_cannot_be_written_does_not_end_its_loop(tmp_path: Path) -> None:
    in_the_way = tmp_path / "log"
    in_the_way.touch()
    loop, stage = _loop(DecisionLog(in_the_way, iter(range(0, 6000, 60)).__next__))
    _look(loop, stage, 6)

    in_the_way.unlink()
    _look(loop, stage, 2)
    loop.close()

    assert [row.time_s for row in decision_log.read(in_the_way)] == [360, 420]


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "000001.parquet").write_bytes(b"no parquet")

    with pytest.raises(RecordingError, match="000001"):
        list(decision_log.read(tmp_path))


def test_an_instrument_that_is_gone_at_the_end_costs_nothing_of_the_log(tmp_path: Path) -> None:
    loop, stage = _loop(DecisionLog(tmp_path, iter(range(0, 6000, 60)).__next__))
    _look(loop, stage, 2)
    stage.fails = True

    loop.close()

    assert not stage.safe
    assert [row.time_s for row in decision_log.read(tmp_path)] == [0, 60]
