"""The tables of user traffic: `[bus]`, `[nodes.NODE.edge]`, `[tunnels.NAME]`, `[streams.NAME]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from qnx_hw.config.section import Address, Name, Section
from qnx_hw.errors import ConfigError

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0, le=1e13)]
REKEY_S = 60.0
REKEY_BYTES = 16 << 30


class BusSection(Section, frozen=True, kw_only=True):
    """`[bus]`: how the processes of one network hear of each other; absent for one process."""

    servers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """NATS addresses, such as `tls://core.lab:4222`."""
    certificates: str = "pki/bus"
    """Folder with `authority.pem`, `NAME.pem` and `NAME.key`; relative to the current folder."""


class HopSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE.edge.hops.PEER]`: the way to a neighbour."""

    capacity_bps: Rate = 1e9
    address: Address | None = None
    """Where the neighbour is reached over this way; its own `listen` where not given."""


class EdgeSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE.edge]`: the node carries user traffic."""

    listen: Address
    """Where neighbours reach this node's edge."""
    hops: dict[Name, HopSection] = {}
    """Neighbours; where none is given, all nodes with an edge that a link joins to this one."""
    queue_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 30
    """How much of a `store` tunnel, and of files on their way, may wait on disk."""
    queue_age_s: Positive = 86_400.0
    """How long anything of a `store` tunnel may wait; then its connection ends."""
    spans: bool = True
    """Whether traffic of others may pass through this node."""


class TrafficSection(Section, frozen=True, kw_only=True):
    """What tunnels and streams have in common."""

    source: Name
    destination: Name
    traffic_class: Literal["critical", "bulk"] = "bulk"
    mode: Literal["aes-256-gcm", "otp"] = "aes-256-gcm"
    policy: Literal["block", "store", "stretch", "hybrid"] = "block"
    """What happens when key runs short."""
    mix_kem: bool = True
    """Mix an ML-KEM-768 secret into the quantum keys; not with `otp`."""
    rekey_s: Positive = REKEY_S
    rekey_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = REKEY_BYTES
    rate_limit_bps: Annotated[float, msgspec.Meta(ge=1e3, le=1e13)] | None = None
    """What users may send, in each direction; the controller's plan may hold them to less."""


class TunnelSection(TrafficSection, frozen=True, kw_only=True):
    """`[tunnels.NAME]`: TCP connections to `listen` at the source go on to `target`."""

    listen: Address
    target: Address


class StepSection(Section, frozen=True, kw_only=True):
    """One step of local processing; `settings` as the step documents them."""

    step: str
    settings: dict[str, float | int | str | bool | list[float | str]] = {}


class StreamSection(TrafficSection, frozen=True, kw_only=True):
    """`[streams.NAME]`: JSON lines in at the source, out at the destination."""

    steps: tuple[StepSection, ...] = ()


def check_traffic(
    edges: Mapping[str, EdgeSection],
    traffic: Mapping[str, Mapping[str, TrafficSection]],
    source: str,
) -> None:
    """Refuse traffic between nodes without an edge, and hops to them."""
    for name, edge in edges.items():
        for peer in edge.hops:
            if peer not in edges or peer == name:
                raise ConfigError(
                    f"{source}: nodes.{name}.edge.hops.{peer}: "
                    f"'{peer}' is no other node with an edge"
                )
    for table, sections in traffic.items():
        for name, section in sections.items():
            for end in (section.source, section.destination):
                if end not in edges:
                    raise ConfigError(f"{source}: {table}.{name}: there is no [nodes.{end}.edge]")
            if section.source == section.destination:
                raise ConfigError(f"{source}: {table}.{name} joins '{section.source}' to itself")
