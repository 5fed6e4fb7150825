"""The interface of each instrument family.

All are synchronous and safe to call from any thread. Every call that talks to the instrument has a
deadline (`timeout_s` for the whole call, None = the driver's own for each question) and raises
`InstrumentTimeout`, `NotConnected`, `ProtocolError` or `InstrumentRefused` from `qnx_hw.errors`;
values outside the capabilities raise `RangeError` before anything is sent. Setters return what the
instrument holds afterwards. Long operations take a `cancel` event and raise `Cancelled`. Properties
do no I/O.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from threading import Event
from types import TracebackType
from typing import ClassVar, Protocol, Self

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import (
    DetectorCapabilities,
    DetectorLevels,
    Edge,
    Family,
    Identity,
    InstrumentStatus,
    PolarizationCapabilities,
    PulseScore,
    Reference,
    TaggerCapabilities,
    TransmitterCapabilities,
)


class Instrument(Protocol):
    """A device on a wire."""

    family: ClassVar[Family]

    @abstractmethod
    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the wire, check who answers, and return it; nothing moves or is switched on."""

    @abstractmethod
    def close(self) -> None:
        """Bring the instrument to its safe state where it still answers, and let go of the wire."""

    @abstractmethod
    def status(self) -> InstrumentStatus:
        """Return how the instrument is, without asking it."""

    @abstractmethod
    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, float | int | str | bool]:
        """Read back everything that `configure` can set; names carry units."""

    @abstractmethod
    def configure(
        self, settings: Mapping[str, float | int | str | bool], *, timeout_s: float | None = None
    ) -> Mapping[str, float | int | str | bool]:
        """Apply settings, all or none, and return what the instrument holds."""

    @abstractmethod
    def stop(self) -> None:
        """Halt motion, stream or ramp now, ahead of anything queued."""

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class TagStream(Protocol):
    """Tags on their way in; leaving the context stops the tagger."""

    @abstractmethod
    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block, in order and without gaps, or raise `InstrumentTimeout`."""

    @abstractmethod
    def close(self) -> None:
        """Stop the stream and discard what is still on the wire."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class TimeTagger(Instrument, Protocol):
    """Writes down when each input saw a pulse. Channels count from 1."""

    family: ClassVar[Family] = Family.TIME_TAGGER

    @property
    @abstractmethod
    def capabilities(self) -> TaggerCapabilities:
        """What this tagger can do."""

    @abstractmethod
    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set the trigger level of an input; where the level is common it changes for all."""

    @abstractmethod
    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Choose the oscillator."""

    @abstractmethod
    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> tuple[float, ...]:
        """Count every input for `integration_s` and return counts per second."""

    @abstractmethod
    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Start streaming tags in blocks of `block_s`."""


class PhotonDetector(Instrument, Protocol):
    """A bank of single-photon detectors. Channels count from 1."""

    family: ClassVar[Family] = Family.PHOTON_DETECTOR

    @property
    @abstractmethod
    def capabilities(self) -> DetectorCapabilities:
        """What these detectors can do."""

    @abstractmethod
    def enable(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Switch the detectors on or off."""

    @abstractmethod
    def set_bias(self, channel: int, bias: float, *, timeout_s: float | None = None) -> float:
        """Set the bias of one detector in `capabilities.bias_unit`."""

    @abstractmethod
    def set_threshold_v(
        self, channel: int, threshold_v: float, *, timeout_s: float | None = None
    ) -> float:
        """Set the comparator level of one detector."""

    @abstractmethod
    def levels(self, *, timeout_s: float | None = None) -> tuple[DetectorLevels, ...]:
        """Ask which bias and comparator level every detector holds."""

    @abstractmethod
    def count_rates(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the newest counts per second of every detector."""

    @abstractmethod
    def auto_bias(
        self,
        dark_rate_cps: Sequence[float],
        *,
        timeout_s: float = 60.0,
        cancel: Event | None = None,
    ) -> tuple[float, ...]:
        """Find, set and return the biases that give these dark count rates."""


class PolarizationController(Instrument, Protocol):
    """Turns any input polarization into any other. Axes count from 1."""

    family: ClassVar[Family] = Family.POLARIZATION_CONTROLLER

    @property
    @abstractmethod
    def capabilities(self) -> PolarizationCapabilities:
        """What this controller can do."""

    @abstractmethod
    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return where every axis stands, in its own unit."""

    @abstractmethod
    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> float:
        """Send one axis to a value, wait until it stands still, and return where it stands."""

    @abstractmethod
    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> tuple[float, ...]:
        """Send every axis to its value at once, wait, and return where they stand."""

    @abstractmethod
    def home(
        self, axis: int, *, timeout_s: float | None = None, cancel: Event | None = None
    ) -> float:
        """Find the axis' zero and return where it stands afterwards."""


class OpticalSwitch(Instrument, Protocol):
    """Connects input fibres to output fibres. Ports count from 1."""

    family: ClassVar[Family] = Family.OPTICAL_SWITCH

    @abstractmethod
    def connections(self, *, timeout_s: float | None = None) -> Mapping[int, int]:
        """Return which input is connected to which output."""

    @abstractmethod
    def apply(
        self, connections: Mapping[int, int], *, timeout_s: float | None = None
    ) -> Mapping[int, int]:
        """Make exactly these connections, touching only what differs, and return what stands."""


class Attenuator(Instrument, Protocol):
    """Takes light away, by a known amount."""

    family: ClassVar[Family] = Family.ATTENUATOR

    @abstractmethod
    def set_attenuation_db(
        self, attenuation_db: float, *, timeout_s: float | None = None, cancel: Event | None = None
    ) -> float:
        """Set the attenuation and return what the instrument reports."""


class PowerMeter(Instrument, Protocol):
    """Measures optical power."""

    family: ClassVar[Family] = Family.POWER_METER

    @abstractmethod
    def power_w(self, *, timeout_s: float | None = None) -> float:
        """Return the optical power in watt."""


class BiasSource(Instrument, Protocol):
    """An isolated, quiet voltage for a detector. Channels count from 1."""

    family: ClassVar[Family] = Family.BIAS_SOURCE

    @property
    @abstractmethod
    def channels(self) -> tuple[int, ...]:
        """The outputs that there are, known once connected."""

    @abstractmethod
    def ramp_to_v(
        self,
        channel: int,
        voltage_v: float,
        *,
        slope_v_per_s: float = 1.0,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> float:
        """Ramp an output and return the voltage it holds; it ends where the time does."""

    @abstractmethod
    def enable(self, channel: int, on: bool, *, timeout_s: float | None = None) -> bool:
        """Switch an output on or off."""


class DelayGenerator(Instrument, Protocol):
    """Makes electrical pulses at set delays."""

    family: ClassVar[Family] = Family.DELAY_GENERATOR

    @abstractmethod
    def set_delay_ps(self, channel: str, delay_ps: int, *, timeout_s: float | None = None) -> int:
        """Set the delay of an edge against the trigger and return what the instrument holds."""


class Polarimeter(Instrument, Protocol):
    """Measures a state of polarization."""

    family: ClassVar[Family] = Family.POLARIMETER

    @abstractmethod
    def stokes(self, *, timeout_s: float | None = None) -> tuple[float, float, float, float]:
        """Return (power in W, s1, s2, s3), the last three normalised to the power."""


class Transmitter(Instrument, Protocol):
    """A prepare-and-measure source that plays patterns of state and intensity."""

    family: ClassVar[Family] = Family.TRANSMITTER

    @property
    @abstractmethod
    def capabilities(self) -> TransmitterCapabilities:
        """What this transmitter can do."""

    @abstractmethod
    def play(self, score: PulseScore, *, timeout_s: float | None = None) -> None:
        """Go dark, load a seed that was never played, and start with its public pulses."""

    @abstractmethod
    def load_pattern(
        self, states: Sequence[int], intensities: Sequence[int], *, timeout_s: float | None = None
    ) -> int:
        """Load one state and one intensity index per pulse and return the pattern's length."""

    @abstractmethod
    def emit(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Start or stop the pulse train."""
