"""Keys with names that wait for their holders, as they lie in the database.

How it thinks: keys that were cut together lie together, a few in one row, sealed at once, in the
order in which they came; so a write touches the end of a table, however many wait. An index by a
part of the name says which row a key is in. Names are random, so the index is cut into generations
by age: writes touch the newest alone, and who fetches is looked for in each. A name that waits in
two of them is given to nobody: nobody honest makes it.
A holder who fetches some of a row's keys has the rest sealed anew; with the last of them the row
goes, and with the last of a block its key.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from qnx_hw.errors import Conflict, KeyNotFound, NotEntitled
from qnx_hw.keys.block_keys import BlockKeys
from qnx_hw.keys.database import Execute
from qnx_hw.keys.ledger import Order
from qnx_hw.keys.names import NAME_BYTES, packed, unpacked
from qnx_hw.secret import Secret

ROW_KEYS = 64
"""Keys of one row at most: more make a fetch of one of them seal more anew."""
GENERATION_SHIFT = 14
"""A generation of the index has 16 384 keys: 100 pages, whatever waits beside them."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting(
    number INTEGER NOT NULL, holder TEXT NOT NULL, link TEXT NOT NULL, purpose TEXT NOT NULL,
    block INTEGER NOT NULL, master TEXT NOT NULL, holders TEXT NOT NULL, expires_s REAL NOT NULL,
    key_count INTEGER NOT NULL, key_ids BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (number, holder)) STRICT;
CREATE INDEX IF NOT EXISTS waiting_block ON waiting(link, block, key_count);
CREATE INDEX IF NOT EXISTS waiting_expiry ON waiting(expires_s);
CREATE TABLE IF NOT EXISTS named(
    generation INTEGER, tag INTEGER, number INTEGER NOT NULL,
    PRIMARY KEY (generation, tag)) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where waiting keys were cut from; `purpose` is empty where they came from elsewhere."""

    link: str
    purpose: str
    block: int


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    """How many keys ever came, with its own."""
    holder: str
    origin: Origin
    master: str
    holders: tuple[str, ...]
    expires_s: float
    key_ids: tuple[bytes, ...]
    sealed: bytes


class WaitingKeys:
    """The keys that wait at one node; every method belongs inside a transaction."""

    def __init__(self, execute: Execute, keys: BlockKeys) -> None:
        self._execute = execute
        self._keys = keys

    def add(self, origin: Origin, order: Order, key_ids: Sequence[str], octets: Secret) -> None:
        """Keep keys, which lie one after the other in `octets`, for each holder; wipe those.

        `Conflict` where a name is none, or waits already.
        """
        whole, n_bytes = octets.reveal(), order.n_bits // 8
        octets.wipe()
        try:
            names = _cut(packed(key_ids))
        except ValueError as error:
            raise Conflict(str(error)) from None
        tags: list[tuple[int, int, int]] = []
        for at in range(0, len(names), ROW_KEYS):
            keys = Secret(whole[at * n_bytes : (at + ROW_KEYS) * n_bytes])
            row = names[at : at + ROW_KEYS]
            number = self._add_row(origin, order, row, keys)
            generation = number >> GENERATION_SHIFT
            tags += [(generation, tag, number) for tag in _tags(row)]
        self._execute.many("INSERT INTO named VALUES (?, ?, ?)", tags)

    def take(
        self, holder: str, master: str, key_ids: Sequence[str], now_s: float
    ) -> tuple[list[Secret], list[tuple[Origin, int]]]:
        """Hand out keys, all or none, and say how many came from where."""
        if len(set(key_ids)) != len(key_ids):
            raise KeyNotFound("a key is named twice, and can be fetched once")
        names = _cut(packed(key_ids))
        found: dict[bytes, bytes] = {}
        origins = []
        for row, ids in self._wanted(holder, master, names, now_s):
            found |= self._take_from(row, ids)
            origins.append((row.origin, len(ids)))
        return [Secret(found[name]) for name in names], origins

    def expires_s(self, holder: str, master: str, key_id: str, now_s: float) -> float:
        """Return until when a key waits for a holder."""
        ((row, _),) = self._wanted(holder, master, _cut(packed([key_id])), now_s)
        return row.expires_s

    def void(self, link: str, master: str, key_ids: Sequence[str]) -> frozenset[str]:
        """Delete keys that their master takes back, for all holders; which were here."""
        asked: dict[int, list[bytes]] = {}
        names = _cut(packed(key_ids))
        numbers = self._numbers(names)
        for name, tag in zip(names, _tags(names), strict=True):
            if tag in numbers:
                asked.setdefault(numbers[tag], []).append(name)
        gone: set[bytes] = set()
        for number, ids in asked.items():
            for row in self._rows(number):
                here = set(ids) & set(row.key_ids)
                if here and (row.origin.link, row.master) == (link, master):
                    self._take_from(row, here)
                    gone |= here
        return frozenset(unpacked(b"".join(gone)))

    def expire(self, now_s: float) -> int:
        """Delete the keys whose time is over; how many."""
        return self._delete("expires_s <= ?", now_s)

    def forget(self, link: str) -> None:
        """Delete all that waits from a link."""
        self._delete("link = ?", link)

    def names(self, link: str, master: str) -> tuple[str, ...]:
        """Return the names of the keys of a master's that wait."""
        found = self._execute(
            "SELECT key_ids FROM waiting WHERE link = ? AND master = ?", link, master
        ).fetchall()
        return tuple(dict.fromkeys(name for (ids,) in found for name in unpacked(bytes(ids))))

    def count(self, link: str) -> int:
        """Return how many keys of a link wait."""
        statement = "SELECT coalesce(sum(key_count), 0) FROM waiting WHERE link = ?"
        return int(self._execute(statement, link).fetchone()[0])

    def _wanted(
        self, holder: str, master: str, names: Sequence[bytes], now_s: float
    ) -> list[tuple[_Row, list[bytes]]]:
        """Return the rows in which all of these keys wait for a holder, and which are in each."""
        asked: dict[int, list[bytes]] = {}
        numbers = self._numbers(names)
        for name, tag in zip(names, _tags(names), strict=True):
            asked.setdefault(numbers.get(tag, 0), []).append(name)
        found = [
            (self._entitled(number, holder, master, ids), ids) for number, ids in asked.items()
        ]
        wanted = [(row, ids) for row, ids in found if row and row.expires_s > now_s]
        if len(wanted) < len(found):
            raise KeyNotFound("one or more keys specified are not found on KME")
        return wanted

    def _add_row(self, origin: Origin, order: Order, names: tuple[bytes, ...], keys: Secret) -> int:
        vault = self._keys.of(self._execute, origin.link, origin.block, may_make=True)
        newest = self._execute("SELECT coalesce(max(number), 0) FROM waiting").fetchone()[0]
        number = newest + len(names)
        holders = msgspec.json.encode(order.holders).decode()
        for holder in order.holders:
            self._execute(
                "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(number, holder, origin.link, origin.purpose, origin.block),
                *(order.master, holders, order.expires_s, len(names), b"".join(names)),
                vault.seal(keys, _context(holder, names)),
            )
        keys.wipe()
        return int(number)

    def _numbers(self, key_ids: Sequence[bytes]) -> dict[int, int]:
        """Return the rows' numbers by the tags of keys; a key that does not wait has none.

        Nor has one whose name waits twice: it is in doubt which of the two is meant.
        """
        tags = set(_tags(key_ids))
        places = ", ".join("?" * len(tags))
        found: dict[int, int] = {}
        twice: set[int] = set()
        generation = sys.maxsize >> GENERATION_SHIFT
        while (generation := self._older(generation)) >= 0:
            here = dict(
                self._execute(
                    f"SELECT tag, number FROM named WHERE generation = ? AND tag IN ({places})",  # noqa: S608 - marks only
                    *(generation, *tags),
                ).fetchall()
            )
            twice |= found.keys() & here.keys()
            found |= here
        return {tag: number for tag, number in found.items() if tag not in twice}

    def _older(self, generation: int) -> int:
        """Return the next older generation of which keys wait; -1 where there is none."""
        statement = "SELECT coalesce(max(number), -1) FROM waiting WHERE number < ?"
        newest = self._execute(statement, generation << GENERATION_SHIFT).fetchone()[0]
        return int(newest) >> GENERATION_SHIFT

    def _rows(self, number: int) -> list[_Row]:
        found = self._execute(
            "SELECT holder, link, purpose, block, master, holders, expires_s, key_ids, sealed"
            " FROM waiting WHERE number = ?",
            number,
        ).fetchall()
        return [
            _Row(
                *(number, holder, Origin(link, purpose, block), master),
                msgspec.json.decode(holders, type=tuple[str, ...]),
                *(expires_s, _cut(key_ids), bytes(sealed)),
            )
            for holder, link, purpose, block, master, holders, expires_s, key_ids, sealed in found
        ]

    def _entitled(
        self, number: int, holder: str, master: str, key_ids: Iterable[bytes]
    ) -> _Row | None:
        """Return the row of a holder with all of these keys, where there is one."""
        rows, asked = self._rows(number), set(key_ids)
        if any(asked & set(row.key_ids) and holder not in row.holders for row in rows):
            raise NotEntitled(f"'{holder}' was not named for one of these keys")
        for row in rows:
            if (row.holder, row.master) == (holder, master) and asked <= set(row.key_ids):
                return row
        return None

    def _take_from(self, row: _Row, key_ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """Take keys out of a row and return them; the rest is sealed anew."""
        asked, (link, block) = set(key_ids), (row.origin.link, row.origin.block)
        context = _context(row.holder, row.key_ids)
        octets = self._keys.open(self._execute, link, block, row.sealed, context)
        n_bytes = len(octets) // len(row.key_ids)
        keys = {key_id: octets[at * n_bytes :][:n_bytes] for at, key_id in enumerate(row.key_ids)}
        left = tuple(key_id for key_id in row.key_ids if key_id not in asked)
        here = (row.number, row.holder)
        if left:
            rest = Secret(b"".join(keys[key_id] for key_id in left))
            sealed = self._keys.seal(self._execute, link, block, rest, _context(row.holder, left))
            rest.wipe()
            self._execute(
                "UPDATE waiting SET key_count = ?, key_ids = ?, sealed = ?"
                " WHERE number = ? AND holder = ?",
                *(len(left), b"".join(left), sealed, *here),
            )
        else:
            self._execute("DELETE FROM waiting WHERE number = ? AND holder = ?", *here)
            self._keys.shred(self._execute, link, [block])
        others = (
            {key_id for other in self._rows(row.number) for key_id in other.key_ids}
            if len(row.holders) > 1
            else set()
        )
        self._unname(row.number, asked - others)
        return {key_id: keys[key_id] for key_id in asked}

    def _delete(self, which: str, *values: object) -> int:
        """Delete whole rows, and the keys of blocks of which nothing is left; how many keys."""
        gone = self._execute(
            f"DELETE FROM waiting WHERE {which} RETURNING number, link, block, key_ids",  # noqa: S608 - ours
            *values,
        ).fetchall()
        for number, _, _, key_ids in gone:
            self._unname(number, _cut(key_ids))
        for link in {link for _, link, _, _ in gone}:
            self._keys.shred(self._execute, link, (b for _, each, b, _ in gone if each == link))
        return sum(len(key_ids) // NAME_BYTES for _, _, _, key_ids in gone)

    def _unname(self, number: int, key_ids: Iterable[bytes]) -> None:
        here = [(number >> GENERATION_SHIFT, tag) for tag in _tags(key_ids)]
        self._execute.many("DELETE FROM named WHERE generation = ? AND tag = ?", here)


def _tags(key_ids: Iterable[bytes]) -> tuple[int, ...]:
    """Return of each name the half that has 62 random bits, RFC 9562, section 5.4.

    Two keys of a generation with the same tag, a case in 10**9, are a duplicate that is refused.
    """
    octets = b"".join(key_ids)
    return struct.unpack(f">{'8xq' * (len(octets) // NAME_BYTES)}", octets)


def _cut(key_ids: bytes) -> tuple[bytes, ...]:
    octets = bytes(key_ids)
    return tuple([octets[at : at + NAME_BYTES] for at in range(0, len(octets), NAME_BYTES)])


def _context(holder: str, key_ids: Sequence[bytes]) -> str:
    return f"keys {holder} {b''.join(key_ids).hex()}"
