"""Keys that nodes hold in common, in memory: each bit leaves once, and reuse is refused."""

import secrets
import uuid

from qnx_hw.edge.keysource import KEY_BYTES, KeySource, SharedKey, SharedPad, Stock
from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.secret import Secret


class CommonKeys:
    """What all pairs of nodes share; `give` fills a pair's two directions."""

    def __init__(self) -> None:
        self.stock_bytes: dict[tuple[str, str], int] = {}
        self.named: dict[tuple[str, str, str], bytes] = {}
        self.pads: dict[tuple[str, str], bytearray] = {}
        self.taken: dict[tuple[str, str], int] = {}
        self.read: dict[tuple[str, str], int] = {}
        self.handed_out: list[str] = []

    def give(self, one: str, other: str, n_bytes: int) -> None:
        for pair in ((one, other), (other, one)):
            self.stock_bytes[pair] = self.stock_bytes.get(pair, 0) + n_bytes

    def of(self, node: str) -> KeySource:
        return _Source(self, node)

    def spend(self, pair: tuple[str, str], n_bytes: int) -> None:
        if self.stock_bytes.get(pair, 0) < n_bytes:
            raise KeyExhausted(f"no key from {pair[0]} to {pair[1]}")
        self.stock_bytes[pair] -= n_bytes


class _Source(KeySource):
    def __init__(self, common: CommonKeys, node: str) -> None:
        self._common = common
        self._node = node

    async def fresh(self, peer: str) -> SharedKey:
        pair = self._node, peer
        self._common.spend(pair, KEY_BYTES)
        key_id, octets = str(uuid.uuid4()), secrets.token_bytes(KEY_BYTES)
        self._common.named[(*pair, key_id)] = octets
        self._common.handed_out.append(key_id)
        return SharedKey(key_id, Secret(octets))

    async def fetch(self, peer: str, key_id: str) -> Secret:
        octets = self._common.named.pop((peer, self._node, key_id), None)
        if octets is None:
            raise Conflict(f"no key {key_id} from {peer}")
        return Secret(octets)

    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        pair = self._node, peer
        self._common.spend(pair, n_bytes)
        pad = self._common.pads.setdefault(pair, bytearray())
        address, octets = len(pad), secrets.token_bytes(n_bytes)
        pad += octets
        return SharedPad(address, Secret(octets))

    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        pair = peer, self._node
        if address < self._common.read.get(pair, 0):
            raise Conflict("pad bytes that were used before")
        octets = self._common.pads.get(pair, bytearray())[address : address + n_bytes]
        if len(octets) != n_bytes:
            raise KeyExhausted("no such pad bytes")
        self._common.read[pair] = address + n_bytes
        return Secret(octets)

    def stock(self, peer: str) -> Stock:
        return Stock(8 * self._common.stock_bytes.get((self._node, peer), 0), 1_000_000)
