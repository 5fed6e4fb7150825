"""Values that every instrument speaks of: who it is, how it is, what it can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered on the wire; empty where the instrument does not say."""

    maker: str
    model: str
    serial: str = ""
    firmware: str = ""


class InstrumentState(StrEnum):
    """Where an instrument stands in its life."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    READY = "ready"
    BUSY = "busy"
    STREAMING = "streaming"
    FAULT = "fault"
    RECONNECTING = "reconnecting"


@dataclass(frozen=True, slots=True)
class InstrumentStatus:
    """How an instrument is, from what is known without asking it."""

    state: InstrumentState
    error: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Things that happened since connecting: `requests`, `timeouts`, `resyncs`, `lost_tags`, …"""


class Family(StrEnum):
    """The kinds of instrument the software knows."""

    TIME_TAGGER = "time_tagger"
    PHOTON_DETECTOR = "photon_detector"
    POLARIZATION_CONTROLLER = "polarization_controller"
    OPTICAL_SWITCH = "optical_switch"
    ATTENUATOR = "attenuator"
    POWER_METER = "power_meter"
    BIAS_SOURCE = "bias_source"
    DELAY_GENERATOR = "delay_generator"
    POLARIMETER = "polarimeter"
    TRANSMITTER = "transmitter"


class Edge(StrEnum):
    """Which flank of a pulse makes a tag."""

    RISING = "rising"
    FALLING = "falling"


class Reference(StrEnum):
    """Which oscillator a tagger counts."""

    INTERNAL = "internal"
    EXTERNAL = "external"
    AUTO = "auto"


class AxisKind(StrEnum):
    """What an axis of a polarization controller turns or drives."""

    PADDLE_ANGLE = "paddle_angle"
    WAVE_PLATE_ANGLE = "wave_plate_angle"
    SQUEEZER_VOLTAGE = "squeezer_voltage"
    RETARDANCE_VOLTAGE = "retardance_voltage"


@dataclass(frozen=True, slots=True)
class AxisRange:
    """The values an axis takes, in its own unit (`deg` or `V`), and how fast it gets there."""

    kind: AxisKind
    unit: str
    low: float
    high: float
    resolution: float
    periodic: bool = False
    speed_per_s: float | None = None
    """Largest speed in units per second; None where a step is instant."""

    def holds(self, value: float) -> bool:
        """Whether the axis can stand at `value`."""
        return self.periodic or self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class TaggerCapabilities:
    """What a time tagger can do."""

    n_channels: int
    resolution_ps: int
    jitter_ps: int
    max_rate_cps: float
    per_channel_threshold: bool
    has_delay: bool
    has_dead_time: bool
    has_external_clock: bool
    counts_only: bool = False
    threshold_range_v: tuple[float, float] = (-5.0, 5.0)


@dataclass(frozen=True, slots=True)
class DetectorCapabilities:
    """What a bank of single-photon detectors can do."""

    n_channels: int
    bias_unit: str
    """`A`, `V`, or empty where the bias cannot be set."""
    bias_range: tuple[float, float]
    threshold_range_v: tuple[float, float] | None
    has_temperature: bool = False
    has_dead_time: bool = False
    has_efficiency: bool = False
    has_auto_bias: bool = False
    reports_rates: bool = True


@dataclass(frozen=True, slots=True)
class DetectorLevels:
    """What one detector holds: its bias, in the bank's unit, and its comparator level."""

    bias: float
    threshold_v: float


@dataclass(frozen=True, slots=True)
class TransmitterCapabilities:
    """What a transmitter of weak pulses can do."""

    pulse_rate_hz: float
    n_intensities: int
    max_pattern: int
    """Most pulses of a pattern that is repeated."""


@dataclass(frozen=True, slots=True)
class PulseScore:
    """What a transmitter plays: public pulses first, then those that a secret seed chooses.

    How a seed is expanded is part of docs/reference/fpga-boards.md, and the same in
    `qnx_hw.qkd.pulses`.
    """

    seed: bytes = field(repr=False)
    training_key: bytes
    training_pulses: int
    pulse_rate_hz: float
    intensities: tuple[float, ...]
    z_threshold: int
    """Draws of 15 bits below it choose Z."""
    limits: tuple[int, ...]
    """Draws of 16 bits below the first choose the first intensity, and so on."""


@dataclass(frozen=True, slots=True)
class PolarizationCapabilities:
    """What a polarization controller can do."""

    axes: tuple[AxisRange, ...]
    settle_s: float
    update_rate_hz: float
    can_abort: bool
    has_home: bool
