"""What every loop's log must allow: the same policy once more, and the same moves."""

from __future__ import annotations

from pathlib import Path

from qnx_hw.node.recipes import replayed


def assert_replayed(folder: Path, *, least: int = 1) -> None:
    """Replay a closed loop's log with the policy that the log itself tells of."""
    steps = list(replayed(folder))
    assert len(steps) >= least
    for step in steps:
        assert step.now.move_to == step.then.decision.move_to
        assert step.now.reason == step.then.decision.reason
