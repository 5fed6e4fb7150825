"""The network file's tables of key delivery: who may fetch keys, where, and how many."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.config.section import Address, Name, Section

SaeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,64}$")]
"""The URI alphabet, 64 characters at most, as ETSI GS QKD 020 limits it."""
Bits = Annotated[int, msgspec.Meta(ge=8, le=65_536, multiple_of=8)]


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


class KmeSection(Section, frozen=True, kw_only=True):
    """`[nodes.NODE.kme]`: a node's key delivery; without this table it serves no SAE."""

    listen: Address
    """Where SAEs reach it, ETSI GS QKD 014."""
    peers: Address | None = None
    """Where other key managers reach it, in the form of ETSI GS QKD 020; where not given, key
    managers speak over the classical channel of their link."""
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
