"""Acknowledgements that a key manager posts of what it accepted with 202 (ETSI GS QKD 020)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from qnx_hw.keys.delivery.values020 import Ack


@dataclass(frozen=True, slots=True, eq=False)
class Awaited:
    """One transfer whose keys are to be acknowledged, at once or piece by piece."""

    key_ids: frozenset[str]
    by_key: dict[str, Ack] = field(default_factory=dict)
    is_complete: asyncio.Event = field(default_factory=asyncio.Event)


class Acknowledgements:
    """Who waits for which keys of which peer; what nobody waits for is refused."""

    def __init__(self) -> None:
        self._awaited: dict[tuple[str, str], Awaited] = {}

    @contextmanager
    def awaiting(self, peer: str, key_ids: Sequence[str]) -> Iterator[Awaited]:
        """Take acknowledgements of these keys while the context lasts."""
        transfer = Awaited(frozenset(key_ids))
        here = dict.fromkeys(((peer, key_id) for key_id in key_ids), transfer)
        self._awaited |= here
        try:
            yield transfer
        finally:
            for each in here:
                self._awaited.pop(each, None)

    def settle(self, peer: str, acks: Sequence[Ack]) -> bool:
        """Hand acknowledgements to who waits; whether each key was waited for."""
        named = [(holder.key_id.lower(), ack) for ack in acks for holder in ack.key_id_container]
        if not all((peer, key_id) in self._awaited for key_id, _ in named):
            return False
        for key_id, ack in named:
            transfer = self._awaited[peer, key_id]
            transfer.by_key.setdefault(key_id, ack)
            if transfer.by_key.keys() == transfer.key_ids:
                transfer.is_complete.set()
        return True
