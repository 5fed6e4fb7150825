"""The key store: ledgers of secret bytes per link, each byte handed out at most once.

How it thinks: every ledger (link and purpose) is a row of sealed chunks, one per block, and a
cursor that only moves forward. `take` moves the cursor and commits to disk before it returns the
bytes, so a crash at any moment can lose bytes but never hand one out again. What lies behind the
cursor is deleted and overwritten. One process owns the file: SQLite's exclusive locking refuses a
second one.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from qnx_hw.errors import ConfigError, Conflict, KeyExhausted
from qnx_hw.keys.ledger import (
    BLOCK_SHIFT,
    KEYS,
    Memory,
    Pending,
    Portion,
    Provenance,
    Purpose,
    address_of,
)
from qnx_hw.keys.vault import Vault, open_vault
from qnx_hw.secret import Secret

DATABASE = "keys.sqlite"
KEY_FILE = "keys.key"
END = (1 << 63) - 1
FORGET_PENDING = "DELETE FROM memory WHERE link = ? AND block = ? AND name GLOB 'pending-*'"

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(
    link TEXT, purpose TEXT, address INTEGER NOT NULL, PRIMARY KEY (link, purpose)) STRICT;
CREATE TABLE IF NOT EXISTS chunk(
    link TEXT, purpose TEXT, start INTEGER, size INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (link, purpose, start)) STRICT;
CREATE TABLE IF NOT EXISTS block(
    link TEXT, number INTEGER, bits INTEGER NOT NULL, is_simulated INTEGER NOT NULL,
    made_s REAL NOT NULL, protocol TEXT NOT NULL, qber REAL, epsilon REAL,
    PRIMARY KEY (link, number)) STRICT;
CREATE TABLE IF NOT EXISTS initial(
    link TEXT PRIMARY KEY, identity TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS memory(
    link TEXT, name TEXT, block INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (link, name)) STRICT;
"""


class KeyStore:
    """The ledgers of one node; safe to call from any thread, calls take turns.

    Opening it makes `folder` with the database and its key file (mode 0600) where missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = folder / DATABASE
        self._vault: Vault = open_vault(folder / KEY_FILE, may_create=not database.exists())
        self._lock = threading.Lock()
        self._connection = _open_database(database)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ingest(
        self,
        link: str,
        block: int,
        parts: Mapping[Purpose, Secret],
        provenance: Provenance,
        *,
        released: Secret | None = None,
    ) -> bool:
        """Add a block, split into ledgers, all or nothing; False where it was added before.

        The same commit forgets the block where it was pending, and keeps the token `released`.
        Block numbers count from 1 and only grow: 0 is the initial secret.
        """
        if block < 1:
            raise ValueError(f"block {block}: blocks count from 1")
        bits = 8 * sum(len(secret) for secret in parts.values())
        with self._transaction() as execute:
            known = execute("SELECT 1 FROM block WHERE link = ? AND number = ?", link, block)
            if known.fetchone() is not None:
                return False
            newest = execute("SELECT max(number) FROM block WHERE link = ?", link).fetchone()[0]
            if newest is not None and block < newest:
                raise Conflict(f"link {link}: block {block} is older than {newest}")
            execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(link, block, bits, int(provenance.is_simulated), provenance.made_s),
                *(provenance.protocol, provenance.qber, provenance.epsilon),
            )
            for purpose, secret in parts.items():
                self._insert(link, purpose, address_of(block), secret)
            execute(FORGET_PENDING, link, block)
            if released is not None:
                self._remember(link, "released", block, released)
        return True

    def start_block(self, link: str, block: int) -> None:
        """Remember that a block of this number was begun, so that it is never begun again."""
        with self._transaction():
            self._remember(link, "started", block, Secret(b""))

    def keep_pending(self, link: str, pending: Pending) -> None:
        """Keep a key that must not be used before the peer has released it; the newest only."""
        with self._transaction():
            self._remember(link, "pending-token", pending.block, pending.token)
            self._remember(link, "pending-key", pending.block, pending.key)
            made = Secret(msgspec.json.encode(pending.provenance))
            self._remember(link, "pending-provenance", pending.block, made)

    def drop_pending(self, link: str, block: int) -> None:
        """Destroy the key that was pending for a block; another block's stays."""
        with self._transaction() as execute:
            execute(FORGET_PENDING, link, block)

    def memory(self, link: str) -> Memory:
        """Return what the link's next session must know of the earlier ones."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, block, sealed FROM memory WHERE link = ?", (link,)
            ).fetchall()
            newest = self._connection.execute(
                "SELECT coalesce(max(number), 0) FROM block WHERE link = ?", (link,)
            ).fetchone()[0]
        found = {
            name: (block, self._vault.open(sealed, f"memory {link} {name} {block}"))
            for name, block, sealed in rows
        }
        pending = None
        if "pending-key" in found:
            block, key = found["pending-key"]
            made = msgspec.json.decode(found["pending-provenance"][1].reveal(), type=Provenance)
            pending = Pending(block, found["pending-token"][1], key, made)
        started = found["started"][0] if "started" in found else 0
        return Memory(1 + max(started, newest), found.get("released"), pending)

    def take(self, link: str, purpose: Purpose, n_bytes: int) -> Portion:
        """Hand out the next `n_bytes` of a ledger, all from one block; durable before it returns.

        A rest of a block that is too short is given up. `KeyExhausted` where no block has enough.
        """
        with self._transaction() as execute:
            cursor = self._cursor(link, purpose)
            row = execute(
                "SELECT start, size, sealed FROM chunk WHERE link = ? AND purpose = ?"
                " AND start + size - max(start, ?) >= ? ORDER BY start LIMIT 1",
                *(link, purpose, cursor, n_bytes),
            ).fetchone()
            if row is None:
                raise KeyExhausted(
                    f"link {link}: fewer than {8 * n_bytes} bits for {purpose.value}"
                )
            address = max(row[0], cursor)
            return self._hand_out(link, purpose, address, n_bytes, row)

    def take_at(
        self,
        link: str,
        purpose: Purpose,
        address: int,
        n_bytes: int,
        *,
        skip_limit_bytes: int | None = None,
    ) -> Portion:
        """Hand out the bytes that the peer took at `address`; all before them is given up.

        `Conflict` where the ledger already went past, or would give up more than
        `skip_limit_bytes`; `KeyExhausted` where it lacks the bytes.
        """
        if not 0 <= address <= END - n_bytes:  # may come from a forger
            raise KeyExhausted(f"link {link}: there is no address {address}")
        with self._transaction() as execute:
            if address < self._cursor(link, purpose):
                raise Conflict(f"link {link}: these bytes for {purpose.value} were used before")
            skipped = self._stock_bytes(link, purpose, address)
            if skip_limit_bytes is not None and skipped > skip_limit_bytes:
                raise Conflict(f"link {link}: the peer skips {skipped} bytes for {purpose.value}")
            row = execute(
                "SELECT start, size, sealed FROM chunk WHERE link = ? AND purpose = ?"
                " AND start <= ? AND start + size >= ?",
                *(link, purpose, address, address + n_bytes),
            ).fetchone()
            if row is None:
                block = address >> BLOCK_SHIFT
                raise KeyExhausted(
                    f"link {link}: no such bytes of block {block} for {purpose.value}"
                )
            return self._hand_out(link, purpose, address, n_bytes, row)

    def high_water(self, link: str, purpose: Purpose) -> int:
        """Return the address below which nothing of a ledger will ever be handed out again."""
        with self._lock:
            return self._cursor(link, purpose)

    def advance(self, link: str, purpose: Purpose, address: int) -> None:
        """Give up everything below `address`; the cursor never goes back."""
        with self._transaction():
            if address > self._cursor(link, purpose):
                self._move(link, purpose, address)

    def stock_bits(self, link: str, *purposes: Purpose) -> int:
        """Return how many bits wait in these ledgers together."""
        with self._lock:
            return 8 * sum(self._stock_bytes(link, purpose, END) for purpose in purposes)

    def secret_bits(self, link: str) -> int:
        """Return how many bits all blocks of a link brought, used or not."""
        with self._lock:
            found = self._connection.execute(
                "SELECT sum(bits) FROM block WHERE link = ?", (link,)
            ).fetchone()[0]
            return int(found or 0)

    def set_initial(
        self, link: str, identity: str, hash_keys: Secret, parts: Mapping[Purpose, Secret]
    ) -> None:
        """Start authentication from a new initial secret: what was left of the old is destroyed.

        The ledgers of `parts` start over at block 0: their bytes must never have been used.
        """
        context = f"initial {link} {identity}"
        with self._transaction() as execute:
            execute(
                "INSERT OR REPLACE INTO initial VALUES (?, ?, ?)",
                *(link, identity, self._vault.seal(hash_keys, context)),
            )
            for purpose, secret in parts.items():
                execute("DELETE FROM chunk WHERE link = ? AND purpose = ?", link, purpose)
                execute("DELETE FROM cursor WHERE link = ? AND purpose = ?", link, purpose)
                self._insert(link, purpose, address_of(0), secret)

    def initial_identity(self, link: str) -> str:
        """Return the public name of the link's initial secret; empty where there is none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT identity FROM initial WHERE link = ?", (link,)
            ).fetchone()
            return str(row[0]) if row else ""

    def hash_keys(self, link: str) -> Secret:
        """Return the part of the initial secret that is used again for every tag."""
        with self._lock:
            row = self._connection.execute(
                "SELECT identity, sealed FROM initial WHERE link = ?", (link,)
            ).fetchone()
        if row is None:
            raise KeyExhausted(f"link {link} has no initial secret")
        return self._vault.open(row[1], f"initial {link} {row[0]}")

    def digests(self, link: str, salt: Secret) -> dict[int, bytes]:
        """Return one keyed digest per block whose key bytes are all still here.

        For comparing two stores inside one process; with the salt forgotten they tell nothing.
        """
        found: dict[int, hmac.HMAC] = {}
        with self._lock:
            for purpose in KEYS:
                rows = self._connection.execute(
                    "SELECT start, size, sealed FROM chunk WHERE link = ? AND purpose = ?"
                    " AND start >= ? ORDER BY start",
                    (link, purpose, self._cursor(link, purpose)),
                ).fetchall()
                for start, size, sealed in rows:
                    secret = self._vault.open(sealed, _context(link, purpose, start, size))
                    digest = found.setdefault(
                        start >> BLOCK_SHIFT, hmac.new(salt.reveal(), digestmod="sha256")
                    )
                    digest.update(purpose.encode() + secret.reveal())
                    secret.wipe()
        return {block: digest.digest() for block, digest in sorted(found.items())}

    def _hand_out(
        self, link: str, purpose: Purpose, address: int, n_bytes: int, row: tuple[int, int, bytes]
    ) -> Portion:
        start, size, sealed = row
        chunk = self._vault.open(sealed, _context(link, purpose, start, size))
        self._move(link, purpose, address + n_bytes)
        octets = chunk.reveal()[address - start : address - start + n_bytes]
        chunk.wipe()
        return Portion(address, Secret(octets))

    def _move(self, link: str, purpose: Purpose, address: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", (link, purpose, address)
        )
        self._connection.execute(
            "DELETE FROM chunk WHERE link = ? AND purpose = ? AND start + size <= ?",
            (link, purpose, address),
        )

    def _insert(self, link: str, purpose: Purpose, start: int, secret: Secret) -> None:
        if len(secret) == 0:
            return
        sealed = self._vault.seal(secret, _context(link, purpose, start, len(secret)))
        self._connection.execute(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?)",
            (link, purpose, start, len(secret), sealed),
        )

    def _remember(self, link: str, name: str, block: int, secret: Secret) -> None:
        sealed = self._vault.seal(secret, f"memory {link} {name} {block}")
        self._connection.execute(
            "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)", (link, name, block, sealed)
        )

    def _cursor(self, link: str, purpose: Purpose) -> int:
        row = self._connection.execute(
            "SELECT address FROM cursor WHERE link = ? AND purpose = ?", (link, purpose)
        ).fetchone()
        return int(row[0]) if row else 0

    def _stock_bytes(self, link: str, purpose: Purpose, end: int) -> int:
        """Count what waits between the cursor and the address `end`."""
        cursor = self._cursor(link, purpose)
        found = self._connection.execute(
            "SELECT sum(min(start + size, ?) - max(start, ?)) FROM chunk"
            " WHERE link = ? AND purpose = ? AND start < ?",
            (end, cursor, link, purpose, end),
        ).fetchone()[0]
        return int(found or 0)

    @contextmanager
    def _transaction(self) -> Iterator[_Execute]:
        """Hold the store and commit at the end; nothing is kept where the body raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield _Execute(self._connection)
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()


class _Execute:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


def _context(link: str, purpose: Purpose, start: int, size: int) -> str:
    return f"{link} {purpose.value} {start}+{size}"


def _open_database(path: Path) -> sqlite3.Connection:
    # SQLite gives its journal the mode of the database, so that is private from its first byte.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
    try:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(SCHEMA)
        # An exclusive lock is taken by the first write and kept until the connection closes.
        connection.execute("PRAGMA user_version = 1")
    except sqlite3.OperationalError as error:
        connection.close()
        raise ConfigError(f"the key store {path} is in use by another process: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ConfigError(f"the key store {path} cannot be read: {error}") from error
    return connection
