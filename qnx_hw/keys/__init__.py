"""The key store of a node: ledgers of secret bytes, sealed on disk, each byte handed out once."""

from qnx_hw.keys.ledger import KEYS, TAGS, Memory, Pending, Portion, Provenance, Purpose
from qnx_hw.keys.store import KeyStore

__all__ = ["KEYS", "TAGS", "KeyStore", "Memory", "Pending", "Portion", "Provenance", "Purpose"]
