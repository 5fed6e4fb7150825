"""A link's ledgers for tags, as the authentication of its sessions uses them."""

from __future__ import annotations

from qnx_hw.keys import TAGS, KeyStore, Purpose
from qnx_hw.keys.initial import PADS_BYTES
from qnx_hw.qkd.authentication import PAD_BYTES, Pad, PadSource
from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

SKIP_LIMIT_BYTES = 256 * PAD_BYTES
"""Tags that may be lost in a row; half the initial secret, so that one forgery spares the rest."""

FULL_BYTES = PADS_BYTES
"""What a ledger for tags holds when it is full: as much as the initial secret gives."""

LEDGERS = {Role.ALICE: Purpose.TAG_FROM_ALICE, Role.BOB: Purpose.TAG_FROM_BOB}


class LedgerPads(PadSource):
    """Pads of one end of a link; whatever leaves here was marked as used on disk before."""

    def __init__(self, store: KeyStore, link: str, role: Role) -> None:
        self._store = store
        self._link = link
        self._role = role

    def take_pad(self) -> Pad:
        portion = self._store.take(self._link, LEDGERS[self._role], PAD_BYTES)
        return Pad(portion.address, portion.secret)

    def take_peer_pad(self, address: int) -> Secret:
        return self._store.take_at(
            self._link,
            LEDGERS[self._role.peer],
            address,
            PAD_BYTES,
            skip_limit_bytes=SKIP_LIMIT_BYTES,
        ).secret

    def lacking(self) -> Aside:
        alice, bob = (FULL_BYTES - self._store.stock_bits(self._link, each) // 8 for each in TAGS)
        return alice, bob
