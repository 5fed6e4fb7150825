"""A transmitter of weak pulses on an FPGA that speaks docs/reference/fpga-boards.md.

The board expands a secret seed into one state and one intensity per pulse, or repeats a pattern for
alignment. The seed is on the wire once; a recorder of the wire sees zeros in its place.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from drivers.fpga_board import REPLY_TIMEOUT_S, Board, Setting
from drivers.fpga_frames import Kind
from qnx_hw.errors import InstrumentRefused, RangeError
from qnx_hw.instruments.families import Transmitter
from qnx_hw.instruments.values import (
    Identity,
    InstrumentState,
    InstrumentStatus,
    PulseScore,
    TransmitterCapabilities,
)
from qnx_hw.transports import Direction, Recorder

SEED_BYTES = 32
TRAINING_KEY_BYTES = 16
HEAD_BYTES = 8
# A board holds its rate to this part of the nominal one.
RATE_TOLERANCE = 1e-3


class FpgaTransmitter(Transmitter):
    """A transmitter board at `tcp://host:port` or `serial:///dev/ttyX`."""

    def __init__(
        self, url: str, *, name: str = "fpga-transmitter", recorder: Recorder | None = None
    ) -> None:
        self.name = name
        discreet = None if recorder is None else _Discreet(recorder)
        self._board = Board(url, name, "transmitter", recorder=discreet)
        self._is_emitting = False

    @property
    def capabilities(self) -> TransmitterCapabilities:
        """What the board says it can do, once it is connected."""
        facts = self._board.facts
        return TransmitterCapabilities(
            pulse_rate_hz=float(facts.get("pulse_rate_hz", 0.0)),
            n_intensities=int(facts.get("intensities", 4)),
            max_pattern=int(facts.get("max_pattern", 1 << 16)),
        )

    def connect(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> Identity:
        """Open the wire, go dark, and ask who is there."""
        self._is_emitting = False
        return self._board.open(timeout_s=timeout_s)

    def close(self) -> None:
        """Go dark and let go of the wire."""
        self._is_emitting = False
        self._board.close()

    def status(self) -> InstrumentStatus:
        """Return how the board is, without asking it."""
        state = InstrumentState.BUSY if self._is_emitting else InstrumentState.READY
        return self._board.status(state, {})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `intensity_N`, the mean photons per pulse of each intensity."""
        return self._board.settings(timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings, all or none."""
        return self._board.configure(settings, timeout_s)

    def stop(self) -> None:
        """Go dark now."""
        self._is_emitting = False
        self._board.stop()

    def load_pattern(
        self, states: Sequence[int], intensities: Sequence[int], *, timeout_s: float | None = None
    ) -> int:
        """Load states (0 to 3: H V D A) and intensities (from 0) to be repeated; goes dark."""
        held = self.capabilities
        if len(states) != len(intensities) or not 1 <= len(states) <= held.max_pattern:
            raise RangeError(f"'{self.name}' takes 1 to {held.max_pattern} pulses, both rows alike")
        if not set(states) <= set(range(4)) or not set(intensities) <= set(
            range(held.n_intensities)
        ):
            raise RangeError(
                f"'{self.name}' knows states 0 to 3 and {held.n_intensities} intensities"
            )
        pulses = bytes(s + 4 * k for s, k in zip(states, intensities, strict=True))
        self._is_emitting = False
        self._board.ask(Kind.PATTERN, pulses, timeout_s=timeout_s)
        return len(pulses)

    def play(self, score: PulseScore, *, timeout_s: float | None = None) -> None:
        """Go dark, set the intensities, load the seed, and start with the training."""
        rate_hz = self.capabilities.pulse_rate_hz
        if abs(rate_hz / score.pulse_rate_hz - 1.0) > RATE_TOLERANCE:
            raise RangeError(
                f"'{self.name}' sends {rate_hz:g} pulses per second, "
                f"the link wants {score.pulse_rate_hz:g}"
            )
        with self._board.operation.within(timeout_s):
            self.emit(False, timeout_s=timeout_s)
            wanted = {f"intensity_{n}": mean for n, mean in enumerate(score.intensities, 1)}
            held = self._board.configure(wanted, timeout_s)
            if any(abs(float(held[key]) - mean) > 0.01 * mean for key, mean in wanted.items()):
                raise InstrumentRefused(f"'{self.name}' holds other intensities than {wanted}")
            limits = struct.pack(f"<{len(score.limits)}I", *score.limits)
            numbers = struct.pack(
                "<QIB", score.training_pulses, score.z_threshold, len(limits) // 4
            )
            payload = score.seed + score.training_key + numbers + limits
            self._board.ask(Kind.SEED, payload, timeout_s=timeout_s)
            self.emit(True, timeout_s=timeout_s)

    def emit(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Start or stop the pulses."""
        self._board.ask(Kind.START if on else Kind.STOP, timeout_s=timeout_s)
        self._is_emitting = on
        return on


class _Discreet(Recorder):
    """Shows a recorder everything but seeds."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __call__(self, direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT and payload[2:3] == bytes([Kind.SEED]):
            hidden = HEAD_BYTES + SEED_BYTES
            payload = payload[:HEAD_BYTES] + bytes(SEED_BYTES) + payload[hidden:-4] + bytes(4)
        self._recorder(direction, payload)
