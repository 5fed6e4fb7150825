"""The network file: one TOML file for all nodes, links, instruments and the controller."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from qnx_hw.config.alignment import AlignmentSection
from qnx_hw.config.complaint import complaint
from qnx_hw.config.controller import ControllerSection
from qnx_hw.config.edge import (
    BusSection,
    EdgeSection,
    StreamSection,
    TunnelSection,
    check_traffic,
)
from qnx_hw.config.keys import KeysSection, KmeSection, SaeId, SaeSection, check_relay
from qnx_hw.config.loop_checks import check_loops
from qnx_hw.config.loops import (
    BiasSection,
    DelaysSection,
    LaunchSection,
    PumpSection,
    ThresholdsSection,
    WindowSection,
)
from qnx_hw.config.pulses import PulsesSection
from qnx_hw.config.reading import read_text
from qnx_hw.config.section import (
    Address,
    Fraction,
    Name,
    OptionalName,
    Probability,
    Section,
)
from qnx_hw.errors import ConfigError


class NetworkSection(Section, frozen=True, kw_only=True):
    """`[network]`"""

    name: Name
    data_dir: str = ".qnx"
    """Keys, history and recordings, one folder per node; relative to the current folder."""


class ApiSection(Section, frozen=True, kw_only=True):
    """`[api]`: where clients find the HTTP API and the dashboard."""

    listen: Address = "127.0.0.1:8470"
    certificate: str = ""
    """PEM file; with it the API speaks TLS. Needed where other machines can reach `listen`."""
    key: str = ""
    """PEM file of the certificate's private key."""


class InstrumentSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE.instruments.NAME]`"""

    driver: str
    url: str
    settings: dict[str, float | int | str | bool] = {}
    """What to configure after connecting; names as in the driver's `settings()`."""


class NodeSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE]`"""

    listen: Address
    """Where peers reach this node's classical channel."""
    api: Address | None = None
    """Where this node's API listens when it runs alone; `[api]` where not given."""
    position: tuple[Fraction, Fraction] = (0.5, 0.5)
    instruments: dict[Name, InstrumentSection] = {}
    kme: KmeSection | None = None
    edge: EdgeSection | None = None
    """User traffic; None where the node carries none."""


Input = Annotated[int, msgspec.Meta(ge=1, le=255)]


class ChannelMap(Section, frozen=True, kw_only=True):
    """Which tagger input sees which polarization; angles in degrees where there is no letter."""

    H: Input
    V: Input
    D: Input
    A: Input
    deg_22_5: Input | None = msgspec.field(name="22.5", default=None)
    deg_112_5: Input | None = msgspec.field(name="112.5", default=None)
    deg_67_5: Input | None = msgspec.field(name="67.5", default=None)
    deg_157_5: Input | None = msgspec.field(name="157.5", default=None)
    swapped: Input | None = None
    """A switch swaps the two detectors of each basis from a tag of this input on."""
    straight: Input | None = None
    """And sets them right again from a tag of this one on."""

    @property
    def switch(self) -> tuple[int, int] | None:
        """The inputs of the switch, where there is one."""
        if self.swapped is None or self.straight is None:
            return None
        return self.swapped, self.straight

    @property
    def inputs(self) -> tuple[int, ...]:
        """The inputs in the order H, V, D, A, and then 22.5, 112.5, 67.5, 157.5 where given."""
        bell = (self.deg_22_5, self.deg_112_5, self.deg_67_5, self.deg_157_5)
        return (self.H, self.V, self.D, self.A, *(each for each in bell if each is not None))


Delay = Annotated[int, msgspec.Meta(ge=-1_000_000_000, le=1_000_000_000)]


class StationSection(Section, frozen=True, kw_only=True):
    """`[links.LINK.alice]` and `[links.LINK.bob]`: one end of a link."""

    node: Name
    tagger: OptionalName = ""
    """What writes down the detections; Alice of decoy BB84 has a transmitter instead."""
    transmitter: OptionalName = ""
    channels: ChannelMap = ChannelMap(H=1, V=2, D=3, A=4)
    delays_ps: tuple[Delay, ...] = ()
    """How late each of `channels` is, in the order of `ChannelMap`; taken off all its tags."""
    detectors: Name | None = None
    polarization: Name | None = None
    bias: BiasSection | None = None
    """None where nothing moves the detectors' bias."""
    thresholds: ThresholdsSection | None = None
    """None where nothing moves their comparators' levels."""
    delays: DelaysSection | None = None
    """None where nothing corrects the detectors' delays."""


class SecuritySection(Section, frozen=True, kw_only=True):
    """`[links.LINK.security]`: failure probabilities; see docs/explanation."""

    epsilon_secrecy: Probability = 1e-10
    epsilon_correctness: Probability = 1e-15
    qber_limit: Annotated[float, msgspec.Meta(gt=0.0, le=0.11)] = 0.08
    chsh_minimum: Annotated[float, msgspec.Meta(ge=0.0, le=2.83)] = 2.0
    cross_click_limit: Probability = 0.05
    """Largest part of a station's detections that may be clicks in more than one basis."""
    imbalance_limit: Probability = 0.25
    """Largest (n0 - n1)/(n0 + n1) of the two detectors of a basis; beyond it is an alarm."""
    efficiency_deviation: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """Each detector's efficiency is known to +- this part; the key length pays for it."""
    arrival_limit: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.1
    """Largest part of the window by which a detector's arrival times may differ; 0 watches none."""
    z_share: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """Part of a station's events in Z and X that should be in Z; 0 where nobody knows."""
    bell_share: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """E91: part of Bob's events that should be at 22.5 and 67.5 degrees; 0 where nobody knows."""
    watch_multi_clicks: bool = True
    """Whether missing clicks of two detectors at once are an alarm."""
    test_fraction: Probability = 0.1
    """Part of each basis' sifted bits that is disclosed to estimate the error of the other."""
    first_session: Literal["secret", "ml-dsa"] = "secret"
    """What the first session is authenticated with: a carried secret, or signatures."""
    count_leak: Literal["both", "pattern", "alice"] = "both"
    """What counts as leaked: both parties' messages, hers and the errors' places, or hers."""


class LinkSection(Section, frozen=True, kw_only=True):
    """`[links.LINK]`"""

    alice: StationSection
    bob: StationSection
    protocol: Literal["bbm92", "e91", "decoy-bb84"] = "bbm92"
    pulses: PulsesSection | None = None
    """What the transmitter sends, for decoy BB84."""
    coincidence_window_ps: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 2_000
    reconciliation: Literal["auto", "cascade", "ldpc", "max-key"] = "auto"
    """How both ends make their strings equal; auto goes by the round trip."""
    slots_per_window: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    """Time slots Bob publishes per window: 1 tells the least, 3 keeps pairs at its edges."""
    dead_time_ps: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    """Detections closer than this after any click of the same station are not used."""
    clock_offset_limit_s: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 10.0
    clock_drift_limit_ppm: Annotated[float, msgspec.Meta(gt=0.0, le=200.0)] = 200.0
    block_sifted_bits: Annotated[int, msgspec.Meta(ge=1_000, le=10_000_000)] = 100_000
    """Expected sifted bits of a block; its time is fixed from the rate before it starts."""
    max_block_s: Annotated[float, msgspec.Meta(gt=0.0, le=3_600.0)] = 600.0
    """A block ends after this time at the latest, however few bits it has."""
    autostart: bool = True
    alignment: AlignmentSection | None = None
    """None where nothing keeps the polarization aligned."""
    window: WindowSection | None = None
    """None where the coincidence window stays as it is."""
    pump: PumpSection | None = None
    """None where the source's power stays as it is."""
    launch: LaunchSection | None = None
    """None where nothing holds a transmitter's mean photon number."""
    security: SecuritySection = SecuritySection()

    @property
    def slots(self) -> int:
        """To how many slots of the window Bob's times are rounded; 0 where pulses are numbered."""
        return 0 if self.pulses is not None else self.slots_per_window


class NetworkFile(Section, frozen=True, kw_only=True):
    """The whole file."""

    network: NetworkSection
    api: ApiSection = ApiSection()
    nodes: dict[Name, NodeSection]
    links: dict[Name, LinkSection] = {}
    bus: BusSection | None = None
    controller: ControllerSection | None = None
    tunnels: dict[Name, TunnelSection] = {}
    streams: dict[Name, StreamSection] = {}
    keys: KeysSection = KeysSection()
    saes: dict[SaeId, SaeSection] = {}
    bench: dict[str, Any] = {}
    """The simulated physics; the core does not read it, beyond telling emulators from hardware."""

    def folder_of(self, node: str) -> Path:
        """Return the folder where a node keeps its keys."""
        return Path(self.network.data_dir) / node

    @property
    def certificates(self) -> Path:
        """Return the folder with the certificates of key managers and SAEs."""
        return Path(self.keys.certificates or Path(self.network.data_dir) / "pki")

    @property
    def text(self) -> str:
        """The file written anew, every default in it; `parse` reads it back to an equal value."""
        import tomli_w

        return tomli_w.dumps(_as_set(msgspec.to_builtins(self)))

    def is_simulated(self, url: str) -> bool:
        """Whether an instrument at `url` is one of the bench's emulators; a label for people."""
        emulators = self.bench.get("emulators", {})
        place = url.split("?", 1)[0]
        return any(place in emulator.get("listen", ()) for emulator in emulators.values())


def _as_set(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not set, None or an empty name: TOML has no word for the one."""
    return {
        name: _as_set(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None and value != ""
    }


def parse(text: str, *, source: str = "network file") -> NetworkFile:
    """Check a network file's text and return it; `ConfigError` names the place and the reason."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{source}: {error}") from error
    try:
        network = msgspec.convert(tables, NetworkFile)
    except msgspec.ValidationError as error:
        place, words = complaint(tables, NetworkFile, error)
        raise ConfigError(f"{source}: {place}: {words}", place) from error
    for name, link in network.links.items():
        for role in ("alice", "bob"):
            _check_station(network, getattr(link, role), f"{source}: links.{name}.{role}")
        _check_detectors(link, f"{source}: links.{name}")
        check_loops(link, network.nodes, f"{source}: links.{name}")
        if link.alice.node == link.bob.node:
            raise ConfigError(f"{source}: links.{name} joins node '{link.alice.node}' to itself")
    if network.controller is not None and network.controller.node not in network.nodes:
        raise ConfigError(
            f"{source}: controller.node: there is no [nodes.{network.controller.node}]"
        )
    edges = {name: node.edge for name, node in network.nodes.items() if node.edge is not None}
    check_traffic(edges, {"tunnels": network.tunnels, "streams": network.streams}, source)
    check_relay(network.keys.relay, network.nodes, source)
    for sae, section in network.saes.items():
        if section.node not in network.nodes:
            raise ConfigError(f"{source}: saes.{sae}.node: there is no [nodes.{section.node}]")
    return network


def load(path: Path) -> NetworkFile:
    """Read and check a network file."""
    return parse(read_text(path), source=str(path))


def _check_station(network: NetworkFile, station: StationSection, place: str) -> None:
    node = network.nodes.get(station.node)
    if node is None:
        raise ConfigError(f"{place}.node: there is no [nodes.{station.node}]")
    for kind in ("tagger", "transmitter", "detectors", "polarization"):
        name = getattr(station, kind)
        if name and name not in node.instruments:
            raise ConfigError(
                f"{place}.{kind}: node '{station.node}' has no instrument '{name}'; "
                f"it has {', '.join(sorted(node.instruments)) or 'none'}"
            )
    channels = station.channels
    if (channels.swapped is None) != (channels.straight is None):
        raise ConfigError(f"{place}.channels: a switch has two inputs, 'swapped' and 'straight'")
    inputs = (*channels.inputs, *(channels.switch or ()))
    if len(station.delays_ps) not in (0, len(channels.inputs)):
        raise ConfigError(
            f"{place}.delays_ps: one for each of {len(channels.inputs)} detectors is needed"
        )
    if len(set(inputs)) != len(inputs):
        raise ConfigError(f"{place}.channels: two polarizations share one tagger input")


def _check_detectors(link: LinkSection, place: str) -> None:
    is_pulsed = link.protocol == "decoy-bb84"
    if is_pulsed != (link.pulses is not None):
        needs = "needs" if is_pulsed else "has no"
        raise ConfigError(f"{place}: {link.protocol} {needs} table [links.….pulses]")
    for role in ("alice", "bob"):
        kind = "transmitter" if is_pulsed and role == "alice" else "tagger"
        other = "tagger" if kind == "transmitter" else "transmitter"
        station = getattr(link, role)
        if not getattr(station, kind) or getattr(station, other):
            raise ConfigError(f"{place}.{role}: {link.protocol} needs a {kind} there, no {other}")
    wanted = {"alice": 4, "bob": 8 if link.protocol == "e91" else 4}
    for role, count in wanted.items():
        if len(getattr(link, role).channels.inputs) != count:
            labels = "H, V, D, A" + (', "22.5", "112.5", "67.5", "157.5"' if count == 8 else "")
            raise ConfigError(f"{place}.{role}.channels: {link.protocol} needs {labels} there")
