"""The `[bench]` part of a network file: sources, stations, what is expected of links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_devices.physics.bias import WORKING_BIAS_UA
from sim_devices.physics.detection import Response
from sim_devices.physics.polarization import BELL_KETS, Real, werner
from sim_devices.physics.tables import Table
from sim_devices.physics.transmitter import TransmitterSetup

LONGEST_FADING_S = 3600.0
# Time slots of taggers by driver; what is not here stamps in picoseconds.
RESOLUTION_PS = {"tdc1": 2000}


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Photon pairs: two arms, or several users behind beam splitters."""

    name: str
    pair_rate_hz: float
    pair: Real
    """Pauli matrix of the state (see `polarization`)."""
    arms: tuple[str, ...]
    pulse_period_ps: int = 0
    modes: float = 0.0
    """Schmidt modes of a pulsed source's thermal statistics; 0 is Poisson."""
    bandwidth_nm: float = 0.0
    pump_db: float = 0.0
    """Attenuation of the pump at which `pair_rate_hz` holds."""


@dataclass(frozen=True, slots=True)
class Fibre:
    """What lies between source and analyser; angles in rad on the Poincaré sphere."""

    loss_db: float = 0.0
    is_rotation_random: bool = False
    drift_rad_per_sqrt_s: float = 0.0
    ramp_rad_per_s: float = 0.0
    knock_at_s: float = 0.0
    knock_rad: float = 0.0
    scintillation_index: float = 0.0
    """Variance of the received power over its mean squared (free space); 0 is steady."""
    fading_time_s: float = 0.01
    dispersion_ps_per_nm: float = 0.0


@dataclass(frozen=True, slots=True)
class StationSetup:
    """One station: fibre, passive analysers with two detectors each, the tagger's clock."""

    name: str
    node: str
    fibre: Fibre
    efficiency: tuple[float, ...]
    dark_rate_cps: tuple[float, ...]
    background_cps: tuple[float, ...]
    analysers_deg: tuple[float, ...]
    """Where the analysers stand; each has two detectors, one for light along it, one across."""
    shares: tuple[float, ...]
    """Which part of the light each analyser gets."""
    extinction: float
    response: Response
    working_bias_ua: float
    clock_offset_s: float
    clock_drift_ppm: float
    clock_wander_ppm_per_sqrt_s: float
    delay_ps: tuple[float, ...]
    """By how much later than the others light and pulse of each detector take."""

    @property
    def n_detectors(self) -> int:
        """How many detectors the station has."""
        return 2 * len(self.analysers_deg)


USUAL_SHIFT_PS = 500
"""A time shift's, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Eavesdropper:
    """Somebody in front of a station, from `begins_at_s` on."""

    station: str
    kind: str
    """`intercept-resend`, `blinding` or `time-shift`."""
    fraction: float
    begins_at_s: float
    shift_ps: int
    """How far a time shift moves light, to either side."""


@dataclass(frozen=True, slots=True)
class LinkEnds:
    """The stations of a link, its window (full width) and the time slots of its taggers."""

    name: str
    alice: str
    bob: str
    window_ps: float
    resolution_ps: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PulsedLink:
    """A link from a transmitter to a station, and what is sent."""

    bob: str
    pulse_rate_hz: float
    intensities: tuple[float, ...]
    shares: tuple[float, ...]
    z_probability: float
    gate_ps: float


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Everything that is said about the bench."""

    seed: int
    sources: tuple[Source, ...]
    stations: dict[str, StationSetup]
    links: dict[str, LinkEnds]
    eavesdropper: Eavesdropper | None = None
    transmitters: tuple[TransmitterSetup, ...] = ()
    pulsed: dict[str, PulsedLink] = field(default_factory=dict)


def read(raw: Mapping[str, object]) -> Laboratory:
    """Read a whole parsed network file; ValueError names the place of what is wrong."""
    bench = Table(Table(raw, "file").anything("bench", {}), "bench")
    bench.table("emulators")
    bench.text("control", "")
    seed = bench.whole("seed", 1, 0, 2**63 - 1)
    station_tables = bench.table("stations")
    stations = {name: _station(name, station_tables.table(name)) for name in station_tables.names()}
    source_tables = bench.table("sources")
    sources = tuple(_source(name, source_tables.table(name)) for name in source_tables.names())
    for source in sources:
        for arm in source.arms:
            _known(arm, stations, f"bench.sources.{source.name}.arms")
    transmitter_tables = bench.table("transmitters")
    transmitters = tuple(
        _transmitter(name, transmitter_tables.table(name)) for name in transmitter_tables.names()
    )
    for transmitter in transmitters:
        _known(transmitter.arm, stations, f"bench.transmitters.{transmitter.name}.arm")
    eavesdropper = None
    if "eavesdropper" in bench.names():
        eavesdropper = _eavesdropper(bench.table("eavesdropper"))
        _known(eavesdropper.station, stations, "bench.eavesdropper.station")
    bench.finish()
    links = _links(raw, stations)
    pulsed = _pulsed(raw, stations, transmitters)
    return Laboratory(seed, sources, stations, links, eavesdropper, transmitters, pulsed)


def _known(name: str, stations: Mapping[str, object], place: str) -> None:
    if name not in stations:
        raise ValueError(f"{place}: there is no [bench.stations.{name}]")


def _source(name: str, table: Table) -> Source:
    table.text("kind", "spdc", ("spdc",))
    visibility = table.number("visibility", 1.0, 0.0, 1.0)
    arms = table.texts("arms")
    if len(arms) < 2 or len(set(arms)) != len(arms):
        raise ValueError(f"{table.place}.arms: needs two or more different stations")
    pulse_rate_hz = table.number("pulse_rate_hz", 0.0, 0.0, 1e11)
    source = Source(
        name,
        table.number("pair_rate_hz", None, 0.0, 1e10),
        werner(_ket(table), visibility),
        arms,
        round(1e12 / pulse_rate_hz) if pulse_rate_hz else 0,
        table.number("modes", 0.0, 0.0, 1e6),
        table.number("bandwidth_nm", 0.0, 0.0, 1000.0),
        table.number("pump_db", 0.0, 0.0, 100.0),
    )
    if source.modes and not source.pulse_period_ps:
        raise ValueError(f"{table.place}.modes: thermal statistics need pulse_rate_hz")
    table.finish()
    return source


def _transmitter(name: str, table: Table) -> TransmitterSetup:
    setup = TransmitterSetup(
        name,
        table.text("arm", None),
        table.number("pulse_rate_hz", None, 1e5, 1e11),
        table.number("launch_db", 0.0, 0.0, 100.0),
        table.number("wavelength_nm", 1550.0, 300.0, 3000.0),
    )
    table.finish()
    return setup


def _ket(table: Table) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """Read `state`: a Bell state's name, or four amplitudes [re, im] of HH, HV, VH, VV."""
    state = table.anything("state", "phi+")
    if isinstance(state, str):
        table.text("state", "phi+", tuple(BELL_KETS))
        return BELL_KETS[state]
    try:
        parts = np.asarray(state, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{table.place}.state: needs a name or four [re, im]") from error
    if parts.shape != (4, 2) or not np.isfinite(parts).all() or not parts.any():
        raise ValueError(f"{table.place}.state: needs a name or four [re, im], not all zero")
    return np.asarray(parts[:, 0] + 1j * parts[:, 1])


def _station(name: str, table: Table) -> StationSetup:
    angles_deg, shares = _analysers(table)
    count = 2 * len(angles_deg)
    station = StationSetup(
        name,
        table.text("node", name),
        _fibre(table),
        table.each("efficiency", count, 0.6, 0.0, 1.0),
        table.each("dark_rate_cps", count, 0.0, 0.0, 1e8),
        table.each("background_cps", count, 0.0, 0.0, 1e8),
        angles_deg,
        shares,
        10 ** (-table.number("extinction_db", 300.0, 3.02, 300.0) / 10),
        _response(table),
        table.number("bias_uA", WORKING_BIAS_UA, 0.1, 100.0),
        table.number("clock_offset_s", 0.0, -1e4, 1e4),
        table.number("clock_drift_ppm", 0.0, -1000.0, 1000.0),
        table.number("clock_wander_ppm_per_sqrt_s", 0.0, 0.0, 1.0),
        table.each("delay_ps", count, 0.0, 0.0, 1e6),
    )
    table.finish()
    return station


def _analysers(table: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return where the analysers stand and how the light is split between them."""
    angles_deg = table.numbers("analysers_deg", (0.0, 45.0), -360.0, 360.0)
    if len(angles_deg) > 4:
        raise ValueError(f"{table.place}.analysers_deg: at most four analysers, with 8 detectors")
    if len(angles_deg) == 2:
        z = table.number("z_probability", 0.5, 0.0, 1.0)
        return angles_deg, (z, 1.0 - z)
    even = [1.0 / len(angles_deg)] * len(angles_deg)
    shares = table.numbers("shares", even, 0.0, 1.0)
    if len(shares) != len(angles_deg) or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError(f"{table.place}.shares: one for each analyser, and 1 in sum")
    return angles_deg, shares


def _fibre(table: Table) -> Fibre:
    return Fibre(
        table.number("loss_db", 0.0, 0.0, 200.0),
        table.text("rotation", "identity", ("identity", "random")) == "random",
        table.number("drift_rad_per_sqrt_s", 0.0, 0.0, 1e4),
        table.number("ramp_rad_per_s", 0.0, 0.0, 1e4),
        table.number("knock_at_s", 0.0),
        table.number("knock_rad", 0.0, 0.0, 3.1416),
        table.number("scintillation_index", 0.0, 0.0, 10.0),
        table.number("fading_time_s", 0.01, 1e-4, LONGEST_FADING_S),
        table.number("dispersion_ps_per_nm", 0.0, 0.0, 1e5),
    )


def _response(table: Table) -> Response:
    return Response(
        round(table.number("dead_time_ps", 0, 0, 1e12)),
        table.number("jitter_ps", 0.0, 0.0, 1e6),
        table.number("jitter_tail_fraction", 0.0, 0.0, 1.0),
        table.number("jitter_tail_ps", 0.0, 0.0, 1e6),
        table.number("afterpulse_probability", 0.0, 0.0, 0.5),
        table.number("afterpulse_ps", 50_000.0, 1.0, 1e9),
        table.number("crosstalk_probability", 0.0, 0.0, 0.3),
        table.number("recovery_ps", 0.0, 0.0, 1e9),
        _histogram(table),
        table.number("jitter_bin_ps", 1.0, 0.01, 1e6),
    )


def _histogram(table: Table) -> tuple[float, ...]:
    if "jitter_histogram" not in table.names():
        return ()
    counts = table.numbers("jitter_histogram", (1.0,), 0.0, 1e15)
    if not any(counts):
        raise ValueError(f"{table.place}.jitter_histogram: needs a count above zero")
    return counts


def _eavesdropper(table: Table) -> Eavesdropper:
    eavesdropper = Eavesdropper(
        table.text("station", None),
        table.text("kind", "intercept-resend", ("intercept-resend", "blinding", "time-shift")),
        table.number("fraction", 1.0, 0.0, 1.0),
        table.number("begins_at_s", 0.0),
        round(table.number("shift_ps", USUAL_SHIFT_PS, 0.0, 1e6)),
    )
    table.finish()
    return eavesdropper


def _links(raw: Mapping[str, object], stations: Mapping[str, StationSetup]) -> dict[str, LinkEnds]:
    """Return the links that join two stations of the bench."""
    at_node = {station.node: name for name, station in stations.items()}
    file = Table(raw, "file")
    tables = Table(file.anything("links", {}), "links")
    nodes = Table(file.anything("nodes", {}), "nodes")
    links = {}
    for name in tables.names():
        table = tables.table(name)
        alice, bob = table.table("alice"), table.table("bob")
        ends = [at_node.get(side.text("node", None)) for side in (alice, bob)]
        if ends[0] is None or ends[1] is None:
            continue
        window_ps = table.number("coincidence_window_ps", 2000.0, 1.0, 1e9)
        slots = _resolution(nodes, alice), _resolution(nodes, bob)
        links[name] = LinkEnds(name, ends[0], ends[1], window_ps, slots)
    return links


def _pulsed(
    raw: Mapping[str, object],
    stations: Mapping[str, StationSetup],
    transmitters: tuple[TransmitterSetup, ...],
) -> dict[str, PulsedLink]:
    """Return the links whose light comes from a transmitter of the bench."""
    lit = {stations[each.arm].node: each.arm for each in transmitters}
    tables = Table(Table(raw, "file").anything("links", {}), "links")
    links = {}
    for name in tables.names():
        table = tables.table(name)
        bob, pulses = table.table("bob").text("node", ""), table.table("pulses")
        if bob in lit and pulses.names():
            links[name] = PulsedLink(
                lit[bob],
                pulses.number("rate_hz", None, 1.0),
                pulses.numbers("intensities", ()),
                pulses.numbers("shares", ()),
                pulses.number("z_probability", 0.9, 0.0, 1.0),
                table.number("coincidence_window_ps", 2000.0, 1.0, 1e9),
            )
    return links


def _resolution(nodes: Table, side: Table) -> float:
    """Return the time slot of the tagger of a link's end, 0 for one that is not known."""
    instruments = nodes.table(side.text("node", None)).table("instruments")
    tagger = instruments.table(side.text("tagger", "tagger"))
    return RESOLUTION_PS.get(tagger.text("driver", ""), 0)
