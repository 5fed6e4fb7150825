"""`qnx align` and `qnx tune` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from actuators import actuator
from rounded_delays import delay_histogram

from qnx_hw.api.schema import BlockStage, LinkPhase, LinkView
from qnx_hw.api.value import Estimate
from qnx_hw.cli import main
from qnx_hw.commands.tune import _window
from qnx_hw.control.decision_log import Chosen, DecisionLog, Knows
from qnx_hw.control.polarization import ALGORITHMS, make
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.usual import CAPABILITIES
from qnx_hw.control.window import WindowSeen
from qnx_hw.errors import QnxError
from qnx_hw.node.recipes import PolarizationRecipe, WindowRecipe


def test_a_rehearsal_aligns_a_fibre(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "steps.json"

    assert main(["align", "rehearse", "--coincidences", "5000", "--json", str(out)]) == 0

    steps = json.loads(out.read_text())
    assert len(steps) == 10
    assert steps[-1]["true_excess"] < 0.01 < steps[0]["true_excess"]
    assert "tracking" in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_rehearses(algorithm: str, tmp_path: Path) -> None:
    out = tmp_path / "steps.json"
    words = ["--algorithm", algorithm, "--actuator", "plates", "--settings", "5"]

    assert main(["align", "rehearse", *words, "--json", str(out)]) == 0

    steps = json.loads(out.read_text())
    assert [step["setting"] for step in steps] == [1, 2, 3, 4, 5]
    assert len({tuple(step["values"]) for step in steps}) > 1
    assert all(0 <= value <= 360 for step in steps for value in step["values"])


def test_a_log_is_replayed_to_the_same_moves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = actuator("paddles")
    fibre, policy = Rehearsal(made, np.random.default_rng(1)), make("model", made, target=0.0)
    recipe = PolarizationRecipe(capabilities=CAPABILITIES["paddles"])
    log = DecisionLog(tmp_path, lambda: 0.0, recipe.encoded())
    for chosen in (Chosen("model", knows=Knows.NOTHING), Chosen("model"), Chosen("model")):
        seen = fibre.measure(5000)
        decision = policy.observe(seen)
        log.add(chosen, seen, decision, None, "")
        if decision.move_to is not None:
            fibre.move(decision.move_to)
    log.close()

    assert main(["align", "replay", str(tmp_path)]) == 0
    assert "another move" not in capsys.readouterr().out
    assert main(["tune", "replay", str(tmp_path)]) == 0
    assert "3 decisions, 3 of them as then" in capsys.readouterr().out
    assert main(["align", "replay", str(tmp_path), "--algorithm", "line"]) == 0
    assert "another move" in capsys.readouterr().out


def test_a_log_of_another_loop_is_no_alignment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = WindowRecipe(low_ps=100.0, high_ps=10_000.0)
    log = DecisionLog(tmp_path, lambda: 0.0, recipe.encoded())
    seen = WindowSeen((5000.0,), 200.0, 1, 30_000.0, 3_000.0, 0.065, 10.0)
    decision = recipe.policy("model", 0.0).observe(seen)
    log.add(Chosen("model", knows=Knows.NOTHING), seen, decision, None, "")
    log.close()

    assert main(["align", "replay", str(tmp_path)]) == 1
    assert "`qnx tune replay` shows it" in capsys.readouterr().err
    assert main(["tune", "replay", str(tmp_path)]) == 0
    assert "at 5000 to" in capsys.readouterr().out


def test_wrong_wishes_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", "rehearse", "--algorithm", "magic"]) == 1
    assert "no alignment algorithm 'magic'" in capsys.readouterr().err
    assert main(["align", "replay", str(tmp_path)]) == 1
    assert "there are no decisions" in capsys.readouterr().err
    assert main(["tune", "replay", str(tmp_path)]) == 1
    assert "there are no decisions" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tune", "pump", "alice-bob", "--apply"])
    assert "--apply" in capsys.readouterr().err


def _link(**changes: object) -> LinkView:
    fields: dict[str, object] = {
        "name": "alice-bob",
        "alice": "alice",
        "bob": "bob",
        "protocol": "bbm92",
        "phase": LinkPhase.GENERATING,
        "stage": BlockStage.COLLECTING,
        "window_ps": 10_000,
        "qber_limit": 0.08,
        "coincidence_rate_cps": 30_000.0,
        "accidental_rate_cps": 3_000.0,
        "qber": Estimate(value=0.065),
        "histogram": delay_histogram(10_000, 1, 200.0),
    }
    return LinkView(**(fields | changes))


def test_a_window_that_is_far_too_wide_is_narrowed() -> None:
    advice = _window(_link(), 30.0)

    assert 3000 < advice.best < 4000  # a third at once
    assert advice.gain > 0.1


def test_a_link_without_numbers_cannot_be_tuned() -> None:
    with pytest.raises(QnxError, match="let it make a block"):
        _window(_link(accidental_rate_cps=None), 30.0)
    with pytest.raises(QnxError, match="ask Alice's node"):
        _window(_link(histogram=None), 30.0)
