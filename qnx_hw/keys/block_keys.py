"""A key of its own for all that came from one block, destroyed when nothing of it is left.

A disk keeps old pages longer than a database knows of. What was deleted there stays sealed under a
block's key, and that key, 60 bytes in one row, is overwritten with zeros and its copy in the
journal cut off. What a disk itself keeps aside when it remaps a sector is beyond any program.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from qnx_hw.errors import ConfigError
from qnx_hw.keys.database import Execute
from qnx_hw.keys.vault import MASTER_KEY_BYTES, Vault
from qnx_hw.secret import Secret

MOST_KEPT = 64
"""Block keys kept open, so that not every key handed out opens its block's first."""
MOST_OPENED = 8
"""Chunks kept open: one for each ledger in use, on few links."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS block_key(
    link TEXT, block INTEGER, sealed BLOB NOT NULL, PRIMARY KEY (link, block)) STRICT;
"""


class BlockKeys:
    """Seals and opens what came from blocks; inside transactions of one database."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._kept: dict[bytes, Vault] = {}
        self._opened: dict[bytes, Secret] = {}

    def of(self, execute: Execute, link: str, block: int, *, may_make: bool = False) -> Vault:
        """Return what seals and opens with a block's key."""
        # Always read: a key made in a transaction that was undone must not live on in memory.
        row = execute(
            "SELECT sealed FROM block_key WHERE link = ? AND block = ?", link, block
        ).fetchone()
        context = f"block key {link} {block}"
        if row is not None:
            sealed = bytes(row[0])
        elif may_make:
            made = Secret(secrets.token_bytes(MASTER_KEY_BYTES))
            sealed = self._vault.seal(made, context)
            execute("INSERT INTO block_key VALUES (?, ?, ?)", link, block, sealed)
        else:
            raise ConfigError(f"the key store has lost the key of block {block} of link {link}")
        if sealed not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[sealed] = Vault(self._vault.open(sealed, context))
        return self._kept[sealed]

    def seal(self, execute: Execute, link: str, block: int, secret: Secret, context: str) -> bytes:
        """Seal with the block's key, made where it has none."""
        return self.of(execute, link, block, may_make=True).seal(secret, context)

    def open(self, execute: Execute, link: str, block: int, sealed: bytes, context: str) -> bytes:
        """Open what `seal` sealed."""
        return self.of(execute, link, block).open_bytes(sealed, context)

    def opened(self, nonce: bytes) -> bytes | None:
        """Return what was kept open; a nonce names a sealing, whatever became of its row."""
        kept = self._opened.get(nonce)
        return None if kept is None else kept.reveal()

    def keep_open(self, nonce: bytes, octets: bytes) -> None:
        """Keep what will be opened again soon, and wipe what was kept longest."""
        if len(self._opened) >= MOST_OPENED:
            self._opened.pop(next(iter(self._opened))).wipe()
        self._opened[nonce] = Secret(octets)

    def shred(self, execute: Execute, link: str, blocks: Iterable[int]) -> None:
        """Destroy the keys of those blocks of which nothing is left."""
        for block in set(blocks):
            left = execute(
                "SELECT 1 FROM chunk WHERE link = ? AND block = ?"
                " UNION ALL SELECT 1 FROM waiting WHERE link = ? AND block = ? LIMIT 1",
                *(link, block, link, block),
            ).fetchone()
            if left is None:
                execute("DELETE FROM block_key WHERE link = ? AND block = ?", link, block)
                execute.cuts_journal = True
