"""The transmitter board's driver against an emulated board."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.fpga_transmitter import FpgaTransmitter
from qnx_hw.errors import InstrumentRefused, NotConnected, RangeError, Unsupported
from qnx_hw.instruments.values import InstrumentState, PulseScore
from qnx_hw.qkd.pulses import PulseChoices, PulseParameters, training_bits
from qnx_hw.secret import Secret
from qnx_hw.transports import Direction
from sim_devices.emulators.fpga_transmitter import FpgaTransmitterEmulator, Light
from sim_devices.physics.pattern import DARK, Score

Serve = Callable[..., list[str]]
PULSES = PulseParameters(
    rate_hz=1e9, intensities=(0.5, 0.1, 0.0), shares=(0.7, 0.2, 0.1), z_probability=0.8
)
SCORE = PulseScore(
    seed=bytes(range(100, 132)),
    training_key=bytes(range(16)),
    training_pulses=1000,
    pulse_rate_hz=1e9,
    intensities=PULSES.intensities,
    z_threshold=PULSES.z_threshold,
    limits=PULSES.limits,
)


class Lamp(Light):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.played: list[tuple[Score, tuple[float, ...]]] = []
        self.is_dark = True

    @property
    def pulse_rate_hz(self) -> float:
        return 1e9

    def play(self, score: Score, intensities: tuple[float, ...], start_s: float) -> None:
        self.played.append((score, intensities))
        self.is_dark = False

    def darken(self, now_s: float) -> None:
        self.is_dark = True


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1000, 1 << 50))
def test_board_and_alice_expand_a_seed_alike(seed: bytes, first: int) -> None:
    score = Score(seed, bytes(16), 1000, PULSES.z_threshold, PULSES.limits)
    pulses = np.arange(first, first + 200)

    states, kinds = score.choices(pulses)
    bases, values, chosen = PulseChoices(Secret(seed), PULSES).at(pulses)

    assert states.tolist() == (2 * bases + values).tolist()
    assert kinds.tolist() == chosen.tolist()


def test_choices_have_the_probabilities_that_are_asked_for() -> None:
    bases, values, kinds = PulseChoices(Secret(bytes(32)), PULSES).at(np.arange(200_000))

    assert abs(bases.mean() - 0.2) < 4 * (0.16 / 200_000) ** 0.5
    assert abs(values.mean() - 0.5) < 4 * (0.25 / 200_000) ** 0.5
    shares = np.bincount(kinds, minlength=3) / 200_000
    assert shares == pytest.approx(PULSES.drawn_shares, abs=4 * (0.21 / 200_000) ** 0.5)


def test_board_and_bob_know_the_same_training() -> None:
    score = Score(bytes(32), b"public training!", 5000, 1, ())

    states, kinds = score.choices(np.arange(5000))

    shining = np.unpackbits(training_bits(b"public training!", 5000))[:5000]
    assert ((kinds == 0) == (shining == 1)).all()
    assert ((kinds == DARK) == (shining == 0)).all()
    assert not states.any()


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_a_score_reaches_the_light(serve: Serve, listen: str) -> None:
    lamp = Lamp()
    (url,) = serve(FpgaTransmitterEmulator(lamp), listen)

    with FpgaTransmitter(url) as transmitter:
        transmitter.play(SCORE)
        assert transmitter.status().state is InstrumentState.BUSY
        assert not lamp.is_dark
        ((score, means),) = lamp.played
        assert score == Score(SCORE.seed, SCORE.training_key, 1000, SCORE.z_threshold, SCORE.limits)
        assert means[:3] == SCORE.intensities
        transmitter.stop()
        assert transmitter.settings()["intensity_2"] == 0.1
        assert lamp.is_dark
        # Played again, the seed would repeat Alice's choices.
        with pytest.raises(InstrumentRefused, match="nothing to play"):
            transmitter.emit(True)


def test_leaving_is_dark(serve: Serve) -> None:
    lamp = Lamp()
    (url,) = serve(FpgaTransmitterEmulator(lamp))
    with FpgaTransmitter(url) as transmitter:
        transmitter.play(SCORE)
    with FpgaTransmitter(url):
        assert lamp.is_dark


def test_a_pattern_is_repeated_for_alignment(serve: Serve) -> None:
    lamp = Lamp()
    (url,) = serve(FpgaTransmitterEmulator(lamp))

    with FpgaTransmitter(url) as transmitter:
        assert transmitter.load_pattern([0, 2, 3], [0, 1, 0]) == 3
        assert transmitter.emit(True)
        states, kinds = lamp.played[0][0].choices(np.arange(6))
        assert states.tolist() == [0, 2, 3, 0, 2, 3]
        assert kinds.tolist() == [0, 1, 0, 0, 1, 0]
        assert transmitter.emit(False) is False


def test_nonsense_is_refused(serve: Serve) -> None:
    (url,) = serve(FpgaTransmitterEmulator())

    with FpgaTransmitter(url) as transmitter:
        with pytest.raises(RangeError):
            transmitter.load_pattern([4], [0])
        with pytest.raises(RangeError):
            transmitter.load_pattern([0, 1], [0])
        with pytest.raises(RangeError, match="pulses per second"):
            transmitter.play(
                PulseScore(
                    seed=bytes(32),
                    training_key=bytes(16),
                    training_pulses=1,
                    pulse_rate_hz=5e8,
                    intensities=(0.5,),
                    z_threshold=1,
                    limits=(),
                )
            )
        with pytest.raises(InstrumentRefused):
            transmitter.configure({"intensity_1": 11.0})
        with pytest.raises(Unsupported):
            transmitter.configure({"colour": 1.0})
    with pytest.raises(NotConnected):
        transmitter.settings()


def test_a_recorder_sees_no_seed(serve: Serve) -> None:
    (url,) = serve(FpgaTransmitterEmulator())
    seen: list[bytes] = []

    def record(direction: Direction, payload: bytes) -> None:
        seen.append(payload)

    with FpgaTransmitter(url, recorder=record) as transmitter:
        transmitter.play(SCORE)

    assert SCORE.training_key in b"".join(seen)
    assert not any(SCORE.seed[i : i + 8] in b"".join(seen) for i in range(24))
    assert "seed" not in repr(SCORE)
