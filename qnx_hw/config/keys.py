"""The network file's tables of key delivery: who may fetch keys, where, and how many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import msgspec

from qnx_hw.config.section import Address, Name, Section
from qnx_hw.errors import ConfigError

SaeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~:\/?#\[\]@!$&'\(\)*+,;=%\-]{1,64}$")]
"""The URI alphabet, 64 characters at most, as ETSI GS QKD 020 limits it."""
Bits = Annotated[int, msgspec.Meta(ge=8, le=65_536, multiple_of=8)]
Stocked = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


class RelaySection(Section, frozen=True, kw_only=True):
    """`[keys.relay]`: keys for nodes without a common link, carried over those between them."""

    low_bits: Stocked = 65_536
    """Where an end's stock for a peer falls below, it is filled,"""
    high_bits: Stocked = 131_072
    """up to here."""
    batch_bits: Annotated[int, msgspec.Meta(ge=256, le=524_288, multiple_of=8)] = 32_768
    """Relayed at once; each hop pays 512 bits more, for the tag and the proof."""
    paths: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    """A key is the sum of what goes over so many ways that share no node between the ends."""
    pairs: tuple[tuple[Name, Name], ...] = ()
    """Nodes that share keys beside those whose SAEs or user traffic need them."""


class KeysSection(Section, frozen=True, kw_only=True):
    """`[keys]`: what all key managers of the network offer."""

    certificates: str = ""
    """Folder with the certificates that `qnx pki` made; `pki` in `data_dir` where empty."""
    key_size: Bits = 256
    """In bits, where a request names none."""
    min_key_size: Bits = 64
    max_key_size: Bits = 4096
    max_key_per_request: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 128
    max_sae_id_count: Annotated[int, msgspec.Meta(ge=0, le=64)] = 8
    """Further SAEs that one request may name."""
    ttl_s: Annotated[float, msgspec.Meta(gt=0.0, le=30 * 86_400.0)] = 86_400.0
    """Keys that nobody fetched by then are deleted."""
    reserve_bits: Annotated[int, msgspec.Meta(ge=0)] = 0
    """What SAEs cannot take from a link: it is kept for the network's own use."""
    warn_below_bits: Annotated[int, msgspec.Meta(ge=0)] = 16_384
    """An event says so where a node's stock for a peer falls below."""
    relay: RelaySection = RelaySection()


class KmeSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE.kme]`: a node's key delivery; without this table it serves no SAE."""

    listen: Address
    """Where SAEs reach it, ETSI GS QKD 014."""
    peers: Address | None = None
    """Where other key managers reach it, in the form of ETSI GS QKD 020; where not given, key
    managers speak over the classical channel of their link."""
    hosts: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=253)], ...] = ()
    """Further names and addresses by which SAEs reach it; its certificate is for them too."""
    id: SaeId | None = None
    """Its KME ID; the node's name where not given."""


class SaeSection(Section, frozen=True, kw_only=True):
    """`[saes."ID"]`: who may fetch keys; the ID is the common name of its certificate."""

    node: Name
    """Whose key manager serves it."""
    may_receive_simulated: bool = False
    """Whether it takes keys that were made on simulated instruments."""
    bits_per_day: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many bits it may take as master, in a day of UTC."""
    requests_per_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None


def check_relay(relay: RelaySection, nodes: Collection[str], source: str) -> None:
    """Refuse marks and pairs that make no sense."""
    if relay.low_bits > relay.high_bits:
        raise ConfigError(f"{source}: keys.relay.low_bits is above high_bits")
    for pair in relay.pairs:
        if pair[0] == pair[1] or not set(pair) <= set(nodes):
            raise ConfigError(f"{source}: keys.relay.pairs: {list(pair)} are not two nodes")
