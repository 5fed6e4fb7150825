"""A transmitter of weak pulses on an FPGA board: dark, or playing a seed or a pattern."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from sim_devices.emulators.emulator import Output, number_option
from sim_devices.emulators.fpga_board import (
    PATTERN,
    SEED,
    START,
    STOP,
    FpgaBoardEmulator,
    Refusal,
    Setting,
)
from sim_devices.physics.pattern import Score

N_INTENSITIES = 4
MAX_PATTERN = 1 << 16
# Between the command and the first pulse, so that the light is seen to begin.
DARK_S = 0.2
NUMBERS = struct.Struct("<QIB")
HEAD_BYTES = 32 + 16 + NUMBERS.size


class Light(Protocol):
    """What the board drives."""

    @property
    @abstractmethod
    def pulse_rate_hz(self) -> float:
        """How many pulses are sent per second."""

    @abstractmethod
    def play(self, score: Score, intensities: tuple[float, ...], start_s: float) -> None:
        """Send pulse 0 at this time, and then one after the other."""

    @abstractmethod
    def darken(self, now_s: float) -> None:
        """Send nothing any more."""


class NoLight(Light):
    """A board that stands alone."""

    def __init__(self, pulse_rate_hz: float) -> None:
        self._pulse_rate_hz = pulse_rate_hz

    @property
    def pulse_rate_hz(self) -> float:
        """As it was said."""
        return self._pulse_rate_hz

    def play(self, score: Score, intensities: tuple[float, ...], start_s: float) -> None:
        """Nobody looks."""

    def darken(self, now_s: float) -> None:
        """It is dark."""


class FpgaTransmitterEmulator(FpgaBoardEmulator):
    """Options: `pulse_rate_hz` (alone)."""

    def __init__(
        self, light: Light | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        rate_hz = number_option(options or {}, "pulse_rate_hz", 1e9)
        self._light = NoLight(rate_hz) if light is None else light
        means: dict[str, Setting] = {f"intensity_{n}": 0.5 / n for n in range(1, N_INTENSITIES + 1)}
        super().__init__(
            {
                "role": "transmitter",
                "maker": "open hardware",
                "model": "transmitter board, emulated",
                "serial": "X1",
                "firmware": "1.0",
                "pulse_rate_hz": self._light.pulse_rate_hz,
                "intensities": N_INTENSITIES,
                "max_pattern": MAX_PATTERN,
            },
            means,
        )
        self._score: Score | None = None

    def obey(self, kind: int, payload: bytes, client: int, now_s: float) -> bytes:
        """Load or play."""
        if kind == STOP:
            self._light.darken(now_s)
        elif kind == SEED:
            self._light.darken(now_s)
            self._score = _score(payload)
        elif kind == PATTERN:
            self._light.darken(now_s)
            self._score = _pattern(payload)
        elif kind == START:
            if self._score is None:
                raise Refusal("there is nothing to play")
            means = tuple(float(mean) for mean in self.held.values())
            self._light.play(self._score, means, now_s + DARK_S)
            # A seed is played once: what is started again would repeat Alice's choices.
            if not self._score.pattern:
                self._score = None
        else:
            raise Refusal("a transmitter does not do this")
        return b""

    def check(self, name: str, value: Setting) -> None:
        """Refuse an intensity that no attenuated laser has."""
        if not 0.0 <= float(value) <= 10.0:
            raise Refusal(f"{name} is 0 to 10 photons")

    def tick(self, now_s: float) -> list[Output]:
        """Send nothing unasked."""
        return []


def _score(payload: bytes) -> Score:
    if len(payload) < HEAD_BYTES:
        raise Refusal("the seed is cut short")
    training_pulses, z_threshold, count = NUMBERS.unpack_from(payload, 48)
    if len(payload) != HEAD_BYTES + 4 * count or not count < N_INTENSITIES:
        raise Refusal("the limits do not fit")
    limits = struct.unpack_from(f"<{count}I", payload, HEAD_BYTES)
    return Score(payload[:32], payload[32:48], training_pulses, z_threshold, limits)


def _pattern(payload: bytes) -> Score:
    if not 1 <= len(payload) <= MAX_PATTERN or max(payload) >= 4 * N_INTENSITIES:
        raise Refusal(f"a pattern has 1 to {MAX_PATTERN} pulses of four states and intensities")
    return Score(bytes(32), bytes(16), 0, 0, (), payload)
