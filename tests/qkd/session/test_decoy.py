"""Decoy BB84 on the simulated bench: two parties, a transmitter, and four detectors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pulsed_link
import pytest
from bench_sessions import tag_blocks

from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.roles import Role
from sim_devices.physics.bench import Bench

pytestmark = pytest.mark.slow


def run(
    module: ModuleType,
    seconds: float,
    pulses: PulseParameters = pulsed_link.TWO_DECOYS,
    made: Bench | None = None,
    **changes: Any,
) -> Any:
    made = made or pulsed_link.bench(pulses)
    pair = module.Pair(
        pulsed_link.parameters(pulses, **changes),
        transmit=lambda asked: pulsed_link.play(made, asked),
    ).start()
    for block in tag_blocks(made, "bob", seconds):
        pair.feed([], [])
        pair.outputs[Role.BOB]  # noqa: B018
        pair._act(Role.BOB, pair.sessions[Role.BOB].detections(block))
        pair.deliver()
    return pair


@pytest.mark.parametrize("pulses", [pulsed_link.TWO_DECOYS, pulsed_link.ONE_DECOY])
def test_both_ends_release_the_same_key(bench: ModuleType, pulses: PulseParameters) -> None:
    pair = run(bench, 6.0, pulses)

    print(pair.reasons(Role.ALICE), pair.reasons(Role.BOB))
    m = pair.metrics(Role.BOB)
    print(m, [len(k) for k in pair.keys(Role.ALICE).values()], pair.metrics(Role.ALICE))
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
