"""ETSI GS QKD 014 V1.1.1: what a key manager answers the applications at its site.

Who asks is known from the certificate alone. Nothing of a request is believed before that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import msgspec

from qnx_hw.config import KeysSection, SaeSection
from qnx_hw.errors import (
    ChannelError,
    KeyExhausted,
    KeyNotFound,
    NotEntitled,
    RequestRefused,
    StoreFailed,
)
from qnx_hw.keys.delivery import values014 as values
from qnx_hw.keys.delivery.extensions014 import Supply, terms
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.rates import Rates
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.ledger import Order, Quota, Wish

PREFIX = [b"", b"api", b"v1", b"keys"]
METHODS = {
    b"status": ("GET", "HEAD"),
    b"enc_keys": ("GET", "POST"),
    b"dec_keys": ("GET", "POST"),
}
CAPACITY_BITS = 100_000_000
"""What `max_key_count` is counted from; the store itself has no such limit."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Who is who in the network."""

    saes: Mapping[str, SaeSection]
    kme_ids: Mapping[str, str]
    """By node."""


class Delivery:
    """Answers the SAEs of one node."""

    def __init__(self, kme: Kme, registry: Registry, offer: KeysSection, rates: Rates) -> None:
        self._kme = kme
        self._registry = registry
        self._offer = offer
        self._rates = rates

    async def answer(self, request: Request) -> Response:
        """Answer one request; whatever cannot be done is said in the standard's words."""
        try:
            caller = self._caller(request.client)
            method, sae = _route(request)
            self._rates.count(caller, self._registry.saes[caller].requests_per_s)
            if request.method == "OPTIONS":
                return Response(204, b"", METHODS[method])
            match method:
                case b"status":
                    body = await self._status(caller, sae, request)
                case b"enc_keys":
                    body = await self._get_key(caller, sae, request)
                case _:
                    body = await self._get_key_by_id(caller, sae, request)
        except RequestRefused as error:
            allow = METHODS[request.path.split(b"/")[5]] if error.status == 405 else ()
            return refuse(error.status, str(error), allow)
        except NotEntitled as error:
            return refuse(401, str(error))
        except KeyNotFound:
            return refuse(400, values.NOT_FOUND)
        except (KeyExhausted, ChannelError, StoreFailed) as error:
            return refuse(503, str(error))
        return Response(200, body)

    def counted(self, client: str | None) -> str:
        """Return which SAE asks, and count its request; refused where it is none of this node's."""
        caller = self._caller(client)
        self._rates.count(caller, self._registry.saes[caller].requests_per_s)
        return caller

    async def _status(self, caller: str, sae: str, request: Request) -> bytes:
        if request.query or request.body:
            raise RequestRefused("the status takes no parameters", 400)
        slave = self._known(sae)
        offer = self._offer
        peer = self._peer(slave)
        left = await self._kme.spare_bits(peer, offer.reserve_bits)
        return msgspec.json.encode(
            values.Status(
                source_KME_ID=self._registry.kme_ids[self._kme.node],
                target_KME_ID=self._registry.kme_ids[slave.node],
                master_SAE_ID=caller,
                slave_SAE_ID=sae,
                key_size=offer.key_size,
                stored_key_count=min(left, CAPACITY_BITS) // offer.key_size,
                max_key_count=CAPACITY_BITS // offer.key_size,
                max_key_per_request=offer.max_key_per_request,
                max_key_size=offer.max_key_size,
                min_key_size=offer.min_key_size,
                max_SAE_ID_count=offer.max_sae_id_count,
            )
        )

    async def _get_key(self, caller: str, sae: str, request: Request) -> bytes:
        asked = values.key_request(request.method, request.query, request.body)
        size = self._checked_size(asked)
        slaves = self._slaves(caller, sae, asked)
        peer = self._peer(self._registry.saes[sae])
        homes = self._homes(slaves)
        supply = await self._supply(asked, homes)
        agreed = terms(asked.extension_mandatory, asked.extension_optional, supply)
        own = self._registry.saes[caller]
        wish = Wish(
            size,
            asked.number,
            keep_bits=self._offer.reserve_bits,
            may_be_simulated=agreed.may_be_simulated
            and all(self._registry.saes[each].may_receive_simulated for each in (caller, *slaves)),
            quota=None if own.bits_per_day is None else Quota(caller, own.bits_per_day),
        )
        keys = await self._kme.reserve(
            peer, wish, master=caller, holders=homes.pop(peer), ttl_s=self._offer.ttl_s
        )
        if homes:
            order = Order(
                key_ids=keys.key_ids,
                runs=(),
                n_bits=size,
                master=caller,
                holders=slaves,
                expires_s=time.time() + self._offer.ttl_s,
                may_be_simulated=wish.may_be_simulated,
            )
            await self._kme.share(homes, keys, order)
        report = {"qnx_route": "relayed" if supply.is_relayed else "direct"}
        return values.container(keys.key_ids, keys.cut(), report if agreed.is_reported else None)

    async def _supply(self, asked: values.KeyRequest, homes: Mapping[str, object]) -> Supply:
        if not (asked.extension_mandatory or asked.extension_optional):
            return Supply(is_relayed=False, is_simulated=False)  # nobody looks
        peers = [node for node in homes if node != self._kme.node]
        return Supply(
            is_relayed=any(self._kme.end(peer).is_relayed for peer in peers),
            is_simulated=any([(await self._kme.stock(peer)).is_simulated for peer in peers]),
        )

    async def _get_key_by_id(self, caller: str, sae: str, request: Request) -> bytes:
        self._known(sae)
        names = values.key_ids(request.method, request.query, request.body)
        if not 1 <= len(names) <= self._offer.max_key_per_request:
            limit = self._offer.max_key_per_request
            raise RequestRefused(f"a request names 1 to {limit} keys", 400)
        if len({name.lower() for name in names}) != len(names):
            raise RequestRefused("a key is named twice in one request", 400)
        secrets = await self._kme.take(caller, sae, names)
        return values.container(names, [secret.reveal() for secret in secrets])

    def _caller(self, client: str | None) -> str:
        known = self._registry.saes.get(client) if client is not None else None
        if client is None or known is None or known.node != self._kme.node:
            raise RequestRefused("the client's certificate is not that of an SAE of this KME", 401)
        return client

    def _known(self, sae: str) -> SaeSection:
        known = self._registry.saes.get(sae)
        if known is None:
            raise RequestRefused("the SAE in the path is not known", 400)
        return known

    def _peer(self, slave: SaeSection) -> str:
        if slave.node == self._kme.node:
            raise RequestRefused("both SAEs are served by this KME; it shares no key alone", 400)
        if slave.node not in self._kme.peers:
            raise ChannelError(f"no link leads from '{self._kme.node}' to '{slave.node}'")
        return slave.node

    def _checked_size(self, asked: values.KeyRequest) -> int:
        offer = self._offer
        size = offer.key_size if asked.size is None else asked.size
        if not 1 <= asked.number <= offer.max_key_per_request:
            raise RequestRefused(f"number shall be 1 to {offer.max_key_per_request}", 400)
        if size % 8:
            raise RequestRefused(values.SIZE_MULTIPLE, 400)
        if not offer.min_key_size <= size <= offer.max_key_size:
            span = f"{offer.min_key_size} to {offer.max_key_size}"
            raise RequestRefused(f"size shall be {span} bits", 400)
        return size

    def _slaves(self, caller: str, sae: str, asked: values.KeyRequest) -> tuple[str, ...]:
        more = asked.additional_slave_SAE_IDs
        if len(more) > self._offer.max_sae_id_count:
            raise RequestRefused(
                f"additional_slave_SAE_IDs: {self._offer.max_sae_id_count} at most", 400
            )
        slaves = (sae, *more)
        if len(set(slaves)) != len(slaves) or caller in slaves:
            raise RequestRefused("an SAE is named twice", 400)
        self._known(sae)
        if not set(more) <= set(self._registry.saes):
            raise RequestRefused("an SAE in additional_slave_SAE_IDs is not known", 400)
        return slaves

    def _homes(self, slaves: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the nodes that serve SAEs, and which."""
        homes: dict[str, tuple[str, ...]] = {}
        for sae in slaves:
            node = self._registry.saes[sae].node
            homes[node] = (*homes.get(node, ()), sae)
            if node not in self._kme.peers and node != self._kme.node:
                raise ChannelError(f"no link leads from '{self._kme.node}' to '{node}'")
        return homes


def refuse(status: int, message: str, allow: tuple[str, ...] = ()) -> Response:
    """Return an error as the standard writes it."""
    return Response(status, values.error(message), allow)


def _route(request: Request) -> tuple[bytes, str]:
    """Return the method and the SAE that a path names; the raw path is cut before decoding."""
    parts = request.path.split(b"/")
    if len(parts) != 6 or parts[:4] != PREFIX or parts[5] not in METHODS:
        raise RequestRefused("there is nothing at this path", 404)
    if request.method not in (*METHODS[parts[5]], "OPTIONS"):
        allowed = " or ".join(METHODS[parts[5]])
        raise RequestRefused(f"this path takes {allowed}", 405)
    try:
        return parts[5], unquote_to_bytes(parts[4]).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRefused("the SAE in the path is not known", 400) from None
