"""Where relayed key arrives: its shares are put together, kept, and proved to their maker."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from qnx_hw.errors import Conflict
from qnx_hw.keys.envelope import xor
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.messages import Arrived, Parcel
from qnx_hw.keys.relay.blocks import RelayedBlocks
from qnx_hw.secret import Secret

PROOF_BYTES = 32
PROOF_TAG_BYTES = 16


@dataclass(slots=True)
class _Shares:
    """What came of a block so far."""

    of: int
    is_simulated: bool = False
    came: dict[int, Secret] = field(default_factory=dict)


class Destination:
    """A node's part as destination."""

    def __init__(self, kme: Kme, blocks: RelayedBlocks) -> None:
        self._kme = kme
        self._blocks = blocks
        self._shares: dict[str, tuple[int, _Shares]] = {}

    async def gather(self, parcel: Parcel, octets: Secret) -> None:
        """Take a share of a block; the last one completes it."""
        maker = parcel.path[0]
        end = self._kme.end(maker)
        if not end.is_relayed or parcel.pair != end.link or parcel.block % 2 == end.side:
            raise Conflict(f"'{maker}' makes no such block")
        block, shares = self._shares.get(parcel.pair, (0, _Shares(0)))
        if parcel.block < block or parcel.share >= parcel.shares:
            raise Conflict("a share came too late")
        if parcel.block > block:
            shares = _Shares(parcel.shares)
            self._shares[parcel.pair] = parcel.block, shares
        if parcel.share in shares.came or parcel.shares != shares.of:
            raise Conflict("a share came twice")
        shares.came[parcel.share] = octets
        shares.is_simulated |= parcel.is_simulated
        if len(shares.came) == shares.of:
            await self._complete(maker, end.link, parcel.block, shares)

    async def _complete(self, maker: str, pair: str, block: int, shares: _Shares) -> None:
        key = total(list(shares.came.values()))
        evidence = proof(key, pair, block)
        try:
            usable = Secret(key.reveal()[PROOF_BYTES:])
            await self._blocks.keep(pair, block, usable, is_simulated=shares.is_simulated)
        except Conflict:
            evidence = b""
        newest = await self._blocks.newest(pair, block % 2)
        await self._kme.ask(maker, Arrived(pair, block, evidence, shares.is_simulated, newest))


def proof(key: Secret, pair: str, block: int) -> bytes:
    """Return what only a holder of the same block can say.

    HMAC-SHA-256 under the block's first 32 bytes, which serve for nothing else, cut to 128 bits:
    half the entropy of its key, so that it tells nothing about the rest.
    """
    octets = key.reveal()
    about = f"{pair} {block} ".encode()
    tag = hmac.digest(octets[:PROOF_BYTES], about + octets[PROOF_BYTES:], "sha256")
    return tag[:PROOF_TAG_BYTES]


def total(shares: Sequence[Secret]) -> Secret:
    """Return the sum of a block's shares."""
    key = Secret(shares[0].reveal())
    for share in shares[1:]:
        if len(share) != len(key):
            raise Conflict("the shares of a relayed key differ in length")
        key = xor(key, share)
    return key
