"""The key store: ledgers of secret bytes per link, each byte handed out at most once.

How it thinks: every ledger (link and purpose) is a row of sealed chunks, one per block, and a
cursor that only moves forward. `take` moves the cursor and commits to disk before it returns the
bytes, so a crash at any moment can lose bytes but never hand one out again. What lies behind the
cursor is deleted and overwritten. One process owns the store; a second one is refused.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from qnx_hw.errors import ConfigError, Conflict, KeyExhausted
from qnx_hw.keys import block_keys, chunks, issued
from qnx_hw.keys.block_keys import BlockKeys
from qnx_hw.keys.chunks import Chunks
from qnx_hw.keys.database import Database, Engine, Execute
from qnx_hw.keys.ledger import (
    BLOCK_SHIFT,
    KEYS,
    TAGS,
    First,
    Memory,
    Pending,
    Portion,
    Provenance,
    Purpose,
    address_of,
)
from qnx_hw.keys.sqlite import SqliteEngine
from qnx_hw.keys.vault import Vault, open_vault
from qnx_hw.secret import Secret

DATABASE = "keys.sqlite"
KEY_FILE = "keys.key"
SERVER_VARIABLE = "QNX_KEY_DATABASE"
"""Names the URL of a PostgreSQL server; a file in the node's folder where not set."""
HASH_KEYS_BYTES = 32
"""One Poly1305 hash key of 16 bytes per direction."""
FORGET_PENDING = "DELETE FROM memory WHERE link = ? AND block = ? AND name LIKE 'pending-%'"

SCHEMA = """
CREATE TABLE IF NOT EXISTS block(
    link TEXT, number INTEGER, bits INTEGER NOT NULL, key_bits INTEGER NOT NULL,
    is_simulated INTEGER NOT NULL, made_s REAL NOT NULL, protocol TEXT NOT NULL,
    qber REAL, epsilon REAL,
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
        self._vault, engine = _opened(folder)
        self._database = Database(engine)
        self._keys = BlockKeys(self._vault)
        self.issued = issued.IssuedKeys(self._database, self._keys)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ingest(  # noqa: PLR0913 -- what a block is and brings, each by name
        self,
        link: str,
        block: int,
        parts: Mapping[Purpose, Secret],
        provenance: Provenance,
        *,
        released: Secret | None = None,
        is_relayed: bool = False,
        first: First | None = None,
    ) -> bool:
        """Add a block, split into ledgers, all or nothing; False where it was added before.

        The same commit forgets the block where it was pending, keeps the token `released`, and
        takes what a link's `first` key brings in place of an initial secret.
        Block numbers count from 1 and only grow: 0 is the initial secret. Relayed ones grow for
        each end by itself, which has the even or the odd ones.
        """
        if block < 1:
            raise ValueError(f"block {block}: blocks count from 1")
        bits = 8 * sum(len(secret) for secret in parts.values())
        key_bits = 8 * sum(len(parts[each]) for each in KEYS if each in parts)
        with self._database.transaction() as execute:
            known = execute("SELECT 1 FROM block WHERE link = ? AND number = ?", link, block)
            if known.fetchone() is not None:
                return False
            newest = execute(
                "SELECT coalesce(max(number), 0) FROM block WHERE link = ?"
                " AND (NOT ? OR number % 2 = ?)",
                *(link, is_relayed, block % 2),
            ).fetchone()[0]
            if block < newest:
                raise Conflict(f"link {link}: block {block} is older than {newest}")
            execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(link, block, bits, key_bits, int(provenance.is_simulated), provenance.made_s),
                *(provenance.protocol, provenance.qber, provenance.epsilon),
            )
            if first is not None:
                self._begin(execute, link, first, TAGS)
            for purpose, secret in parts.items():
                self._ledger(execute, link, purpose).insert(address_of(block), secret, block)
            execute(FORGET_PENDING, link, block)
            if released is not None:
                self._remember(execute, link, "released", block, released)
        return True

    def newest_block(self, link: str, side: int) -> int:
        """Return the newest block whose number is even (side 0) or odd; 0 where there is none."""
        with self._database.reading() as execute:
            found = execute(
                "SELECT coalesce(max(number), 0) FROM block WHERE link = ? AND number % 2 = ?",
                *(link, side),
            ).fetchone()[0]
            return int(found)

    def start_block(self, link: str, block: int) -> None:
        """Remember that a block of this number was begun, so that it is never begun again."""
        with self._database.transaction() as execute:
            self._remember(execute, link, "started", block, Secret(b""))

    def keep_pending(self, link: str, pending: Pending) -> None:
        """Keep a key that must not be used before the peer has released it; the newest only."""
        made = Secret(msgspec.json.encode((pending.provenance, pending.aside)))
        with self._database.transaction() as execute:
            self._remember(execute, link, "pending-token", pending.block, pending.token)
            self._remember(execute, link, "pending-key", pending.block, pending.key)
            self._remember(execute, link, "pending-provenance", pending.block, made)

    def drop_pending(self, link: str, block: int) -> None:
        """Destroy the key that was pending for a block; another block's stays."""
        with self._database.transaction() as execute:
            execute(FORGET_PENDING, link, block)

    def memory(self, link: str) -> Memory:
        """Return what the link's next session must know of the earlier ones."""
        with self._database.reading() as execute:
            rows = execute("SELECT name, block, sealed FROM memory WHERE link = ?", link).fetchall()
            newest = execute(
                "SELECT coalesce(max(number), 0) FROM block WHERE link = ?", link
            ).fetchone()[0]
        found = {
            name: (block, self._vault.open(sealed, f"memory {link} {name} {block}"))
            for name, block, sealed in rows
        }
        pending = None
        if "pending-key" in found:
            block, key = found["pending-key"]
            made, aside = msgspec.json.decode(
                found["pending-provenance"][1].reveal(), type=tuple[Provenance, tuple[int, int]]
            )
            pending = Pending(block, found["pending-token"][1], key, made, aside)
        started = found["started"][0] if "started" in found else 0
        return Memory(1 + max(started, newest), found.get("released"), pending)

    def take(self, link: str, purpose: Purpose, n_bytes: int) -> Portion:
        """Hand out the next `n_bytes` of a ledger, all from one block; durable before it returns.

        A rest of a block that is too short is given up. `KeyExhausted` where no block has enough.
        """
        with self._database.transaction() as execute:
            return Portion(*self._ledger(execute, link, purpose).take(n_bytes))

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
        with self._database.transaction() as execute:
            ledger = self._ledger(execute, link, purpose)
            octets = ledger.take_at(address, n_bytes, skip_limit_bytes=skip_limit_bytes)
            return Portion(address, octets)

    def high_water(self, link: str, purpose: Purpose) -> int:
        """Return the address below which nothing of a ledger will ever be handed out again."""
        with self._database.reading() as execute:
            return self._ledger(execute, link, purpose).cursor()

    def advance(self, link: str, purpose: Purpose, address: int) -> None:
        """Give up everything below `address`; the cursor never goes back."""
        with self._database.transaction() as execute:
            self._ledger(execute, link, purpose).advance(address)

    def meet(self, link: str, own: Purpose, theirs: Mapping[Purpose, int]) -> bool:
        """Go beyond all tags that the peer remembers; whether this store had forgotten some.

        `own` is the ledger that moves here first: where the peer is ahead in it, this store is an
        old copy, and the keys that wait in it may have been fetched before.
        """
        with self._database.transaction() as execute:
            ledgers = {each: self._ledger(execute, link, each) for each in TAGS}
            is_old = theirs.get(own, 0) > ledgers[own].cursor()
            for purpose, ledger in ledgers.items():
                ledger.advance(theirs.get(purpose, 0))
            if is_old:
                self.issued.forget(execute, link)
            return is_old

    def stock_bits(self, link: str, *purposes: Purpose) -> int:
        """Return how many bits wait in these ledgers together."""
        with self._database.reading() as execute:
            return 8 * sum(self._ledger(execute, link, each).stock_bytes() for each in purposes)

    def secret_bits(self, link: str) -> int:
        """Return how many bits all blocks of a link brought, used or not."""
        with self._database.reading() as execute:
            found = execute("SELECT sum(bits) FROM block WHERE link = ?", link).fetchone()[0]
            return int(found or 0)

    def set_initial(
        self, link: str, identity: str, kept: Secret, parts: Mapping[Purpose, Secret]
    ) -> None:
        """Start authentication from a new initial secret: what was left of the old is destroyed.

        `kept` holds the hash keys and the channel key. The ledgers of `parts` start over at
        block 0: their bytes must never have been used.
        """
        with self._database.transaction() as execute:
            self._begin(execute, link, First(identity, kept), parts)
            for purpose, secret in parts.items():
                self._ledger(execute, link, purpose).insert(address_of(0), secret, 0)

    def initial_identity(self, link: str) -> str:
        """Return the public name of the link's initial secret; empty where there is none."""
        with self._database.reading() as execute:
            row = execute("SELECT identity FROM initial WHERE link = ?", link).fetchone()
            return str(row[0]) if row else ""

    def hash_keys(self, link: str) -> Secret:
        """Return the part of the initial secret that is used again for every tag."""
        return Secret(self._kept(link).reveal()[:HASH_KEYS_BYTES])

    def channel_key(self, link: str) -> Secret:
        """Return the part of the initial secret by which key managers know each other."""
        return Secret(self._kept(link).reveal()[HASH_KEYS_BYTES:])

    def digests(self, link: str, salt: Secret) -> dict[int, bytes]:
        """Return one keyed digest per block whose key bytes are all still here.

        For comparing two stores inside one process; with the salt forgotten they tell nothing.
        """
        found: dict[int, hmac.HMAC] = {}
        with self._database.reading() as execute:
            for purpose in KEYS:
                for start, secret in self._ledger(execute, link, purpose).all():
                    digest = found.setdefault(
                        start >> BLOCK_SHIFT, hmac.new(salt.reveal(), digestmod="sha256")
                    )
                    digest.update(purpose.encode() + secret.reveal())
                    secret.wipe()
        return {block: digest.digest() for block, digest in sorted(found.items())}

    def _begin(
        self, execute: Execute, link: str, first: First, purposes: Iterable[Purpose]
    ) -> None:
        """Keep what authentication starts from, and empty the ledgers it starts over with."""
        sealed = self._vault.seal(first.kept, f"initial {link} {first.identity}")
        execute(
            "INSERT INTO initial VALUES (?, ?, ?) ON CONFLICT (link) DO UPDATE"
            " SET identity = excluded.identity, sealed = excluded.sealed",
            *(link, first.identity, sealed),
        )
        for purpose in purposes:
            execute("DELETE FROM chunk WHERE link = ? AND purpose = ?", link, purpose)
            execute("DELETE FROM cursor WHERE link = ? AND purpose = ?", link, purpose)
            self._keys.shred(execute, link, [0])

    def _kept(self, link: str) -> Secret:
        with self._database.reading() as execute:
            row = execute("SELECT identity, sealed FROM initial WHERE link = ?", link).fetchone()
        if row is None:
            raise KeyExhausted(f"link {link} has no initial secret")
        return self._vault.open(row[1], f"initial {link} {row[0]}")

    def _ledger(self, execute: Execute, link: str, purpose: Purpose) -> Chunks:
        return Chunks(execute, self._keys, link, purpose)

    def _remember(self, execute: Execute, link: str, name: str, block: int, secret: Secret) -> None:
        sealed = self._vault.seal(secret, f"memory {link} {name} {block}")
        execute(
            "INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT (link, name) DO UPDATE"
            " SET block = excluded.block, sealed = excluded.sealed",
            *(link, name, block, sealed),
        )


def is_there(folder: Path) -> bool:
    """Whether a node's folder has a key store; asked without opening it."""
    return (folder / DATABASE).exists() or (folder / KEY_FILE).exists()


def _opened(folder: Path) -> tuple[Vault, Engine]:
    """Open what seals the store, and the file or the server where it lies."""
    schema = SCHEMA + block_keys.SCHEMA + chunks.SCHEMA + issued.SCHEMA
    url = os.environ.get(SERVER_VARIABLE)
    if not url:
        path = folder / DATABASE
        vault = open_vault(folder / KEY_FILE, may_create=not path.exists())
        return vault, SqliteEngine(path, schema)
    try:
        from qnx_hw.keys.postgresql import PostgresEngine
    except ImportError as error:
        raise ConfigError(
            f"{SERVER_VARIABLE} is set, and psycopg is missing: pip install 'qnx[postgresql]'"
        ) from error
    engine = PostgresEngine(url, folder, schema)
    try:
        return open_vault(folder / KEY_FILE, may_create=engine.is_new), engine
    except BaseException:
        engine.close()
        raise
