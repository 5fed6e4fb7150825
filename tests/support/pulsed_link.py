"""A decoy BB84 link on the bench: its file, and how a session's pulses get there."""

from __future__ import annotations

from typing import Any

from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.session import Transmit
from sim_devices.physics.bench import Bench
from sim_devices.physics.pattern import Score

TWO_DECOYS = PulseParameters(
    rate_hz=2e8,
    intensities=(0.5, 0.12, 0.0),
    shares=(0.7, 0.2, 0.1),
    z_probability=0.7,
    training_s=0.05,
)
ONE_DECOY = PulseParameters(
    rate_hz=2e8,
    intensities=(0.5, 0.15),
    shares=(0.75, 0.25),
    z_probability=0.7,
    training_s=0.05,
)
BOB = {
    "z_probability": 0.7,
    "efficiency": 0.8,
    "loss_db": 20.0,
    "dark_rate_cps": 100.0,
    "extinction_db": 20.0,
    "jitter_ps": 200.0,
    "clock_offset_s": 3.0,
    "clock_drift_ppm": 4.0,
}


def parameters(pulses: PulseParameters = TWO_DECOYS, **changes: Any) -> SessionParameters:
    """Return what both parties hold."""
    given = {
        "coincidence_window_ps": 1500,
        "clock_drift_limit_ppm": 20.0,
        "block_sifted_bits": 700_000,
        "test_fraction": 0.02,
        "cross_click_limit": 0.2,
    }
    return SessionParameters(
        link="test", protocol=Protocol.DECOY_BB84, pulses=pulses, **(given | changes)
    )


def bench(pulses: PulseParameters = TWO_DECOYS, **changes: Any) -> Bench:
    """Return a bench with the transmitter's light on the way to Bob."""
    table = {
        "seed": 3,
        "stations": {"bob": BOB | changes.pop("bob", {})},
        "transmitters": {"alice": {"arm": "bob", "pulse_rate_hz": pulses.rate_hz}},
    }
    return Bench.from_network({"bench": table | changes})


def play(made: Bench, asked: Transmit) -> None:
    """Do what the driver and the board do: go dark, and play a fifth of a second later."""
    pulses = asked.pulses
    score = Score(
        asked.seed.reveal(),
        asked.training_key,
        pulses.training_pulses,
        pulses.z_threshold,
        pulses.limits,
    )
    transmitter = made.transmitter("alice")
    transmitter.darken(made.now_s)
    transmitter.play(score, pulses.intensities, made.now_s + 0.2)
