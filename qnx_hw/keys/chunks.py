"""The sealed chunks and cursors of all ledgers, as they lie in the database.

Every method belongs inside a transaction. A ledger (link and purpose) is a row of chunks and a
cursor that only moves forward; what lies behind it is deleted and overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.keys.block_keys import BlockKeys
from qnx_hw.keys.database import Execute
from qnx_hw.keys.ledger import BLOCK_SHIFT, Run
from qnx_hw.keys.vault import NONCE_BYTES
from qnx_hw.secret import Secret

END = (1 << 63) - 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(
    link TEXT, purpose TEXT, address INTEGER NOT NULL, PRIMARY KEY (link, purpose)) STRICT;
CREATE TABLE IF NOT EXISTS chunk(
    link TEXT, purpose TEXT, start INTEGER, size INTEGER NOT NULL, block INTEGER NOT NULL,
    nonce BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (link, purpose, start)) STRICT;
CREATE INDEX IF NOT EXISTS chunk_block ON chunk(link, block);
CREATE TABLE IF NOT EXISTS spent(
    link TEXT, purpose TEXT, start INTEGER, size INTEGER NOT NULL,
    PRIMARY KEY (link, purpose, start)) STRICT;
"""


class Chunks:
    """One ledger inside one transaction."""

    def __init__(self, execute: Execute, keys: BlockKeys, link: str, purpose: str) -> None:
        self._execute = execute
        self._keys = keys
        self._link = link
        self._purpose = purpose

    def cursor(self) -> int:
        """Return the address below which nothing is ever handed out again."""
        row = self._execute(
            "SELECT address FROM cursor WHERE link = ? AND purpose = ?", self._link, self._purpose
        ).fetchone()
        return int(row[0]) if row else 0

    def end(self) -> int:
        """Return the address after the last byte that ever came in."""
        row = self._execute(
            "SELECT max(start + size) FROM chunk WHERE link = ? AND purpose = ?",
            *(self._link, self._purpose),
        ).fetchone()
        return max(self.cursor(), int(row[0] or 0))

    def move(self, address: int) -> None:
        """Set the cursor, and delete what lies behind it."""
        here = (self._link, self._purpose, address)
        self._execute(
            "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT (link, purpose) DO UPDATE"
            " SET address = excluded.address",
            *here,
        )
        emptied = self._execute(
            "DELETE FROM chunk WHERE link = ? AND purpose = ? AND start < ?"  # by the index
            " AND start + size <= ? RETURNING block",
            *(*here, address),
        ).fetchall()
        if emptied:
            self._keys.shred(self._execute, self._link, (block for (block,) in emptied))
            self._execute(
                "DELETE FROM spent WHERE link = ? AND purpose = ? AND start + size <= ?", *here
            )

    def advance(self, address: int) -> None:
        """Give up everything below `address`; the cursor never goes back."""
        if address > self.cursor():
            self.move(address)

    def insert(self, start: int, secret: Secret, block: int) -> None:
        """Add a chunk that came from a block."""
        if len(secret) == 0:
            return
        size = len(secret)
        context = self._context(start, size)
        sealed = self._keys.seal(self._execute, self._link, block, secret, context)
        self._execute(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(self._link, self._purpose, start, size, block, sealed[:NONCE_BYTES], sealed),
        )

    def stock_bytes(self, end: int = END) -> int:
        """Count what waits between the cursor and the address `end`."""
        cursor = self.cursor()
        found = self._execute(
            "SELECT sum(CASE WHEN start + size < ? THEN start + size ELSE ? END"
            " - CASE WHEN start > ? THEN start ELSE ? END) FROM chunk"
            " WHERE link = ? AND purpose = ? AND start < ?",
            *(end, end, cursor, cursor, self._link, self._purpose, end),
        ).fetchone()[0]
        return int(found or 0)

    def take(self, n_bytes: int) -> tuple[int, Secret]:
        """Hand out the next `n_bytes` that lie in one chunk, with their address."""
        ((run, octets),) = self.take_runs(n_bytes, 1)
        return run.address, octets

    def take_runs(self, n_bytes: int, count: int) -> list[tuple[Run, Secret]]:
        """Hand out the next `count` keys of `n_bytes` each, none of them torn over two chunks.

        What is left of a chunk and too short for a key is given up. All or nothing.
        """
        found: list[tuple[Run, Secret]] = []
        for start, size, block, nonce in self._from(cursor := self.cursor()):
            address = max(start, cursor)
            fitting = min(count, (start + size - address) // n_bytes)
            if fitting > 0:
                octets = self._open(start, size, block, nonce)[address - start :][
                    : fitting * n_bytes
                ]
                found.append((Run(address, fitting), Secret(octets)))
                count -= fitting
            if count == 0:
                break
        if count > 0 or not found:
            raise self._scarce(n_bytes * max(count, 1))
        run = found[-1][0]
        self.move(run.address + run.count * n_bytes)
        return found

    def take_whole(self, n_bytes: int) -> list[tuple[int, Secret]]:
        """Hand out the next `n_bytes`, in as many pieces as chunks they lie in. All or nothing."""
        found: list[tuple[int, Secret]] = []
        for start, size, block, nonce in self._from(cursor := self.cursor()):
            address = max(start, cursor)
            octets = self._open(start, size, block, nonce)[address - start :][:n_bytes]
            found.append((address, Secret(octets)))
            n_bytes -= len(octets)
            if n_bytes == 0:
                self.move(address + len(octets))
                return found
        raise KeyExhausted(f"link {self._link}: {8 * n_bytes} bits too few for {self._purpose}")

    def take_at(self, address: int, n_bytes: int, *, skip_limit_bytes: int | None = None) -> Secret:
        """Hand out the bytes at `address`, which lie in one chunk; all before is given up."""
        if n_bytes < 1 or not 0 <= address <= END - n_bytes:  # may come from a forger
            raise KeyExhausted(f"link {self._link}: there is no address {address}")
        if address < self.cursor():
            raise Conflict(f"link {self._link}: these bytes for {self._purpose} were used before")
        skipped = self.stock_bytes(address)
        if skip_limit_bytes is not None and skipped > skip_limit_bytes:
            raise Conflict(f"link {self._link}: the peer skips {skipped} bytes for {self._purpose}")
        row = self._execute(
            "SELECT start, size, block, nonce FROM chunk WHERE link = ? AND purpose = ?"
            " AND start <= ? AND start + size >= ?",
            *(self._link, self._purpose, address, address + n_bytes),
        ).fetchone()
        if row is None:
            raise KeyExhausted(
                f"link {self._link}: no such bytes of block {address >> BLOCK_SHIFT} "
                f"for {self._purpose}"
            )
        octets = self._open(*row)[address - row[0] :][:n_bytes]
        self.move(address + n_bytes)
        return Secret(octets)

    def take_stream(self, n_bytes: int) -> tuple[int, Secret]:
        """Hand out the next `n_bytes` of a ledger whose chunks follow each other without a gap."""
        cursor = self.cursor()
        octets = self._read(cursor, n_bytes)
        self.move(cursor + n_bytes)
        return cursor, Secret(octets)

    def take_stream_at(self, address: int, n_bytes: int, window_bytes: int) -> Secret:
        """Hand out the `n_bytes` at `address`, in any order, each once.

        Bytes more than `window_bytes` behind the newest are given up.
        """
        cursor = self.cursor()
        is_there = n_bytes > 0 and cursor <= address <= END - n_bytes
        if not is_there or self._is_spent(address, n_bytes):
            raise Conflict(f"link {self._link}: these bytes for {self._purpose} were used before")
        octets = self._read(address, n_bytes)
        self._execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?)", self._link, self._purpose, address, n_bytes
        )
        self._move_over_spent(max(cursor, address + n_bytes - window_bytes))
        return Secret(octets)

    def all(self) -> Iterator[tuple[int, Secret]]:
        """Yield what is left, chunk by chunk, without taking it."""
        cursor = self.cursor()
        for start, size, block, nonce in self._from(cursor):
            if start >= cursor:
                yield start, Secret(self._open(start, size, block, nonce))

    def _from(self, address: int) -> Iterable[tuple[int, int, int, bytes]]:
        return self._execute(
            "SELECT start, size, block, nonce FROM chunk WHERE link = ? AND purpose = ?"
            " AND start + size > ? ORDER BY start",
            *(self._link, self._purpose, address),
        )

    def _read(self, address: int, n_bytes: int) -> bytes:
        pieces, at = [], address
        for start, size, block, nonce in self._from(address):
            if start > at or at == address + n_bytes:
                break
            piece = self._open(start, size, block, nonce)[at - start :][: address + n_bytes - at]
            pieces.append(piece)
            at += len(piece)
        if at < address + n_bytes:
            raise self._scarce(n_bytes)
        return b"".join(pieces)

    def _scarce(self, n_bytes: int) -> KeyExhausted:
        return KeyExhausted(
            f"fewer than {8 * n_bytes} bits of key are left on '{self._link}' ({self._purpose})"
        )

    def _is_spent(self, address: int, n_bytes: int) -> bool:
        return (
            self._execute(
                "SELECT 1 FROM spent WHERE link = ? AND purpose = ?"
                " AND start < ? AND start + size > ?",
                *(self._link, self._purpose, address + n_bytes, address),
            ).fetchone()
            is not None
        )

    def _move_over_spent(self, cursor: int) -> None:
        """Move the cursor to the first byte from `cursor` on that was not handed out."""
        rows = self._execute(
            "SELECT start, size FROM spent WHERE link = ? AND purpose = ? ORDER BY start",
            *(self._link, self._purpose),
        )
        for start, size in rows.fetchall():
            if start > cursor:
                break
            cursor = max(cursor, start + size)
        self.move(cursor)

    def _open(self, start: int, size: int, block: int, nonce: bytes) -> bytes:
        if (octets := self._keys.opened(nonce)) is not None:
            return octets
        (sealed,) = self._execute(
            "SELECT sealed FROM chunk WHERE link = ? AND purpose = ? AND start = ?",
            *(self._link, self._purpose, start),
        ).fetchone()
        context = self._context(start, size)
        octets = self._keys.open(self._execute, self._link, block, sealed, context)
        self._keys.keep_open(nonce, octets)
        return octets

    def _context(self, start: int, size: int) -> str:
        return f"{self._link} {self._purpose} {start}+{size}"
