"""The key store of a node: ledgers of secret bytes, sealed on disk, each byte handed out once."""

from qnx_hw.keys.desk import LinkEnd
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.ledger import KEYS, PADS, TAGS, Memory, Pending, Portion, Provenance, Purpose
from qnx_hw.keys.store import KeyStore

__all__ = [
    "KEYS",
    "PADS",
    "TAGS",
    "KeyStore",
    "Kme",
    "LinkEnd",
    "Memory",
    "Pending",
    "Portion",
    "Provenance",
    "Purpose",
]
